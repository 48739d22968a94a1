//! Programs that neither cargo, Python nor npm brings: Debian's packages, installed where that is allowed.

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::root::{Root, run};

/// Where the program lies; root gets its package installed, anybody else is told which one is missing.
pub(crate) fn program(root: &Root, name: &str, package: &str) -> Result<PathBuf> {
    if let Some(found) = found(name) {
        return Ok(found);
    }
    let id = root.command("id").arg("-u").output().context("who runs this")?;
    if String::from_utf8_lossy(&id.stdout).trim() == "0" {
        // What is listed may be out of date; then the installation fails and says so.
        let _ = run(root.command("apt-get").args(["update", "--quiet=2"]));
        let _ = run(root.command("apt-get").args(["install", "--yes", "--quiet=2", package]));
    }
    match found(name) {
        Some(found) => Ok(found),
        None => bail!("{name} is needed: install the package {package} (apt-get install {package})"),
    }
}

/// Likewise for a server, which its package of the same name also starts as a service of the machine: tests start their
/// own, so one that was installed for them is stopped.
pub(crate) fn server(root: &Root, name: &str) -> Result<PathBuf> {
    let was_there = found(name).is_some();
    let path = program(root, name, name)?;
    if !was_there {
        // Where nothing starts services, as in most containers, there is none to stop.
        let _ = run(root.command("service").args([name, "stop"]));
    }
    Ok(path)
}

fn found(name: &str) -> Option<PathBuf> {
    find_in(&std::env::var_os("PATH")?, name)
}

fn find_in(folders: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(folders).map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_the_folders_of_the_path_only() {
        let folders = format!("/nowhere:{}/src", env!("CARGO_MANIFEST_DIR"));
        let found = find_in(OsStr::new(&folders), "debian.rs");
        assert_eq!(found, Some(PathBuf::from(format!("{}/src/debian.rs", env!("CARGO_MANIFEST_DIR")))));
        assert_eq!(find_in(OsStr::new("/nowhere"), "debian.rs"), None);
    }
}
