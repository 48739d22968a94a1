//! What becomes of a call that has ended, and of a message that gets no call: delivered, tried again, or given up.

use std::sync::Arc;
use std::time::Duration;

use tapeline_core::clock::{Now, micros};
use tapeline_schema::events::DeadLetterReason;

use super::{CallId, Happening, InFlight, Outcome, Worker};
use crate::breaker::Verdict;
use crate::component::Failure;
use crate::dead_letters::{DeadLetters, Letter, NoRoom, cut};
use crate::lanes::Item;
use crate::stats::BreakerState;

/// How long a critical message waits where the store of dead letters has no room for it.
const LETTER_RETRY: Duration = Duration::from_secs(1);

impl Worker {
    /// A call has come back.
    pub(super) fn on_done(&mut self, id: CallId, outcome: Outcome, now: Now, letters: &dyn DeadLetters) {
        if self.hung == Some(id) {
            self.hung = None;
            self.tell(Happening::Back);
            return;
        }
        let Some(call) = self.in_flight.take_if(|call| call.id == id) else { return };
        self.on_end(&call, now);
        let verdict = verdict(&outcome);
        let InFlight { item, permit, .. } = call;
        let fraction = if verdict == Verdict::Failure { (self.chance)() } else { 0.0 };
        self.breaker.on_result(permit, verdict, now, fraction);
        match outcome {
            Outcome::Delivered => {
                self.counts.delivered += 1;
                self.lanes.release(item.key);
            }
            failed => self.on_failed(item, failed, now, letters),
        }
    }

    fn on_failed(&mut self, mut item: Item, outcome: Outcome, now: Now, letters: &dyn DeadLetters) {
        let Some(failed) = failed(outcome) else { return };
        *self.counts.failed.entry(failed.kind).or_default() += 1;
        if failed.reason == DeadLetterReason::Panic {
            self.tell(Happening::Panicked);
        }
        let past = item.past();
        if past.attempts == 0 {
            past.first_us = now.wall_us;
        }
        past.attempts = past.attempts.saturating_add(1);
        past.error = cut(&failed.error);
        let attempts = past.attempts;
        if failed.may_retry && self.may_retry(attempts) {
            let due_us = now.after(self.pause(attempts));
            return self.lanes.hold(item, due_us);
        }
        self.give_up(item, failed.reason, now, letters);
    }

    fn may_retry(&mut self, attempts: u32) -> bool {
        if attempts >= self.bounds.retry.attempts {
            return false;
        }
        if self.bounds.retry.budget.is_some() {
            if self.retries < 1.0 {
                return false;
            }
            self.retries -= 1.0;
        }
        true
    }

    /// Full jitter: a random time below a bound that doubles.
    fn pause(&mut self, attempts: u32) -> Duration {
        let retry = &self.bounds.retry;
        let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let bound = retry.base.max(Duration::from_millis(1)).saturating_mul(factor).min(retry.cap);
        bound.mul_f64((self.chance)().clamp(0.0, 1.0))
    }

    /// Makes a dead letter of a message. A critical one for which there is no room is kept, and offered again.
    pub(super) fn give_up(
        &mut self,
        mut item: Item,
        reason: DeadLetterReason,
        now: Now,
        letters: &dyn DeadLetters,
    ) {
        if letters.put(self.letter(&item, reason, now)).is_ok() {
            *self.counts.dead_lettered.entry(reason.name()).or_default() += 1;
            return self.lanes.release(item.key);
        }
        item.past().given_up = Some(reason);
        self.tell(Happening::NoRoomForLetters);
        self.lanes.hold(item, now.after(LETTER_RETRY));
    }

    fn letter(&self, item: &Item, reason: DeadLetterReason, now: Now) -> Letter {
        let past = item.past.as_deref();
        Letter {
            component: self.name.clone(),
            reason,
            error: past.map(|past| past.error.clone()).unwrap_or_default(),
            attempts: past.map_or(0, |past| past.attempts),
            first_us: past.filter(|past| past.attempts > 0).map_or(now.wall_us, |past| past.first_us),
            last_us: now.wall_us,
            update: Arc::clone(&item.update),
            redriven: past.map_or(0, |past| past.redriven),
            history: past.map(|past| past.history.clone()).unwrap_or_default(),
            run: self.run,
            serial: item.serial,
        }
    }

    /// Makes a dead letter of a critical message that comes in and finds no room.
    pub(crate) fn spill(&mut self, item: &Item, now: Now, letters: &dyn DeadLetters) -> Result<(), NoRoom> {
        let is_on = self.hung.is_none() && self.breaker.state() == BreakerState::Closed;
        let reason = if is_on { DeadLetterReason::Overflow } else { DeadLetterReason::CircuitOpen };
        letters.put(self.letter(item, reason, now))?;
        self.counts.accepted += 1;
        *self.counts.dead_lettered.entry(reason.name()).or_default() += 1;
        self.tell(Happening::Spilled);
        Ok(())
    }

    /// Counts a critical message that others have and for which there was not even room as a dead letter.
    pub(crate) fn lose(&mut self) {
        self.counts.accepted += 1;
        *self.counts.dropped.entry("no_room_for_letters").or_default() += 1;
        self.tell(Happening::Lost);
    }

    /// The call under way does not come back: it counts as timed out, and what it was called with is given up, since
    /// it may yet take effect. Whatever it answers later is ignored.
    pub(crate) fn on_hung(&mut self, id: CallId, now: Now, letters: &dyn DeadLetters) {
        let Some(call) = self.in_flight.take_if(|call| call.id == id) else { return };
        self.hung = Some(id);
        self.on_end(&call, now);
        let InFlight { mut item, permit, .. } = call;
        let fraction = (self.chance)();
        self.breaker.on_result(permit, Verdict::Failure, now, fraction);
        if self.breaker.state() != BreakerState::Open {
            self.breaker.open(now, fraction);
        }
        *self.counts.failed.entry("timeout").or_default() += 1;
        let past = item.past();
        if past.attempts == 0 {
            past.first_us = now.wall_us;
        }
        past.attempts = past.attempts.saturating_add(1);
        past.error =
            format!("the call has not come back within {} us", micros(now.since(call.since_us))).into();
        self.give_up(item, DeadLetterReason::Timeout, now, letters);
        self.tell(Happening::Hung);
        self.tell_breaker();
    }

    /// Gives up everything that waits, as nothing will be called any more: critical ones become dead letters, others
    /// are counted as dropped. A critical one without room for its letter stays.
    pub(crate) fn give_up_all(&mut self, now: Now, letters: &dyn DeadLetters) {
        for item in self.lanes.drain() {
            if item.lane() == 0 {
                self.give_up(item, DeadLetterReason::Stopped, now, letters);
            } else {
                *self.counts.dropped.entry("stopped").or_default() += 1;
            }
        }
    }
}

fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Delivered => Verdict::Success,
        Outcome::Failed(Failure::Message(_)) => Verdict::Ignored,
        _ => Verdict::Failure,
    }
}

/// A failed call, as it is counted.
struct Failed {
    kind: &'static str,
    error: Box<str>,
    may_retry: bool,
    /// Why the message is given up, where it is not tried again.
    reason: DeadLetterReason,
}

fn failed(outcome: Outcome) -> Option<Failed> {
    let (kind, error, may_retry, reason) = match outcome {
        Outcome::Delivered => return None,
        Outcome::Failed(Failure::Transient(error)) => {
            ("transient", error.into(), true, DeadLetterReason::MaxRetries)
        }
        Outcome::Failed(Failure::Permanent(error)) => {
            ("permanent", error.into(), false, DeadLetterReason::MaxRetries)
        }
        Outcome::Failed(Failure::Message(error)) => {
            ("message", error.into(), false, DeadLetterReason::Validation)
        }
        Outcome::TimedOut => {
            ("timeout", "the call took longer than it may".into(), true, DeadLetterReason::Timeout)
        }
        Outcome::Panicked(error) => ("panic", error, false, DeadLetterReason::Panic),
    };
    Some(Failed { kind, error, may_retry, reason })
}
