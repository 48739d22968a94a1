//! The suite `deny`: what the dependencies may be (`deny.toml`), as cargo-deny sees it: licences, bans, sources, and known
//! vulnerabilities.
//!
//! The database of advisories lies on GitHub. Where that is out of reach and no copy is given, the other three are checked
//! and it is said that this one was not.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use crate::root::{Root, run as run_command};

/// Another release may judge otherwise, and a red run should be the change's doing.
const VERSION: &str = "0.20.2";
const RULES: &str = "deny.toml";
const ALWAYS: &[&str] = &["licenses", "bans", "sources"];
const ADVISORIES: &str = "advisories";
/// Names a copy of the database, a clone of <https://github.com/RustSec/advisory-db>.
const VARIABLE: &str = "TAPELINE_ADVISORY_DB";
/// How cargo-deny calls its clone of that address.
const CLONE: &str = "advisory-db-3157b0e258782691";

/// Installs where it must, and checks all that can be.
pub(crate) fn run(root: &Root) -> Result<()> {
    let deny = installed(root)?;
    let mut check = root.command(&deny);
    check.args(["--color", "never", "--all-features"]);
    let mut wanted = ALWAYS.to_vec();
    let copy = copy()?;
    if let Some(copy) = &copy {
        println!("advisories of {} from {}", age(root, copy), copy.display());
        check.arg("--offline").arg("--config").arg(rules_with(root, copy)?);
    }
    if copy.is_some() || reaches_database(root, &deny) {
        wanted.push(ADVISORIES);
    }
    check.args(["check", "--hide-inclusion-graph"]).args(&wanted);
    let output = check.output().context("cargo-deny cannot be started")?;
    let said = said(&output);
    print!("{said}");
    judge(&wanted, &said, output.status.success())?;
    if !wanted.contains(&ADVISORIES) {
        println!("\n!! ADVISORIES WERE NOT CHECKED: the database cannot be fetched from GitHub.");
        println!("!! A clone of RustSec/advisory-db that {VARIABLE} names is used instead.");
    }
    Ok(())
}

/// Good is only what says so itself of each check: a check that did not run is none that passed.
fn judge(wanted: &[&str], said: &str, success: bool) -> Result<()> {
    let summary = said.lines().rfind(|line| line.split(", ").any(|part| part.ends_with(" ok")));
    let parts: Vec<&str> = summary.unwrap_or_default().trim().split(", ").collect();
    let bad: Vec<&str> =
        wanted.iter().copied().filter(|check| !parts.contains(&format!("{check} ok").as_str())).collect();
    match bad.as_slice() {
        [] if success => Ok(()),
        [] => bail!("cargo-deny failed without saying which check"),
        bad => bail!("not good: {}; {RULES} says what is", bad.join(", ")),
    }
}

/// The pinned release, compiled once.
fn installed(root: &Root) -> Result<PathBuf> {
    let folder = root.target.join("tools");
    let deny = folder.join(format!("bin/cargo-deny{}", std::env::consts::EXE_SUFFIX));
    let version = Command::new(&deny).arg("--version").output();
    let is_pinned = |output: &Output| {
        String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == VERSION)
    };
    if !version.as_ref().is_ok_and(is_pinned) {
        let install = ["install", "--locked", "--version", VERSION, "cargo-deny", "--root"];
        run_command(root.cargo_command(&install).arg(&folder))?;
    }
    Ok(deny)
}

/// A copy of the database that somebody has put here.
fn copy() -> Result<Option<PathBuf>> {
    if let Some(given) = std::env::var_os(VARIABLE) {
        let given = PathBuf::from(given);
        if !given.join("crates").is_dir() {
            bail!("{VARIABLE} is {}, and that is no clone of the advisory database", given.display());
        }
        return Ok(Some(given));
    }
    // Where cargo-audit has it.
    let usual = std::env::home_dir().map(|home| home.join(".cargo/advisory-db"));
    Ok(usual.filter(|usual| usual.join("crates").is_dir()))
}

fn reaches_database(root: &Root, deny: &Path) -> bool {
    let fetched = root.command(deny).args(["fetch", "db"]).output();
    fetched.is_ok_and(|output| output.status.success())
}

/// The rules, with the copy where cargo-deny would have its clone.
fn rules_with(root: &Root, copy: &Path) -> Result<PathBuf> {
    let folder = root.target.join("tools/advisory-dbs");
    fs::create_dir_all(&folder)?;
    let place = folder.join(CLONE);
    // One of an earlier run.
    let _ = fs::remove_file(&place);
    let copy = copy.canonicalize().with_context(|| copy.display().to_string())?;
    std::os::unix::fs::symlink(copy, &place).with_context(|| place.display().to_string())?;
    let rules = fs::read_to_string(root.dir.join(RULES)).context(RULES)?;
    let file = folder.join(RULES);
    fs::write(&file, format!("{rules}\n[{ADVISORIES}]\ndb-path = {:?}\n", folder.display().to_string()))?;
    Ok(file)
}

/// The day of its newest advisory.
fn age(root: &Root, copy: &Path) -> String {
    let log = [OsStr::new("-C"), copy.as_os_str(), "log".as_ref(), "-1".as_ref(), "--format=%cs".as_ref()];
    let day = root.command("git").args(log).output().ok().filter(|output| output.status.success());
    day.map_or_else(
        || "an unknown day".to_owned(),
        |day| String::from_utf8_lossy(&day.stdout).trim().to_owned(),
    )
}

fn said(output: &Output) -> String {
    [&output.stderr, &output.stdout].map(|said| String::from_utf8_lossy(said)).concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "warning[duplicate]: found 2\n\nadvisories ok, bans ok, licenses ok, sources ok\n";

    #[test]
    fn all_that_was_wanted_must_be_said_to_be_good() {
        let all = ["licenses", "bans", "sources", ADVISORIES];
        assert!(judge(&all, GOOD, true).is_ok());
        assert!(judge(ALWAYS, "bans ok, licenses ok, sources ok\n", true).is_ok());
        let missed = judge(&all, "bans ok, licenses ok, sources ok\n", true).unwrap_err();
        assert!(missed.to_string().starts_with("not good: advisories;"), "{missed}");
    }

    #[test]
    fn a_licence_or_an_advisory_that_is_not_allowed_fails_the_suite() {
        let rejected = "error[rejected]: failed to satisfy license requirements\n\n\
                        advisories FAILED, bans ok, licenses FAILED, sources ok\n";
        let told = judge(&["licenses", "bans", ADVISORIES], rejected, false).unwrap_err().to_string();
        assert_eq!(told, "not good: licenses, advisories; deny.toml says what is");
    }

    #[test]
    fn a_run_that_broke_off_is_not_good() {
        for said in ["", "[ERROR] failed to validate configuration file\n", "bans ok"] {
            assert!(judge(ALWAYS, said, false).is_err(), "{said:?}");
        }
        assert!(judge(ALWAYS, GOOD, false).is_err());
    }
}
