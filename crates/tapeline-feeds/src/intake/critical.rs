//! Critical drafts on their way to the broker: never dropped, never overtaken by one another. One slice is with the broker
//! at a time; what it refuses for now (a Redis out of reach, a full disk) is offered again, under the same key, so that what
//! was taken after all does not come twice. It does not decide what is given up: past its bound it hands out the oldest.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use tapeline_core::broker::{Drafts, Receipts, SLICE};
use tapeline_core::message::IdempotencyKey;
use tapeline_core::{Draft, Hub, Now, Receipt, Refusal};
use tapeline_schema::Retry;

/// Messages that wait at most.
pub(super) const LIMIT: usize = 16_384;
/// Bytes of their data at most.
const LIMIT_BYTES: usize = 32 << 20;
/// When a busy hub is asked again.
const BUSY: Duration = Duration::from_millis(2);
/// When what was refused for now is offered again.
const AGAIN: Duration = Duration::from_millis(200);

type Outcomes = Vec<Result<Receipt, Refusal>>;

/// What the broker said of one draft.
pub(super) enum Answer {
    Taken,
    /// For now.
    Later(Draft),
    Refused(Draft, Refusal),
}

impl Answer {
    fn of((draft, outcome): (Draft, Result<Receipt, Refusal>)) -> Self {
        match outcome {
            Ok(_) => Answer::Taken,
            Err(refusal) if refusal.code.retry() == Retry::Never => Answer::Refused(draft, refusal),
            Err(_) => Answer::Later(draft),
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Critical {
    waiting: VecDeque<Draft>,
    bytes: usize,
    /// What was sent and is not answered.
    out: Option<(Drafts, Receiver<Outcomes>)>,
    /// Not before this monotonic time.
    not_before_us: u64,
}

impl Critical {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.out.is_none()
    }

    pub(super) fn push(&mut self, mut draft: Draft, principal: &std::sync::Arc<str>) {
        if draft.idempotency.is_none() {
            let key = draft.id.to_string().into();
            draft.idempotency = Some(Box::new(IdempotencyKey { principal: principal.clone(), key }));
        }
        self.bytes += draft.data.len();
        self.waiting.push_back(draft);
    }

    /// The oldest that are over the bound.
    pub(super) fn take_over(&mut self) -> Vec<Draft> {
        let mut over = Vec::new();
        while self.waiting.len() > LIMIT || self.bytes > LIMIT_BYTES {
            let Some(draft) = self.waiting.pop_front() else { break };
            self.bytes -= draft.data.len();
            over.push(draft);
        }
        over
    }

    /// All that waits, and what was sent without an answer so far.
    pub(super) fn take_all(&mut self) -> Vec<Draft> {
        let out = self.out.take().map(|(drafts, _)| drafts).unwrap_or_default();
        self.bytes = 0;
        out.into_iter().chain(self.waiting.drain(..)).collect()
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
            let slice: Drafts = self.waiting.drain(..self.waiting.len().min(SLICE)).collect();
            self.bytes -= slice.iter().map(|draft| draft.data.len()).sum::<usize>();
            let (say, outcomes) = sync_channel(1);
            let receipts: Receipts = Box::new(move |outcomes| {
                // Where nobody listens any more, the intake is gone.
                let _ = say.send(outcomes);
            });
            let sent = slice.clone();
            if let Err(busy) = hub.publish(slice, Some(receipts)) {
                self.not_before_us = now.after(BUSY);
                self.put_back(busy.drafts);
                return false;
            }
            self.out = Some((sent, outcomes));
        }
    }

    /// `None` while the broker owes an answer; nothing where none is owed.
    fn take_answers(&mut self) -> Option<Vec<Answer>> {
        let Some((drafts, outcomes)) = self.out.take() else { return Some(Vec::new()) };
        match outcomes.try_recv() {
            Ok(outcomes) => Some(drafts.into_iter().zip(outcomes).map(Answer::of).collect()),
            Err(TryRecvError::Empty) => {
                self.out = Some((drafts, outcomes));
                None
            }
            // The broker ended without a word: the key says whether it had taken them.
            Err(TryRecvError::Disconnected) => Some(drafts.into_iter().map(Answer::Later).collect()),
        }
    }

    fn take_back(&mut self, answers: Vec<Answer>, now: Now) {
        let later = answers.into_iter().filter_map(|answer| match answer {
            Answer::Later(draft) => Some(draft),
            Answer::Taken | Answer::Refused(..) => None,
        });
        let later: Drafts = later.collect();
        if !later.is_empty() {
            self.not_before_us = now.after(AGAIN);
            self.put_back(later);
        }
    }

    fn put_back(&mut self, drafts: Drafts) {
        for draft in drafts.into_iter().rev() {
            self.bytes += draft.data.len();
            self.waiting.push_front(draft);
        }
    }
}
