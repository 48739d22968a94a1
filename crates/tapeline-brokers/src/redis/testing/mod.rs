//! A real Redis for tests: Debian's `redis-server` on a free port of the loopback, with its files in a directory of its
//! own, gone when the test is over.

mod proxy;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) use proxy::Proxy;
pub(crate) use tapeline_faults::free_port;

/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Ports that are tried for one server.
const PORTS: usize = 20;

/// See the module.
pub(crate) struct RedisServer {
    child: Child,
    dir: PathBuf,
    port: u16,
}

impl RedisServer {
    /// Starts one that keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more of its options, as on its command line.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        let dir = tapeline_faults::temporary("redis");
        fs::create_dir_all(&dir).unwrap();
        // A port that was free may be taken before the server has it.
        for _ in 0..PORTS {
            let port = free_port();
            let mut server = RedisServer { child: launch(&dir, port, options), dir: dir.clone(), port };
            if server.comes_up() {
                return server;
            }
            fs::create_dir_all(&dir).unwrap();
        }
        panic!("redis-server does not start on any of {PORTS} ports");
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on its port, with what is on disk.
    pub(crate) fn restart(&mut self, options: &[&str]) {
        self.kill();
        self.child = launch(&self.dir, self.port, options);
        assert!(self.comes_up(), "redis-server does not start again");
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends its process a signal: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        Self::signal_to(self.pid(), name);
    }

    /// The same for who has only its number.
    pub(crate) fn signal_to(pid: u32, name: &str) {
        assert!(
            Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success()
        );
    }

    /// Asks it something on a connection of its own, in words without spaces, and answers the first line of the reply.
    pub(crate) fn ask(&self, words: &str) -> String {
        ask(self.port, words).unwrap()
    }

    /// Waits until it answers; `false` if it ends instead, as it does where its port is taken.
    fn comes_up(&mut self) -> bool {
        let since = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            let answer = ask(self.port, "PING");
            if answer.is_ok_and(|answer| answer.starts_with('+') || answer.starts_with("-NOAUTH")) {
                return self.child.try_wait().unwrap().is_none();
            }
            assert!(since.elapsed() < PATIENCE, "redis-server does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn launch(dir: &PathBuf, port: u16, options: &[&str]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"]);
    command.args(["--port", &port.to_string(), "--dir"]).arg(dir).args(options);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    spawned.expect("redis-server starts (Debian: apt-get install redis-server)")
}

fn ask(port: u16, words: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{words}\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
