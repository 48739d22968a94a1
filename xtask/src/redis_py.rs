//! redis-py's own tests against the Redis door, as part of the suite `conformance`. Which are run and what counts as passed is
//! `tests/conformance/redis_py.py`.

use std::path::Path;

use anyhow::{Result, bail};

use crate::root::{Root, run as run_command};
use crate::server::{REDIS, Server};

const SCRIPT: &str = "tests/conformance/redis_py.py";

/// Starts a hub of its own for them; `python` has the packages, `binary` is the hub.
pub(crate) fn run(root: &Root, python: &Path, binary: &Path) -> Result<()> {
    let mut serve = root.command(binary);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--redis-listen", "127.0.0.1:0"]);
    let mut server = Server::start(serve)?;
    let url = format!("redis://127.0.0.1:{}", server.port_of(REDIS)?);
    let mut script = root.command(python);
    script.args([SCRIPT, "--url", &url, "--folder"]).arg(root.target.join("tools/redis-py"));
    let verdict = run_command(&mut script);
    if let Some(status) = server.ended()? {
        bail!("the hub ended during the run with {status}; it said:\n{}", server.said());
    }
    verdict
}
