//! The measured servers as child processes: started on a free port, awaited, always ended, also when
//! the bench fails or is interrupted.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::fleet::Door;

/// Above 32,767 the kernel hands ports to outgoing connections, whose TIME_WAIT would block a bind.
const PORTS: std::ops::Range<u16> = 21_000..32_000;
const START_LIMIT: Duration = Duration::from_secs(20);

static CHILDREN: Mutex<Vec<u32>> = Mutex::new(Vec::new());
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Target {
    /// `tapeline serve`.
    Product,
    /// The floor, one write per message and socket.
    FloorA,
    /// The floor, joined writes.
    FloorB,
    /// A hub on Node's `ws`.
    Node,
    /// A bare Node `http` server.
    NodeHttp,
    /// No server: `serde_json` in a loop.
    SerdeLoop,
    /// The broker's own script, pipelined by a plain client.
    BareRedis,
    /// The official `socket.io` server on Node.
    NodeSocketIo,
    /// Debian's `redis-server`, nothing on disk.
    RedisServer,
}

impl Target {
    /// The name in tables and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::FloorA => "floor-a",
            Self::FloorB => "floor-b",
            Self::Node => "node",
            Self::NodeHttp => "node-http",
            Self::SerdeLoop => "serde-loop",
            Self::BareRedis => "bare-redis",
            Self::NodeSocketIo => "node-socket-io",
            Self::RedisServer => "redis-server",
        }
    }
}

/// What is needed to start any of them.
pub(crate) struct Launch {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// The product's binary.
    pub(crate) product: PathBuf,
    /// Configuration for the product.
    pub(crate) config: Option<PathBuf>,
    /// What the product serves behind TLS, on another port.
    pub(crate) certificate: Option<Certificate>,
    /// Whether the product opens its Redis door, on another port.
    pub(crate) redis: bool,
    /// The frame that the floor sends.
    pub(crate) frame_file: Option<PathBuf>,
    /// Bytes of `data`, for the floor's imagined frame.
    pub(crate) payload: usize,
}

/// Files in PEM.
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    /// What it is.
    pub(crate) target: Target,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// Where it speaks TLS.
    pub(crate) tls: Option<SocketAddr>,
    /// Where it speaks Redis' protocol.
    pub(crate) redis: Option<SocketAddr>,
}

impl Server {
    /// Starts a server and waits until its port answers.
    pub(crate) fn start(target: Target, launch: &Launch) -> Result<Self> {
        let addr = free_port()?;
        let mut command = command(target, launch, addr)?;
        let tls = launch.certificate.as_ref().filter(|_| target == Target::Product);
        let tls = tls.map(|certificate| speak_tls(&mut command, certificate)).transpose()?;
        let redis = match target {
            Target::Product if launch.redis => Some(open_redis_door(&mut command)?),
            Target::RedisServer => Some(addr),
            _ => None,
        };
        let log = scratch()?.join(format!("{}-{}.log", target.name(), addr.port()));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).push(child.id());
        let mut server = Self { child, log, target, addr, tls, redis };
        server.wait_for_port(addr)?;
        redis.map_or(Ok(()), |redis| server.wait_for_port(redis))?;
        Ok(server)
    }

    /// Where a client comes in by `door`.
    pub(crate) fn door(&self, door: Door) -> Result<SocketAddr> {
        if !door.targets().contains(&self.target) {
            bail!("{} has no door {}", self.target.name(), door.name());
        }
        if door == Door::Redis { self.redis.context("no Redis door was opened") } else { Ok(self.addr) }
    }

    /// The server's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_for_port(&mut self, addr: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(addr).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}) before it listened: {}", self.target.name(), self.last_words());
            }
            if Instant::now() > deadline {
                bail!("{} does not listen after {START_LIMIT:?}: {}", self.target.name(), self.last_words());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The end of what it wrote to its standard error.
    pub(crate) fn last_words(&self) -> String {
        let mut words = String::new();
        if let Ok(mut file) = File::open(&self.log) {
            // Not UTF-8: then there is nothing worth showing.
            file.read_to_string(&mut words).unwrap_or_default();
        }
        let lines: Vec<&str> = words.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(10)..).unwrap_or_default();
        tail.join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that it is gone already, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
        let pid = self.child.id();
        CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).retain(|&other| other != pid);
    }
}

/// The folder for this run's files: logs, the captured frame, configurations.
pub(crate) fn scratch() -> Result<PathBuf> {
    let folder = scratch_path();
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

/// Removes the folder, if there is one.
pub(crate) fn remove_scratch() {
    std::fs::remove_dir_all(scratch_path()).ok();
}

fn scratch_path() -> PathBuf {
    std::env::temp_dir().join(format!("tapeline-bench-{}", std::process::id()))
}

/// Ends the children when the bench is interrupted or terminated.
pub(crate) fn end_children_on_signal() -> Result<()> {
    ctrlc::set_handler(|| {
        for &pid in CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
        }
        remove_scratch();
        std::process::exit(130);
    })
    .context("installing the signal handler")
}

fn command(target: Target, launch: &Launch, addr: SocketAddr) -> Result<Command> {
    let mut command;
    match target {
        Target::Product => {
            if !launch.product.is_file() {
                bail!("no product at {}: cargo build --release, or --product FILE", launch.product.display());
            }
            command = Command::new(&launch.product);
            command.args(["serve", "--listen", &addr.to_string()]);
            if let Some(config) = &launch.config {
                command.arg("--config").arg(config);
            }
        }
        Target::FloorA | Target::FloorB => {
            command = Command::new(std::env::current_exe()?);
            let mode = if target == Target::FloorA { "a" } else { "b" };
            command.args(["floor", "--listen", &addr.to_string(), "--mode", mode]);
            command.args(["--payload", &launch.payload.to_string()]);
            if let Some(file) = &launch.frame_file {
                command.arg("--frame-file").arg(file);
            }
        }
        Target::Node | Target::NodeHttp | Target::NodeSocketIo => {
            let folder = launch.root.join("bench/node");
            install(&folder)?;
            let script = match target {
                Target::Node => "ws_hub.mjs",
                Target::NodeSocketIo => "socketio_hub.mjs",
                _ => "http_publish.mjs",
            };
            command = Command::new("node");
            command.arg(folder.join(script)).arg(addr.port().to_string());
            if launch.config.is_some() {
                command.env("OFFSETS", "1");
            }
        }
        Target::RedisServer => {
            command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--port", &addr.port().to_string()]);
            command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(scratch()?);
            // By default it cuts off a subscriber that is 32 MiB behind.
            command.args(["--client-output-buffer-limit", "pubsub", "0", "0", "0"]);
        }
        Target::SerdeLoop | Target::BareRedis => bail!("{} is no server of ours", target.name()),
    }
    Ok(command)
}

/// Has the product serve a certificate; answers where.
fn speak_tls(command: &mut Command, certificate: &Certificate) -> Result<SocketAddr> {
    let addr = free_port()?;
    command.arg("--tls-listen").arg(addr.to_string());
    command.arg("--tls-certificate").arg(&certificate.chain).arg("--tls-key").arg(&certificate.key);
    Ok(addr)
}

/// Has the product speak Redis' protocol too; answers where.
fn open_redis_door(command: &mut Command) -> Result<SocketAddr> {
    let addr = free_port()?;
    command.arg("--redis-listen").arg(addr.to_string());
    // Much may wait for a subscriber, as at redis-server: here it shares its thread with fifty publishers.
    command.env("TAPELINE_LIMITS__OUTBOX_BYTES", (32 << 20).to_string());
    command.env("TAPELINE_LIMITS__OUTBOX_MESSAGES", "1000000");
    Ok(addr)
}

/// Fetches the packages once.
fn install(folder: &Path) -> Result<()> {
    if ["ws", "socket.io"].iter().all(|name| folder.join("node_modules").join(name).is_dir()) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder).stdout(Stdio::null());
    let status = npm.status().context("npm is needed for the Node peers")?;
    if !status.success() {
        bail!("npm ci in {} failed: {status}", folder.display());
    }
    Ok(())
}

/// A loopback port that nobody listens on. Each call looks further, so that a port is not used twice.
pub(crate) fn free_port() -> Result<SocketAddr> {
    let span = PORTS.end - PORTS.start;
    let seed = u16::try_from(std::process::id() * 37 % u32::from(span)).unwrap_or(0);
    for _ in 0..span {
        let step = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (seed.wrapping_add(step)) % span;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(addr).is_ok() {
            return Ok(addr);
        }
    }
    bail!("no free port in {PORTS:?}")
}

/// Raises the limit of open files as far as allowed; the children inherit it.
pub(crate) fn raise_file_limit() -> Result<()> {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).context("raising the file limit")
}
