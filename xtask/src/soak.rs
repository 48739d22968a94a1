//! `cargo xtask soak`: what takes too long for `test`. A hub with a data directory is killed under load twenty times; each
//! time every acknowledged message must be there once and in order. The test says so itself; this file only starts it.

use anyhow::Result;

use crate::root::Root;

const TEST: &[&str] =
    &["test", "-p", "tapeline-cli", "--test", "durability", "--", "--ignored", "--nocapture", "twenty_times"];

/// Runs it.
pub(crate) fn run(root: &Root) -> Result<()> {
    root.cargo(TEST)
}
