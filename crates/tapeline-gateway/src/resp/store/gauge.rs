//! What a connection has asked of the store and not been answered, and what its commands have cost since its turn began.
//! Commands wait for one another where they would else not see what the ones before them did, or be too many at once.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Keys of one connection that are read at once: each may bring as much as one publish.
pub(super) const READS_AT_ONCE: usize = 8;
/// Bytes looked at in one turn of a connection: a few milliseconds. What one command looks at is never divided.
const TURN_BYTES: u64 = 256 << 10;

/// What a command does to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Reads.
    Read,
    /// Writes, whatever is there.
    Write,
    /// Reads, and writes what follows from that.
    Change,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    reads: AtomicU32,
    writes: AtomicU32,
    changes: AtomicU32,
    /// Keys that are being read.
    keys: AtomicUsize,
    /// Bytes looked at since the turn began.
    looked_at: AtomicU64,
}

impl Gauge {
    fn count(&self, work: Work) -> &AtomicU32 {
        match work {
            Work::Read => &self.reads,
            Work::Write => &self.writes,
            Work::Change => &self.changes,
        }
    }

    /// Something begins that reads so many keys at once.
    pub(super) fn begin(&self, work: Work, keys: usize) {
        self.count(work).fetch_add(1, Ordering::Acquire);
        self.keys.fetch_add(keys, Ordering::Relaxed);
    }

    /// It has ended.
    pub(super) fn end(&self, work: Work, keys: usize) {
        self.keys.fetch_sub(keys, Ordering::Relaxed);
        self.count(work).fetch_sub(1, Ordering::Release);
    }

    /// Whether nothing is being written.
    pub(crate) fn has_written(&self) -> bool {
        [Work::Write, Work::Change].iter().all(|work| self.count(*work).load(Ordering::Acquire) == 0)
    }

    /// Whether something may begin that reads so many keys at once.
    pub(super) fn is_free_for(&self, work: Work, keys: usize) -> bool {
        let none = |work| self.count(work).load(Ordering::Acquire) == 0;
        let others = match work {
            Work::Read => none(Work::Write),
            Work::Write => none(Work::Read),
            Work::Change => none(Work::Read) && none(Work::Write),
        };
        others && none(Work::Change) && self.keys.load(Ordering::Relaxed) + keys <= READS_AT_ONCE
    }

    /// A connection's turn begins.
    pub(crate) fn begin_turn(&self) {
        self.looked_at.store(0, Ordering::Relaxed);
    }

    /// So many bytes have been looked at.
    pub(crate) fn look(&self, bytes: usize) {
        self.looked_at.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes looked at since the turn began.
    pub(super) fn looked_at(&self) -> u64 {
        self.looked_at.load(Ordering::Relaxed)
    }

    /// Whether that is enough before others have had their turn.
    pub(crate) fn has_had_its_turn(&self) -> bool {
        self.looked_at() >= TURN_BYTES
    }
}
