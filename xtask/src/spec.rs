//! The suite `spec`: the generated documents and types as others read them.
//!
//! AsyncAPI's official parser, an OpenAPI validator, TypeScript and mypy, each in the version written here and installed
//! under cargo's target directory. The scripts are in `tests/spec`; this file installs and starts.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::codegen;
use crate::root::{Root, run as run_command};
use crate::venv;

/// Pinned: another release may find other faults, and a red run should be the change's doing.
const NODE_PACKAGES: &[&str] = &["@asyncapi/parser@3.6.3", "typescript@7.0.2"];

/// Freshness first: what is checked is what the schema says today.
pub(crate) fn run(root: &Root) -> Result<()> {
    codegen::check(root)?;
    let node = node_packages(root)?;
    let parse = ["tests/spec/asyncapi.mjs".as_ref(), node.as_os_str(), "spec/asyncapi.json".as_ref()];
    run_command(root.command("node").args(parse))?;
    let tsc = node.join("node_modules/typescript/bin/tsc");
    let strict = ["--strict", "--noEmit", "--target", "es2022", "tests/spec/types.ts"];
    run_command(root.command("node").arg(tsc).args(strict))?;
    let python = venv::python(root)?;
    run_command(root.command(&python).args(["-m", "openapi_spec_validator", "spec/openapi.json"]))?;
    let cache = root.target.join("mypy");
    let mypy = root
        .command(&python)
        .env("MYPYPATH", "spec/types")
        .args(["-m", "mypy", "--strict", "--cache-dir"])
        .arg(cache)
        .arg("tests/spec/types_use.py")
        .status()
        .context("mypy cannot be started")?;
    if mypy.success() { Ok(()) } else { bail!("mypy ended with {mypy}") }
}

/// The folder of the Node packages, made when it is missing or out of date.
fn node_packages(root: &Root) -> Result<PathBuf> {
    let folder = root.target.join("tools/node");
    let stamp = folder.join("tapeline-packages");
    let wanted = NODE_PACKAGES.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    let probe =
        root.command("node").args(["-e", "process.exit(+process.versions.node.split('.')[0] < 20)"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        bail!("Node 20 or newer with npm is needed: install the packages nodejs and npm");
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), "{ \"private\": true }\n")?;
    let install =
        ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error", "--prefix"];
    run_command(root.command("npm").args(install).arg(&folder).args(NODE_PACKAGES))?;
    // Written last: an interrupted installation leaves no stamp and is done again.
    fs::write(stamp, wanted)?;
    Ok(folder)
}
