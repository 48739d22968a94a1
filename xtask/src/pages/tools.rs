//! What the pages' commands find on the PATH: the binary just built, node's packages and Python's, each pinned.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::root::Root;
use crate::{debian, node, venv};

const FOLDER: &str = "tests/pages";

/// Where everything is.
pub(super) struct Tools {
    pub(super) binary: PathBuf,
    pub(super) packages: PathBuf,
    /// The pages' own folders are made in here.
    pub(super) scratch: PathBuf,
    python: PathBuf,
    folder: PathBuf,
    examples: PathBuf,
}

impl Tools {
    /// Builds and installs. The whole workspace is named, so that this is what `cargo test` has just built with the same
    /// features, and costs nothing after it.
    pub(super) fn open(root: &Root) -> Result<Self> {
        root.cargo(&["build", "--workspace", "--bins", "--examples"])?;
        debian::program(root, "redis-cli", "redis-tools")?;
        let built = root.target.join("debug");
        Ok(Self {
            binary: built.join("tapeline"),
            packages: node::packages(root, FOLDER)?,
            scratch: root.target.join("pages"),
            python: venv::python(root)?,
            folder: root.dir.join(FOLDER),
            examples: built.join("examples"),
        })
    }

    /// Python's environment.
    pub(super) fn venv(&self) -> PathBuf {
        self.python.ancestors().nth(2).map(PathBuf::from).unwrap_or_default()
    }

    /// Variables of a page's shell.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let first = [self.folder.clone(), self.packages.join("node_modules/.bin"), self.venv().join("bin")];
        let path = std::env::join_paths(first.into_iter().chain(std::env::split_paths(&usual)));
        vec![
            ("PATH", path.unwrap_or(usual)),
            ("TAPELINE", self.binary.clone().into()),
            ("EXAMPLES", self.examples.clone().into()),
            ("TERMINAL", self.folder.join("terminal.py").into()),
        ]
    }

    /// The pages that are read.
    pub(super) fn pages(root: &Root) -> Result<Vec<PathBuf>> {
        let is_page = |file: &PathBuf| {
            let folder = file.parent().and_then(|folder| folder.to_str());
            let is_markdown = file.extension().is_some_and(|extension| extension == "md");
            is_markdown && (matches!(folder, Some("docs" | "docs/guide")) || file.as_os_str() == "README.md")
        };
        let pages: Vec<PathBuf> = root.files().context("the pages")?.into_iter().filter(is_page).collect();
        Ok(pages)
    }
}
