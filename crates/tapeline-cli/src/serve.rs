//! `tapeline serve`: puts a hub together from the rooms, opens its doors, and closes them again on a signal.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tapeline_core::hub::{Hub, HubParts};
use tapeline_core::registry::LocalRegistry;
use tapeline_feeds::runner::Running;
use tapeline_gateway::{App, AppParts, Listener, Origins};
use tapeline_runtime::{Shards, SystemClock};
use tapeline_schema::CloseCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::{Config, Machine};
use crate::demo;

/// How often unused channels and clients are forgotten.
const SWEEP: Duration = Duration::from_secs(10);

/// Files that a hub needs beside its connections.
const OWN_FILES: usize = 64;
/// The exit code after a second signal, when something may have been lost.
const STOPPED_AT_ONCE: i32 = 1;

/// Run a hub.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tapeline serve --demo\n  tapeline serve --listen 0.0.0.0:8000 --listen 127.0.0.1:8002"
)]
pub(crate) struct Serve {
    /// Address to listen on; may be given more than once. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    listen: Vec<SocketAddr>,
    /// Feed a seeded synthetic market.
    #[arg(long)]
    demo: bool,
    /// The same seed makes the same market.
    #[arg(long, value_name = "N", default_value_t = 7, requires = "demo")]
    demo_seed: u64,
    /// Read limits and families from a TOML file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Message broker: memory://
    #[arg(long, value_name = "URL", default_value = "memory://")]
    broker: String,
    /// Shard threads; by default one fewer than there are cores.
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Open /echo for WebSocket conformance suites.
    #[arg(long)]
    conformance: bool,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let machine = Machine { memory_bytes: memory_bytes(), sockets: raise_file_limit() };
        let config = Config::read(self.config.as_deref())?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = self.shards.unwrap_or(cores.saturating_sub(1)).max(1);
        let clock = Arc::new(SystemClock::default());
        let seed = RandomState::new().hash_one(std::process::id());
        let hub = Arc::new(Hub::new(HubParts {
            catalog: config.catalog()?,
            settings: config.settings(shards, machine),
            clock: clock.clone(),
            broker: tapeline_brokers::open(&self.broker, clock, seed)?,
            registry: Arc::new(LocalRegistry::default()),
            seed,
            shards,
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.clamp(1, 4))
            .enable_all()
            .build()
            .context("the HTTP runtime could not be started")?;
        runtime.block_on(self.serve(hub, config))
    }

    async fn serve(self, hub: Arc<Hub>, config: Config) -> anyhow::Result<()> {
        // Before anything is said to the outside: who reads it may send a signal at once.
        let mut signals = Signals::install()?;
        let mut listeners = Vec::new();
        for address in &self.listen {
            listeners.push(Listener::bind(*address)?);
        }
        let shards = Arc::new(Shards::start(&hub)?);
        let app = App::new(AppParts {
            hub: hub.clone(),
            shards: shards.clone(),
            origins: Origins(config.http.allowed_origins),
            conformance: self.conformance,
            compression: config.http.compression,
        });
        let first = listeners.first().map(Listener::address);
        let mut doors = JoinSet::new();
        for listener in listeners {
            // Whoever reads standard output may have gone; that is no reason to stop serving.
            let _ = writeln!(std::io::stdout(), "listening on http://{}", listener.address());
            doors.spawn(listener.serve(app.clone()));
        }
        let market = self.demo.then(|| demo::start(self.demo_seed, &hub)).transpose()?;
        if self.demo
            && let Some(address) = first
        {
            demo::welcome(address);
        }
        let sweeping = tokio::spawn(sweep(hub.clone()));
        signals.next().await;
        tokio::spawn(signals.end_at_the_next());
        drain(&hub, &app, &shards, doors).await;
        sweeping.abort();
        let stop_all = move || {
            // Until now the market moved for those who were still there.
            market.into_iter().for_each(Running::stop);
            shards.stop(CloseCode::GoingAway, "the hub is stopping");
        };
        tokio::task::spawn_blocking(stop_all).await?;
        hub.broker().close();
        Ok(())
    }
}

/// Lets requests finish and sessions leave, for as long as the settings allow; at once where there are none.
async fn drain(hub: &Hub, app: &App, shards: &Shards, mut doors: JoinSet<()>) {
    let settings = hub.settings();
    let by = tokio::time::Instant::now() + settings.drain_window + settings.drain_flush;
    app.stop();
    let (held, mut gone) = mpsc::channel::<()>(1);
    shards.drain(settings.drain_window, &held);
    drop(held);
    if tokio::time::timeout_at(by, gone.recv()).await.is_err() {
        tracing::warn!("not every session took what it was owed (drain.flush_s)");
    }
    app.close();
    let answered = async { while doors.join_next().await.is_some() {} };
    if tokio::time::timeout_at(by, answered).await.is_err() {
        tracing::warn!("not every request came to its end (drain.flush_s)");
    }
}

async fn sweep(hub: Arc<Hub>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        hub.sweep();
    }
}

/// The signals that end the hub.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> anyhow::Result<Self> {
        let install =
            || Ok::<_, std::io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
        let (terminate, interrupt) = install().context("signals cannot be watched")?;
        Ok(Signals { terminate, interrupt })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Who asks twice does not want to wait.
    async fn end_at_the_next(mut self) {
        self.next().await;
        let _ = writeln!(std::io::stderr(), "stopped at once");
        std::process::exit(STOPPED_AT_ONCE);
    }
}

/// Each connection is a file; the soft limit is often far below the hard one. Answers how many may be connected.
fn raise_file_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    if let Err(error) = &raised {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let files = if raised.is_ok() { limit.maximum } else { limit.current };
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    files.saturating_sub(OWN_FILES).max(1)
}

/// The machine's memory; 4 GiB where it cannot be read.
fn memory_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kib.map_or(4 << 30, |kib| kib * 1_024)
}
