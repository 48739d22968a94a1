//! A command of a page while it runs: typed to, read line by line, and ended with all that it started.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// No command of a page may take longer, and nothing is waited for longer. Long, since all of them take a second or two on a
/// machine that is not busy otherwise.
const PATIENCE: Duration = Duration::from_secs(60);
const LINES_AHEAD: usize = 4_096;

/// A running command; dropping it ends its whole process group.
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// All that it has printed so far.
    pub(super) said: Vec<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // `Child::kill` ends the shell alone. This fails only when the group has ended by itself.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a shell with this script. Errors are read with the answers, in their order.
    pub(super) fn start(mut shell: Command, script: &str) -> Result<Self> {
        shell.arg("-c").arg(format!("exec 2>&1\n{script}"));
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = shell.spawn().context("the shell cannot be started")?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("stdout is piped")?;
        Ok(Self { child, input, lines: follow(output), said: Vec::new() })
    }

    /// Types a line.
    pub(super) fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("its input was closed")?;
        writeln!(input, "{line}").and_then(|()| input.flush()).context("it takes no more input")
    }

    /// Waits until what it has printed passes the test; false when it ends before, or takes too long.
    pub(super) fn until(&mut self, passes: impl Fn(&[String]) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !passes(&self.said) {
            let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                return false;
            };
            self.said.push(line);
        }
        true
    }

    /// Closes its input and waits for its end.
    pub(super) fn end(&mut self) -> Result<ExitStatus> {
        self.input = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(self.child.wait()?),
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "it did not end within {} s; it said:\n{}",
                        PATIENCE.as_secs(),
                        self.said.join("\n")
                    )
                }
            }
        }
    }
}

/// Reads on a thread of its own. What nobody looks at yet waits here, then in the pipe, then the command does.
fn follow(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = sync_channel(LINES_AHEAD);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> Process {
        Process::start(Command::new("sh"), script).unwrap()
    }

    #[test]
    fn answers_and_errors_are_read_in_their_order() {
        let mut process = start("echo a; echo b >&2; echo c; exit 3");
        assert_eq!(process.end().unwrap().code(), Some(3));
        assert_eq!(process.said, ["a", "b", "c"]);
    }

    #[test]
    fn what_is_typed_arrives_and_what_comes_is_waited_for() {
        let mut process = start("while read -r line; do echo \"got $line\"; done");
        process.tell("one").unwrap();
        assert!(process.until(|said| said.contains(&"got one".to_owned())));
        assert!(!start("true").until(|said| !said.is_empty()));
    }

    #[test]
    fn a_dropped_command_takes_with_it_what_it_started() {
        let mut process = start("sleep 60 & echo $!; wait");
        assert!(process.until(|said| !said.is_empty()));
        let pid = process.said.concat();
        drop(process);
        // The orphan is collected by whoever collects orphans; until then it is a zombie, which has no files.
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let deadline = Instant::now() + PATIENCE;
        while !(state().is_empty() || state().contains(" Z ")) {
            assert!(Instant::now() < deadline, "{}", state());
            thread::yield_now();
        }
    }
}
