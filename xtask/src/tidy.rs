//! `cargo xtask tidy`: the habits that clippy cannot check.
//!
//! Each file below holds one kind of check and answers findings; this one collects, sorts and prints them as
//! `path:line: message`, and says how many there were.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::root::Root;

mod arrows;
mod generated;
mod links;
mod places;
mod source;

/// Something to put right, where it is.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: PathBuf,
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

/// A text file of the repository.
struct File {
    path: PathBuf,
    text: String,
}

/// Runs all checks and fails when one found something.
pub(crate) fn run(root: &Root) -> Result<()> {
    let files = read(root)?;
    let mut findings = arrows::check(root)?;
    findings.extend(generated::check(root)?);
    let places = links::Places::of(&files);
    for file in &files {
        findings.extend(source::check(file));
        findings.extend(places::check(file));
        findings.extend(links::check(file, &places, |target| root.dir.join(target).exists()));
    }
    findings.sort();
    for Finding { path, line, message } in &findings {
        println!("{}:{line}: {message}", path.display());
    }
    let count = match findings.len() {
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    };
    println!("tidy: {} files, {count}", files.len());
    if !findings.is_empty() {
        bail!("{count}");
    }
    Ok(())
}

/// All files that are text; what is not UTF-8 (pictures, captured bytes) has no lines to point at.
fn read(root: &Root) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for path in root.files()? {
        if let Ok(text) = String::from_utf8(fs::read(root.dir.join(&path))?) {
            files.push(File { path, text });
        }
    }
    Ok(files)
}
