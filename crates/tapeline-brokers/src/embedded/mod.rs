//! The message broker of one machine: a log on disk, and all that is kept in memory too.
//!
//! Publishers queue; one writer counts what has come, writes it at once, and only then keeps, delivers and answers it
//! (`writer`). The log says again at the next start what was kept (`opening`); snapshots make it short (`snapshot`,
//! `compacting`). Decision 15 says which failure costs what. It does not know who subscribes.

mod backup;
mod compacting;
mod disk;
mod durability;
mod ending;
mod frame;
mod journal;
mod log;
mod meta;
mod opening;
mod owed;
mod queue;
mod record;
mod replaying;
mod room;
mod shared;
mod snapshot;
mod syncing;
mod tails;
mod usage;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tapeline_core::broker::{
    Busy, Condition, Deliver, Drafts, Head, Health, Interest, Page, Receipts, Sources,
};
use tapeline_core::store::LocalStore;
use tapeline_core::{Broker, Channel, Clock, Directory, Refusal};
use tapeline_schema::ErrorCode;
use tapeline_schema::ops::{BrokerReport, DiskReport};

pub use backup::{Contents, restore, verify};
pub use disk::{Disk, DiskFile};
pub use durability::Durability;
pub use log::{Limits, is_full};
pub use usage::{FamilyUsage, usage};

use owed::Owed;
use queue::Job;
use shared::Shared;

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The system says no.
    #[error("{file}: {error}")]
    Io {
        /// Of what.
        file: String,
        /// What it says.
        error: io::Error,
    },
    /// Another process has it.
    #[error("{dir} is in use by process {pid}; a data directory belongs to one hub")]
    InUse {
        /// The directory.
        dir: String,
        /// The other one.
        pid: String,
    },
    /// Another version has written it.
    #[error("the data directory has format {0}, this version knows {format}; use the version that wrote it", format = meta::FORMAT)]
    Format(String),
    /// The file `meta` is not one.
    #[error("the file meta of the data directory cannot be read: {0}")]
    Meta(String),
    /// A file was changed by somebody else, or its disk has lost something.
    #[error(
        "{file} is damaged at byte {at} and goes on behind it; restore a backup, or move the file away to go on without \
         what it holds"
    )]
    Damaged {
        /// Which one.
        file: String,
        /// Where.
        at: u64,
    },
}

impl EmbeddedError {
    fn io(file: impl Into<String>, error: io::Error) -> Self {
        EmbeddedError::Io { file: file.into(), error }
    }
}

/// How a directory is used.
#[derive(Clone, Debug)]
pub struct Storage {
    /// When what is written is made to last.
    pub durability: Durability,
    /// How much may be written.
    pub limits: Limits,
}

impl Default for Storage {
    fn default() -> Self {
        let limits = Limits { segment_bytes: 64 << 20, max_bytes: 0, reserve_bytes: 16 << 20 };
        Storage { durability: Durability::default(), limits }
    }
}

/// What an embedded broker is opened with.
pub struct EmbeddedParts {
    /// Where, for people.
    pub dir: String,
    /// The directory.
    pub disk: Arc<dyn Disk>,
    /// How it is used.
    pub storage: Storage,
    /// The machine's boot.
    pub boot: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Makes its epochs differ from another's.
    pub seed: u64,
    /// Where names in the directory's files are looked up.
    pub directory: Arc<Directory>,
}

/// See the module.
pub struct EmbeddedBroker {
    shared: Arc<Shared>,
    store: LocalStore,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held as long as the directory is used.
    _lock: Option<std::fs::File>,
}

impl EmbeddedBroker {
    /// Opens a directory, which is made if there is none.
    ///
    /// # Errors
    /// It is another's, of another format or damaged, or the system says no.
    pub fn open_dir(
        dir: PathBuf,
        storage: Storage,
        clock: Arc<dyn Clock>,
        seed: u64,
        directory: Arc<Directory>,
    ) -> Result<Self, EmbeddedError> {
        let lock = opening::lock(&dir)?;
        let parts = EmbeddedParts {
            dir: dir.display().to_string(),
            disk: Arc::new(disk::Dir(dir)),
            storage,
            boot: opening::boot_id(),
            clock,
            seed,
            directory,
        };
        Self::start(parts, Some(lock))
    }

    /// Opens what a disk holds.
    ///
    /// # Errors
    /// It is of another format or damaged, or the system says no.
    pub fn open(parts: EmbeddedParts) -> Result<Self, EmbeddedError> {
        Self::start(parts, None)
    }

    fn start(parts: EmbeddedParts, lock: Option<std::fs::File>) -> Result<Self, EmbeddedError> {
        let (shared, store, writer) = opening::open(parts)?;
        let broker = EmbeddedBroker { shared: shared.clone(), store, threads: Mutex::default(), _lock: lock };
        let mut threads = Vec::new();
        let mut spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = tapeline_runtime::spawn(name, run);
            thread.map(|thread| threads.push(thread)).map_err(|error| EmbeddedError::io(name, error))
        };
        if let Durability::Every(time) = shared.storage.durability {
            let shared = shared.clone();
            spawn("log-sync", Box::new(move || syncing::run(&shared, time)))?;
        }
        let compacted = shared.clone();
        spawn("log-compact", Box::new(move || compacting::run(&compacted)))?;
        spawn("log-write", Box::new(move || writer.run()))?;
        *broker.threads.lock().unwrap_or_else(PoisonError::into_inner) = threads;
        Ok(broker)
    }

    /// The small state beside the messages.
    pub fn store(&self) -> LocalStore {
        self.store.clone()
    }

    /// How many channels are kept.
    pub fn channels(&self) -> usize {
        self.shared.stripes.len()
    }

    /// Puts all that is kept into a snapshot now and removes what came before; answers when that is done.
    ///
    /// # Errors
    /// The system says no.
    pub fn compact(&self) -> io::Result<()> {
        compacting::compact(&self.shared).map(|_| ())
    }

    /// Writes a backup of this moment, for [`restore`].
    ///
    /// # Errors
    /// There is no room for a snapshot, or the system says no.
    pub fn backup(&self, out: &mut dyn io::Write) -> io::Result<()> {
        backup::write(&self.shared, out)
    }

    /// What each family takes in the directory.
    ///
    /// # Errors
    /// The system says no.
    pub fn usage(&self) -> io::Result<Vec<FamilyUsage>> {
        let _turn = self.shared.compacting.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut families = usage::of_disk(&*self.shared.disk)?;
        usage::add_live(&mut families, &self.shared.stripes);
        Ok(families.into_values().collect())
    }

    /// Does something once the writer has come so far; at once where it has stopped.
    fn then(&self, job: impl FnOnce() + Send + 'static) {
        if let Err(Job::Then(job)) = self.shared.queue.push(Job::Then(Owed::turn(Box::new(|()| job())))) {
            job.give(());
        }
    }
}

impl Broker for EmbeddedBroker {
    fn attach(&self, sink: Arc<dyn Deliver>) {
        // A second call would be a programming error and changes nothing.
        let _ = self.shared.sink.set(sink);
    }

    fn publish(&self, drafts: Drafts, receipts: Option<Receipts>) -> Result<(), Box<Busy>> {
        let Some(sink) = self.shared.sink.get() else {
            let refusal = Refusal::new(ErrorCode::Internal, "the message broker is not attached");
            refuse_all(drafts.len(), receipts, &refusal);
            return Ok(());
        };
        let Some(permits) = sink.clone().permits(drafts.len()) else {
            return Err(Box::new(Busy { drafts, receipts }));
        };
        let count = drafts.len();
        let receipts = receipts.map(|receipts| Owed::receipts(receipts, count));
        if let Err(job) = self.shared.queue.push(Job::Publish { drafts, receipts, permits }) {
            self.shared.refuse(job, &self.shared.closed("message broker"));
        }
        Ok(())
    }

    fn join(&self, channel: &Channel, answer: Box<dyn FnOnce(Head) + Send>) {
        let mut locked = self.shared.stripes.lock(channel, &[]);
        if locked.stands_still(channel.current()) {
            // What is written for its old row comes first; then it begins anew.
            drop(locked);
            let (shared, channel) = (self.shared.clone(), channel.clone());
            return self.then(move || {
                let head = shared.join(&mut shared.stripes.lock(&channel, &[]), &channel);
                answer(head);
            });
        }
        let head = self.shared.join(&mut locked, channel);
        drop(locked);
        answer(head);
    }

    fn leave(&self, channel: &Channel) {
        let now_us = self.shared.clock.now().wall_us;
        let mut locked = self.shared.stripes.lock(channel, &[]);
        if let Some(state) = locked.existing(channel) {
            state.leave(now_us);
        }
    }

    fn read(&self, channel: &Channel, after: u64, limit: usize, answer: Box<dyn FnOnce(Page) + Send>) {
        let shared = &self.shared;
        let mut locked = shared.stripes.lock(channel, &[]);
        if locked.stands_still(channel.current()) {
            drop(locked);
            let (shared, channel) = (shared.clone(), channel.clone());
            return self.then(move || {
                let page = shared.read(&mut shared.stripes.lock(&channel, &[]), &channel, after, limit);
                answer(page);
            });
        }
        let page = shared.read(&mut locked, channel, after, limit);
        drop(locked);
        answer(page);
    }

    fn sources(&self, interest: &Interest, limit: usize, answer: Box<dyn FnOnce(Sources) + Send>) {
        let listed = self.shared.sources(interest, limit);
        if !listed.stands_still {
            return answer(listed.sources);
        }
        // What is written for old rows comes first; then they begin anew. Where nobody writes any more they are left out.
        let (shared, interest) = (self.shared.clone(), interest.clone());
        self.then(move || answer(shared.sources(&interest, limit).sources));
    }

    fn forget(&self, channel: &Channel, through: u64, answer: Box<dyn FnOnce(u64) + Send>) {
        let job = Job::Forget { channel: channel.clone(), through, answer: Owed::forgotten(answer) };
        if let Err(Job::Forget { answer, .. }) = self.shared.queue.push(job) {
            answer.give(0);
        }
    }

    fn health(&self) -> Health {
        let channels = self.channels();
        let ending = if channels == 1 { "" } else { "s" };
        let detail = format!("embedded in {}, {channels} channel{ending}", self.shared.dir);
        match self.shared.trouble() {
            None => Health::ok(detail),
            Some(trouble) => {
                Health { condition: Condition::StorageFull, detail: format!("{detail}; {trouble}") }
            }
        }
    }

    fn inspect(&self, answer: Box<dyn FnOnce(BrokerReport) + Send>) {
        let room = rustix::fs::statvfs(&*self.shared.dir);
        let disk = DiskReport {
            directory: self.shared.dir.clone(),
            free_bytes: room.as_ref().map_or(0, |room| room.f_bavail.saturating_mul(room.f_frsize)),
            durability: self.shared.storage.durability.to_string(),
            failed: self.shared.trouble().or_else(|| room.err().map(|error| error.to_string())),
        };
        answer(BrokerReport { disk: Some(disk), ..BrokerReport::default() });
    }

    fn close(&self) {
        self.shared.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the message broker has panicked");
            }
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.close();
    }
}

fn refuse_all(count: usize, receipts: Option<Receipts>, refusal: &Refusal) {
    if let Some(receipts) = receipts {
        receipts((0..count).map(|_| Err(refusal.clone())).collect());
    }
}

#[cfg(test)]
mod tests;
