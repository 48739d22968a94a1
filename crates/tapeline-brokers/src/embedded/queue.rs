//! What the writer is to do, in its order. Publishes are bounded by their permits, the rest by who asks and waits.
//! Pushing never waits, and wakes the writer only when it sleeps.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapeline_core::broker::Drafts;
use tapeline_core::store::Change;
use tapeline_core::{Channel, Permits, Refusal};

use super::owed::{Answers, Owed};

/// One thing to do.
pub(super) enum Job {
    /// Count, write, keep and deliver.
    Publish { drafts: Drafts, receipts: Option<Answers>, permits: Permits },
    /// Forget what is kept of a channel up to an offset.
    Forget { channel: Channel, through: u64, answer: Owed<u64> },
    /// Remember that the channel has begun to count.
    Begun(Channel),
    /// Write a change of the store.
    Enter(Change, Owed<Result<(), Refusal>>),
    /// Do this when all before is written.
    Then(Owed<()>),
    /// Begin another file of the log, unless it was begun for this already and nothing is in it, and answer its number;
    /// `None` if there is no room for one.
    Switch { begun: u64, answer: Box<dyn FnOnce(Option<u64>) + Send> },
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    sleeps: bool,
    closed: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    woken: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job; gives it back after the close.
    #[expect(clippy::result_large_err, reason = "it is given back once, at the end")]
    pub(super) fn push(&self, job: Job) -> Result<(), Job> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(job);
        }
        waiting.jobs.push_back(job);
        if std::mem::take(&mut waiting.sleeps) {
            self.woken.notify_one();
        }
        Ok(())
    }

    /// Takes no more jobs; those that are there are still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.woken.notify_all();
    }

    /// Moves all jobs into `into`, which is empty; waits for some, but no longer than this. `false` after the last one.
    pub(super) fn take(&self, into: &mut VecDeque<Job>, patience: Duration) -> bool {
        let mut waiting = self.lock();
        if waiting.jobs.is_empty() && !waiting.closed {
            waiting.sleeps = true;
            let waited = self
                .woken
                .wait_timeout_while(waiting, patience, |waiting| waiting.jobs.is_empty() && !waiting.closed);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            waiting.sleeps = false;
        }
        std::mem::swap(&mut waiting.jobs, into);
        !into.is_empty() || !waiting.closed
    }
}
