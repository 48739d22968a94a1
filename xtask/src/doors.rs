//! The suite `doors`: clients that teams already have, unmodified, against the release binary, and the documents' own stack
//! beside it. What is tested is in `tests/doors/`; this file brings node, its packages, Python, Redis and a browser together.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::root::{Root, run as run_command};
use crate::{conformance, debian, go, node, venv};

const FOLDER: &str = "tests/doors";
/// The command-line clients of Redis.
const REDIS_TOOLS: &str = "redis-tools";
const BROWSER: &str = "chromium";

/// Builds, installs what the tests need, and runs them with node's own test runner.
pub(crate) fn run(root: &Root) -> Result<()> {
    let packages = node::packages(root, FOLDER)?;
    let python = venv::python(root)?;
    let old_redis = venv::old_redis(root)?;
    debian::server(root, "redis-server")?;
    debian::program(root, "redis-cli", REDIS_TOOLS)?;
    debian::program(root, "redis-benchmark", REDIS_TOOLS)?;
    let browser = match std::env::var_os("CHROMIUM") {
        Some(path) => PathBuf::from(path),
        None => debian::program(root, BROWSER, BROWSER)?,
    };
    conformance::build(root)?;
    let binary = root.target.join(format!("release/tapeline{}", std::env::consts::EXE_SUFFIX));
    let mut test = root.command("node");
    // Files one after another: each starts hubs and servers of its own, and what takes time is measured.
    test.args(["--test", "--test-reporter", "spec", "--test-concurrency", "1"]).args(tests(root)?);
    match go::client(root)? {
        Ok(client) => {
            test.env("GO_CLIENT", client);
        }
        Err(missing) => println!("NOT RUN: {missing}"),
    }
    test.env("TAPELINE", binary).env("PACKAGES", packages).env("PYTHON", python);
    run_command(test.env("OLD_REDIS", old_redis).env("CHROMIUM", browser))
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
