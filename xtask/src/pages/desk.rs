//! One page being worked through: its own folder, its own hub on a free port, and the commands that still run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::blocks::Block;
use super::compare::{self, Extent, Market};
use super::process::Process;
use super::redis::Redis;
use super::rules::{self, Step};
use super::{commands, tools::Tools};
use crate::root::program;
use crate::server::{REDIS, Server, TLS};

/// Where pages say that the hub is.
const HUB: &str = "127.0.0.1:8000";
/// Where pages say that a hub speaks TLS.
const TLS_HUB: &str = "127.0.0.1:8443";
/// Where pages say that a hub's Redis door is.
const REDIS_DOOR: &str = "127.0.0.1:6380";
/// Where pages say that a Redis is.
const REDIS_SERVER: &str = "127.0.0.1:6379";
/// What a hub is told instead.
const FREE: &str = "127.0.0.1:0";
/// The discard port, where nobody listens.
const NOBODY: u16 = 9;
/// What `tapeline sub` says when it will miss nothing any more.
const SUBSCRIBED: &str = "subscribed ";
const REFUSED: &str = "error: ";
/// A hub that has nothing to do knows all by then.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A page's surroundings. What runs ends with it.
pub(super) struct Desk<'a> {
    tools: &'a Tools,
    folder: PathBuf,
    hub: Option<Server>,
    /// Where this page's hub speaks TLS, if it does.
    tls_port: u16,
    /// Where its Redis door is, if that is open.
    redis_port: u16,
    /// Started for the page that first names it.
    redis_server: Option<Redis>,
    market: Market,
    endless: Vec<(usize, Process, Vec<String>)>,
}

impl<'a> Desk<'a> {
    /// An empty folder, and no hub yet.
    pub(super) fn open(tools: &'a Tools, name: &str) -> Result<Self> {
        let folder = tools.scratch.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        for (from, to) in [(tools.packages.join("node_modules"), "node_modules"), (tools.venv(), ".venv")] {
            std::os::unix::fs::symlink(from, folder.join(to))?;
        }
        // In a terminal curl shows no progress beside its answer, and ends the line.
        fs::write(folder.join(".curlrc"), "silent\nshow-error\n")?;
        let market = Market::Still;
        Ok(Self {
            tools,
            folder,
            hub: None,
            tls_port: NOBODY,
            redis_port: NOBODY,
            redis_server: None,
            market,
            endless: Vec::new(),
        })
    }

    /// Starts a hub as pages do that do not say how.
    pub(super) fn start_hub(&mut self) -> Result<()> {
        self.serve("serve")
    }

    /// Saves a block under the name that its first line says.
    pub(super) fn save(&self, name: &str, block: &Block) -> Result<()> {
        fs::write(self.folder.join(name), self.here(&block.text)).with_context(|| format!("saving {name}"))
    }

    /// Reads a configuration as a hub would.
    pub(super) fn check_configuration(&self, name: &str) -> Result<()> {
        self.run(&format!("tapeline config check {name}"), None)
    }

    /// Does what a shell block says, and compares with what the page says came of it.
    pub(super) fn shell(&mut self, block: &Block, printed: Option<&Block>) -> Result<()> {
        let said: Vec<String> =
            printed.map(|block| self.here(&block.text)).iter().flat_map(|text| lines(text)).collect();
        let typed = if block.text.starts_with("wscat ") {
            block.text.lines().next().map(str::to_owned).into_iter().collect()
        } else {
            commands::split(&block.text)
        };
        let mut script = String::new();
        for command in typed {
            match rules::step(&command)? {
                Step::Skip(reason) => println!("    skipped: {command} ({reason})"),
                Step::Hub(words) => self.serve(&words)?,
                Step::Dialogue(command) => self.talk(&command, &block.text)?,
                Step::Endless(command) => self.follow(block.line, &command, said.clone())?,
                Step::Run(command) => script = script + &self.here(&command) + "\n",
            }
        }
        if script.is_empty() {
            return Ok(());
        }
        self.run(&script, printed.map(|_| said.as_slice()))
    }

    /// Whether what runs until the page ends has said what the page prints.
    pub(super) fn close(mut self) -> Result<()> {
        for (line, process, printed) in &mut self.endless {
            let printed: Vec<&str> = printed.iter().map(String::as_str).collect();
            let market = self.market;
            let is_said = |said: &[String]| {
                // Told on standard error, so that it is not among what is piped on.
                let said: Vec<&str> =
                    said.iter().map(String::as_str).filter(|line| !line.starts_with(SUBSCRIBED)).collect();
                compare::lines(&printed, &said, market, Extent::Beginning)
            };
            if !process.until(is_said) {
                bail!("{}", differs(&format!("the command of line {line}"), &printed, &process.said));
            }
        }
        Ok(())
    }

    fn serve(&mut self, words: &str) -> Result<()> {
        self.hub = None;
        if words.contains(REDIS_SERVER) && self.redis_server.is_none() {
            self.redis_server = Some(Redis::start(&self.folder)?);
        }
        let words = words.replace(REDIS_SERVER, &self.redis_server());
        let mut serve = program(&self.tools.binary);
        serve.current_dir(&self.folder);
        serve.args(words.split_whitespace().map(|word| match word {
            HUB | TLS_HUB | REDIS_DOOR => FREE,
            word => word,
        }));
        if !words.contains("--listen") {
            serve.args(["--listen", FREE]);
        }
        let hub = Server::start(serve)?;
        let port_of = |address, door| if words.contains(address) { hub.port_of(door) } else { Ok(NOBODY) };
        self.tls_port = port_of(TLS_HUB, TLS)?;
        self.redis_port = port_of(REDIS_DOOR, REDIS)?;
        self.hub = Some(hub);
        self.market = if words.contains("--demo") { Market::Live } else { Market::Still };
        Ok(())
    }

    /// Runs commands to their end. What only looks looks again for a while where it does not see what the page says: that
    /// a client has left, a hub knows a moment after the client.
    fn run(&self, script: &str, printed: Option<&[String]>) -> Result<()> {
        let end = Instant::now() + SETTLED_WITHIN;
        loop {
            let outcome = self.run_once(script, printed);
            if outcome.is_ok() || !rules::only_looks(script) || Instant::now() > end {
                return outcome;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Runs commands to their end; the last may be refused, if the page says so.
    fn run_once(&self, script: &str, printed: Option<&[String]>) -> Result<()> {
        let mut process = Process::start(self.sh(), &format!("set -e\n{script}"))?;
        let status = process.end()?;
        let may_fail = printed.is_some_and(|lines| lines.iter().any(|line| line.starts_with(REFUSED)));
        if status.success() == may_fail {
            bail!("{} ended with {status}; it said:\n{}", script.trim(), process.said.join("\n"));
        }
        let Some(printed) = printed else { return Ok(()) };
        let printed: Vec<&str> = printed.iter().map(String::as_str).collect();
        let came: Vec<&str> = process.said.iter().map(String::as_str).collect();
        if !compare::lines(&printed, &came, self.market, Extent::Whole) {
            bail!("{}", differs(script.trim(), &printed, &process.said));
        }
        Ok(())
    }

    /// Starts what runs until the page ends, and waits until it hears.
    fn follow(&mut self, line: usize, command: &str, printed: Vec<String>) -> Result<()> {
        let mut process = Process::start(self.sh(), &format!("exec env {}", self.here(command)))?;
        if !process.until(|said| !said.is_empty()) {
            bail!("{command} ended, or said nothing");
        }
        self.endless.push((line, process, printed));
        Ok(())
    }

    /// Types what stands after `> ` and waits for what stands after `< `.
    fn talk(&self, command: &str, dialogue: &str) -> Result<()> {
        let mut process = Process::start(self.sh(), &format!("exec \"$TERMINAL\" {}", self.here(command)))?;
        if !process.until(|said| said.iter().any(|line| line.starts_with("Connected"))) {
            bail!("{command} did not connect; it said:\n{}", process.said.join("\n"));
        }
        let mut heard: Vec<&str> = Vec::new();
        for line in dialogue.lines().skip(1) {
            if let Some(typed) = line.strip_prefix("> ") {
                process.tell(typed)?;
            } else if line.starts_with("< ") {
                heard.push(if line == "< …" { "…" } else { line });
                let market = self.market;
                let is_heard = |said: &[String]| {
                    let said: Vec<&str> =
                        said.iter().map(String::as_str).filter(|line| line.starts_with("< ")).collect();
                    compare::lines(&heard, &said, market, Extent::Beginning)
                };
                if !process.until(is_heard) {
                    bail!("{}", differs(command, &heard, &process.said));
                }
            } else if !line.is_empty() && !line.starts_with("Connected") {
                bail!("a dialogue has lines that begin with `> ` or `< `, not `{line}`");
            }
        }
        Ok(())
    }

    /// A shell in the page's folder that finds what the page names.
    fn sh(&self) -> Command {
        let mut sh = program("sh");
        sh.current_dir(&self.folder).envs(self.tools.environment());
        sh.env("CURL_HOME", &self.folder).env("HUB", format!("http://{}", self.address()));
        sh
    }

    /// The text with this run's address in the place of the usual one.
    fn here(&self, text: &str) -> String {
        let address = self.address();
        let behind_tls = format!("localhost:{}", self.tls_port);
        let here = text.replace(HUB, &address).replace("localhost:8000", &address);
        let here = here
            .replace("localhost:8443", &behind_tls)
            .replace("-p 6380", &format!("-p {}", self.redis_port));
        let here = here.replace(REDIS_SERVER, &self.redis_server());
        here.replace(REDIS_DOOR, &format!("127.0.0.1:{}", self.redis_port))
    }

    /// The address of the page's Redis, if there is one.
    fn redis_server(&self) -> String {
        format!("127.0.0.1:{}", self.redis_server.as_ref().map_or(NOBODY, |redis| redis.port))
    }

    /// Of the hub, if there is one.
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.hub.as_ref().map_or(NOBODY, |hub| hub.port))
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn differs(what: &str, printed: &[&str], came: &[String]) -> String {
    format!(
        "{what}\n  the page prints:\n    {}\n  came:\n    {}",
        printed.join("\n    "),
        came.join("\n    ")
    )
}
