//! Letters of critical messages: they are given up in an outage, so the broker may refuse them too. What it refuses for now,
//! or never answers, comes back and is offered again under the same key, within a bound of its own; only past it is a letter
//! lost. It does not know what a letter says, nor who asks for it to be offered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapeline_schema::Retry;

use super::counts::{Became, Counts};
use super::{Letter, Pushed, locked, source_of};
use crate::broker::{Broker, Drafts, Receipts, SLICE};
use crate::clock::Now;
use crate::error::Refusal;
use crate::message::Receipt;

/// Letters that wait or are with the broker, at most.
const LIMIT: usize = 16_384;
/// Their bytes at most.
const LIMIT_BYTES: usize = 32 << 20;
/// When what was refused for now is offered again.
const AGAIN: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Letters>>);

#[derive(Default)]
struct Letters {
    waiting: VecDeque<(u64, Letter)>,
    /// Letters that wait or are with the broker.
    held: usize,
    /// Of those.
    bytes: usize,
    /// How many there have been: their order.
    pushed: u64,
    /// Not before this monotonic time.
    not_before_us: u64,
    /// Letters that were lost.
    lost: u64,
}

impl Kept {
    /// Keeps a letter, unless there is no room.
    pub(super) fn push(&self, letter: Letter) -> Pushed {
        let mut kept = self.lock();
        let bytes = kept.bytes + letter.draft.data.len();
        if kept.held >= LIMIT || bytes > LIMIT_BYTES {
            kept.lost += 1;
            return Pushed::NoRoom;
        }
        let first = kept.waiting.is_empty();
        (kept.held, kept.bytes, kept.pushed) = (kept.held + 1, bytes, kept.pushed + 1);
        let number = kept.pushed;
        kept.waiting.push_back((number, letter));
        if first { Pushed::First } else { Pushed::Behind }
    }

    /// How many were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// Offers what waits; `false` if something still waits.
    pub(super) fn offer(&self, broker: &dyn Broker, counts: &Arc<Mutex<Counts>>, now: Now) -> bool {
        loop {
            let letters = self.take(now);
            if letters.is_empty() {
                return self.lock().waiting.is_empty();
            }
            let drafts: Drafts = letters.iter().map(|(_, letter)| letter.draft.clone()).collect();
            let mut offered = Offered { kept: self.clone(), counts: counts.clone(), letters, now };
            let receipts: Receipts = Box::new(move |outcomes| offered.answer(outcomes));
            // Where the broker is busy, its answer goes unsaid: what was offered comes back.
            if broker.publish(drafts, Some(receipts)).is_err() {
                return false;
            }
        }
    }

    fn take(&self, now: Now) -> Vec<(u64, Letter)> {
        let mut kept = self.lock();
        let due = if now.mono_us < kept.not_before_us { 0 } else { kept.waiting.len().min(SLICE) };
        kept.waiting.drain(..due).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Letters that are with the broker.
struct Offered {
    kept: Kept,
    counts: Arc<Mutex<Counts>>,
    letters: Vec<(u64, Letter)>,
    now: Now,
}

impl Offered {
    fn answer(&mut self, outcomes: Vec<Result<Receipt, Refusal>>) {
        let mut again = Vec::new();
        for ((number, letter), outcome) in std::mem::take(&mut self.letters).into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => self.end(&letter, Became::Taken),
                Err(refusal) if refusal.code.retry() == Retry::Never => self.end(&letter, Became::Lost),
                Err(_) => again.push((number, letter)),
            }
        }
        self.letters = again;
    }

    fn end(&self, letter: &Letter, became: Became) {
        let source = source_of(letter.draft.channel.name()).unwrap_or_default();
        locked(&self.counts).add_own(source, letter.reason, became);
        let mut kept = self.kept.lock();
        kept.held -= 1;
        kept.bytes -= letter.draft.data.len();
        kept.lost += u64::from(matches!(became, Became::Lost));
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        if self.letters.is_empty() {
            return;
        }
        let mut kept = self.kept.lock();
        kept.not_before_us = self.now.after(AGAIN);
        kept.waiting.extend(self.letters.drain(..));
        // Slices come back in any order.
        kept.waiting.make_contiguous().sort_by_key(|(number, _)| *number);
    }
}
