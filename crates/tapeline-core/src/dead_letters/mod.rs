//! Dead letters: what the hub and its feeds give up becomes a message of the family `dead_letters`, and every letter that
//! the broker takes, whoever wrote it, is counted by source and reason.
//!
//! Giving up never waits and never comes back on itself: a letter that finds no room waits in a bounded queue, and one
//! that cannot be published at all is counted as lost; those of critical messages are [`kept`] until an outage ends. It
//! does not know how letters are read, redriven or purged.

mod counts;
mod kept;
mod letter;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tapeline_schema::Priority;
use tapeline_schema::events::{DEAD_LETTERS, DeadLetterReason};

use crate::broker::{Broker, Busy, Drafts, Receipts, SLICE};
use crate::channel::Channel;
use crate::clock::Now;
use crate::command::Publication;
use crate::hub::Hub;
use crate::message::{Draft, IdempotencyKey};
use crate::rights::Grant;
use crate::settings::Rate;
use crate::watch::PRINCIPAL;

pub use counts::LetterCount;
use counts::{Became, Counts};
use kept::Kept;
pub use letter::{GivenUp, Original, reason_in};

/// Letters of one source that the hub writes, but for those of critical messages: more are lost, and counted.
const RATE: Rate = Rate { per_second: 100, burst: 1_000 };
/// Letters that wait for room at most, and their bytes.
const WAITING: usize = 1_024;
const WAITING_BYTES: usize = 4 << 20;

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
    kept: Kept,
}

/// Letters that found no room, oldest first.
#[derive(Default)]
struct Waiting {
    letters: VecDeque<Letter>,
    bytes: usize,
}

struct Letter {
    draft: Draft,
    reason: DeadLetterReason,
}

/// How a letter came to wait.
enum Pushed {
    /// None waited before it.
    First,
    Behind,
    NoRoom,
}

impl Waiting {
    fn push(&mut self, letter: Letter) -> Pushed {
        let bytes = self.bytes + letter.draft.data.len();
        if self.letters.len() >= WAITING || bytes > WAITING_BYTES {
            return Pushed::NoRoom;
        }
        let first = self.letters.is_empty();
        self.bytes = bytes;
        self.letters.push_back(letter);
        if first { Pushed::First } else { Pushed::Behind }
    }

    fn take(&mut self) -> Vec<Letter> {
        let taken: Vec<Letter> = self.letters.drain(..self.letters.len().min(SLICE)).collect();
        self.bytes -= taken.iter().map(|letter| letter.draft.data.len()).sum::<usize>();
        taken
    }
}

impl DeadLetters {
    /// Letters by source and reason, since the start. At most 64 sources of the hub's own letters and 64 that others name
    /// are told apart, with 32 reasons each; the rest is `other`.
    pub fn counts(&self) -> Vec<LetterCount> {
        self.lock().list()
    }

    /// Letters that the hub gave up writing, since the start.
    pub fn lost(&self) -> u64 {
        self.counts().iter().map(|count| count.lost).sum()
    }

    /// Of those, letters of critical messages: never for want of room among others, nor in a short outage.
    pub fn lost_critical(&self) -> u64 {
        self.kept.lost()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        locked(&self.counts)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, source: &str, reason: DeadLetterReason) {
        self.lock().add_own(source, reason, Became::Lost);
    }

    /// Publishes drafts of others and counts the letters among them once the broker has taken them; repeats are none.
    pub(crate) fn publish(
        &self,
        broker: &dyn Broker,
        drafts: Drafts,
        receipts: Option<Receipts>,
    ) -> Result<(), Box<Busy>> {
        if !drafts.iter().any(is_letter) {
            return broker.publish(drafts, receipts);
        }
        let letters =
            drafts.iter().map(|draft| is_letter(draft).then(|| (draft.channel.clone(), draft.data.clone())));
        let letters: Vec<Option<(Channel, Bytes)>> = letters.collect();
        // If the broker is busy, the publisher gets its own receipts back.
        let own = Arc::new(Mutex::new(receipts));
        let (counts, lent) = (self.counts.clone(), own.clone());
        let counting: Receipts = Box::new(move |outcomes| {
            for ((channel, data), outcome) in letters
                .iter()
                .zip(&outcomes)
                .filter_map(|(letter, outcome)| Some((letter.as_ref()?, outcome)))
            {
                if outcome.as_ref().is_ok_and(|receipt| !receipt.duplicate) {
                    let (source, reason) = (source_of(channel.name()).unwrap_or_default(), reason_in(data));
                    locked(&counts).add_other(source, &reason);
                }
            }
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

fn locked(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a draft is a letter; notes on letters have another type.
fn is_letter(draft: &Draft) -> bool {
    draft.kind.is_none() && source_of(draft.channel.name()).is_some()
}

impl Hub {
    /// Writes a dead letter to `dead_letters:{source}`, now or as soon as there is room; it never waits. What cannot be
    /// written is counted as lost.
    pub fn give_up(&self, given_up: GivenUp<'_>) {
        let GivenUp { source, reason, .. } = given_up;
        let now = self.now();
        // What is critical is never let go of for being too much.
        let is_critical = self
            .channel(given_up.original.channel)
            .is_ok_and(|channel| channel.declared() && channel.spec().priority == Priority::Critical);
        if !is_critical && !self.dead_letters().lock().admit(source, RATE, now) {
            return self.dead_letters().lose(source, reason);
        }
        let channel = format!("{DEAD_LETTERS}:{source}");
        let data = given_up.json(self.settings().publish_bytes).into();
        let publication = Publication { channel: &*channel, data, ..Publication::default() };
        let drafted = self.drafter(&PRINCIPAL.into(), &Grant::Anyone, now).draft(publication, None);
        let Ok(draft) = drafted else { return self.dead_letters().lose(source, reason) };
        if is_critical {
            return self.keep_letter(source, Letter { draft, reason }, now);
        }
        // Let go of the queue before it is flushed.
        let pushed = self.dead_letters().waiting().push(Letter { draft, reason });
        match pushed {
            Pushed::First => {
                self.flush_dead_letters();
            }
            // The hub was too busy for the one before it, and that is offered again before long.
            Pushed::Behind => {}
            Pushed::NoRoom => self.dead_letters().lose(source, reason),
        }
    }

    fn keep_letter(&self, source: &str, mut letter: Letter, now: Now) {
        let reason = letter.reason;
        let key = letter.draft.id.to_string().into();
        letter.draft.idempotency = Some(Box::new(IdempotencyKey { principal: PRINCIPAL.into(), key }));
        match self.dead_letters().kept.push(letter) {
            Pushed::First => {
                self.offer_kept(now);
            }
            Pushed::Behind => {}
            Pushed::NoRoom => self.dead_letters().lose(source, reason),
        }
    }

    fn offer_kept(&self, now: Now) -> bool {
        let DeadLetters { counts, kept, .. } = self.dead_letters();
        kept.offer(&**self.broker(), counts, now)
    }

    /// Offers letters that wait for room once more, and those of critical messages that the broker has refused for now;
    /// `false` if some still wait.
    pub fn flush_dead_letters(&self) -> bool {
        // What is critical first.
        let none_kept = self.offer_kept(self.now());
        self.flush_waiting_letters() && none_kept
    }

    fn flush_waiting_letters(&self) -> bool {
        loop {
            let letters = self.dead_letters().waiting().take();
            let Some(first) = letters.first() else { return true };
            let taken = &self.stats().families.of(first.draft.channel.family()).taken;
            let named: Arc<[(Channel, DeadLetterReason)]> =
                letters.iter().map(|letter| (letter.draft.channel.clone(), letter.reason)).collect();
            let (counts, told) = (self.dead_letters().counts.clone(), named.clone());
            let receipts: Receipts = Box::new(move |outcomes| {
                let mut counts = locked(&counts);
                for ((channel, reason), outcome) in told.iter().zip(&outcomes) {
                    let became = if outcome.is_ok() { Became::Taken } else { Became::Lost };
                    counts.add_own(source_of(channel.name()).unwrap_or_default(), *reason, became);
                }
            });
            // Not by `Hub::publish`, which would have to find out what is known here.
            let drafts: Drafts = letters.into_iter().map(|letter| letter.draft).collect();
            if let Err(busy) = self.broker().publish(drafts, Some(receipts)) {
                self.stats().waited.add(1);
                self.keep_waiting(busy.drafts, &named);
                return false;
            }
            taken.add(named.len() as u64);
        }
    }

    /// Puts back what found no room, before what has come since.
    fn keep_waiting(&self, drafts: Drafts, named: &[(Channel, DeadLetterReason)]) {
        let mut waiting = self.dead_letters().waiting();
        for (draft, (_, reason)) in drafts.into_iter().zip(named).rev() {
            waiting.bytes += draft.data.len();
            waiting.letters.push_front(Letter { draft, reason: *reason });
        }
    }
}
