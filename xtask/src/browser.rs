//! The suite `browser`: the live page of the release binary in a headless Chromium.
//!
//! What is looked at is `tests/browser/live_page.mjs`, which starts its own hubs; this file brings node, its packages and
//! the browser together.

use std::path::PathBuf;

use anyhow::Result;

use crate::root::{Root, run as run_command};
use crate::{conformance, debian, node};

const FOLDER: &str = "tests/browser";
const PACKAGE: &str = "chromium";

/// Builds, installs what the tests need, and runs them.
pub(crate) fn run(root: &Root) -> Result<()> {
    let packages = node::packages(root, FOLDER)?;
    let browser = match std::env::var_os("CHROMIUM") {
        Some(path) => PathBuf::from(path),
        None => debian::program(root, PACKAGE, PACKAGE)?,
    };
    conformance::build(root)?;
    let binary = root.target.join(format!("release/tapeline{}", std::env::consts::EXE_SUFFIX));
    let mut test = root.command("node");
    test.arg(format!("{FOLDER}/live_page.mjs"));
    run_command(test.env("TAPELINE", binary).env("PACKAGES", packages).env("CHROMIUM", browser))
}
