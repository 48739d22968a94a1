//! `cargo xtask sim`: the seeded simulator, which is an example of `tapeline-core` behind its feature `testkit`.
//!
//! Flags go through untouched. The simulator chooses and prints the seed when none is given; this file only starts it.

use anyhow::Result;

use crate::root::Root;

const EXAMPLE: &[&str] =
    &["run", "--release", "-p", "tapeline-core", "--features", "testkit", "--example", "sim", "--"];

/// Builds the simulator and runs it with the flags given, for example `--seed 7 --seconds 60`.
pub(crate) fn run(root: &Root, flags: &[&str]) -> Result<()> {
    root.cargo(&[EXAMPLE, flags].concat())
}
