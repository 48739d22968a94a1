//! The thread that writes snapshots, when the log has become much longer than what is kept, and removes what came before.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::frame::Kind;
use super::log::{Limits, is_full};
use super::queue::Job;
use super::shared::Shared;
use super::snapshot;

/// A log that is shorter is left alone, however little is kept: in files of the log.
const SEGMENTS: u64 = 2;

/// A log that is shorter makes no room.
const LITTLE: u64 = 4 << 10;

/// After a snapshot that could not be written, none is tried for so long.
const BACK_OFF: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Asked {
    asked: bool,
    stopped: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Compacting {
    asked: Mutex<Asked>,
    changed: Condvar,
    /// The length of the newest snapshot.
    snapshot: AtomicU64,
    /// The file of the log that was begun for a snapshot that could not be written; 0 for none.
    begun: AtomicU64,
    /// Held by who writes a snapshot or reads all files, so that none goes away meanwhile.
    pub(super) turn: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Compacting {
    /// Has the thread compact, now or after what it is doing.
    pub(super) fn ask(&self) {
        lock(&self.asked).asked = true;
        self.changed.notify_all();
    }

    /// Asks when that would make room.
    pub(super) fn ask_for_room(&self, total: u64) {
        let snapshot = self.snapshot.load(Ordering::Relaxed);
        if total.saturating_sub(snapshot) > snapshot / 8 + LITTLE {
            self.ask();
        }
    }

    /// Asks when the log is long beside what it must say.
    pub(super) fn ask_if_long(&self, total: u64, limits: &Limits) {
        let snapshot = self.snapshot.load(Ordering::Relaxed);
        let log = total.saturating_sub(snapshot);
        let is_long = log > 2 * snapshot + SEGMENTS * limits.segment_bytes;
        let is_much = limits.max_bytes > 0 && total > limits.max_bytes / 2 && log > limits.max_bytes / 4;
        if is_long || is_much {
            self.ask();
        }
    }

    /// The length of the snapshot that the directory began with.
    pub(super) fn begin_with(&self, len: u64) {
        self.snapshot.store(len, Ordering::Relaxed);
    }

    pub(super) fn stop(&self) {
        lock(&self.asked).stopped = true;
        self.changed.notify_all();
    }

    /// Removes what the snapshot of this number and length has made needless.
    pub(super) fn has_snapshot(&self, shared: &Shared, number: u64, len: u64) -> io::Result<()> {
        self.snapshot.store(len, Ordering::Relaxed);
        let mut gone = 0;
        let removed = remove_before(shared, number, &mut gone);
        // In one step: what it replaces counts until then, and it counts from then on. Both would be more than the bound,
        // and who uses the reserve meanwhile would be refused.
        if len >= gone {
            shared.others.fetch_add(len - gone, Ordering::Relaxed);
        } else {
            shared.others.fetch_sub(gone - len, Ordering::Relaxed);
        }
        removed
    }
}

/// Removes files that come before this number, and adds up what they took.
fn remove_before(shared: &Shared, number: u64, gone: &mut u64) -> io::Result<()> {
    for (name, len) in shared.disk.list()? {
        let known = Kind::Log.number(&name).or(Kind::Snapshot.number(&name));
        if known.is_some_and(|known| known < number) {
            shared.disk.remove(&name)?;
            *gone += len;
        }
    }
    Ok(())
}

/// Compacts when asked, until it is stopped.
pub(super) fn run(shared: &Shared) {
    let compacting = &shared.compacting;
    loop {
        let idle = |asked: &mut Asked| !asked.asked && !asked.stopped;
        let waited = compacting.changed.wait_while(lock(&compacting.asked), idle);
        let mut asked = waited.unwrap_or_else(PoisonError::into_inner);
        if asked.stopped {
            return;
        }
        drop(asked);
        let compacted = catch_unwind(AssertUnwindSafe(|| compact(shared)));
        let failed = match compacted.unwrap_or_else(|_| Err(io::Error::other("a fault of the program"))) {
            Ok(made) => !made,
            Err(error) if is_full(&error) => {
                tracing::warn!(dir = shared.dir, "there is no room for a snapshot either");
                true
            }
            Err(error) => {
                tracing::error!(dir = shared.dir, %error, "no snapshot could be written");
                true
            }
        };
        // Whoever has asked meanwhile has counted what is gone now, and asks again where there is still a reason.
        asked = lock(&compacting.asked);
        if failed {
            let stays = |asked: &mut Asked| !asked.stopped;
            let waited = compacting.changed.wait_timeout_while(asked, BACK_OFF, stays);
            asked = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        asked.asked = false;
    }
}

/// Writes a snapshot and removes what came before; answers whether there was room for it and the hub runs.
pub(super) fn compact(shared: &Shared) -> io::Result<bool> {
    let _turn = lock(&shared.compacting.turn);
    snapshot_now(shared).map(|number| number.is_some())
}

/// The same for who has the turn; answers the snapshot's number, if there is room for it and the hub runs.
pub(super) fn snapshot_now(shared: &Shared) -> io::Result<Option<u64>> {
    let (to, from) = sync_channel(1);
    let switched = Box::new(move |number| {
        // Who asked has gone only where the hub stops.
        let _ = to.send(number);
    });
    // Tries after one another do not leave a file each.
    let begun = shared.compacting.begun.swap(0, Ordering::Relaxed);
    if shared.queue.push(Job::Switch { begun, answer: switched }).is_err() {
        return Ok(None);
    }
    let Ok(Some(number)) = from.recv() else { return Ok(None) };
    let now_us = shared.clock.now().wall_us;
    let most = most(shared);
    match snapshot::write(&*shared.disk, number, most, &shared.stripes, shared.store.get(), now_us) {
        Ok(len) => shared.compacting.has_snapshot(shared, number, len).map(|()| Some(number)),
        Err(error) => {
            // An unfinished one only takes room.
            let _ = shared.disk.remove(snapshot::UNFINISHED);
            shared.compacting.begun.store(number, Ordering::Relaxed);
            Err(error)
        }
    }
}

/// How long a snapshot may be: where there is a bound, neither longer than that nor than what it replaces, or the reserve
/// would pay for it.
fn most(shared: &Shared) -> u64 {
    match shared.storage.limits.max_bytes {
        0 => u64::MAX,
        max => max.max(shared.others.load(Ordering::Relaxed)),
    }
}
