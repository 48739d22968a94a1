//! Real recordings through the product: an afternoon's minutes of Binance, both markets, as they came or
//! as fast as the clients take them, with some clients too slow for it. Afterwards every client must hold
//! exactly what was published.

mod check;
mod recording;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::fleet::{Fleet, Plan, Reading};
use crate::procfs::{cpu_seconds, float, memory};
use crate::report::{Bound, Goal, Report, Sample};
use crate::server::{Server, Target, scratch};
use crate::session::{Common, Session, root};
use crate::wire;
use check::Check;
use recording::{CHANNELS, Recording};

/// Settings of `replay`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ReplayArgs {
    /// Folder with the recordings; default: the project's shared data next to the repository.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Subscribed clients, the slow ones among them.
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// How many of them are slow until half of the messages are published.
    #[arg(long, default_value_t = 10)]
    slow: usize,
    /// Bytes a second that a slow client reads.
    #[arg(long, default_value_t = 200_000)]
    slow_rate: u64,
    /// 1 is as recorded, 10 ten times as fast, 0 as fast as the window allows.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// With speed 0: messages that are not with every fast client yet.
    #[arg(long, default_value_t = 1000)]
    window: u64,
    /// Takes only the first messages of each file.
    #[arg(long)]
    limit: Option<usize>,
    /// Seconds without any delivery after which the clients count as stuck.
    #[arg(long, default_value_t = 30)]
    patience: u64,
}

impl ReplayArgs {
    /// As fast as it goes instead of as recorded.
    pub(crate) fn at_full_speed(self) -> Self {
        Self { speed: 0.0, ..self }
    }
}

const CONFIG: &str = r#"[[channel]]
template = "bn_trade:{symbol}"
type = "bn_trade"
priority = "high"
delivery = "every"
keep = { count = 40000 }

[[channel]]
template = "bn_ticker:{symbol}"
type = "bn_ticker"
priority = "high"
delivery = "latest"

[[channel]]
template = "bn_depth:{symbol}"
type = "bn_depth"
priority = "high"
delivery = "every"
keep = { count = 10000 }
"#;

/// Replays once per server. The second value holds what was wrong, empty when nothing was.
pub(crate) fn run(args: &ReplayArgs, common: &Common) -> Result<(Report, Vec<String>)> {
    if args.slow >= args.clients {
        bail!("at least one client must be fast");
    }
    let folder = match &args.data {
        Some(folder) => folder.clone(),
        None => root()?.join("../shared/data/binance-hftbacktest"),
    };
    let recording = Recording::open(&folder, args.limit)?;
    let once = Common { rounds: 1, ..common.clone() };
    let mut session = Session::new(&once, &[Target::Product], 200)?;
    let config = scratch()?.join("replay.toml");
    std::fs::write(&config, CONFIG).with_context(|| format!("writing {}", config.display()))?;
    session.launch().config = Some(config);
    let pace = match args.speed {
        0.0 => format!("full speed, window {}", args.window),
        speed => format!("{speed} x as recorded"),
    };
    let load = format!(
        "{} recorded messages, {} s, {pace}; {} clients x {} channels, {} of them slow ({} B/s) for the first half",
        recording.messages.len(),
        recording.duration().as_secs(),
        args.clients,
        CHANNELS.len(),
        args.slow,
        args.slow_rate
    );
    let goals = vec![Goal::value("violations", Bound::AtMost(0.0))];
    let mut report = Report::new("replay", load, goals);
    let mut violations = Vec::new();
    session.in_turn(|target| {
        let (sample, found) = session.with(target, |server| replay(server, args, &recording))?;
        report.add(target, sample);
        violations.extend(found);
        Ok(())
    })?;
    Ok((report, violations))
}

fn replay(server: &Server, args: &ReplayArgs, recording: &Recording) -> Result<(Sample, Vec<String>)> {
    let mut check = Check::new(recording, args.clients, args.slow)?;
    let mut fleet = Fleet::new(server.addr)?;
    let plan = Plan::subscriber(&CHANNELS.map(str::to_owned));
    let slow = plan.clone().reading(Reading::AtMost(args.slow_rate));
    fleet.open(vec![plan; args.clients - args.slow], 256, &mut check)?;
    fleet.open(vec![slow; args.slow], 256, &mut check)?;
    fleet.open(vec![Plan::publisher()], 1, &mut check)?;

    let cpu = cpu_seconds(server.pid())?;
    let start = Instant::now();
    let scratch = Vec::new();
    let mut player =
        Player { args, recording, server, next: 0, scratch, peak_kib: 0, sampled: start, stuck: None };
    player.play(&mut fleet, &mut check)?;
    let played = start.elapsed().as_secs_f64();
    player.wait_for_all(&mut fleet, &mut check)?;
    let caught_up = start.elapsed().as_secs_f64() - played;
    let cpu = cpu_seconds(server.pid())? - cpu;

    let mut found = check.violations();
    found.extend(
        player.stuck.take().map(|stuck| format!("{stuck} without a delivery: somebody lacks something")),
    );
    if fleet.lost > 0 {
        found.push(format!("the server ended {} connections", fleet.lost));
    }
    let count = |number: usize| float(u64::try_from(number).unwrap_or(0));
    let sample = vec![
        ("played s", played),
        ("published/s", count(recording.messages.len()) / played),
        ("deliveries/s", float(check.deliveries) / (played + caught_up)),
        ("caught up after s", caught_up),
        ("p50 ms", check.quantile_ms(0.5)),
        ("p99 ms", check.quantile_ms(0.99)),
        ("latest heard, fast %", check.latest_share(true)),
        ("latest heard, slow %", check.latest_share(false)),
        ("server CPU share", cpu / (played + caught_up)),
        ("peak RSS MiB", float(player.peak_kib) / 1024.0),
        ("complete clients", count(check.complete_clients())),
        ("violations", count(found.len())),
    ];
    Ok((sample, found))
}

struct Player<'a> {
    args: &'a ReplayArgs,
    recording: &'a Recording,
    server: &'a Server,
    next: usize,
    scratch: Vec<u8>,
    peak_kib: u64,
    sampled: Instant,
    /// Where the replay got stuck, if it did.
    stuck: Option<String>,
}

impl Player<'_> {
    fn play(&mut self, fleet: &mut Fleet, check: &mut Check<'_>) -> Result<()> {
        let start = Instant::now();
        let half = self.recording.messages.len() / 2;
        let mut paced = true;
        let mut progress = (start, 0);
        while self.next < self.recording.messages.len() && self.stuck.is_none() {
            let wait = if self.args.speed == 0.0 {
                self.publish_window(fleet, check)?
            } else {
                self.publish_due(fleet, check, start)?
            };
            fleet.poll(wait, check)?;
            if paced && self.next >= half {
                paced = false;
                fleet.unpace(check)?;
            }
            progress = self.note_progress(progress, check.deliveries)?;
        }
        Ok(())
    }

    /// Full speed: publishes while the window has room. Answers how long to wait.
    fn publish_window(&mut self, fleet: &mut Fleet, check: &mut Check<'_>) -> Result<Duration> {
        let room = self.args.window.saturating_sub(check.outstanding());
        // In steps, so that reading and writing go on side by side.
        for _ in 0..room.min(64) {
            self.publish_next(fleet, check)?;
        }
        Ok(if room > 64 { Duration::ZERO } else { Duration::from_millis(100) })
    }

    /// As recorded: publishes what is due. Answers when the next will be.
    fn publish_due(&mut self, fleet: &mut Fleet, check: &mut Check<'_>, start: Instant) -> Result<Duration> {
        while let Some(message) = self.recording.messages.get(self.next) {
            let due = Duration::from_nanos(message.at_ns).div_f64(self.args.speed);
            let wait = due.saturating_sub(start.elapsed());
            if !wait.is_zero() {
                return Ok(wait.min(Duration::from_millis(100)));
            }
            self.publish_next(fleet, check)?;
        }
        Ok(Duration::ZERO)
    }

    fn publish_next(&mut self, fleet: &mut Fleet, check: &mut Check<'_>) -> Result<()> {
        let Some(message) = self.recording.messages.get(self.next) else { return Ok(()) };
        let channel = CHANNELS.get(message.channel).copied().context("no such channel")?;
        let mut publish = format!(r#"{{"action":"publish","channel":"{channel}","data":"#).into_bytes();
        publish.extend_from_slice(self.recording.bytes(message));
        publish.extend_from_slice(format!(r#","req":{}}}"#, self.next).as_bytes());
        wire::put_masked(&mut self.scratch, wire::TEXT, &publish);
        check.on_published(message.channel, self.next, fleet.clock.now_ns());
        fleet.send(self.args.clients, &self.scratch)?;
        self.scratch.clear();
        self.next += 1;
        Ok(())
    }

    fn wait_for_all(&mut self, fleet: &mut Fleet, check: &mut Check<'_>) -> Result<()> {
        let mut progress = (Instant::now(), check.deliveries);
        while self.stuck.is_none()
            && (check.complete_clients() < self.args.clients || fleet.unsent(self.args.clients) > 0)
        {
            fleet.poll(Duration::from_millis(50), check)?;
            progress = self.note_progress(progress, check.deliveries)?;
        }
        // Whatever comes now comes twice.
        let end = Instant::now() + Duration::from_millis(500);
        while Instant::now() < end {
            fleet.poll(Duration::from_millis(50), check)?;
        }
        Ok(())
    }

    fn note_progress(&mut self, progress: (Instant, u64), deliveries: u64) -> Result<(Instant, u64)> {
        let now = Instant::now();
        if now - self.sampled > Duration::from_millis(100) {
            self.sampled = now;
            self.peak_kib = self.peak_kib.max(memory(self.server.pid())?.rss_kib);
        }
        if progress.1 != deliveries {
            return Ok((now, deliveries));
        }
        if now - progress.0 > Duration::from_secs(self.args.patience) {
            self.stuck = Some(format!("stuck after {} publishes, {} s", self.next, self.args.patience));
        }
        Ok(progress)
    }
}
