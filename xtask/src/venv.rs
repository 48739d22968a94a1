//! The Python environment of the test scripts: made once under cargo's target directory, remade when the list of
//! packages changes. Nothing is installed outside it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::root::{Root, run};

/// Pinned where another release may hold other cases or find other faults.
const PACKAGES: &[&str] = &[
    "kosoku==0.1.0",
    "websockets==17.4",
    "openapi-spec-validator==0.9.0",
    "mypy==2.4.1",
    "schemathesis==4.32.5",
    "prometheus-client==0.26.0",
    "redis==8.1.0",
    "pytest==9.2.0",
    "pytest-asyncio==1.5.0",
    "pytest-timeout==2.4.0",
    "mock==5.2.0",
    "python-socketio==5.18.1",
    "aiohttp==3.14.5",
    "requests==2.34.2",
    "websocket-client==1.9.2",
    "fastapi==0.165.0",
    "uvicorn==0.54.0",
    "httpx==0.28.1",
];
/// The oldest redis-py that is still met often: it asks differently than its successors.
const OLD_REDIS: &str = "redis==5.0.8";

/// Answers the folder to put first on PYTHONPATH for an old redis-py.
pub(crate) fn old_redis(root: &Root) -> Result<PathBuf> {
    let python = python(root)?;
    let folder = root.target.join("tools").join(OLD_REDIS.replace("==", "-"));
    let stamp = folder.join("tapeline-packages");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == OLD_REDIS) {
        return Ok(folder);
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"];
    run(root.command(&python).args(install).arg(&folder).arg(OLD_REDIS))?;
    fs::write(&stamp, OLD_REDIS)?;
    Ok(folder)
}

/// Answers the environment's interpreter, after making the environment when it is missing or out of date.
pub(crate) fn python(root: &Root) -> Result<PathBuf> {
    let venv = root.target.join("venv");
    let python = venv.join("bin/python");
    let stamp = venv.join("tapeline-packages");
    let wanted = PACKAGES.join("\n");
    if python.is_file() && fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    let probe = root
        .command("python3")
        .args(["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        bail!("Python 3.11 or newer with venv is needed: install the packages python3 and python3-venv");
    }
    run(root.command("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(root.command(&python).args(install).args(PACKAGES))?;
    // Written last: an interrupted installation leaves no stamp and is done again.
    fs::write(&stamp, wanted)?;
    Ok(python)
}
