//! Critical drafts on their way to the broker, one slice at a time; what it refuses for now (a Redis out of reach, a full
//! disk) is offered again, under the same key, so that what was taken after all does not come twice while the broker
//! remembers the key: five minutes. No slice overtakes another; within one, what is refused for now comes after those
//! behind it that were taken. It does not decide what is given up: past its bound it hands out the oldest.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use tapeline_core::broker::{Drafts, Receipts, SLICE};
use tapeline_core::message::IdempotencyKey;
use tapeline_core::{Draft, Hub, Now, Receipt, Refusal};
use tapeline_schema::{ErrorCode, Retry};

/// Messages that wait at most.
pub(super) const LIMIT: usize = 16_384;
/// Bytes of their data at most.
const LIMIT_BYTES: usize = 32 << 20;
/// How often a draft is offered at most that the broker fails at for a fault of its own: that may last for good.
const FAULTS: u32 = 25;
/// When a busy hub is asked again.
const BUSY: Duration = Duration::from_millis(2);
/// When what was refused for now is offered again.
const AGAIN: Duration = Duration::from_millis(200);

type Outcomes = Vec<Result<Receipt, Refusal>>;

/// What the broker said of one draft.
pub(super) enum Answer {
    Taken,
    /// For now; without a refusal the broker said nothing.
    Later(Offer, Option<Refusal>),
    Refused(Draft, Refusal),
}

/// A draft that is critical.
#[derive(Clone)]
pub(super) struct Offer {
    draft: Draft,
    /// How often the broker failed at it.
    faults: u32,
}

impl Answer {
    fn of((mut offer, outcome): (Offer, Result<Receipt, Refusal>)) -> Self {
        let Err(refusal) = outcome else { return Answer::Taken };
        offer.faults += u32::from(refusal.code == ErrorCode::Internal);
        if refusal.code.retry() == Retry::Never || offer.faults >= FAULTS {
            Answer::Refused(offer.draft, refusal)
        } else {
            Answer::Later(offer, Some(refusal))
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Critical {
    waiting: VecDeque<Offer>,
    bytes: usize,
    /// What was sent and is not answered.
    out: Option<(Vec<Offer>, Receiver<Outcomes>)>,
    /// Not before this monotonic time.
    not_before_us: u64,
}

impl Critical {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.out.is_none()
    }

    /// How many wait or are not answered.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.out.as_ref().map_or(0, |(offers, _)| offers.len())
    }

    /// Whether the broker owes an answer.
    pub(super) fn is_owed(&self) -> bool {
        self.out.is_some()
    }

    pub(super) fn push(&mut self, mut draft: Draft, principal: &std::sync::Arc<str>) {
        if draft.idempotency.is_none() {
            let key = draft.id.to_string().into();
            draft.idempotency = Some(Box::new(IdempotencyKey { principal: principal.clone(), key }));
        }
        self.bytes += draft.data.len();
        self.waiting.push_back(Offer { draft, faults: 0 });
    }

    /// The oldest that are over the bound.
    pub(super) fn take_over(&mut self) -> Vec<Draft> {
        let mut over = Vec::new();
        while self.waiting.len() > LIMIT || self.bytes > LIMIT_BYTES {
            let Some(Offer { draft, .. }) = self.waiting.pop_front() else { break };
            self.bytes -= draft.data.len();
            over.push(draft);
        }
        over
    }

    /// All that waits, and what was sent without an answer so far.
    pub(super) fn take_all(&mut self) -> Vec<Draft> {
        let out = self.out.take().map(|(offers, _)| offers).unwrap_or_default();
        self.bytes = 0;
        out.into_iter().chain(self.waiting.drain(..)).map(|offer| offer.draft).collect()
    }

    /// Sends what it can; `false` if something waits or is not answered. What became of those that were answered is told.
    pub(super) fn flush(&mut self, hub: &Hub, now: Now, mut told: impl FnMut(&Answer)) -> bool {
        loop {
            match self.take_answers() {
                None => return false,
                Some(answers) => {
                    answers.iter().for_each(&mut told);
                    self.take_back(answers, now);
                }
            }
            if self.waiting.is_empty() {
                return true;
            }
            if now.mono_us < self.not_before_us {
                return false;
            }
            let offers: Vec<Offer> = self.waiting.drain(..self.waiting.len().min(SLICE)).collect();
            self.bytes -= bytes_of(&offers);
            let slice: Drafts = offers.iter().map(|offer| offer.draft.clone()).collect();
            let (say, outcomes) = sync_channel(1);
            let receipts: Receipts = Box::new(move |outcomes| {
                // Where nobody listens any more, the intake is gone.
                let _ = say.send(outcomes);
            });
            if hub.publish(slice, Some(receipts)).is_err() {
                self.not_before_us = now.after(BUSY);
                self.put_back(offers);
                return false;
            }
            self.out = Some((offers, outcomes));
        }
    }

    /// `None` while the broker owes an answer; nothing where none is owed.
    fn take_answers(&mut self) -> Option<Vec<Answer>> {
        let Some((offers, outcomes)) = self.out.take() else { return Some(Vec::new()) };
        match outcomes.try_recv() {
            Ok(outcomes) => Some(offers.into_iter().zip(outcomes).map(Answer::of).collect()),
            Err(TryRecvError::Empty) => {
                self.out = Some((offers, outcomes));
                None
            }
            // The broker ended without a word: the key says whether it had taken them.
            Err(TryRecvError::Disconnected) => {
                Some(offers.into_iter().map(|offer| Answer::Later(offer, None)).collect())
            }
        }
    }

    fn take_back(&mut self, answers: Vec<Answer>, now: Now) {
        let later = answers.into_iter().filter_map(|answer| match answer {
            Answer::Later(offer, _) => Some(offer),
            Answer::Taken | Answer::Refused(..) => None,
        });
        let later: Vec<Offer> = later.collect();
        if !later.is_empty() {
            self.not_before_us = now.after(AGAIN);
            self.put_back(later);
        }
    }

    fn put_back(&mut self, offers: Vec<Offer>) {
        self.bytes += bytes_of(&offers);
        for offer in offers.into_iter().rev() {
            self.waiting.push_front(offer);
        }
    }
}

fn bytes_of(offers: &[Offer]) -> usize {
    offers.iter().map(|offer| offer.draft.data.len()).sum()
}
