//! One component's state machine: what is given to it, which call is next, and what becomes of each. Pure: time, chance
//! and the store of dead letters are handed in. It does not know threads, nor how a call is made.

mod ends;
mod latency;

use std::sync::Arc;
use std::time::Duration;

use tapeline_core::clock::Now;
use tapeline_core::feed::Update;
use tapeline_schema::events::DeadLetterReason;

use crate::breaker::{Breaker, Permit, Verdict};
use crate::component::Failure;
use crate::config::{BreakerConfig, QueueConfig, RetryConfig};
use crate::dead_letters::DeadLetters;
use crate::lanes::{Item, Lanes};
use crate::stats::{BreakerState, ComponentStats};

pub use latency::{Histogram, Latencies, STAGES, Stage};

/// A random fraction in `0.0..=1.0`, each time another.
pub(crate) type Chance = Box<dyn FnMut() -> f64 + Send>;

/// What a component's owner may set for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Its lanes and how long a call may take.
    pub queue: QueueConfig,
    /// When a failed call is tried again.
    pub retry: RetryConfig,
    /// When it is switched off.
    pub breaker: BreakerConfig,
    /// A call that takes longer is counted as slow.
    pub slow_after: Duration,
    /// A message that is older when its turn comes is not worth a call: counted as expired, or a dead letter where it
    /// is critical.
    pub deadline: Option<Duration>,
    /// Whether the time from receipt to each stage is measured.
    pub measure: Measure,
}

/// Whether latencies are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// They are.
    #[default]
    Latency,
    /// They are not.
    Nothing,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            queue: QueueConfig::default(),
            retry: RetryConfig::default(),
            breaker: BreakerConfig::default(),
            slow_after: Duration::from_millis(5),
            deadline: None,
            measure: Measure::Latency,
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Delivered,
    Failed(Failure),
    TimedOut,
    Panicked(Box<str>),
}

/// A call's name.
pub(crate) type CallId = u64;

/// What a component's thread is to do.
#[derive(Debug)]
pub(crate) enum Step {
    /// Call it.
    Call { id: CallId, update: Arc<Update> },
    /// Ask again at this monotonic time, or when woken.
    Wait { until_us: u64 },
    /// Ask again when woken.
    Idle,
    /// There is no more to do for this thread.
    End,
}

/// Whether a component's thread is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    #[default]
    Never,
    /// Once nothing waits.
    Drained,
    /// Now.
    Now,
}

/// Something that whoever watches the pipeline may want to know at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The breaker is in this state now.
    Breaker(BreakerState),
    /// A call does not come back.
    Hung,
    /// The call that did not come back has come back.
    Back,
    /// The component panicked.
    Panicked,
    /// A critical message found no room in its lane and became a dead letter.
    Spilled,
    /// A critical message cannot be given up, as its share of the store of dead letters is full; it is kept.
    NoRoomForLetters,
    /// A critical message is lost to this component, and counted as dropped for `no_room_for_letters`: its lane is full
    /// and so is its share of the store of dead letters. Other components have it.
    Lost,
}

#[derive(Debug)]
struct InFlight {
    id: CallId,
    item: Item,
    permit: Permit,
    since_us: u64,
}

/// See the module.
pub(crate) struct Worker {
    name: Arc<str>,
    run: u64,
    bounds: Bounds,
    lanes: Lanes,
    breaker: Breaker,
    chance: Chance,
    /// Retries that may still be made, where they have a budget.
    retries: f64,
    in_flight: Option<InFlight>,
    /// The call that did not come back: the thread is still in it.
    hung: Option<CallId>,
    calls: CallId,
    counts: ComponentStats,
    latencies: Option<Box<Latencies>>,
    happenings: Vec<Happening>,
    told: BreakerState,
    ending: Ending,
    /// Nothing is taken in any more.
    is_closed: bool,
    /// The thread waits to be woken by what comes in.
    is_idle: bool,
    /// The thread was told to end.
    has_ended: bool,
}

/// The most happenings that wait to be told: whoever calls tells them right after.
const HAPPENINGS: usize = 64;

impl Worker {
    pub(crate) fn new(name: Arc<str>, run: u64, bounds: Bounds, chance: Chance) -> Self {
        Worker {
            lanes: Lanes::new(&bounds.queue),
            breaker: Breaker::new(bounds.breaker.clone()),
            latencies: (bounds.measure == Measure::Latency).then(Box::default),
            retries: bounds.retry.budget.map_or(0.0, f64::from),
            name,
            run,
            bounds,
            chance,
            in_flight: None,
            hung: None,
            calls: 0,
            counts: ComponentStats::default(),
            happenings: Vec::new(),
            told: BreakerState::Closed,
            ending: Ending::Never,
            is_closed: false,
            is_idle: false,
            has_ended: false,
        }
    }

    pub(crate) fn stats(&self) -> ComponentStats {
        let mut queued = self.lanes.waiting();
        let lane = self.in_flight.as_ref().and_then(|call| queued.get_mut(call.item.lane()));
        lane.into_iter().for_each(|lane| *lane += 1);
        let (breaker, hung) = (self.breaker.state(), self.hung.is_some());
        ComponentStats { queued, breaker, hung, ..self.counts.clone() }
    }

    pub(crate) fn latencies(&self) -> Option<&Latencies> {
        self.latencies.as_deref()
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        let seconds = self.bounds.queue.timeout_seconds;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).max(Duration::from_millis(1))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Takes nothing in any more.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(crate) fn end(&mut self, ending: Ending) {
        self.ending = ending;
    }

    /// Begins anew with what waits: the breaker closed, and everything due that was to be tried again.
    pub(crate) fn restart(&mut self) {
        self.ending = Ending::Never;
        if self.hung.is_none() {
            self.breaker.reset();
        }
        self.counts.conflated += self.lanes.let_due_go(None);
        self.tell_breaker();
    }

    pub(crate) fn is_hung(&self) -> bool {
        self.hung.is_some()
    }

    /// Whether the thread waits to be woken; asked by whoever is going to wake it.
    pub(crate) fn take_idle(&mut self) -> bool {
        std::mem::take(&mut self.is_idle)
    }

    /// Whether the thread was told to end since the last time.
    pub(crate) fn take_ended(&mut self) -> bool {
        std::mem::take(&mut self.has_ended)
    }

    /// What is to be told since the last time.
    pub(crate) fn take_happenings(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happenings)
    }

    pub(crate) fn count_skipped(&mut self) {
        self.counts.skipped += 1;
    }

    /// Whether a message of this lane would find no room, or cost another its own.
    pub(crate) fn is_full(&self, lane: usize) -> bool {
        self.lanes.is_full(lane)
    }

    /// Whether a critical message would find no room.
    pub(crate) fn is_critical_full(&self) -> bool {
        self.lanes.is_full(0)
    }

    /// Whether a source that can wait should: there is no room for a critical message, and there will be soon.
    pub(crate) fn holds_back(&self) -> bool {
        self.is_critical_full() && self.hung.is_none() && self.breaker.state() == BreakerState::Closed
    }

    /// Takes a message in.
    pub(crate) fn offer(&mut self, item: Item) {
        self.counts.accepted += 1;
        self.counts.redriven += u64::from(item.past.as_ref().is_some_and(|past| past.redriven > 0));
        let newest_only = self.hung.is_some() || self.told != BreakerState::Closed;
        let made = self.lanes.push(item, newest_only);
        self.counts.conflated += made.conflated;
        if made.dropped > 0 {
            *self.counts.dropped.entry("overflow").or_default() += made.dropped;
        }
    }

    /// Ends a call and says what is next.
    pub(crate) fn step(
        &mut self,
        done: Option<(CallId, Outcome)>,
        now: Now,
        letters: &dyn DeadLetters,
    ) -> Step {
        if let Some((id, outcome)) = done {
            self.on_done(id, outcome, now, letters);
        }
        let step = self.next(now, letters);
        self.tell_breaker();
        step
    }

    fn next(&mut self, now: Now, letters: &dyn DeadLetters) -> Step {
        self.is_idle = false;
        loop {
            if self.is_at_end() {
                self.has_ended = true;
                return Step::End;
            }
            self.counts.conflated += self.lanes.let_due_go(Some(now.mono_us));
            if self.lanes.is_empty() {
                self.is_idle = true;
                return Step::Idle;
            }
            let permit = match self.breaker.permit(now) {
                Ok(permit) => permit,
                // What comes in meanwhile changes nothing.
                Err(Some(until_us)) => return Step::Wait { until_us },
                Err(None) => {
                    self.is_idle = true;
                    return Step::Idle;
                }
            };
            let Some(item) = self.lanes.take() else {
                self.give_back(permit, now);
                self.is_idle = true;
                return self.lanes.next_due_us().map_or(Step::Idle, |until_us| Step::Wait { until_us });
            };
            match self.still_to_call(item, now, letters) {
                Some(item) => return self.begin(item, permit, now),
                None => self.give_back(permit, now),
            }
        }
    }

    fn is_at_end(&self) -> bool {
        match self.ending {
            Ending::Never => false,
            Ending::Drained => self.lanes.is_empty(),
            Ending::Now => true,
        }
    }

    fn give_back(&mut self, permit: Permit, now: Now) {
        self.breaker.on_result(permit, Verdict::Ignored, now, 0.0);
    }

    /// The message, unless it is given up already or too old.
    fn still_to_call(&mut self, item: Item, now: Now, letters: &dyn DeadLetters) -> Option<Item> {
        if let Some(reason) = item.past.as_ref().and_then(|past| past.given_up) {
            self.give_up(item, reason, now, letters);
            return None;
        }
        if !self.is_expired(&item, now) {
            return Some(item);
        }
        if item.lane() == 0 {
            self.give_up(item, DeadLetterReason::Expired, now, letters);
        } else {
            *self.counts.dropped.entry("expired").or_default() += 1;
            self.lanes.release(item.key);
        }
        None
    }

    /// What was sent anew is old by intent.
    fn is_expired(&self, item: &Item, now: Now) -> bool {
        let is_redriven = item.past.as_ref().is_some_and(|past| past.redriven > 0);
        let is_late = |deadline| now.since(item.update.received.mono_us) > deadline;
        !is_redriven && self.bounds.deadline.is_some_and(is_late)
    }

    fn begin(&mut self, item: Item, permit: Permit, now: Now) -> Step {
        self.calls += 1;
        self.counts.calls += 1;
        if item.past.as_ref().is_some_and(|past| past.attempts > 0) {
            self.counts.retried += 1;
        } else if let Some(budget) = self.bounds.retry.budget {
            self.retries = (self.retries + RETRIES_A_CALL).min(f64::from(budget));
        }
        if let Some(latencies) = &mut self.latencies {
            latencies.on_called(&item, now);
        }
        let (id, update) = (self.calls, item.update.clone());
        self.in_flight = Some(InFlight { id, item, permit, since_us: now.mono_us });
        Step::Call { id, update }
    }

    /// The call under way and since when, unless it is known not to come back.
    pub(crate) fn under_way(&self) -> Option<(CallId, u64)> {
        self.in_flight.as_ref().map(|call| (call.id, call.since_us))
    }

    fn tell(&mut self, happening: Happening) {
        if self.happenings.len() < HAPPENINGS {
            self.happenings.push(happening);
        }
    }

    /// Where the breaker has switched the component off, only the newest is kept of what is latest.
    fn tell_breaker(&mut self) {
        let state = self.breaker.state();
        if state == self.told {
            return;
        }
        self.told = state;
        if state == BreakerState::Open {
            self.counts.conflated += self.lanes.keep_newest();
        }
        self.tell(Happening::Breaker(state));
    }

    /// The time that a call has taken, and whether it was slow.
    fn on_end(&mut self, call: &InFlight, now: Now) {
        let took = now.since(call.since_us);
        self.counts.slow += u64::from(took > self.bounds.slow_after);
        if let Some(latencies) = &mut self.latencies {
            latencies.on_done(&call.item, now);
        }
    }
}

/// Retries that each first call pays for, where they have a budget.
const RETRIES_A_CALL: f64 = 0.1;

#[cfg(test)]
mod tests;
