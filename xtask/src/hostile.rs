//! The suite `hostile`: the release binary against schemathesis, which asks what `/openapi.json` promises, and against
//! slowhttptest, which opens hundreds of requests and never ends them.
//!
//! This file installs, starts and stops. What is excepted and what counts as unharmed is in `tests/hostile/`. The
//! collections of hostile input are tests of the crate `tapeline-cli`, in the suite `unit`.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::root::{Root, run as run_command};
use crate::server::Server;
use crate::{conformance, debian, venv};

const FOLDER: &str = "tests/hostile";
/// The same requests in the same order, so that a red run is the change's doing; a faster machine gets further.
const SEED: &str = "14";
const SECONDS: &str = "75";

/// Builds, checks the fuzz targets, attacks a hub with its defaults and one with strict limits, and sees that both run on.
pub(crate) fn run(root: &Root) -> Result<()> {
    let python = venv::python(root)?;
    debian::program(root, "slowhttptest", "slowhttptest")?;
    targets(root)?;
    conformance::build(root)?;
    let asked = attack(root, "hub.toml", |port| {
        let asked = schemathesis(root, &python, port);
        asked.and(slow(root, &python, port, &[]))
    });
    asked.and(attack(root, "strict.toml", |port| slow(root, &python, port, &["--strict"])))
}

/// Starts a hub with this configuration for an attack on its port, after which it must still run.
fn attack(root: &Root, config: &str, attack: impl FnOnce(u16) -> Result<()>) -> Result<()> {
    let binary = root.target.join(format!("release/tapeline{}", std::env::consts::EXE_SUFFIX));
    let mut serve = root.command(binary);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(format!("{FOLDER}/{config}"));
    let mut server = Server::start(serve)?;
    let outcome = attack(server.port);
    if let Some(status) = server.ended()? {
        bail!("the hub ended during the run with {status}; it said:\n{}", server.said());
    }
    if server.said().contains("panicked") {
        bail!("the hub panicked:\n{}", server.said());
    }
    outcome
}

fn slow(root: &Root, python: &Path, port: u16, more: &[&str]) -> Result<()> {
    let mut slow = root.command(python);
    slow.arg(format!("{FOLDER}/slow.py")).args(["--port", &port.to_string()]).args(more);
    run_command(&mut slow)
}

/// Whether the fuzz targets still compile. They are a workspace of their own, which nothing else builds.
fn targets(root: &Root) -> Result<()> {
    let mut check = root.cargo_command(&["check", "--quiet", "--manifest-path", "fuzz/Cargo.toml"]);
    run_command(check.arg("--target-dir").arg(root.target.join("fuzz-check")))
}

fn schemathesis(root: &Root, python: &Path, port: u16) -> Result<()> {
    // It leaves a folder of its own where it runs.
    let scratch = root.target.join("schemathesis");
    fs::create_dir_all(&scratch)?;
    let mut ask = root.command(python.with_file_name("schemathesis"));
    ask.arg("--config-file").arg(root.dir.join(FOLDER).join("schemathesis.toml"));
    ask.args(["run", &format!("http://127.0.0.1:{port}/openapi.json")]);
    ask.args(["--phases", "examples,coverage,fuzzing", "--max-time", SECONDS, "--seed", SEED]);
    ask.args(["--continue-on-failure", "--no-shrink", "--warnings", "off"]);
    run_command(ask.current_dir(scratch))
}
