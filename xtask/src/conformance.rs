//! The suite `conformance`: the release binary in conformance mode against Autobahn's WebSocket cases, the suites of
//! Engine.IO and Socket.IO, and redis-py's tests.
//!
//! This file starts and stops; which cases run and what counts as passed is in `tests/conformance/autobahn.py` and `suites`.

use anyhow::{Result, bail};

use crate::root::{Root, run as run_command};
use crate::server::Server;
use crate::{redis_py, suites, venv};

const SCRIPT: &str = "tests/conformance/autobahn.py";

/// Builds the binary as users get it.
pub(crate) fn build(root: &Root) -> Result<()> {
    root.cargo(&["build", "--release", "-p", "tapeline-cli"])
}

/// The cases that take seconds, on a machine that may reach package registries alone: suites that cannot be had there are
/// left out, which is said.
pub(crate) fn run(root: &Root) -> Result<()> {
    for missing in all(root, &[])? {
        println!("NOT RUN: {missing}");
    }
    Ok(())
}

/// The same, where all must be run. The flags are those of Autobahn's script.
pub(crate) fn run_with(root: &Root, flags: &[&str]) -> Result<()> {
    let missing = all(root, flags)?;
    if missing.is_empty() { Ok(()) } else { bail!("{}", missing.join("; ")) }
}

/// Builds, starts the server, runs the cases, stops the server. Answers which suites could not be had.
fn all(root: &Root, flags: &[&str]) -> Result<Vec<String>> {
    let python = venv::python(root)?;
    // Costs nothing when fresh, and a failed build can never let an older binary pass.
    build(root)?;
    let binary = root.target.join(format!("release/tapeline{}", std::env::consts::EXE_SUFFIX));
    let mut serve = root.command(&binary);
    serve.args(["serve", "--conformance", "--listen", "127.0.0.1:0"]);
    let mut server = Server::start(serve)?;
    let url = format!("ws://127.0.0.1:{}/echo", server.port);
    let verdict = run_command(root.command(&python).args([SCRIPT, "--url", &url]).args(flags))
        .and_then(|()| suites::run(root, server.port));
    if let Some(status) = server.ended()? {
        bail!("the server ended during the run with {status}; it said:\n{}", server.said());
    }
    let missing = verdict?;
    redis_py::run(root, &python, &binary)?;
    Ok(missing)
}
