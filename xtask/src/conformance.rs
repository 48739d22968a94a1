//! The suite `conformance`: the release binary's echo endpoint against Autobahn's WebSocket cases, and redis-py's tests.
//!
//! This file starts and stops; which cases run and what counts as passed is `tests/conformance/autobahn.py`.

use anyhow::{Result, bail};

use crate::root::{Root, run as run_command};
use crate::server::Server;
use crate::{redis_py, venv};

const SCRIPT: &str = "tests/conformance/autobahn.py";

/// Builds the binary as users get it.
pub(crate) fn build(root: &Root) -> Result<()> {
    root.cargo(&["build", "--release", "-p", "tapeline-cli"])
}

/// The cases that take seconds.
pub(crate) fn run(root: &Root) -> Result<()> {
    run_with(root, &[])
}

/// Builds, starts the server, runs the cases, stops the server. The flags are the script's.
pub(crate) fn run_with(root: &Root, flags: &[&str]) -> Result<()> {
    let python = venv::python(root)?;
    // Costs nothing when fresh, and a failed build can never let an older binary pass.
    build(root)?;
    let binary = root.target.join(format!("release/tapeline{}", std::env::consts::EXE_SUFFIX));
    let mut serve = root.command(&binary);
    serve.args(["serve", "--conformance", "--listen", "127.0.0.1:0"]);
    let mut server = Server::start(serve)?;
    let url = format!("ws://127.0.0.1:{}/echo", server.port);
    let verdict = run_command(root.command(&python).args([SCRIPT, "--url", &url]).args(flags));
    if let Some(status) = server.ended()? {
        bail!("the server ended during the run with {status}; it said:\n{}", server.said());
    }
    verdict.and_then(|()| redis_py::run(root, &python, &binary))
}
