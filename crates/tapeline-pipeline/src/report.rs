//! What a monitor tells when it is asked: a report with the document's keys (`current_metrics`) and what explains them.
//! It measures nothing itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tapeline_core::Now;
use tapeline_core::clock::rfc3339;
use tapeline_schema::events::Alert;

use crate::dead_letters::Kept;
use crate::monitor::{
    AlertCount, Health, History, LANE_NAMES, Metrics, Pulse, Rule, SourceState, Spread, rates,
};
use crate::stats::{ComponentStats, PipelineStats, SourceStats};
use crate::worker::{Latencies, Stage};

/// What a report is made of.
pub(crate) struct Facts {
    pub(crate) name: Arc<str>,
    pub(crate) is_on: bool,
    pub(crate) uptime: Duration,
    pub(crate) now: Now,
    pub(crate) metrics: Metrics,
    pub(crate) history: History,
    pub(crate) before: Option<PipelineStats>,
    pub(crate) stats: PipelineStats,
    pub(crate) latencies: Vec<(Arc<str>, Latencies)>,
    pub(crate) kept: Kept,
    pub(crate) pulses: BTreeMap<String, Pulse>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) counts: BTreeMap<Rule, AlertCount>,
}

/// Times by lane, and in each by stage.
pub type Times = BTreeMap<&'static str, BTreeMap<&'static str, Spread>>;

/// One component in a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComponentReport {
    /// How it is.
    pub health: Health,
    /// What waits, over all lanes.
    pub queue_size: u64,
    /// Of the messages of the window, those given up because calls with them failed.
    pub error_rate_percent: f64,
    /// Of the messages of the window, those that were dropped.
    pub drop_rate_percent: f64,
    /// Times since the start.
    pub latency: Times,
    /// All counters since the start.
    pub counts: ComponentStats,
}

/// One source in a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SourceReport {
    /// Whether it is to be expected to bring data.
    pub state: SourceState,
    /// Heartbeats that have come.
    pub heartbeats: u64,
    /// Seconds since the last; `null` where none has come.
    pub last_heartbeat_seconds: Option<f64>,
    /// All counters since the start.
    pub counts: SourceStats,
}

/// Dead letters in a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LettersReport {
    /// Kept now.
    pub kept: u64,
    /// The same, by component and reason.
    pub by_component: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// Bytes of their data.
    pub bytes: u64,
    /// Age of the oldest; `null` where there is none.
    pub oldest_seconds: Option<f64>,
    /// Those that gave way to others, since the start.
    pub evicted: u64,
}

/// See the module. In Python it is a `dict` with these keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The pipeline: the source of its alerts.
    pub pipeline: String,
    /// When, RFC 3339.
    pub generated_at: String,
    /// Seconds since the monitor was made.
    pub uptime_seconds: f64,
    /// Whether anything is measured (`enable_metrics`); else `current_metrics` are empty.
    pub enable_metrics: bool,
    /// Updates whose sources got rid of them, since the start.
    pub messages_processed: u64,
    /// What is measured now.
    pub current_metrics: Metrics,
    /// What was measured at the last looks, the oldest first.
    pub history: History,
    /// Times of all components together, since the start.
    pub latency: Times,
    /// Each component.
    pub components: BTreeMap<String, ComponentReport>,
    /// Each source.
    pub sources: BTreeMap<String, SourceReport>,
    /// Dead letters.
    pub dead_letters: LettersReport,
    /// Alerts that are raised and not resolved.
    pub alerts: Vec<Alert>,
    /// Times that each rule was raised.
    pub alerts_raised: BTreeMap<&'static str, u64>,
}

/// A report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the report cannot be written to {}: {error}", path.display())]
pub struct ExportError {
    /// Where to.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub error: io::Error,
}

/// The spreads of those stages and lanes that something was timed in.
pub(crate) fn times(latencies: &Latencies) -> Times {
    let lane = |(name, place): (&'static str, usize)| {
        let stage = |stage: Stage| {
            Some((stage.name(), latencies.of(place, stage).filter(|timed| timed.count() > 0)?))
        };
        let stages: BTreeMap<_, _> = Stage::ALL
            .into_iter()
            .filter_map(stage)
            .map(|(name, timed)| (name, Spread::from(timed)))
            .collect();
        (!stages.is_empty()).then_some((name, stages))
    };
    LANE_NAMES.into_iter().zip(0..).filter_map(lane).collect()
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

impl Report {
    pub(crate) fn of(facts: Facts) -> Self {
        let mut all = Latencies::default();
        facts.latencies.iter().for_each(|(_, timed)| all.merge(timed));
        let mut report = Report {
            pipeline: facts.name.to_string(),
            generated_at: rfc3339(facts.now.wall_us),
            uptime_seconds: facts.uptime.as_secs_f64(),
            enable_metrics: facts.is_on,
            messages_processed: facts.stats.messages_processed,
            latency: times(&all),
            components: BTreeMap::new(),
            sources: sources(&facts),
            dead_letters: letters(&facts.kept, facts.now),
            alerts: facts.alerts,
            alerts_raised: facts.counts.iter().map(|(rule, count)| (rule.name(), count.raised)).collect(),
            current_metrics: facts.metrics,
            history: facts.history,
        };
        for (name, counts) in facts.stats.components {
            let before = facts.before.as_ref().and_then(|before| before.components.get(&name));
            let timed = facts.latencies.iter().find(|(timed, _)| **timed == *name);
            let latency = timed.map(|(_, timed)| times(timed)).unwrap_or_default();
            let component = component(before, counts, latency);
            report.components.insert(name, component);
        }
        report
    }

    /// As JSON text, indented.
    ///
    /// # Errors
    /// None is known; a number that JSON has no form for would be one.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// Writes it as JSON, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn export(&self, path: &Path) -> Result<(), ExportError> {
        let json = self.json().map_err(io::Error::from);
        let written = json.and_then(|json| write_whole(path, &json));
        written.map_err(|error| ExportError { path: path.to_path_buf(), error })
    }
}

fn component(before: Option<&ComponentStats>, counts: ComponentStats, latency: Times) -> ComponentReport {
    let rates = rates(before, &counts);
    ComponentReport {
        health: Health::of(&counts),
        queue_size: counts.queued.iter().sum(),
        error_rate_percent: rates.error_percent,
        drop_rate_percent: rates.drop_percent,
        latency,
        counts,
    }
}

fn sources(facts: &Facts) -> BTreeMap<String, SourceReport> {
    let mut sources: BTreeMap<String, SourceReport> = BTreeMap::new();
    for (name, counts) in &facts.stats.sources {
        sources.entry(name.clone()).or_default().counts = counts.clone();
    }
    for (name, pulse) in &facts.pulses {
        let source = sources.entry(name.clone()).or_default();
        source.state = pulse.state;
        source.heartbeats = pulse.heartbeats;
        source.last_heartbeat_seconds = pulse.beat_us.map(|us| facts.now.since(us).as_secs_f64());
    }
    sources
}

fn letters(kept: &Kept, now: Now) -> LettersReport {
    let mut by_component: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
    for ((component, reason), count) in &kept.letters {
        by_component.entry(component.to_string()).or_default().insert(reason, *count);
    }
    LettersReport {
        kept: kept.letters.values().sum(),
        by_component,
        bytes: kept.bytes,
        oldest_seconds: kept.oldest_us.map(|us| seconds(now.wall_us.saturating_sub(us))),
        evicted: kept.evicted,
    }
}

/// Beside the file, then in its place: who reads it meanwhile reads the old one.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    let mut beside = name.to_os_string();
    beside.push(format!(".{}-{}.part", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let beside = path.with_file_name(beside);
    let written = File::create_new(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    let placed = written.and_then(|()| std::fs::rename(&beside, path));
    if placed.is_err() {
        // It may never have been made; what went wrong first is what is told.
        let _ = std::fs::remove_file(&beside);
    }
    placed
}
