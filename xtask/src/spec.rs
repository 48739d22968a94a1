//! The suite `spec`: the generated documents and types as others read them.
//!
//! AsyncAPI's official parser, an OpenAPI validator, TypeScript and mypy, each in a pinned version and installed
//! under cargo's target directory. The scripts are in `tests/spec`; this file installs and starts.

use anyhow::{Context, Result, bail};

use crate::root::{Root, run as run_command};
use crate::{codegen, node, venv};

/// The scripts, and the packages that they need, pinned by a lock file: another release may find other faults, and a red
/// run should be the change's doing.
const FOLDER: &str = "tests/spec";

/// Freshness first: what is checked is what the schema says today.
pub(crate) fn run(root: &Root) -> Result<()> {
    codegen::check(root)?;
    let node = node::packages(root, FOLDER)?;
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
