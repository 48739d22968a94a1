//! `cargo xtask codegen`: the specification, types and reference page, written from the schema crate.
//!
//! The texts are made by an example of `tapeline-codegen`; this file only starts it and reads what it calls stale.

use anyhow::{Result, bail};

use crate::root::{Root, answer};

const EXAMPLE: &[&str] = &["run", "--quiet", "-p", "tapeline-codegen", "--example", "codegen", "--"];
/// What a finding tells to run.
pub(crate) const COMMAND: &str = "cargo xtask codegen";

/// Writes all generated files.
pub(crate) fn run(root: &Root) -> Result<()> {
    let dir = root.dir.to_string_lossy();
    root.cargo(&[EXAMPLE, &[&dir]].concat())
}

/// Names the stale files and fails if there are any.
pub(crate) fn check(root: &Root) -> Result<()> {
    let stale = stale(root)?;
    stale.iter().for_each(|path| println!("{path} is stale; run `{COMMAND}`"));
    if stale.is_empty() { Ok(()) } else { bail!("{} generated files are stale", stale.len()) }
}

/// Generated files that are not what the command would write today.
pub(crate) fn stale(root: &Root) -> Result<Vec<String>> {
    let dir = root.dir.to_string_lossy();
    let (ok, said) = answer(root.cargo_command(&[EXAMPLE, &["--check", &dir]].concat()))?;
    let stale: Vec<String> = said.lines().map(str::to_owned).collect();
    if !ok && stale.is_empty() {
        bail!("the example codegen of tapeline-codegen failed");
    }
    Ok(stale)
}
