//! Numbers for people out of two samples: rates over the time between them, percentiles of what was counted in it. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use tapeline_core::clock::rfc3339;
use tapeline_core::lanes::LANES;

use super::memory::MB;
use super::pulse::NAME;
use super::window::Sample;
use crate::stats::{BreakerState, ComponentStats};
use crate::worker::{Histogram, Latencies, Stage};

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
    /// Updates that sources got rid of, without heartbeats and what venues say of their state.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) failed: u64,
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

/// What became of messages between two samples.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    failed: u64,
    delivered: u64,
    dropped: u64,
    accepted: u64,
}

impl Sums {
    fn of(stats: &ComponentStats) -> Self {
        Sums {
            failed: failed(stats),
            delivered: stats.delivered,
            dropped: stats.dropped.values().sum(),
            accepted: stats.accepted,
        }
    }

    /// Of one component. One that is newer than `before`, or was registered anew since, counts from nothing.
    fn between(before: Option<&ComponentStats>, now: &ComponentStats) -> Self {
        let (earlier, sums) = (before.map(Sums::of).unwrap_or_default(), Sums::of(now));
        let earlier = if earlier.accepted > sums.accepted { Sums::default() } else { earlier };
        Sums {
            failed: sums.failed.saturating_sub(earlier.failed),
            delivered: sums.delivered.saturating_sub(earlier.delivered),
            dropped: sums.dropped.saturating_sub(earlier.dropped),
            accepted: sums.accepted.saturating_sub(earlier.accepted),
        }
    }

    fn and(self, other: Sums) -> Self {
        Sums {
            failed: self.failed + other.failed,
            delivered: self.delivered + other.delivered,
            dropped: self.dropped + other.dropped,
            accepted: self.accepted + other.accepted,
        }
    }

    fn rates(self) -> Rates {
        let done = self.failed + self.delivered;
        Rates {
            error_percent: percent(self.failed, done),
            drop_percent: percent(self.dropped, self.accepted),
            counted: Counted { failed: self.failed, done, accepted: self.accepted },
        }
    }
}

/// What became of a window's messages, and of how many that is said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) error_percent: f64,
    pub(crate) drop_percent: f64,
    pub(crate) counted: Counted,
}

/// Rates of one component over a window.
pub(crate) fn rates(before: Option<&ComponentStats>, now: &ComponentStats) -> Rates {
    Sums::between(before, now).rates()
}

/// Signs of life and of a venue's state since the start: those that the monitor was given.
fn signs(sample: &Sample) -> u64 {
    sample.stats.components.get(NAME).map_or(0, |stats| stats.accepted.saturating_sub(stats.redriven))
}

/// Updates of data that sources got rid of since the start, without signs of life.
pub(crate) fn brought(sample: &Sample) -> u64 {
    sample.stats.messages_processed.saturating_sub(signs(sample))
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
    // What a component counted that is gone by now is gone from both sides.
    let window = |(name, stats)| Sums::between(before.stats.components.get(name), stats);
    let sums = components().filter(|(name, _)| *name != NAME).map(window).fold(Sums::default(), Sums::and);
    let rates = sums.rates();
    let brought = brought(sample).saturating_sub(brought(before));
    let latency = latency(before, sample);
    Metrics {
        window_seconds: seconds,
        throughput_msgs_per_sec: if seconds > 0.0 { brought as f64 / seconds } else { 0.0 },
        avg_latency_ms: latency.avg_ms,
        latency,
        error_rate_percent: rates.error_percent,
        drop_rate_percent: rates.drop_percent,
        counted: rates.counted,
        ..standing
    }
}

/// Of all components and lanes, from receipt to the end of the call.
fn latency(before: &Sample, sample: &Sample) -> Spread {
    let mut all = Histogram::default();
    for name in sample.timed.keys() {
        all.merge(&timed_since(before, sample, name).all);
    }
    Spread::from(&all)
}

/// Times of one component in a window; none where nothing is timed.
pub(crate) fn timed_since(before: &Sample, sample: &Sample, component: &str) -> Timed {
    let Some(now) = sample.timed.get(component) else { return Timed::default() };
    match before.timed.get(component) {
        Some(before) if before.all.count() <= now.all.count() => {
            Timed { all: now.all.since(&before.all), critical: now.critical.since(&before.critical) }
        }
        _ => now.clone(),
    }
}

/// From receipt to the end of the call, of one component.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timed {
    /// Of all lanes.
    pub(crate) all: Histogram,
    /// Of the critical one.
    pub(crate) critical: Histogram,
}

impl From<&Latencies> for Timed {
    fn from(latencies: &Latencies) -> Self {
        let of = |lane| latencies.of(lane, Stage::Done);
        let mut all = Histogram::default();
        (0..LANES).filter_map(of).for_each(|lane| all.merge(lane));
        Timed { all, critical: of(0).cloned().unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(accepted: u64, failed: u64) -> ComponentStats {
        let dead_lettered = BTreeMap::from([("max_retries", failed)]);
        ComponentStats { accepted, delivered: accepted - failed, dead_lettered, ..ComponentStats::default() }
    }

    fn sample(seconds: u64, components: impl IntoIterator<Item = (&'static str, ComponentStats)>) -> Sample {
        let now = tapeline_core::Now { mono_us: seconds * 1_000_000, wall_us: seconds };
        let mut sample = Sample { now, ..Sample::default() };
        sample.stats.components =
            components.into_iter().map(|(name, stats)| (name.to_string(), stats)).collect();
        sample
    }

    #[test]
    fn a_component_that_is_unregistered_or_registered_anew_makes_no_rate_of_the_others() {
        let before = sample(0, [("a", stats(1_000, 0)), ("b", stats(50_000, 10)), ("c", stats(9_000, 900))]);
        let now = sample(60, [("a", stats(2_000, 10)), ("c", stats(1_000, 10))]);
        let metrics = measure(Some(&before), &now);
        assert_eq!(metrics.counted, Counted { failed: 20, done: 2_000, accepted: 2_000 });
        assert!((metrics.error_rate_percent - 1.0).abs() < 1e-9, "{}", metrics.error_rate_percent);
    }

    #[test]
    fn times_of_a_component_that_is_gone_are_not_taken_off_the_others() {
        let timed = |count: u64, us: u64| {
            let mut all = Histogram::default();
            (0..count).for_each(|_| all.add(us));
            Timed { all, critical: Histogram::default() }
        };
        let mut before = sample(0, []);
        before.timed = [("a".into(), timed(10, 100)), ("b".into(), timed(500, 2_000))].into();
        let mut now = sample(60, []);
        now.timed = [("a".into(), timed(110, 100))].into();
        let latency = measure(Some(&before), &now).latency;
        assert_eq!((latency.count, latency.avg_ms), (100, 0.1));
    }
}
