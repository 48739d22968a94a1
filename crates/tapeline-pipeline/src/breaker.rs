//! Switches a component off that mostly fails, and on again when trials succeed. Pure: time and chance are handed in.
//!
//! Calls are judged over a time window of one-second buckets. A permit says in which state its call began: one that
//! ends in another state does not count there. It does not know what a call is.

use std::time::Duration;

use tapeline_core::clock::{Now, micros};

use crate::config::BreakerConfig;
use crate::stats::BreakerState;

const SECOND_US: u64 = 1_000_000;
/// Buckets of the longest window.
const MOST_SECONDS: u64 = 600;

/// That one call may be made; it is given back with how the call ended, whatever that was.
#[derive(Debug)]
#[must_use = "a permit that is not given back is a trial that never ends"]
pub(crate) struct Permit {
    generation: u64,
}

/// How a call counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Success,
    Failure,
    /// The message was to blame: as if there had been no call.
    Ignored,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    second: u64,
    calls: u32,
    failures: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until_us: u64 },
    HalfOpen { begun: u32, ended: u32, failed: u32 },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Breaker {
    config: BreakerConfig,
    state: State,
    generation: u64,
    window: Vec<Bucket>,
    /// Trials that failed in a row.
    relapses: u32,
}

impl Breaker {
    pub(crate) fn new(config: BreakerConfig) -> Self {
        let seconds = config.window.as_secs().clamp(1, MOST_SECONDS);
        let window = (0..seconds).map(|_| Bucket::default()).collect();
        Breaker { config, state: State::Closed, generation: 0, window, relapses: 0 }
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// A permit for a call now; or from when on to ask again, by the monotonic clock (`None`: when a call has ended).
    pub(crate) fn permit(&mut self, now: Now) -> Result<Permit, Option<u64>> {
        if let State::Open { until_us } = self.state {
            if now.mono_us < until_us {
                return Err(Some(until_us));
            }
            self.enter(State::HalfOpen { begun: 0, ended: 0, failed: 0 });
        }
        if let State::HalfOpen { begun, .. } = &mut self.state {
            if *begun >= self.config.trial_calls.max(1) {
                return Err(None);
            }
            *begun += 1;
        }
        Ok(Permit { generation: self.generation })
    }

    /// A call has ended; `fraction` is a random one in `0.0..=1.0`.
    pub(crate) fn on_result(&mut self, permit: Permit, verdict: Verdict, now: Now, fraction: f64) {
        if permit.generation != self.generation {
            return;
        }
        match &mut self.state {
            State::Closed => {
                self.count(verdict, now);
                if verdict == Verdict::Failure && self.fails(now) {
                    self.open(now, fraction);
                }
            }
            State::HalfOpen { begun, .. } if verdict == Verdict::Ignored => *begun = begun.saturating_sub(1),
            State::HalfOpen { ended, failed, .. } => {
                *ended += 1;
                *failed += u32::from(verdict == Verdict::Failure);
                let (ended, failed) = (*ended, *failed);
                self.judge_trial(ended, failed, now, fraction);
            }
            State::Open { .. } => {}
        }
    }

    /// Switches it off at once, as for a call that does not come back.
    pub(crate) fn open(&mut self, now: Now, fraction: f64) {
        let factor = 1_u32.checked_shl(self.relapses).unwrap_or(u32::MAX);
        let bound = self.config.open.saturating_mul(factor).min(self.config.max_open);
        self.relapses = self.relapses.saturating_add(1);
        // Half of it is certain: a component that fails is left alone for a while, whatever chance says.
        let open = bound / 2 + (bound / 2).mul_f64(fraction.clamp(0.0, 1.0));
        let open = open.max(Duration::from_millis(1));
        self.enter(State::Open { until_us: now.mono_us.saturating_add(micros(open)) });
    }

    /// Begins anew, closed.
    pub(crate) fn reset(&mut self) {
        self.relapses = 0;
        self.window.fill(Bucket::default());
        self.enter(State::Closed);
    }

    fn enter(&mut self, state: State) {
        self.generation += 1;
        self.state = state;
    }

    /// It is over as soon as its end is certain: a component that is still down is not called with all the trials.
    fn judge_trial(&mut self, ended: u32, failed: u32, now: Now, fraction: f64) {
        let trials = self.config.trial_calls.max(1);
        if self.is_too_much(failed, trials) && failed > 0 {
            self.open(now, fraction);
        } else if ended >= trials {
            self.reset();
        }
    }

    fn count(&mut self, verdict: Verdict, now: Now) {
        if verdict == Verdict::Ignored {
            return;
        }
        let second = now.mono_us / SECOND_US;
        let place = usize::try_from(second % self.window.len().max(1) as u64).unwrap_or(0);
        let Some(bucket) = self.window.get_mut(place) else { return };
        if bucket.second != second {
            *bucket = Bucket { second, calls: 0, failures: 0 };
        }
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failures = bucket.failures.saturating_add(u32::from(verdict == Verdict::Failure));
    }

    fn fails(&self, now: Now) -> bool {
        let second = now.mono_us / SECOND_US;
        let oldest = second.saturating_sub(self.window.len() as u64 - 1);
        let recent = self.window.iter().filter(|bucket| bucket.second >= oldest && bucket.second <= second);
        let (calls, failures) = recent.fold((0_u32, 0_u32), |(calls, failures), bucket| {
            (calls.saturating_add(bucket.calls), failures.saturating_add(bucket.failures))
        });
        calls >= self.config.minimum_calls.max(1) && self.is_too_much(failures, calls)
    }

    fn is_too_much(&self, failures: u32, calls: u32) -> bool {
        f64::from(failures) * 100.0 >= self.config.failure_rate_percent * f64::from(calls)
    }
}

#[cfg(test)]
mod tests;
