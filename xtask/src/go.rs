//! The Go client of Redis, compiled where that can be: Go's modules come from registries that not every machine reaches, and
//! nothing else here is written in Go.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::root::Root;

const FOLDER: &str = "tests/doors/go_redis";
/// Names a `GOPATH` that has the modules, for machines that reach no registry of them.
const PATH: &str = "GO_REDIS_PATH";

/// The compiled program, or what it lacks.
pub(crate) fn client(root: &Root) -> Result<Result<PathBuf, String>> {
    let work = root.target.join("go");
    std::fs::create_dir_all(&work).context("a folder for Go")?;
    let program = work.join("go-redis");
    let mut build = root.command("go");
    match std::env::var_os(PATH) {
        Some(path) => {
            build.env("GOPATH", path).env("GO111MODULE", "off").current_dir(root.dir.join(FOLDER));
        }
        None => {
            // A copy: what Go finds out of its modules is written beside them.
            for name in ["main.go", "go.mod"] {
                std::fs::copy(root.dir.join(FOLDER).join(name), work.join(name)).with_context(|| name)?;
            }
            build.env("GOFLAGS", "-mod=mod").env("GOTOOLCHAIN", "local").current_dir(&work);
        }
    }
    match build.args(["build", "-o"]).arg(&program).arg(".").stdin(Stdio::null()).output() {
        Ok(built) if built.status.success() => Ok(Ok(program)),
        Ok(built) => {
            let said = String::from_utf8_lossy(&built.stderr);
            let last = said.lines().last().unwrap_or_default();
            Ok(Err(format!(
                "go-redis: it could not be built ({last}); {PATH} names a GOPATH that has its modules"
            )))
        }
        Err(error) => Ok(Err(format!("go-redis: there is no Go here ({error})"))),
    }
}
