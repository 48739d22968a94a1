//! The npm packages of the test scripts: installed below cargo's target directory exactly as the lock file says, anew
//! when that changes. Nothing is installed outside it, and the repository's own folders stay clean.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::root::{Root, run};

/// The oldest that is still maintained; its test runner and `fetch` are used.
const NODE: u32 = 20;
const MANIFEST: &str = "package.json";
const LOCK: &str = "package-lock.json";

/// Answers the folder with the `node_modules` that this folder's `package-lock.json` asks for.
pub(crate) fn packages(root: &Root, folder: &str) -> Result<PathBuf> {
    check(root)?;
    let name = folder.replace('/', "-");
    let installed = root.target.join("tools").join(name);
    let stamp = installed.join("tapeline-packages");
    let source = root.dir.join(folder);
    let wanted = fs::read_to_string(source.join(LOCK)).with_context(|| format!("{folder}/{LOCK}"))?;
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(installed);
    }
    fs::create_dir_all(&installed)?;
    for file in [MANIFEST, LOCK] {
        fs::copy(source.join(file), installed.join(file)).with_context(|| format!("{folder}/{file}"))?;
    }
    let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"];
    run(root.command("npm").args(install).arg(&installed))?;
    // Written last: an interrupted installation leaves no stamp and is done again.
    fs::write(&stamp, wanted)?;
    Ok(installed)
}

/// Whether node and npm are there, new enough.
pub(crate) fn check(root: &Root) -> Result<()> {
    let version = root.command("node").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if !version.as_deref().is_ok_and(|version| major(version).is_some_and(|major| major >= NODE)) {
        let found = version.map_or_else(|_| "none is installed".to_owned(), |found| format!("found {found}"));
        bail!("Node.js {NODE} or newer is needed ({found}): install the package nodejs");
    }
    let npm = root.command("npm").arg("--version").output();
    if !npm.is_ok_and(|output| output.status.success()) {
        bail!("npm is needed: install the package npm");
    }
    Ok(())
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_as_node_says_it() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("20.20.2"), None);
        assert_eq!(major(""), None);
    }
}
