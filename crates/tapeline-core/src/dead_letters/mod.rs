//! Dead letters: what the hub and its feeds give up becomes a message of the family `dead_letters`, and every letter that
//! the hub takes, whoever wrote it, is counted by source and reason.
//!
//! Giving up never waits and never comes back on itself: a letter that finds no room waits in a bounded queue, and one
//! that cannot be published at all is counted as lost. It does not know how letters are read, redriven or purged.

mod counts;
mod letter;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapeline_schema::events::{DEAD_LETTERS, DeadLetterReason};

use crate::broker::{Broker, Busy, Drafts, Receipts, SLICE};
use crate::command::Publication;
use crate::hub::Hub;
use crate::message::Draft;
use crate::session::Grant;
use crate::settings::Rate;

pub use counts::LetterCount;
use counts::{Became, Counts};
pub use letter::{GivenUp, Original, reason_in};

/// Letters of one source that the hub writes: more are lost, and counted.
const RATE: Rate = Rate { per_second: 100, burst: 1_000 };
/// Letters that wait for room at most, and their bytes.
const WAITING: usize = 1_024;
const WAITING_BYTES: usize = 4 << 20;
/// Who publishes the hub's own letters.
const PRINCIPAL: &str = "hub";

/// The source that a channel of dead letters is of: what follows `dead_letters:`, or nothing for the bare name.
pub fn source_of(channel: &str) -> Option<&str> {
    match channel.strip_prefix(DEAD_LETTERS)? {
        "" => Some(""),
        rest => rest.strip_prefix(':'),
    }
}

/// See the module.
#[derive(Default)]
pub struct DeadLetters {
    counts: Arc<Mutex<Counts>>,
    waiting: Mutex<Waiting>,
}

/// Letters that found no room, oldest first.
#[derive(Default)]
struct Waiting {
    letters: VecDeque<Letter>,
    bytes: usize,
}

struct Letter {
    draft: Draft,
    source: Box<str>,
    reason: DeadLetterReason,
}

impl Waiting {
    /// `false` if there is no room.
    fn push(&mut self, letter: Letter) -> bool {
        let bytes = self.bytes + letter.draft.data.len();
        if self.letters.len() >= WAITING || bytes > WAITING_BYTES {
            return false;
        }
        self.bytes = bytes;
        self.letters.push_back(letter);
        true
    }

    fn take(&mut self) -> Vec<Letter> {
        let taken: Vec<Letter> = self.letters.drain(..self.letters.len().min(SLICE)).collect();
        self.bytes -= taken.iter().map(|letter| letter.draft.data.len()).sum::<usize>();
        taken
    }
}

impl DeadLetters {
    /// Letters by source and reason, since the start. At most 64 sources with 32 reasons each are told apart; the rest
    /// is `other`.
    pub fn counts(&self) -> Vec<LetterCount> {
        self.lock().list()
    }

    /// Letters that the hub gave up writing, since the start.
    pub fn lost(&self) -> u64 {
        self.counts().iter().map(|count| count.lost).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, source: &str, reason: DeadLetterReason) {
        self.lock().add(source, reason.name(), Became::Lost);
    }

    /// Publishes drafts and counts the letters among them that the broker takes; repeats are none.
    pub(crate) fn publish(
        &self,
        broker: &dyn Broker,
        drafts: Drafts,
        receipts: Option<Receipts>,
    ) -> Result<(), Box<Busy>> {
        if !drafts.iter().any(|draft| letter_source(draft).is_some()) {
            return broker.publish(drafts, receipts);
        }
        let named = drafts.iter().map(|draft| {
            letter_source(draft).map(|source| (Box::from(source), letter::reason_in(&draft.data)))
        });
        let named: Vec<Option<(Box<str>, Box<str>)>> = named.collect();
        // If the broker is busy, the publisher gets its own receipts back.
        let own = Arc::new(Mutex::new(receipts));
        let (counts, lent) = (self.counts.clone(), own.clone());
        let counting: Receipts = Box::new(move |outcomes| {
            let mut table = counts.lock().unwrap_or_else(PoisonError::into_inner);
            for ((source, reason), outcome) in
                named.iter().zip(&outcomes).filter_map(|(named, outcome)| Some((named.as_ref()?, outcome)))
            {
                if outcome.as_ref().is_ok_and(|receipt| !receipt.duplicate) {
                    table.add(source, reason, Became::Taken);
                }
            }
            drop(table);
            let receipts = lent.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(receipts) = receipts {
                receipts(outcomes);
            }
        });
        broker.publish(drafts, Some(counting)).map_err(|mut busy| {
            busy.receipts = own.lock().unwrap_or_else(PoisonError::into_inner).take();
            busy
        })
    }
}

/// The source of a draft that is a letter; notes on letters have another type.
fn letter_source(draft: &Draft) -> Option<&str> {
    if draft.kind.is_some() {
        return None;
    }
    source_of(draft.channel.name())
}

impl Hub {
    /// Writes a dead letter to `dead_letters:{source}`, now or as soon as there is room; it never waits. What cannot be
    /// written is counted as lost.
    pub fn give_up(&self, given_up: GivenUp<'_>) {
        let GivenUp { source, reason, .. } = given_up;
        let now = self.now();
        if !self.dead_letters().lock().admit(source, RATE, now) {
            return self.dead_letters().lose(source, reason);
        }
        let channel = format!("{DEAD_LETTERS}:{source}");
        let data = given_up.json(self.settings().publish_bytes).into();
        let publication = Publication { channel: &*channel, data, ..Publication::default() };
        let drafted = self.drafter(&PRINCIPAL.into(), &Grant::Anyone, now).draft(publication, None);
        let taken = drafted.is_ok_and(|draft| {
            self.dead_letters().waiting().push(Letter { draft, source: source.into(), reason })
        });
        if !taken {
            self.dead_letters().lose(source, reason);
        }
        self.flush_dead_letters();
    }

    /// Offers letters that wait for room once more; `false` if some still wait.
    pub fn flush_dead_letters(&self) -> bool {
        loop {
            let letters = self.dead_letters().waiting().take();
            if letters.is_empty() {
                return true;
            }
            let mut named: Vec<_> = Vec::with_capacity(letters.len());
            let drafts: Drafts = letters
                .into_iter()
                .map(|letter| {
                    named.push((letter.source, letter.reason));
                    letter.draft
                })
                .collect();
            let (lost, told) = (self.dead_letters().counts.clone(), named.clone());
            let receipts: Receipts = Box::new(move |outcomes| {
                let mut counts = lost.lock().unwrap_or_else(PoisonError::into_inner);
                for ((source, reason), _) in told.iter().zip(&outcomes).filter(|(_, told)| told.is_err()) {
                    counts.add(source, reason.name(), Became::Lost);
                }
            });
            if let Err(busy) = self.publish(drafts, Some(receipts)) {
                self.keep_waiting(busy.drafts, named);
                return false;
            }
        }
    }

    /// Puts back what found no room, before what has come since.
    fn keep_waiting(&self, drafts: Drafts, named: Vec<(Box<str>, DeadLetterReason)>) {
        let mut waiting = self.dead_letters().waiting();
        for (draft, (source, reason)) in drafts.into_iter().zip(named).rev() {
            waiting.bytes += draft.data.len();
            waiting.letters.push_front(Letter { draft, source, reason });
        }
    }
}
