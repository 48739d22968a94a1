//! The Redis that a page takes for granted: Debian's redis-server on a free port of the loopback, keeping nothing.

use std::net::TcpListener;
use std::path::Path;

use anyhow::{Result, bail};

use super::process::Process;
use crate::root::program;

/// A running server; dropping it ends it.
pub(super) struct Redis {
    pub(super) port: u16,
    // Ends with this value.
    _process: Process,
}

impl Redis {
    /// Starts one in the page's folder and waits until it takes connections.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut shell = program("sh");
        shell.current_dir(folder);
        let script = format!("exec redis-server --bind 127.0.0.1 --port {port} --save '' --appendonly no");
        let mut process = Process::start(shell, &script)?;
        if !process.until(|said| said.iter().any(|line| line.contains("Ready to accept connections"))) {
            bail!("redis-server did not start; it said:\n{}", process.said.join("\n"));
        }
        Ok(Self { port, _process: process })
    }
}
