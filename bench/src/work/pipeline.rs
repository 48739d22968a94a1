//! What a pipeline costs: processor time a message with one trivial component, and messages a second through four of
//! them with the source and all threads on one core; beside it, a bare loop that calls the same four functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tapeline_core::feed::{Update, UpdateKind, VenueChannel};
use tapeline_pipeline::component::{Component, Handling};
use tapeline_pipeline::modes::{Mode, Settings};
use tapeline_pipeline::{ComponentOptions, Pipeline, PipelineConfig, Pushed, Source};

use crate::procfs::{cpu_seconds, float};
use crate::report::{Bound, Goal, Report};
use crate::server::Target;
use crate::session::Common;

/// Messages that wait at most, so that none is dropped.
const AHEAD: u64 = 4_000;
const SYMBOLS: u64 = 10;
const LONG: Duration = Duration::from_secs(60);

/// Settings of `pipeline`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PipelineArgs {
    /// Messages of a run.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Components in the run on one core.
    #[arg(long, default_value_t = 4)]
    components: usize,
}

/// Adds up what it is given.
#[derive(Default)]
struct Trivial {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Trivial {
    fn take(&self, update: &Update) {
        self.bytes.fetch_add(update.data.len() as u64, Ordering::Relaxed);
        self.messages.fetch_add(1, Ordering::Release);
    }
}

impl Component for Trivial {
    fn takes(&self, _: &VenueChannel) -> bool {
        true
    }

    fn handle<'a>(&'a self, update: &'a Arc<Update>) -> Handling<'a> {
        Box::pin(async move {
            self.take(update);
            Ok(())
        })
    }
}

/// Trades of a few symbols, each with a number of its own.
struct Trades {
    templates: Vec<Update>,
    made: u64,
}

impl Trades {
    fn new(clock: &dyn tapeline_core::Clock) -> Self {
        let received = clock.now();
        let template = |symbol: u64| {
            let data = format!(
                r#"{{"symbol":"S{symbol}/USD","side":"buy","price":67{symbol}45.1,"qty":0.00{symbol}15432,"ord_type":"market","trade_id":4665906{symbol},"timestamp":"2026-01-01T07:48:36.925533Z"}}"#
            );
            Update {
                source: "bench".into(),
                channel: VenueChannel::Trade,
                kind: UpdateKind::Change,
                symbol: Some(format!("S{symbol}/USD").into()),
                data: data.into(),
                id: None,
                sequence: None,
                venue_us: None,
                received,
            }
        };
        Trades { templates: (0..SYMBOLS).map(template).collect(), made: 0 }
    }

    fn next(&mut self) -> Option<Arc<Update>> {
        let template = self.templates.get(usize::try_from(self.made % SYMBOLS).ok()?)?;
        self.made += 1;
        Some(Arc::new(Update { sequence: Some(self.made), ..template.clone() }))
    }
}

/// A pipeline and its components.
struct Stage {
    pipeline: Pipeline,
    source: Source,
    components: Vec<Arc<Trivial>>,
    trades: Trades,
}

impl Stage {
    fn new(components: usize) -> Result<Self> {
        let Settings { queue, performance, retry, breaker, .. } = Mode::HighPerformance.settings();
        let config = PipelineConfig { queue, performance, retry, breaker, ..PipelineConfig::default() };
        let pipeline = Pipeline::builder(config).start()?;
        let components: Vec<Arc<Trivial>> = (0..components).map(|_| Arc::default()).collect();
        for (number, component) in components.iter().enumerate() {
            let (name, channels) = (format!("trivial {number}"), [VenueChannel::Trade]);
            pipeline.register(&name, component.clone(), &channels, ComponentOptions::default())?;
        }
        let (source, trades) = (pipeline.source("bench"), Trades::new(&**pipeline.clock()));
        Ok(Stage { pipeline, source, components, trades })
    }

    fn slowest(&self) -> u64 {
        let taken = self.components.iter().map(|component| component.messages.load(Ordering::Acquire));
        taken.min().unwrap_or_default()
    }

    /// Seconds until every component has taken so many messages.
    fn run(&mut self, messages: u64) -> Result<f64> {
        let since = Instant::now();
        let mut seen = self.slowest();
        for number in 0..messages {
            while number - seen >= AHEAD {
                seen = self.slowest();
                if number - seen >= AHEAD {
                    std::thread::yield_now();
                }
            }
            let update = self.trades.next().context("there are symbols")?;
            ensure!(self.source.push(update) == Pushed::Accepted, "a message was not accepted");
        }
        while self.slowest() < messages {
            std::thread::yield_now();
        }
        Ok(since.elapsed().as_secs_f64())
    }

    /// Nothing may have been lost on the way.
    fn finish(self, messages: u64) -> Result<()> {
        let stats = self.pipeline.stop(LONG);
        for (name, counts) in &stats.components {
            ensure!(
                counts.balances() && counts.delivered == messages,
                "{name} has lost something: {counts:?}"
            );
        }
        Ok(())
    }
}

/// Seconds for the same calls without a pipeline.
fn bare(components: usize, messages: u64) -> Result<f64> {
    let components: Vec<Arc<Trivial>> = (0..components).map(|_| Arc::default()).collect();
    let mut trades = Trades::new(&tapeline_runtime::SystemClock::default());
    let since = Instant::now();
    for _ in 0..messages {
        let update = trades.next().context("there are symbols")?;
        components.iter().for_each(|component| std::hint::black_box(component).take(&update));
    }
    Ok(since.elapsed().as_secs_f64())
}

/// Runs on the first core that this process may use; threads that are started meanwhile stay there.
fn on_one_core<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    let all = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|core| all.is_set(*core)).context("there is a core")?;
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one)?;
    let outcome = run();
    sched_setaffinity(None, &all)?;
    outcome
}

/// Measures.
pub(crate) fn run(args: &PipelineArgs, common: &Common) -> Result<Report> {
    let PipelineArgs { messages, components } = *args;
    let load = format!(
        "{messages} trades of 170 bytes, checked and deduplicated; {components} components on one core"
    );
    let goals = vec![
        Goal::value("cpu us/message, one component", Bound::AtMost(2.0)),
        Goal::value("messages/s, one core", Bound::AtLeast(250_000.0)),
    ];
    let mut report = Report::new("pipeline", load, goals);
    for _ in 0..common.rounds {
        let mut stage = Stage::new(1)?;
        let before = cpu_seconds(std::process::id())?;
        stage.run(messages)?;
        let cpu_s = cpu_seconds(std::process::id())? - before;
        stage.finish(messages)?;
        let (piped_s, bare_s) = on_one_core(|| {
            let mut stage = Stage::new(components)?;
            let piped_s = stage.run(messages)?;
            stage.finish(messages)?;
            Ok((piped_s, bare(components, messages)?))
        })?;
        report.add(
            Target::Product,
            vec![
                ("cpu us/message, one component", cpu_s / float(messages) * 1e6),
                ("messages/s, one core", float(messages) / piped_s),
                ("bare loop messages/s, one core", float(messages) / bare_s),
                ("pipeline / bare loop", bare_s / piped_s),
            ],
        );
    }
    Ok(report)
}
