//! A real Redis of a test's own: Debian's `redis-server` on a free port of the loopback, with its files in a folder of its
//! own. It is told what to do over a socket file, as a user that may do everything, whatever the test does to its port,
//! its password or its memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::resp::{Connection, Reply};
use crate::{eventually, free_port, temporary};

/// May do everything and is asked for no password.
const WARDEN: &str = "warden";
/// The name of the file with its data, in its folder.
const DATA: &str = "dump.rdb";

/// See the module.
pub struct RedisServer {
    process: Child,
    folder: PathBuf,
    port: u16,
    lines: Vec<String>,
}

impl RedisServer {
    /// One that keeps nothing on disk, unless it is [stopped](RedisServer::stop).
    pub fn start() -> RedisServer {
        RedisServer::with(&[])
    }

    /// One with further lines of `redis.conf`.
    pub fn with(lines: &[&str]) -> RedisServer {
        let folder = temporary("redis");
        fs::create_dir_all(&folder).expect("a folder can be made");
        let lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
        // A port that was free may be taken before the server has it.
        for _ in 0..20 {
            let port = free_port();
            if let Some(process) = launch(&folder, port, &lines) {
                return RedisServer { process, folder, port, lines };
            }
        }
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        panic!("redis-server does not start: {log}");
    }

    /// A replica of another, in step with it.
    pub fn replica_of(master: &RedisServer) -> RedisServer {
        let server = RedisServer::with(&[&format!("replicaof 127.0.0.1 {}", master.port)]);
        let linked = || server.ask(&["INFO", "replication"]).text().contains("master_link_status:up");
        assert!(eventually(linked), "the replica does not reach its master");
        server
    }

    /// Its URL, without a password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Asks it something as its warden, and answers the reply.
    pub fn ask(&self, words: &[&str]) -> Reply {
        let asked = warden(&self.folder).and_then(|mut connection| connection.ask(words));
        asked.unwrap_or_else(|error| panic!("redis-server does not answer {words:?}: {error}"))
    }

    /// Asks it something that it must not refuse.
    pub fn tell(&self, words: &[&str]) {
        let reply = self.ask(words);
        assert!(!reply.is_error(), "redis-server refuses {words:?}: {}", reply.text());
    }

    /// A connection as any client's.
    pub fn connect(&self) -> Connection {
        Connection::to_port(self.port).expect("redis-server accepts connections")
    }

    /// Stops it in good order, its data saved.
    pub fn stop(&mut self) {
        // It answers by going.
        let _ = warden(&self.folder).and_then(|mut connection| connection.ask(&["SHUTDOWN", "SAVE"]));
        self.process.wait().expect("a child can be waited for");
    }

    /// Ends it as a crash does; what is not on disk is gone.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again on its port, with what is on disk.
    pub fn start_again(&mut self) {
        self.kill();
        let started = launch(&self.folder, self.port, &self.lines);
        self.process = started.unwrap_or_else(|| panic!("redis-server does not start again"));
    }

    /// Starts it again on its port, with nothing.
    pub fn start_empty(&mut self) {
        self.kill();
        let _ = fs::remove_file(self.folder.join(DATA));
        let _ = fs::remove_dir_all(self.folder.join("appendonlydir"));
        self.start_again();
    }

    /// Stops its process (`SIGSTOP`): connections stand, and nothing moves.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets its process go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// From now on it cannot save, and refuses writes because of that (`MISCONF`).
    pub fn stop_saving(&self) {
        // What it saves is moved to this name at the end, which a folder is in the way of.
        fs::create_dir_all(self.folder.join(DATA).join("in the way")).expect("a folder can be made");
        self.tell(&["CONFIG", "SET", "save", "3600 1"]);
        self.tell(&["BGSAVE"]);
        let failed = || self.ask(&["INFO", "persistence"]).text().contains("rdb_last_bgsave_status:err");
        assert!(eventually(failed), "the server could save");
    }

    /// It can save again, and takes writes.
    pub fn go_on_saving(&self) {
        fs::remove_dir_all(self.folder.join(DATA)).expect("a folder can be removed");
        self.tell(&["BGSAVE"]);
        let saved = || self.ask(&["INFO", "persistence"]).text().contains("rdb_last_bgsave_status:ok");
        assert!(eventually(saved), "the server cannot save");
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
        kill_process(id, signal).expect("the server is running");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts a server and waits until it answers; `None` if it ends instead, as it does where its port is taken.
fn launch(folder: &Path, port: u16, lines: &[String]) -> Option<Child> {
    let socket = socket(folder);
    let _ = fs::remove_file(&socket);
    let mut text = format!(
        "bind 127.0.0.1\nport {port}\nunixsocket {}\ndir {}\nlogfile {}\nuser {WARDEN} on nopass ~* &* +@all\n",
        socket.display(),
        folder.display(),
        folder.join("log").display()
    );
    // Replicas begin at once and nobody is waited for at the end.
    text += "save \"\"\nappendonly no\nrepl-diskless-sync-delay 0\nshutdown-timeout 0\n";
    lines.iter().for_each(|line| text += &format!("{line}\n"));
    let config = folder.join("redis.conf");
    fs::write(&config, text).expect("the configuration can be written");
    let mut command = Command::new("redis-server");
    command.arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process =
        command.spawn().expect("redis-server starts; Debian has it: apt-get install redis-server");
    let mut ended = false;
    let up = eventually(|| {
        ended = process.try_wait().expect("a child can be waited for").is_some();
        // Its files are read before it answers anything else.
        let answers = || warden(folder).and_then(|mut connection| connection.ask(&["PING"]));
        ended || answers().is_ok_and(|reply| !reply.is_error())
    });
    if ended {
        return None;
    }
    if !up {
        let _ = process.kill();
        let _ = process.wait();
        panic!("redis-server does not answer");
    }
    Some(process)
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

fn warden(folder: &Path) -> io::Result<Connection> {
    let mut connection = Connection::to_file(&socket(folder))?;
    connection.ask(&["AUTH", WARDEN, "any"])?;
    Ok(connection)
}

#[cfg(test)]
#[path = "redis_tests.rs"]
mod tests;
