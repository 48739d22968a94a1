//! A hub of its own for every test: the real binary on a free port, stopped when the test ends.
//! `http` asks it over plain HTTP, `client` speaks the native protocol, `deflate` with compression, `raw` sends bytes
//! as they are, `tls` speaks TLS, `people` come with tokens and keys, `collections` has hostile input, `counting` follows
//! every message while something breaks, `venue` is a hub that an exchange feeds and the books that its clients hold.
//! It knows no family and no test.

pub(crate) mod client;
pub(crate) mod collections;
pub(crate) mod counting;
pub(crate) mod deflate;
pub(crate) mod http;
pub(crate) mod people;
pub(crate) mod raw;
pub(crate) mod tls;
pub(crate) mod venue;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub(crate) use client::Client;
pub(crate) use raw::Raw;

/// Longer than anything here should take, shorter than anybody's patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition without an event is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A running hub.
pub(crate) struct Hub {
    process: Child,
    address: String,
    /// Where the admin interface listens, if apart.
    admin: Option<String>,
    /// Where TLS is spoken.
    tls: Option<String>,
    /// Where Redis' own clients are served.
    redis: Option<String>,
    config: Option<PathBuf>,
    log: Option<PathBuf>,
}

impl Hub {
    /// With the defaults.
    pub(crate) fn start() -> Hub {
        Hub::launch(None, None, &[])
    }

    /// On this message broker.
    pub(crate) fn on_broker(url: &str) -> Hub {
        Hub::launch(None, None, &["--broker", url])
    }

    /// That keeps what it knows in this directory, with these words more on its command line.
    pub(crate) fn in_dir(dir: &Path, words: &[&str]) -> Hub {
        let dir = dir.to_str().expect("a test's path is text");
        Hub::launch(None, Some(temporary("log")), &[&["--data-dir", dir], words].concat())
    }

    /// With these words on its command line.
    pub(crate) fn with_words(words: &[&str]) -> Hub {
        Hub::launch(None, None, words)
    }

    /// With the defaults, and what it logs kept.
    pub(crate) fn with_log() -> Hub {
        Hub::launch(None, Some(temporary("log")), &[])
    }

    /// With this configuration file, and what it logs kept.
    pub(crate) fn with_log_and_config(text: &str) -> Hub {
        let path = temporary("toml");
        std::fs::write(&path, text).expect("the configuration can be written");
        Hub::launch(Some(path), Some(temporary("log")), &[])
    }

    /// With this configuration file.
    pub(crate) fn with_config(text: &str) -> Hub {
        let path = temporary("toml");
        std::fs::write(&path, text).expect("the configuration can be written");
        Hub::launch(Some(path), None, &[])
    }

    /// With this configuration file, what it logs kept, and these words more on its command line.
    pub(crate) fn with_config_and(text: &str, words: &[&str]) -> Hub {
        let path = temporary("toml");
        std::fs::write(&path, text).expect("the configuration can be written");
        Hub::launch(Some(path), Some(temporary("log")), words)
    }

    /// With this configuration file, a plain port and one with this certificate, and what it logs kept.
    pub(crate) fn with_tls(text: &str, pair: &tls::Pair, words: &[&str]) -> Hub {
        let path = temporary("toml");
        std::fs::write(&path, text).expect("the configuration can be written");
        Hub::launch(Some(path), Some(temporary("log")), &[&pair.words(), words].concat())
    }

    /// With this configuration file, which says where TLS is spoken.
    pub(crate) fn with_tls_config(text: &str) -> Hub {
        let path = temporary("toml");
        std::fs::write(&path, text).expect("the configuration can be written");
        Hub::launch(Some(path), None, &[])
    }

    fn launch(config: Option<PathBuf>, log: Option<PathBuf>, more: &[&str]) -> Hub {
        let mut command = serve("127.0.0.1:0");
        command.args(more);
        if let Some(path) = &log {
            command.stderr(std::fs::File::create(path).expect("the log can be written"));
        }
        if let Some(path) = &config {
            command.arg("--config").arg(path);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the hub starts");
        let mut lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        let ready = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.strip_prefix("listening on http://").map(|address| address.trim().to_string())
        });
        let Some(address) = ready else {
            let _ = process.kill();
            panic!("the hub ended before it listened: {:?}", process.wait());
        };
        let admin = more.contains(&"--admin-listen").then(|| lines.next()).flatten();
        let admin = admin.map(|line| {
            let line = line.expect("stdout is text");
            line.strip_prefix("administered on http://").expect("it says where").trim().to_string()
        });
        // Those behind TLS are told last.
        let speaks = more.contains(&"--tls-listen") || config.as_deref().is_some_and(says_tls);
        let tls = speaks.then(|| lines.next()).flatten();
        let tls = tls.map(|line| {
            let line = line.expect("stdout is text");
            line.strip_prefix("listening on https://").expect("it says where").trim().to_string()
        });
        let redis = more.contains(&"--redis-listen").then(|| lines.next()).flatten();
        let redis = redis.map(|line| {
            let line = line.expect("stdout is text");
            line.strip_prefix("listening on redis://").expect("it says where").trim().to_string()
        });
        Hub { process, address, admin, tls, redis, config, log }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Where its admin interface listens.
    pub(crate) fn admin_address(&self) -> &str {
        self.admin.as_deref().expect("the hub was told --admin-listen")
    }

    /// `127.0.0.1:PORT`, where TLS is spoken.
    pub(crate) fn tls_address(&self) -> &str {
        self.tls.as_deref().expect("the hub speaks TLS")
    }

    /// `127.0.0.1:PORT`, of its Redis door.
    pub(crate) fn redis_address(&self) -> &str {
        self.redis.as_deref().expect("the hub was told --redis-listen")
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.address
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("an address ends in its port")
    }

    /// The counters.
    pub(crate) fn stats(&self) -> Value {
        self.get("/stats").json()
    }

    /// Bytes of memory that the process has in use now.
    pub(crate) fn memory_bytes(&self) -> usize {
        let path = format!("/proc/{}/status", self.process.id());
        let text = std::fs::read_to_string(path).expect("the hub is running");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says VmRSS");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("VmRSS is in kB") * 1_024
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        let path = self.log.as_ref().expect("the log is kept");
        std::fs::read_to_string(path).expect("the log is text")
    }

    /// Asks it to stop, as a supervisor does.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Tells it to read its configuration again.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).expect("a process id fits");
        kill_process(Pid::from_raw(id).expect("a process id is not 0"), signal).expect("the hub is running");
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Writes another configuration; the hub does not know yet.
    pub(crate) fn rewrite(&self, text: &str) {
        let path = self.config.as_ref().expect("the hub has a configuration file");
        std::fs::write(path, text).expect("the configuration can be written");
    }

    /// A command on this hub, run to its end; the words are followed by `--url`.
    pub(crate) fn run(&self, words: &[&str]) -> (ExitStatus, String, String) {
        let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
        command.args(words).args(["--url", &format!("http://{}", self.address)]);
        run_to_end(command)
    }

    /// Ends it as nothing else can.
    pub(crate) fn kill(&mut self) {
        // One that has ended by itself is as good as killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// The same, without waiting for the end.
    pub(crate) fn kill_now(&self) {
        self.signal(Signal::KILL);
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait(&mut self.process)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for path in self.config.iter().chain(&self.log) {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn says_tls(config: &Path) -> bool {
    std::fs::read_to_string(config).is_ok_and(|text| text.contains("[tls]"))
}

/// A path for a file that nobody else has.
pub(crate) fn temporary(ending: &str) -> PathBuf {
    tapeline_faults::temporary(ending)
}

/// The command that runs a hub at this address; its log is kept off the test's output. Hang-ups are as usual, although the
/// tests may have been started to outlive their terminal.
pub(crate) fn serve(address: &str) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_tapeline"), "serve", "--listen", address]);
    tapeline_faults::without_settings(&mut command, "tapeline");
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// What a command that ends by itself said and answered.
pub(crate) fn run_to_end(mut command: Command) -> (ExitStatus, String, String) {
    let mut process =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    // Read meanwhile: a pipe holds 64 KiB, and who writes more waits.
    let out = whole(process.stdout.take().expect("stdout is piped"));
    let err = whole(process.stderr.take().expect("stderr is piped"));
    let status = wait(&mut process);
    (status, out.join().expect("stdout is text"), err.join().expect("stderr is text"))
}

fn whole(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).expect("it is text");
        text
    })
}

fn wait(process: &mut Child) -> ExitStatus {
    let mut status = None;
    let ended = eventually(|| {
        status = process.try_wait().expect("a child can be waited for");
        status.is_some()
    });
    if !ended {
        let _ = process.kill();
        panic!("the process did not end within {PATIENCE:?}");
    }
    status.expect("the process ended")
}

/// Looks until it holds; `false` if that takes too long.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    true
}

/// A folder of recordings below `TAPELINE_DATA`, else below `shared/data` beside the repository. Without them the
/// caller makes its own input, which is said aloud; CI and a given `TAPELINE_DATA` must have them.
pub(crate) fn recordings(folder: &str) -> Option<PathBuf> {
    let given = std::env::var_os("TAPELINE_DATA").map(PathBuf::from);
    let must = given.is_some() || std::env::var_os("CI").is_some();
    let root =
        given.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(!must, "there are no recordings at {}; set TAPELINE_DATA to their folder", path.display());
    eprintln!(
        "NOT the recorded input: there are no recordings at {}; set TAPELINE_DATA to their folder",
        path.display()
    );
    None
}
