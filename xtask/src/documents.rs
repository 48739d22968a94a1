//! The suite `documents`: code that stands in the documents, and the example scripts that they name, against the
//! release binary. What is tested is in `tests/documents/`; this file brings node, its packages and Python together.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::root::{Root, run as run_command};
use crate::{conformance, debian, node, venv};

const FOLDER: &str = "tests/documents";

/// Builds, installs what the tests need, and runs them with node's own test runner.
pub(crate) fn run(root: &Root) -> Result<()> {
    let packages = node::packages(root, FOLDER)?;
    let python = venv::python(root)?;
    debian::server(root, "redis-server")?;
    conformance::build(root)?;
    let binary = root.target.join(format!("release/tapeline{}", std::env::consts::EXE_SUFFIX));
    let mut test = root.command("node");
    test.args(["--test", "--test-reporter", "spec"]).args(tests(root)?);
    test.env("TAPELINE", binary).env("PACKAGES", packages).env("PYTHON", python);
    run_command(&mut test)
}

/// The test files. Newer releases of node no longer look for them in a folder.
fn tests(root: &Root) -> Result<Vec<PathBuf>> {
    let is_test = |file: &PathBuf| file.to_string_lossy().ends_with(".test.mjs") && file.starts_with(FOLDER);
    let found: Vec<PathBuf> = root.files()?.into_iter().filter(is_test).collect();
    if found.is_empty() {
        bail!("there are no tests in {FOLDER}");
    }
    Ok(found)
}
