//! What a monitor knows and does at a look. Time and memory are handed in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapeline_core::alarm::Alarm;
use tapeline_core::{Clock, Now};
use tapeline_schema::events::{Alert, AlertState};

use super::Watched;
use super::measure::{Metrics, Timed, brought, measure};
use super::memory::resident_bytes;
use super::pulse::{NAME, Pulses, is_any_live};
use super::rules::{About, Evidence, Judged, Rule};
use super::window::{Sample, Window};
use crate::alerts::AlertSink;
use crate::config::{AlertConfig, PerformanceConfig};
use crate::report::{Facts, Report};

/// Looks that reports tell of.
const HISTORY: usize = 120;
/// What an interval may be, in seconds.
const INTERVAL: (f64, f64) = (0.01, 86_400.0);

/// What a monitor is made of.
pub struct MonitorParts {
    /// The source of its alerts: `alerts:{name}`.
    pub name: Arc<str>,
    /// What it looks at.
    pub watched: Arc<dyn Watched>,
    /// The clock that updates are stamped by.
    pub clock: Arc<dyn Clock>,
    /// What is measured.
    pub performance: PerformanceConfig,
    /// When somebody is told.
    pub alerts: AlertConfig,
    /// How long a breaker must have been closed until its alert is resolved: longer than it stays open, so that a
    /// component that goes on failing is one alert.
    pub breaker_rest: Duration,
    /// Who is told.
    pub sinks: Vec<Arc<dyn AlertSink>>,
    /// Tells the bytes of memory that the process takes; `None` asks the system.
    pub memory: Option<Box<dyn Fn() -> Option<u64> + Send + Sync>>,
}

/// How often a rule was raised and resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCount {
    /// Times that it was raised.
    pub raised: u64,
    /// Times that it was resolved.
    pub resolved: u64,
}

pub(crate) type History = VecDeque<Metrics>;

#[derive(Default)]
struct State {
    window: Window,
    history: History,
    alarms: BTreeMap<About, (Alarm, Option<Alert>)>,
    counts: BTreeMap<Rule, AlertCount>,
}

/// See the module.
pub(crate) struct Core {
    parts: MonitorParts,
    pub(crate) pulses: Arc<Pulses>,
    started: Now,
    state: Mutex<State>,
}

impl Core {
    pub(crate) fn new(parts: MonitorParts) -> Self {
        let pulses = Arc::new(Pulses::new(parts.clock.clone()));
        let started = parts.clock.now();
        Core { parts, pulses, started, state: Mutex::default() }
    }

    /// Whether anything is measured.
    pub(crate) fn is_on(&self) -> bool {
        self.parts.performance.enable_metrics
    }

    pub(crate) fn interval(&self) -> Duration {
        let seconds = self.parts.performance.metrics_interval_seconds;
        let (least, most) = INTERVAL;
        Duration::from_secs_f64(if seconds.is_nan() { most } else { seconds.clamp(least, most) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sample(&self) -> Sample {
        let now = self.parts.clock.now();
        let watched = &self.parts.watched;
        let resident = self.parts.memory.as_ref().map_or_else(resident_bytes, |memory| memory());
        let timed =
            if self.parts.performance.enable_latency_tracking { watched.latencies() } else { Vec::new() };
        let others = timed.iter().filter(|(name, _)| **name != *NAME);
        let timed = others.map(|(name, latencies)| (name.clone(), Timed::from(latencies))).collect();
        let (stats, kept) = (watched.stats(), watched.kept());
        Sample { now, stats, timed, resident_bytes: resident, kept }
    }

    /// A source that works, and somebody who hears it: else silence is no fault.
    fn is_awaited(&self, sample: &Sample) -> bool {
        let sources = &sample.stats.sources;
        let used = sources.iter().filter(|(_, stats)| stats.taken_in > 0).map(|(name, _)| name);
        let brings = brought(sample) > 0 && is_any_live(&self.pulses.list(), sources, used);
        brings && sample.stats.components.keys().any(|name| name != NAME)
    }

    /// Measures, judges, and tells; nothing where nothing is to be measured.
    pub(crate) fn look(&self) {
        if !self.is_on() {
            return;
        }
        let sample = self.sample();
        let told = self.judge(sample);
        for sink in &self.parts.sinks {
            for alert in &told {
                guarded(&alert.rule, || sink.tell(alert));
            }
            guarded("those before", || sink.flush());
        }
    }

    fn judge(&self, sample: Sample) -> Vec<Alert> {
        let is_awaited = self.is_awaited(&sample);
        let mut state = self.state();
        let before = state.window.before(sample.now).cloned();
        let metrics = measure(before.as_ref(), &sample);
        let evidence = Evidence {
            alerts: &self.parts.alerts,
            performance: &self.parts.performance,
            metrics: &metrics,
            before: before.as_ref(),
            now: &sample,
            is_awaited,
            // A thread that was late for one look is not late for the next.
            hold: self.interval().mul_f64(0.9),
            breaker_rest: self.parts.breaker_rest,
        };
        let judged = evidence.judge();
        let mut told = end_absent(&mut state, &judged);
        told.extend(judged.iter().filter_map(|judged| self.turn(&mut state, judged, sample.now)));
        if before.is_some() {
            state.history.push_back(metrics);
        }
        while state.history.len() > HISTORY {
            state.history.pop_front();
        }
        state.window.keep(sample);
        told
    }

    /// Shows an alarm its measure.
    fn turn(&self, state: &mut State, judged: &Judged, now: Now) -> Option<Alert> {
        let Judged { about, value, bounds, release } = judged;
        let (alarm, raised) = state.alarms.entry(about.clone()).or_default();
        let turn = alarm.look_until(bounds, *release, *value, now)?;
        let alert = turn.alert(&self.parts.name, &about.to_string(), bounds);
        let count = state.counts.entry(about.rule).or_default();
        match alert.state {
            AlertState::Raised => {
                *raised = Some(alert.clone());
                count.raised += 1;
            }
            AlertState::Resolved => {
                *raised = None;
                count.resolved += 1;
            }
        }
        Some(alert)
    }

    /// What is raised and not resolved.
    pub(crate) fn raised(&self) -> Vec<(Rule, Alert)> {
        let state = self.state();
        let raised = state.alarms.iter().filter_map(|(about, (_, alert))| Some((about.rule, alert.clone()?)));
        raised.collect()
    }

    pub(crate) fn report(&self) -> Report {
        Report::of(self.facts())
    }

    /// Everything that is known now.
    pub(crate) fn facts(&self) -> Facts {
        let sample = self.sample();
        let mut state = self.state();
        let before = if self.is_on() { state.window.before(sample.now).cloned() } else { None };
        let metrics = if self.is_on() { measure(before.as_ref(), &sample) } else { Metrics::default() };
        let (history, counts) = (state.history.clone(), state.counts.clone());
        drop(state);
        let latencies = if self.is_on() { self.parts.watched.latencies() } else { Vec::new() };
        Facts {
            name: self.parts.name.clone(),
            is_on: self.is_on(),
            uptime: sample.now.since(self.started.mono_us),
            now: sample.now,
            metrics,
            history,
            before: before.map(|before| before.stats),
            stats: sample.stats,
            latencies,
            kept: sample.kept,
            pulses: self.pulses.list(),
            alerts: self.raised().into_iter().map(|(_, alert)| alert).collect(),
            counts,
        }
    }
}

/// Nothing is known any more of a component that was unregistered: its alerts are over.
fn end_absent(state: &mut State, judged: &[Judged]) -> Vec<Alert> {
    let known: BTreeSet<&About> = judged.iter().map(|judged| &judged.about).collect();
    let absent = |about: &About| !known.contains(about);
    let gone: Vec<_> = state.alarms.extract_if(.., |about, _| absent(about)).collect();
    let raised = gone.into_iter().filter_map(|(about, (_, alert))| Some((about, alert?)));
    let resolve = |(about, alert): (About, Alert)| {
        state.counts.entry(about.rule).or_default().resolved += 1;
        Alert { state: AlertState::Resolved, ..alert }
    };
    raised.map(resolve).collect()
}

/// A sink that panics costs nobody else an alert, nor the next look.
fn guarded(alert: &str, tell: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(tell)).is_err() {
        tracing::error!("an alert sink panicked, and may not have told of {alert}");
    }
}
