//! What is alerted: a table of rules, each with a bound and what it measures of two samples. It does not know who is told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tapeline_core::alarm::{Bad, Bounds, Release};

use super::measure::{FEWEST, Metrics, percent, rates, spilled, timed_since};
use super::memory::MB;
use super::window::{Sample, WINDOW};
use crate::config::{AlertConfig, PerformanceConfig};
use crate::stats::{BreakerState, ComponentStats};
use crate::worker::Histogram;

/// Dead letters within a window that are no alert.
pub const DEAD_LETTERS_IN_A_WINDOW: f64 = 10.0;
/// Seconds that a dead letter may wait for somebody to look.
pub const DEAD_LETTER_AGE_SECONDS: f64 = 3_600.0;
/// Of calls, in percent, that may be slow: 99 of 100 are then within `max_processing_time_ms`.
pub const SLOW_CALLS_PERCENT: f64 = 1.0;
/// So many failed messages of one component, or critical ones that were timed, are enough to judge its rates by.
const FEW: u64 = 3;
/// How long a queue must be short again until its alerts are resolved, or longer.
const QUEUES_REST: Duration = Duration::from_secs(5);
/// A source is not judged silent before it was looked at for so long.
const SILENCE: Duration = Duration::from_secs(30);

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// 99th percentile from receipt to the end of the call, in ms: `max_latency_ms`. Of all components together and of
    /// each: there, critical messages are also judged by themselves.
    Latency,
    /// Resident memory in MB: `max_memory_mb`.
    Memory,
    /// The same, earlier: `memory_usage_threshold_mb`.
    MemoryUsage,
    /// Messages that failed, in percent: `max_error_rate_percent`. Of all components together and of each.
    ErrorRate,
    /// Messages that were dropped, in percent: `max_drop_rate_percent`. Of all components together and of each.
    DropRate,
    /// Messages a second: `min_throughput_msgs_per_sec`.
    Throughput,
    /// Messages that wait for a component, over all its lanes: `queue_size_warning_threshold`.
    QueueSizeWarning,
    /// The same: `queue_size_critical_threshold`.
    QueueSizeCritical,
    /// Calls of a component that took longer than `max_processing_time_ms`, in percent.
    ProcessingTime,
    /// A component's breaker is open, or on trial after that.
    BreakerOpen,
    /// A component does not come back from a call.
    Hung,
    /// Critical messages of a component that became dead letters for want of room, in the window.
    CriticalSpill,
    /// Updates that no component has, as there was no room even for a dead letter, or the pipeline is stopped; in the
    /// window.
    Refused,
    /// Dead letters of a component in the window.
    DeadLetters,
    /// Age of the oldest dead letter, in seconds.
    DeadLetterAge,
}

/// How serious a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Somebody should look.
    Warning,
    /// The pipeline is not healthy.
    Critical,
}

impl Rule {
    /// As in alerts.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Latency => "latency",
            Rule::Memory => "memory",
            Rule::MemoryUsage => "memory_usage",
            Rule::ErrorRate => "error_rate",
            Rule::DropRate => "drop_rate",
            Rule::Throughput => "throughput",
            Rule::QueueSizeWarning => "queue_size_warning",
            Rule::QueueSizeCritical => "queue_size_critical",
            Rule::ProcessingTime => "processing_time",
            Rule::BreakerOpen => "breaker_open",
            Rule::Hung => "hung",
            Rule::CriticalSpill => "critical_spill",
            Rule::Refused => "refused",
            Rule::DeadLetters => "dead_letters",
            Rule::DeadLetterAge => "dead_letter_age",
        }
    }

    /// How serious it is.
    pub fn severity(self) -> Severity {
        match self {
            Rule::MemoryUsage
            | Rule::Throughput
            | Rule::QueueSizeWarning
            | Rule::ProcessingTime
            | Rule::DeadLetters
            | Rule::DeadLetterAge => Severity::Warning,
            _ => Severity::Critical,
        }
    }
}

/// A rule, and the component that it is about; written `queue_size_warning:strategy_manager`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct About {
    /// The rule.
    pub rule: Rule,
    /// The component, where the rule is about one.
    pub component: Option<Arc<str>>,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule.name())?;
        self.component.as_deref().map_or(Ok(()), |component| write!(f, ":{component}"))
    }
}

/// A rule's measure with its bounds; without a value there is too little to judge by.
pub(crate) struct Judged {
    pub(crate) about: About,
    pub(crate) value: Option<f64>,
    pub(crate) bounds: Bounds,
    pub(crate) release: Release,
}

/// What rules are judged by.
pub(crate) struct Evidence<'a> {
    pub(crate) alerts: &'a AlertConfig,
    pub(crate) performance: &'a PerformanceConfig,
    pub(crate) metrics: &'a Metrics,
    pub(crate) before: Option<&'a Sample>,
    pub(crate) now: &'a Sample,
    /// Whether any source is to be expected to bring data.
    pub(crate) is_awaited: bool,
    /// How long a measure must stand past its bound.
    pub(crate) hold: Duration,
    /// How long a breaker must have been closed until its alert is resolved.
    pub(crate) breaker_rest: Duration,
}

/// A rule's measure and its bounds.
type Row = (Rule, Option<f64>, Bounds);

/// Anything is too much.
fn none() -> Bounds {
    Bounds { bad: Bad::Above, raise: 0.0, clear: 0.0, hold: Duration::ZERO }
}

#[expect(clippy::cast_precision_loss, reason = "counts as measures")]
fn measure(count: u64) -> Option<f64> {
    Some(count as f64)
}

impl Evidence<'_> {
    /// Every rule, of the whole and of each component.
    pub(crate) fn judge(&self) -> Vec<Judged> {
        let mut judged: Vec<_> = self.whole().into_iter().map(|row| self.judged(None, row)).collect();
        for (name, stats) in &self.now.stats.components {
            let rows = self.component(name, stats).into_iter().chain(self.rates(name, stats));
            let name: Arc<str> = name.as_str().into();
            judged.extend(rows.map(|row| self.judged(Some(name.clone()), row)));
        }
        judged
    }

    fn judged(&self, component: Option<Arc<str>>, (rule, value, bounds): Row) -> Judged {
        let release = self.release(rule, &bounds);
        Judged { about: About { rule, component }, value, bounds, release }
    }

    /// What swings between good and bad for a while is one alert. What cannot be measured for a window is over.
    fn release(&self, rule: Rule, bounds: &Bounds) -> Release {
        let hold = match rule {
            Rule::BreakerOpen => self.breaker_rest,
            Rule::QueueSizeWarning | Rule::QueueSizeCritical => bounds.hold.max(QUEUES_REST),
            _ => bounds.hold,
        };
        // Silence that is no fault any more is known at once.
        let quiet = if rule == Rule::Throughput { bounds.hold } else { WINDOW };
        Release { hold, quiet: Some(quiet) }
    }

    /// Updates refused to any source in the window.
    fn refused(&self) -> u64 {
        let earlier = |source| {
            let before = self.before.and_then(|before| before.stats.sources.get(source));
            before.map_or(0, |before| before.refused)
        };
        let sources = self.now.stats.sources.iter();
        sources.map(|(source, stats)| stats.refused.saturating_sub(earlier(source))).sum()
    }

    fn whole(&self) -> [Row; 8] {
        let (alerts, performance, metrics, hold) = (self.alerts, self.performance, self.metrics, self.hold);
        let counted = metrics.counted;
        let memory = self.now.resident_bytes.and_then(measure).map(|bytes| bytes / MB);
        let is_enough = |count: u64| count >= FEWEST;
        let is_long = metrics.window_seconds >= SILENCE.as_secs_f64();
        let age_us =
            self.now.kept.oldest_us.map_or(0, |oldest_us| self.now.now.wall_us.saturating_sub(oldest_us));
        [
            (
                Rule::Latency,
                is_enough(metrics.latency.count).then_some(metrics.latency.p99_ms),
                Bounds::at_most(alerts.max_latency_ms, hold),
            ),
            (Rule::Memory, memory, Bounds::at_most(alerts.max_memory_mb, hold)),
            (Rule::MemoryUsage, memory, Bounds::at_most(performance.memory_usage_threshold_mb, hold)),
            (
                Rule::ErrorRate,
                is_enough(counted.done).then_some(metrics.error_rate_percent),
                Bounds::at_most(alerts.max_error_rate_percent, hold),
            ),
            (
                Rule::DropRate,
                is_enough(counted.accepted).then_some(metrics.drop_rate_percent),
                Bounds::at_most(alerts.max_drop_rate_percent, hold),
            ),
            (
                Rule::Throughput,
                (self.is_awaited && is_long).then_some(metrics.throughput_msgs_per_sec),
                Bounds::at_least(alerts.min_throughput_msgs_per_sec, hold),
            ),
            (
                Rule::DeadLetterAge,
                measure(age_us / 1_000_000),
                Bounds::at_most(DEAD_LETTER_AGE_SECONDS, Duration::ZERO),
            ),
            (Rule::Refused, measure(self.refused()), none()),
        ]
    }

    /// The same rates as of the whole, where one component's share is lost among the others'.
    fn rates(&self, name: &str, stats: &ComponentStats) -> [Row; 3] {
        let (alerts, hold) = (self.alerts, self.hold);
        let rates = self.before.map(|before| rates(before.stats.components.get(name), stats));
        let rates = rates.unwrap_or_default();
        let counted = rates.counted;
        let timed = self.before.map(|before| timed_since(before, self.now, name)).unwrap_or_default();
        let tail = |times: &Histogram, least| {
            (times.count() >= least).then(|| measure(times.quantile_us(0.99))).flatten().map(|us| us / 1e3)
        };
        let tails = [tail(&timed.all, FEWEST), tail(&timed.critical, FEW)];
        let is_enough = counted.done >= FEWEST || counted.failed >= FEW;
        [
            (
                Rule::Latency,
                tails.into_iter().flatten().reduce(f64::max),
                Bounds::at_most(alerts.max_latency_ms, hold),
            ),
            (
                Rule::ErrorRate,
                is_enough.then_some(rates.error_percent),
                Bounds::at_most(alerts.max_error_rate_percent, hold),
            ),
            (
                Rule::DropRate,
                (counted.accepted >= FEWEST).then_some(rates.drop_percent),
                Bounds::at_most(alerts.max_drop_rate_percent, hold),
            ),
        ]
    }

    fn component(&self, name: &str, stats: &ComponentStats) -> [Row; 7] {
        let alerts = self.alerts;
        let before = self.before.and_then(|before| before.stats.components.get(name));
        let queued = measure(stats.queued.iter().sum());
        let warning = measure(alerts.queue_size_warning_threshold as u64).unwrap_or_default();
        let critical = measure(alerts.queue_size_critical_threshold as u64).unwrap_or_default();
        let since = |count: fn(&ComponentStats) -> u64| count(stats).saturating_sub(before.map_or(0, count));
        let (calls, slow) = (since(|stats| stats.calls), since(|stats| stats.slow));
        let letters = since(|stats| stats.dead_lettered.values().sum());
        [
            (Rule::QueueSizeWarning, queued, Bounds::at_most(warning, self.hold)),
            (Rule::QueueSizeCritical, queued, Bounds::at_most(critical, Duration::ZERO)),
            (
                Rule::ProcessingTime,
                (calls >= FEWEST).then(|| percent(slow, calls)),
                Bounds::at_most(SLOW_CALLS_PERCENT, self.hold),
            ),
            (Rule::BreakerOpen, measure(u64::from(stats.breaker != BreakerState::Closed)), none()),
            (Rule::Hung, measure(u64::from(stats.hung)), none()),
            (Rule::CriticalSpill, measure(since(spilled)), none()),
            (Rule::DeadLetters, measure(letters), Bounds::at_most(DEAD_LETTERS_IN_A_WINDOW, Duration::ZERO)),
        ]
    }
}
