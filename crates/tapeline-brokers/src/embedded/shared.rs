//! What the embedded broker's threads share: what is kept, the queue of jobs, and whether there is room.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tapeline_core::broker::{Deliver, Head, Interest, Page};
use tapeline_core::store::LocalStore;
use tapeline_core::{Channel, Clock, Directory, Refusal};
use tapeline_schema::ErrorCode;

use super::Storage;
use super::compacting::Compacting;
use super::disk::Disk;
use super::meta::Meta;
use super::queue::{Job, Queue};
use super::syncing::Syncing;
use crate::kept::{Listed, Locked, Stripes};

/// Whether the log can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Able {
    /// It can.
    Yes,
    /// There is no room beyond the reserve.
    Full,
    /// It cannot, until the next start; what is not kept goes on, for the next start begins new epochs.
    Broken,
    /// It cannot, and that could not even be noted, or the thread that writes it has ended: nothing goes on.
    Lost,
}

/// See the module.
pub(super) struct Shared {
    /// For people.
    pub(super) dir: String,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) storage: Storage,
    pub(super) stripes: Stripes,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) directory: Arc<Directory>,
    pub(super) sink: OnceLock<Arc<dyn Deliver>>,
    pub(super) queue: Queue,
    pub(super) syncing: Syncing,
    pub(super) compacting: Compacting,
    /// The small state beside messages, whose changes go through the writer.
    pub(super) store: OnceLock<LocalStore>,
    /// What all files but the one being written take.
    pub(super) others: Arc<AtomicU64>,
    /// As it is in the directory.
    pub(super) meta: Mutex<Meta>,
    able: AtomicU8,
    sweeps: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// What [`Shared`] is made of.
pub(super) struct SharedParts {
    pub(super) dir: String,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) storage: Storage,
    pub(super) stripes: Stripes,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) directory: Arc<Directory>,
    pub(super) meta: Meta,
    pub(super) others: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(parts: SharedParts) -> Self {
        Shared {
            dir: parts.dir,
            disk: parts.disk,
            storage: parts.storage,
            stripes: parts.stripes,
            clock: parts.clock,
            directory: parts.directory,
            sink: OnceLock::new(),
            queue: Queue::default(),
            syncing: Syncing::default(),
            compacting: Compacting::default(),
            store: OnceLock::new(),
            others: Arc::new(AtomicU64::new(parts.others)),
            meta: Mutex::new(parts.meta),
            able: AtomicU8::new(0),
            sweeps: AtomicU64::new(0),
            trouble: Mutex::default(),
        }
    }

    pub(super) fn able(&self) -> Able {
        match self.able.load(Ordering::Acquire) {
            0 => Able::Yes,
            1 => Able::Full,
            2 => Able::Broken,
            _ => Able::Lost,
        }
    }

    /// What is wrong, for people.
    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// There is no room for more, or there is again.
    pub(super) fn set_full(&self, full: bool) {
        let (from, to) = if full { (0, 1) } else { (1, 0) };
        if self.able.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        if full {
            let trouble = format!("there is no room left in {}", self.dir);
            tracing::error!("{trouble}: families that keep messages refuse (storage_full)");
            *lock(&self.trouble) = Some(trouble);
        } else {
            tracing::info!("there is room in {} again", self.dir);
            *lock(&self.trouble) = None;
        }
    }

    /// The log cannot be relied on any more: a failed sync may have lost what was written before, and the next one would
    /// not say so (<https://www.kernel.org/doc/html/latest/core-api/errseq.html>).
    pub(super) fn fail(&self, what: &str, error: &io::Error) {
        let mut meta = lock(&self.meta);
        if matches!(self.able(), Able::Broken | Able::Lost) {
            return;
        }
        // Known before the first message goes by unwritten: the next start must not count on where the log ends.
        let noted = Meta { anew: true, ..meta.clone() };
        let is_noted = noted.write(&*self.disk);
        *meta = noted;
        self.able.store(if is_noted.is_ok() { 2 } else { 3 }, Ordering::Release);
        let trouble =
            format!("the log in {} {what}: {error}; restart the hub when the disk is well", self.dir);
        tracing::error!("{trouble}: families that keep messages refuse (storage_full)");
        *lock(&self.trouble) = Some(trouble);
    }

    /// The thread that writes has ended by a fault of the program: nothing goes on until the next start.
    pub(super) fn end(&self, cause: &str) {
        let _meta = lock(&self.meta);
        self.able.store(3, Ordering::Release);
        let dir = &self.dir;
        let trouble = format!(
            "the thread that writes the log in {dir} has ended by a fault of the program ({cause}); restart the hub"
        );
        tracing::error!("{trouble}: every publish is refused (storage_full)");
        *lock(&self.trouble) = Some(trouble);
    }

    /// Why something is refused that has to be written.
    pub(super) fn refusal(&self) -> Refusal {
        let dir = &self.dir;
        let message = match self.able() {
            Able::Yes | Able::Full => format!(
                "there is no room left in {dir}: free some on its disk, raise storage.max_bytes, or keep less (keep)"
            ),
            Able::Broken | Able::Lost => {
                self.trouble().unwrap_or_else(|| format!("the log in {dir} has failed"))
            }
        };
        Refusal::new(ErrorCode::StorageFull, message)
    }

    /// Why something is refused after the end of the thread that writes.
    pub(super) fn closed(&self, what: &str) -> Refusal {
        match self.able() {
            Able::Lost => self.refusal(),
            _ => Refusal::new(ErrorCode::Internal, format!("the {what} is closed")),
        }
    }

    /// Answers who has published that it is refused, and counts that. Who waits for something else is answered by letting
    /// go of it.
    pub(super) fn refuse(&self, job: Job, refusal: &Refusal) {
        let Job::Publish { drafts, receipts, permits: _permits } = job else { return };
        if let Some(sink) = self.sink.get() {
            drafts.iter().for_each(|draft| sink.on_refusal(&draft.channel, refusal));
        }
        if let Some(receipts) = receipts {
            receipts.give(drafts.iter().map(|_| Err(refusal.clone())).collect());
        }
    }

    pub(super) fn join(&self, locked: &mut Locked<'_>, channel: &Channel) -> Head {
        let channel = channel.current();
        let state = locked.state(channel);
        let head = state.join(self.clock.now().wall_us);
        if head.top == 0 && state.record() == 0 {
            // Whoever stands at its beginning goes on there after a restart. After the close nobody does.
            let _ = self.queue.push(Job::Begun(channel.clone()));
        }
        head
    }

    pub(super) fn read(&self, locked: &mut Locked<'_>, channel: &Channel, after: u64, limit: usize) -> Page {
        let now_us = self.clock.now().wall_us;
        match locked.existing(channel) {
            Some(state) => state.read(after, limit, now_us),
            None => Page { head: Head { epoch: "".into(), top: 0, oldest: 1 }, messages: Vec::new() },
        }
    }

    pub(super) fn sources(&self, interest: &Interest, limit: usize) -> Listed {
        self.stripes.sources(interest, limit, self.clock.now().wall_us)
    }

    /// Takes back all that was counted and is not settled, whoever has lost it: nobody will write it.
    pub(super) fn uncount_all(&self) {
        let now_us = self.clock.now().wall_us;
        self.stripes.each(|state| {
            if state.is_pending() {
                state.uncount(now_us);
            }
        });
    }

    /// Looks for channels to forget at the next stripe.
    pub(super) fn sweep_next(&self) {
        let turn = self.sweeps.fetch_add(1, Ordering::Relaxed);
        self.stripes.sweep_one(turn, self.clock.now().wall_us);
    }

    /// Notes that all is written and synced.
    pub(super) fn close_meta(&self) -> io::Result<()> {
        let mut meta = lock(&self.meta);
        let closed = Meta { clean: true, ..meta.clone() };
        closed.write(&*self.disk)?;
        *meta = closed;
        Ok(())
    }

    /// Has every thread end when it has done what it was asked.
    pub(super) fn stop(&self) {
        self.queue.close();
        self.compacting.stop();
    }
}
