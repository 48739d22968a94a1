//! A server under test: started, waited for until it names its port, and killed when this value goes.
//!
//! Both its output streams are read to their end, so that it can never block on a full pipe; the last lines are kept
//! to explain a failure.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const READY: &str = "http://127.0.0.1:";
/// How a hub names the door at which it speaks TLS.
pub(crate) const TLS: &str = "https://127.0.0.1:";
/// How it names its Redis door.
pub(crate) const REDIS: &str = "redis://127.0.0.1:";
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const READY_WITHIN_S: u64 = 20;
const LINES_KEPT: usize = 40;

type Said = Arc<Mutex<VecDeque<String>>>;

/// A running server; dropping it kills it.
pub(crate) struct Server {
    /// The port that it named.
    pub(crate) port: u16,
    process: Process,
    said: Said,
}

/// Kills on drop, also when the server never became ready.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when the process has ended already; then `wait` collects it all the same.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Starts the program and waits until a line of either stream holds `http://127.0.0.1:PORT`.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mut process = Process(child);
        let stdout = process.0.stdout.take().context("stdout is piped")?;
        let stderr = process.0.stderr.take().context("stderr is piped")?;
        let said = Said::default();
        let (ports, first) = sync_channel(1);
        follow(stdout, ports.clone(), Arc::clone(&said));
        follow(stderr, ports, Arc::clone(&said));
        match first.recv_timeout(Duration::from_secs(READY_WITHIN_S)) {
            Ok(port) => Ok(Self { port, process, said }),
            Err(RecvTimeoutError::Timeout) => {
                bail!("the server named no port within {READY_WITHIN_S} s; it said:\n{}", joined(&said))
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the server ended before it named a port; it said:\n{}", joined(&said))
            }
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.0.try_wait()?)
    }

    /// The port of another of its doors, `TLS` or `REDIS`, which it may name after the first.
    pub(crate) fn port_of(&self, door: &str) -> Result<u16> {
        let end = Instant::now() + Duration::from_secs(READY_WITHIN_S);
        loop {
            let said = self.said();
            if let Some(port) = said.lines().find_map(|line| port_in(line, door)) {
                return Ok(port);
            }
            if Instant::now() > end {
                bail!("the server named no {door} within {READY_WITHIN_S} s; it said:\n{said}");
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Its last lines of output.
    pub(crate) fn said(&self) -> String {
        joined(&self.said)
    }
}

/// Reads a stream to its end on a thread of its own, keeping the last lines and handing over the first port.
fn follow(stream: impl Read + Send + 'static, ports: SyncSender<u16>, said: Said) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(port) = port_in(&line, READY) {
                // Refused when a port is waiting or nobody waits any more; only the first one counts.
                let _ = ports.try_send(port);
            }
            let mut kept = said.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == LINES_KEPT {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    });
}

fn port_in(line: &str, before: &str) -> Option<u16> {
    let (_, rest) = line.split_once(before)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|port| *port != 0)
}

fn joined(said: &Said) -> String {
    let kept = said.lock().unwrap_or_else(PoisonError::into_inner);
    kept.iter().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_port_is_the_first_address_on_either_stream() {
        assert_eq!(port_in("listening on http://127.0.0.1:8123/ now", READY), Some(8123));
        assert_eq!(port_in("listening on http://127.0.0.1:0", READY), None);
        assert_eq!(port_in("listening on 127.0.0.1:8123", READY), None);
        assert_eq!(port_in("listening on https://127.0.0.1:8443", READY), None);
        let server = Server::start(shell("echo hello; echo http://127.0.0.1:4001 >&2; exec sleep 60"));
        assert_eq!(server.unwrap().port, 4001);
    }

    #[test]
    fn a_server_that_ends_early_is_reported_with_what_it_said() {
        let error = Server::start(shell("echo no room; exit 3")).err().unwrap().to_string();
        assert!(error.contains("ended before it named a port") && error.contains("no room"), "{error}");
    }

    #[test]
    fn a_dropped_server_is_gone() {
        let server = Server::start(shell("echo http://127.0.0.1:4002 $$; exec sleep 60")).unwrap();
        let pid = server.process.0.id().to_string();
        drop(server);
        let alive = Command::new("kill").args(["-0", &pid]).stderr(Stdio::null()).status().unwrap();
        assert!(!alive.success());
    }
}
