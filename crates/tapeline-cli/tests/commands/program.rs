//! The binary as a child process whose lines can be awaited; it is killed when the test lets go of it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const LINES: usize = 100_000;

/// A program that goes on.
pub(crate) struct Program {
    child: Child,
    out: Option<Receiver<String>>,
    err: Receiver<String>,
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub ok: bool,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

fn command(args: &[&str]) -> Command {
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command
        .args(args)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = sync_channel(LINES);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

/// Runs to the end.
pub(crate) fn run(args: &[&str]) -> Outcome {
    Program::start(args).outcome()
}

/// Runs to the end with this token in the environment.
pub(crate) fn run_with_token(token: &str, args: &[&str]) -> Outcome {
    Program::of(command(args).env("TAPELINE_TOKEN", token).spawn().unwrap()).outcome()
}

/// Runs to the end with this on standard input.
pub(crate) fn run_with_input(args: &[&str], input: &str) -> Outcome {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin: ChildStdin = child.stdin.take().unwrap();
    // A program that stops at a bad line does not read the rest.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    Program::of(child).outcome()
}

impl Program {
    pub(crate) fn start(args: &[&str]) -> Self {
        Program::of(command(args).spawn().unwrap())
    }

    /// With nobody at the other end of its standard output.
    pub(crate) fn start_unread(args: &[&str]) -> Self {
        let mut child = command(args).spawn().unwrap();
        drop(child.stdout.take());
        Program::of(child)
    }

    fn of(mut child: Child) -> Self {
        let out = child.stdout.take().map(lines);
        let err = lines(child.stderr.take().unwrap());
        Program { child, out, err }
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        let out = self.out.as_ref().unwrap();
        match out.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => {
                panic!("no line on standard output ({error}); standard error: {:?}", rest(&self.err))
            }
        }
    }

    /// The next line of standard error.
    pub(crate) fn err_line(&mut self) -> String {
        self.err.recv_timeout(PATIENCE).expect("a line on standard error")
    }

    /// The next line of standard error that has this in it.
    pub(crate) fn err_line_with(&mut self, part: &str) -> String {
        let mut seen = VecDeque::new();
        loop {
            let Ok(line) = self.err.recv_timeout(PATIENCE) else { panic!("no {part:?} after {seen:?}") };
            if line.contains(part) {
                return line;
            }
            seen.push_back(line);
        }
    }

    /// Its process.
    pub(crate) fn id(&self) -> i32 {
        rustix::process::Pid::from_child(&self.child).as_raw_nonzero().get()
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_raw(self.id()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Waits for the end: whether it went well, and what was left on standard error.
    pub(crate) fn end(mut self) -> (bool, String) {
        let err = rest(&self.err);
        (self.child.wait().unwrap().success(), err)
    }

    fn outcome(mut self) -> Outcome {
        let out = self.out.take().map(|out| rest(&out)).unwrap_or_default();
        let err = rest(&self.err);
        let status = self.child.wait().unwrap();
        Outcome { ok: status.success(), code: status.code(), out, err }
    }
}

/// All lines until the stream ends, which it does with the program.
fn rest(lines: &Receiver<String>) -> String {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => text = text + &line + "\n",
            Err(RecvTimeoutError::Disconnected) => return text,
            Err(RecvTimeoutError::Timeout) => panic!("it does not end; so far: {text}"),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A hub of its own for a test.
pub(crate) struct Hub {
    _program: Program,
    pub address: String,
    pub url: String,
}

impl Hub {
    pub(crate) fn start() -> Self {
        let mut program = Program::start(&["serve", "--listen", "127.0.0.1:0", "--shards", "1"]);
        let line = program.line();
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_string();
        let address = url.trim_start_matches("http://").to_string();
        Hub { _program: program, address, url }
    }
}
