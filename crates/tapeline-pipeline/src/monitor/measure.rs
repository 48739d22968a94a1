//! Numbers for people out of two samples: rates over the time between them, percentiles of what was counted in it. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use tapeline_core::clock::rfc3339;
use tapeline_core::lanes::LANES;

use super::memory::MB;
use super::window::Sample;
use crate::stats::{BreakerState, ComponentStats};
use crate::worker::{Histogram, Stage};

/// Rates of fewer messages say nothing.
pub(crate) const FEWEST: u64 = 50;

/// The lanes' names, the most urgent first.
pub(crate) const LANE_NAMES: [&str; LANES] = ["critical", "high", "medium", "low"];

/// How a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It takes what comes.
    Healthy,
    /// Its breaker lets a few calls through for a trial.
    Recovering,
    /// Its breaker is open.
    Off,
    /// It is in a call that does not come back.
    Hung,
}

impl Health {
    /// Of a component with these numbers.
    pub fn of(stats: &ComponentStats) -> Self {
        match (stats.hung, stats.breaker) {
            (true, _) => Health::Hung,
            (_, BreakerState::Closed) => Health::Healthy,
            (_, BreakerState::HalfOpen) => Health::Recovering,
            (_, BreakerState::Open) => Health::Off,
        }
    }
}

/// A distribution in a few numbers; the percentiles are at most an eighth too high.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many were timed.
    pub count: u64,
    /// Mean.
    pub avg_ms: f64,
    /// Half took no longer.
    pub p50_ms: f64,
    /// 95 of 100 took no longer.
    pub p95_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
}

#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
impl From<&Histogram> for Spread {
    fn from(counted: &Histogram) -> Self {
        let ms = |part| counted.quantile_us(part) as f64 / 1e3;
        let avg_ms = counted.sum_us() as f64 / 1e3 / counted.count().max(1) as f64;
        Spread { count: counted.count(), avg_ms, p50_ms: ms(0.5), p95_ms: ms(0.95), p99_ms: ms(0.99) }
    }
}

/// What is measured at a look: the document's `current_metrics`, and what explains them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// When, RFC 3339.
    pub at: String,
    /// What the rates and latencies are of, in seconds; 0 before the second look.
    pub window_seconds: f64,
    /// Updates that sources got rid of.
    pub throughput_msgs_per_sec: f64,
    /// From receipt to the end of a call, mean.
    pub avg_latency_ms: f64,
    /// The same, in percentiles.
    pub latency: Spread,
    /// Resident memory of the process; 1 MB is a million bytes. 0 where the system does not say.
    pub memory_mb: f64,
    /// Of the messages that components were done with, those given up because calls with them failed.
    pub error_rate_percent: f64,
    /// Of the messages that components accepted, those that were dropped.
    pub drop_rate_percent: f64,
    /// What waits, over all components, by lane.
    pub queue_sizes: BTreeMap<&'static str, u64>,
    /// Each component.
    pub component_health: BTreeMap<String, Health>,
    /// What the rates are of: updates from sources, messages that components were done with, those accepted.
    #[serde(skip)]
    pub(crate) counted: Counted,
}

/// How many messages rates are of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counted {
    pub(crate) done: u64,
    pub(crate) accepted: u64,
}

/// Letters of messages that no call was made with: for want of room or time, or as a breaker is open.
const UNCALLED: [&str; 4] = ["overflow", "circuit_open", "expired", "stopped"];

/// Letters because of failed calls.
fn failed(stats: &ComponentStats) -> u64 {
    let letters = stats.dead_lettered.iter().filter(|(reason, _)| !UNCALLED.contains(reason));
    letters.map(|(_, count)| count).sum()
}

/// Critical messages that found no room, or a breaker that stayed open.
pub(crate) fn spilled(stats: &ComponentStats) -> u64 {
    ["overflow", "circuit_open"].iter().filter_map(|reason| stats.dead_lettered.get(reason)).sum()
}

/// Counts of components added up, which grow.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    failed: u64,
    delivered: u64,
    dropped: u64,
    accepted: u64,
}

impl Sums {
    fn of<'a>(components: impl Iterator<Item = &'a ComponentStats>) -> Self {
        components.fold(Sums::default(), |sums, stats| Sums {
            failed: sums.failed + failed(stats),
            delivered: sums.delivered + stats.delivered,
            dropped: sums.dropped + stats.dropped.values().sum::<u64>(),
            accepted: sums.accepted + stats.accepted,
        })
    }

    fn since(self, earlier: Sums) -> Self {
        Sums {
            failed: self.failed.saturating_sub(earlier.failed),
            delivered: self.delivered.saturating_sub(earlier.delivered),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            accepted: self.accepted.saturating_sub(earlier.accepted),
        }
    }
}

/// Rates of one component over a window, in percent.
pub(crate) fn rates(before: Option<&ComponentStats>, now: &ComponentStats) -> (f64, f64) {
    let sums = Sums::of(std::iter::once(now)).since(Sums::of(before.into_iter()));
    (percent(sums.failed, sums.failed + sums.delivered), percent(sums.dropped, sums.accepted))
}

#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
pub(crate) fn percent(part: u64, of: u64) -> f64 {
    part as f64 * 100.0 / of.max(1) as f64
}

/// What a sample says, by itself and against an earlier one.
#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
pub(crate) fn measure(before: Option<&Sample>, sample: &Sample) -> Metrics {
    let components = || sample.stats.components.iter();
    let mut queue_sizes = BTreeMap::from(LANE_NAMES.map(|lane| (lane, 0)));
    for (_, stats) in components() {
        for (lane, waiting) in LANE_NAMES.iter().zip(stats.queued) {
            *queue_sizes.entry(lane).or_default() += waiting;
        }
    }
    let standing = Metrics {
        at: rfc3339(sample.now.wall_us),
        memory_mb: sample.resident_bytes.unwrap_or_default() as f64 / MB,
        queue_sizes,
        component_health: components().map(|(name, stats)| (name.clone(), Health::of(stats))).collect(),
        ..Metrics::default()
    };
    let Some(before) = before else { return standing };
    let seconds = sample.now.since(before.now.mono_us).as_secs_f64();
    let sums = Sums::of(sample.stats.components.values());
    let sums = sums.since(Sums::of(before.stats.components.values()));
    let processed = sample.stats.messages_processed.saturating_sub(before.stats.messages_processed);
    let latency = latency(before, sample);
    let done = sums.failed + sums.delivered;
    Metrics {
        window_seconds: seconds,
        throughput_msgs_per_sec: if seconds > 0.0 { processed as f64 / seconds } else { 0.0 },
        avg_latency_ms: latency.avg_ms,
        latency,
        error_rate_percent: percent(sums.failed, done),
        drop_rate_percent: percent(sums.dropped, sums.accepted),
        counted: Counted { done, accepted: sums.accepted },
        ..standing
    }
}

/// Of all lanes, from receipt to the end of the call.
fn latency(before: &Sample, sample: &Sample) -> Spread {
    let Some(now) = &sample.latencies else { return Spread::default() };
    let counted = before.latencies.as_ref().map_or_else(|| now.clone(), |before| now.since(before));
    let mut all = Histogram::default();
    (0..LANES).filter_map(|lane| counted.of(lane, Stage::Done)).for_each(|lane| all.merge(lane));
    Spread::from(&all)
}
