//! What was seen lately: samples of all counters, kept for a minute, so that rates are of the last 30 to 60 seconds. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tapeline_core::Now;

use super::measure::Timed;
use crate::dead_letters::Kept;
use crate::stats::PipelineStats;

/// Rates are of so long a time, or of the time between two looks where that is longer.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// Samples closer than this are not both kept.
const STEP: Duration = Duration::from_secs(1);

/// All counters at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) now: Now,
    pub(crate) stats: PipelineStats,
    /// Times by component; none where nothing is timed.
    pub(crate) timed: BTreeMap<Arc<str>, Timed>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) kept: Kept,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Window(VecDeque<Sample>);

impl Window {
    /// What a sample of now is to be compared with: the oldest of the last minute, or the last one if that is longer ago.
    pub(crate) fn before(&mut self, now: Now) -> Option<&Sample> {
        while self.0.len() > 1 && self.0.front().is_some_and(|old| now.since(old.now.mono_us) > WINDOW) {
            self.0.pop_front();
        }
        self.0.front()
    }

    /// Keeps a sample for later, unless one was kept a moment ago.
    pub(crate) fn keep(&mut self, sample: Sample) {
        if self.0.back().is_none_or(|last| sample.now.since(last.now.mono_us) >= STEP) {
            self.0.push_back(sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: f64) -> Sample {
        let mono_us = (seconds * 1e6) as u64;
        Sample { now: Now { mono_us, wall_us: mono_us }, ..Sample::default() }
    }

    /// The ages of what looks at these times are compared with.
    fn ages(looks: &[f64]) -> Vec<Option<f64>> {
        let mut window = Window::default();
        let age = |at: &f64| {
            let now = sample(*at).now;
            let age = window.before(now).map(|old| now.since(old.now.mono_us).as_secs_f64());
            window.keep(sample(*at));
            age
        };
        looks.iter().map(age).collect()
    }

    #[test]
    fn rates_are_of_the_last_minute_or_since_the_last_look() {
        assert_eq!(
            ages(&[0.0, 30.0, 60.0, 90.0, 120.0]),
            [None, Some(30.0), Some(60.0), Some(60.0), Some(60.0)]
        );
        assert_eq!(ages(&[0.0, 300.0, 600.0]), [None, Some(300.0), Some(300.0)]);
    }

    #[test]
    fn looks_that_follow_each_other_closely_keep_no_more_than_one_sample_a_second() {
        let mut window = Window::default();
        for n in 0..2_000 {
            let sample = sample(f64::from(n) / 20.0);
            window.before(sample.now);
            window.keep(sample);
        }
        assert!(window.0.len() <= 61, "{}", window.0.len());
    }
}
