//! What `cargo xtask codegen` runs: writes the generated files below a folder, or with `--check` names those that are
//! not what it would write.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

fn main() -> io::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let checks = args.iter().any(|arg| arg == "--check");
    let Some(root) = args.iter().find(|arg| *arg != "--check").map(PathBuf::from) else {
        eprintln!("usage: codegen [--check] FOLDER");
        return Ok(ExitCode::FAILURE);
    };
    let files = tapeline_codegen::files();
    if checks {
        let stale = stale(&root, &files)?;
        stale.iter().for_each(|path| println!("{path}"));
        return Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    for path in orphans(&root, &files)? {
        fs::remove_file(root.join(path))?;
    }
    for (path, text) in files {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Files that are missing, differ or should not be there.
fn stale(root: &Path, files: &[(String, String)]) -> io::Result<Vec<String>> {
    let differs =
        |(path, text): &&(String, String)| fs::read_to_string(root.join(path)).ok().as_deref() != Some(text);
    let mut stale: Vec<String> = files.iter().filter(differs).map(|(path, _)| path.clone()).collect();
    stale.extend(orphans(root, files)?);
    Ok(stale)
}

/// Schemas of events that are gone.
fn orphans(root: &Path, files: &[(String, String)]) -> io::Result<Vec<String>> {
    let known: BTreeSet<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let folder = root.join("spec/events");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = format!("spec/events/{}", entry?.file_name().to_string_lossy());
        if !known.contains(path.as_str()) {
            found.push(path);
        }
    }
    Ok(found)
}
