//! `tapeline serve`: puts a hub together from the rooms, opens its doors, and closes them again on a signal.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tapeline_brokers::redis::intake::Intake;
use tapeline_brokers::redis::url::Address;
use tapeline_brokers::{OpenParts, Opened};
use tapeline_core::Directory;
use tapeline_core::hub::{Hub, HubParts};
use tapeline_core::registry::BEAT;
use tapeline_core::{Authority, Clock};
use tapeline_feeds::live::Live;
use tapeline_feeds::runner::Running;
use tapeline_gateway::audit::Audit;
use tapeline_gateway::socketio::SocketIo;
use tapeline_gateway::tls::{self, Tls};
use tapeline_gateway::{App, AppParts, Listener, LiveAccess, RespListener, Side};
use tapeline_runtime::{Shards, SystemClock};
use tapeline_schema::{CloseCode, Pattern};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::authority::Authorities;
use crate::config::{FeedValues, Flag, Layers, Machine, ServeValues};
use crate::foreign::ForeignDoor;
use crate::machine::{memory_bytes, raise_file_limit};
use crate::reload::{Parts, Reloader};
use crate::{demo, listening, live, log};

/// How often unused channels and clients are forgotten.
const SWEEP: Duration = Duration::from_secs(10);

/// The exit code after a second signal, when something may have been lost.
const STOPPED_AT_ONCE: i32 = 1;

/// Run a hub.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tapeline serve --demo\n  tapeline serve --listen 127.0.0.1:8000 --listen 127.0.0.1:8002\n  tapeline serve --data-dir /var/lib/tapeline\n  tapeline serve --tls-listen 127.0.0.1:8443 --tls-certificate chain.pem --tls-key key.pem\n  tapeline serve --feed kraken --symbols BTC/USD,ETH/USD --depth 100\n  tapeline serve --config tapeline.toml"
)]
pub(crate) struct Serve {
    #[command(flatten)]
    flags: ServeFlags,
}

/// What a hub can be told on its command line; `tapeline config` takes the same, to show what they come to.
#[derive(clap::Args, Default)]
pub(crate) struct ServeFlags {
    /// Address to listen on; may be given more than once. Port 0 takes a free one. [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Address to listen on with TLS; may be given more than once. Without --listen nothing is served without TLS.
    #[arg(long, value_name = "ADDR")]
    tls_listen: Vec<SocketAddr>,
    /// File with the certificate chain (PEM).
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// File with the certificate's private key (PEM).
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Address for the admin interface alone; may be given more than once.
    #[arg(long, value_name = "ADDR")]
    admin_listen: Vec<SocketAddr>,
    /// Address of the Redis door, for Redis' own clients; may be given more than once.
    #[arg(long, value_name = "ADDR")]
    redis_listen: Vec<SocketAddr>,
    /// Feed a seeded synthetic market.
    #[arg(long)]
    demo: bool,
    /// The same seed makes the same market. [default: 7]
    #[arg(long, value_name = "N")]
    demo_seed: Option<u64>,
    /// Bring in a venue's data: kraken, futu; may be given more than once.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    feed: Vec<String>,
    /// Where that venue is; one for each --feed. [default: Kraken's own]
    #[arg(long, value_name = "URL", allow_hyphen_values = true)]
    feed_url: Vec<String>,
    /// Pairs to ask Kraken for: BTC/USD,ETH/USD.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    symbols: Vec<String>,
    /// Levels a side of Kraken's books: 10, 25, 100, 500 or 1000. [default: 10]
    #[arg(long, value_name = "N")]
    depth: Option<u32>,
    /// Read settings and families from a TOML file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Message broker: memory://, file:DIR, redis://HOST:6379. [default: memory://]
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// Keep messages and the store in this directory, over restarts; the same as --broker file:DIR.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// When what is written there lasts beyond the machine: every-batch, a time such as 10ms, or exit. [default: 10ms]
    #[arg(long, value_name = "WHEN")]
    durability: Option<String>,
    /// Shard threads; by default one fewer than there are cores.
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Open /echo for WebSocket conformance suites.
    #[arg(long)]
    conformance: bool,
    /// What to log: error, warn, info, debug, trace, or a filter.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

impl ServeFlags {
    /// The file, the variables, and those of the flags that were given.
    pub(crate) fn layers(self) -> Layers {
        let addresses = |list: &[SocketAddr]| {
            let texts: Vec<String> = list.iter().map(SocketAddr::to_string).collect();
            (!texts.is_empty()).then(|| texts.join(","))
        };
        let on = |given: bool| given.then(|| true.to_string());
        let list = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join(","));
        let given = [
            ("--listen", "serve.listen", addresses(&self.listen)),
            ("--tls-listen", "tls.listen", addresses(&self.tls_listen)),
            ("--tls-certificate", "tls.certificate", self.tls_certificate),
            ("--tls-key", "tls.key", self.tls_key),
            ("--admin-listen", "admin.listen", addresses(&self.admin_listen)),
            ("--redis-listen", "redis.listen", addresses(&self.redis_listen)),
            ("--demo", "serve.demo", on(self.demo)),
            ("--demo-seed", "serve.demo_seed", self.demo_seed.map(|seed| seed.to_string())),
            ("--feed", "feed.names", list(self.feed)),
            ("--feed-url", "feed.urls", list(self.feed_url)),
            ("--symbols", "feed.symbols", list(self.symbols)),
            ("--depth", "feed.depth", self.depth.map(|depth| depth.to_string())),
            ("--broker", "serve.broker", self.broker),
            ("--data-dir", "serve.data_dir", self.data_dir),
            ("--durability", "storage.durability", self.durability),
            ("--shards", "serve.shards", self.shards.map(|shards| shards.to_string())),
            ("--conformance", "serve.conformance", on(self.conformance)),
            ("--log", "log", self.log),
        ];
        let flag = |(flag, name, text): (&'static str, &'static str, Option<String>)| {
            text.map(|text| Flag { flag, name, text })
        };
        Layers::new(self.config, given.into_iter().filter_map(flag).collect())
    }
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let layers = self.flags.layers();
        let config = layers.load()?.config;
        log::set(&config.log, config.log_format);
        let tls = config.tls.files().map(Tls::open).transpose()?.map(Arc::new);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = config.serve.shards.unwrap_or(cores.saturating_sub(1)).max(1);
        let machine = Machine { shards, memory_bytes: memory_bytes(), sockets: raise_file_limit() };
        let clock = Arc::new(SystemClock::default());
        let seed = RandomState::new().hash_one(std::process::id());
        let directory = Arc::new(Directory::new(config.catalog(&[]).map_err(|misfit| misfit.error)?));
        let url = config.broker_url();
        let mirror = patterns(&config.redis.mirror);
        let parts = OpenParts {
            storage: config.storage.clone(),
            mirror: mirror.clone(),
            ..OpenParts::new(&url, clock.clone(), seed, directory.clone())
        };
        let Opened { broker, store, registry, redis, embedded } = tapeline_brokers::open(parts)?;
        let clock: Arc<dyn Clock> = clock;
        let authorities = Authorities::start(&config, &store, &clock)?;
        // A hub that takes nothing in hears all the same what others may have lost.
        let takes_in = config.redis.intake;
        let foreign = redis.map(|address| (address, mirror, takes_in));
        let hub = Arc::new(Hub::new(HubParts {
            directory,
            settings: config.settings(machine),
            clock: clock.clone(),
            broker,
            registry,
            store,
            authority: authorities.of_hub(),
            seed,
            shards,
        }));
        let audit = Arc::new(open_audit(&config.audit_file)?);
        let witness = audit.clone();
        hub.incidents().set_witness(Box::new(move |trouble, now| witness.refused(trouble, now)));
        let access = Arc::new(LiveAccess::new(config.access()));
        let admin_authority = authorities.of_admin();
        let running =
            Parts { hub: hub.clone(), access: access.clone(), authorities, tls: tls.clone(), embedded };
        let reloader = Reloader::new(layers, config.clone(), machine, running);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.clamp(1, 4))
            .enable_all()
            .build()
            .context("the HTTP runtime could not be started")?;
        let served = Served {
            values: config.serve,
            feeds: (config.feed, clock),
            tls: tls.map(|tls| (tls, config.tls.listen)),
            admin_listen: config.admin_listen,
            redis_listen: config.redis.listen,
            admin_authority,
            audit,
            compression: config.http.compression,
            socketio: config.socketio.clone(),
            foreign,
        };
        runtime.block_on(serve(hub, served, access, Arc::new(reloader)))
    }
}

/// What the hub serves beside its sessions.
struct Served {
    values: ServeValues,
    /// The venues whose data is brought in, and the time by which it comes.
    feeds: (FeedValues, Arc<dyn Clock>),
    /// The certificate, and where it is shown.
    tls: Option<(Arc<Tls>, Vec<SocketAddr>)>,
    admin_listen: Vec<SocketAddr>,
    redis_listen: Vec<SocketAddr>,
    admin_authority: Option<Arc<dyn Authority>>,
    audit: Arc<Audit>,
    compression: bool,
    socketio: SocketIo,
    /// The Redis that others publish in, and what is mirrored there.
    foreign: Option<(Address, Vec<Pattern>, bool)>,
}

/// The audit log: a file of its own where the settings name one.
fn open_audit(file: &str) -> anyhow::Result<Audit> {
    if file.is_empty() {
        return Ok(Audit::default());
    }
    Audit::to_file(Path::new(file))
        .with_context(|| format!("the audit log {file} cannot be opened (audit.file)"))
}

/// The settings have been checked.
fn patterns(texts: &[String]) -> Vec<Pattern> {
    texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect()
}

async fn serve(
    hub: Arc<Hub>,
    Served {
        values,
        feeds: (feeds, clock),
        tls,
        admin_listen,
        redis_listen,
        admin_authority,
        audit,
        compression,
        socketio,
        foreign,
    }: Served,
    access: Arc<LiveAccess>,
    reloader: Arc<Reloader>,
) -> anyhow::Result<()> {
    // Before anything is said to the outside: who reads it may send a signal at once.
    let (mut signals, hangups) =
        Signals::install(reloader.has_file()).context("signals cannot be watched")?;
    let reloading = hangups.map(|hangups| tokio::spawn(reloader.clone().on_hangups(hangups)));
    let listeners = listening::bind(&values.listen, tls.as_ref(), &admin_listen)?;
    let redis_listeners = listening::bind_redis(&redis_listen, values.demo)?;
    let shards = Arc::new(Shards::start(&hub)?);
    let first = listeners.first().map(|(listener, _)| (listener.address(), listener.scheme()));
    let tls = tls.map(|(tls, _)| tls);
    let intake = take_in(foreign, &hub, &shards)?;
    let app = App::new(AppParts {
        hub: hub.clone(),
        shards: shards.clone(),
        access,
        admin: reloader.clone(),
        admin_authority,
        audit,
        address: first.as_ref().map(|(address, _)| *address),
        conformance: values.conformance,
        compression,
        tls: tls.clone(),
        socketio,
    });
    let doors = open(listeners, redis_listeners, &app);
    let market = values.demo.then(|| demo::start(values.demo_seed, &hub)).transpose()?;
    let feeds = live::start(&feeds, &hub, &clock)?;
    if values.demo
        && let Some((address, scheme)) = first
    {
        demo::welcome(scheme, address);
    }
    let keeping =
        tls.map(|tls| tokio::spawn(tls::keep(tls, hub.clone(), move || reloader.expiry_alert_days())));
    let sweeping = tokio::spawn(sweep(hub.clone()));
    let beating = tokio::spawn(beat(app.clone()));
    let watching = tokio::spawn(app.clone().watch_memory());
    signals.next().await;
    tokio::spawn(signals.end_at_the_next());
    if let Some(reloading) = reloading {
        reloading.abort();
    }
    // Another hub takes over while this one still serves.
    drop(intake);
    drain(&hub, &app, &shards, doors).await;
    sweeping.abort();
    watching.abort();
    if let Some(keeping) = keeping {
        keeping.abort();
    }
    let stop_all = move || {
        // Until now the market moved for those who were still there.
        market.into_iter().for_each(Running::stop);
        feeds.into_iter().for_each(Live::stop);
        shards.stop(CloseCode::GoingAway, "the hub is stopping");
    };
    tokio::task::spawn_blocking(stop_all).await?;
    beating.abort();
    hub.registry().close();
    hub.broker().close();
    Ok(())
}

/// Begins to take in what others publish in Redis, where the broker is one.
fn take_in(
    foreign: Option<(Address, Vec<Pattern>, bool)>,
    hub: &Arc<Hub>,
    shards: &Shards,
) -> anyhow::Result<Option<Intake>> {
    let door = Arc::new(ForeignDoor::new(hub.clone(), shards.deliver().clone()));
    let intake = foreign
        .map(|(address, mirror, takes_in)| Intake::start(address, hub.instance(), mirror, door, takes_in));
    intake.transpose().context("what others publish in Redis cannot be taken in")
}

/// Serves at each address, and says so.
fn open(listeners: Vec<(Listener, Side)>, redis_listeners: Vec<RespListener>, app: &Arc<App>) -> JoinSet<()> {
    let mut doors = JoinSet::new();
    for (listener, side) in listeners {
        let what = if side == Side::Admin { "administered" } else { "listening" };
        // Whoever reads standard output may have gone; that is no reason to stop serving.
        let _ = writeln!(std::io::stdout(), "{what} on {}://{}", listener.scheme(), listener.address());
        doors.spawn(listener.serve(app.clone(), side));
    }
    for listener in redis_listeners {
        let _ = writeln!(std::io::stdout(), "listening on redis://{}", listener.address());
        doors.spawn(listener.serve(app.clone()));
    }
    doors
}

/// Lets requests finish and sessions leave, for as long as the settings allow; at once where there are none.
async fn drain(hub: &Hub, app: &App, shards: &Shards, mut doors: JoinSet<()>) {
    // Copied: a reload may come meanwhile.
    let (window, flush) = {
        let settings = hub.settings();
        (settings.drain_window, settings.drain_flush)
    };
    let by = tokio::time::Instant::now() + window + flush;
    app.stop();
    let (held, mut gone) = mpsc::channel::<()>(1);
    shards.drain(window, &held);
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

/// Other nodes are told of this one until it ends.
async fn beat(app: Arc<App>) {
    let mut beats = tokio::time::interval(BEAT);
    loop {
        beats.tick().await;
        app.beat();
    }
}

async fn sweep(hub: Arc<Hub>) {
    let mut known = 0;
    let mut said = false;
    loop {
        tokio::time::sleep(SWEEP).await;
        hub.sweep();
        let critical = hub.dead_letters().lost_critical();
        if critical > 0 && !said {
            tracing::error!(
                lost = critical,
                "dead letters of critical messages are being lost; /stats says whose"
            );
            said = true;
        }
        let lost = hub.dead_letters().lost();
        if lost > known {
            tracing::warn!(
                lost = lost - known,
                in_all = lost,
                "dead letters could not be written; /stats says whose"
            );
        }
        known = lost;
    }
}

/// The signals that end the hub.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Where there is no file to read again: the terminal that the hub was started from has been closed.
    hangup: Option<Signal>,
}

impl Signals {
    /// The second are the hang-ups that reload; with a file, all of them do.
    fn install(has_file: bool) -> std::io::Result<(Self, Option<Signal>)> {
        // Asked before anything is watched, which would end the ignoring.
        let hangup = match has_file || !is_hangup_ignored() {
            true => Some(signal(SignalKind::hangup())?),
            false => None,
        };
        let (reload, hangup) = if has_file { (hangup, None) } else { (None, hangup) };
        let terminate = signal(SignalKind::terminate())?;
        Ok((Signals { terminate, interrupt: signal(SignalKind::interrupt())?, hangup }, reload))
    }

    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hangup => {}
        }
    }

    /// Who asks twice does not want to wait. A hang-up does not count: a closed terminal and its shell send one each.
    async fn end_at_the_next(mut self) {
        self.hangup = None;
        self.next().await;
        let _ = writeln!(std::io::stderr(), "stopped at once");
        std::process::exit(STOPPED_AT_ONCE);
    }
}

/// Whether this process was started to outlive its terminal, as `nohup` does it.
fn is_hangup_ignored() -> bool {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let signals = ignored.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    // A bit for each signal; that of number 1 is the lowest.
    signals.is_some_and(|signals| signals & 1 == 1)
}
