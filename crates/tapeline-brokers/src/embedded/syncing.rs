//! The thread that makes what is written last, some milliseconds after it was written, beside the writer.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::disk::DiskFile;
use super::log::Place;
use super::shared::Shared;

#[derive(Default)]
struct State {
    /// What was written and not synced: its file and end.
    dirty: Option<(Arc<dyn DiskFile>, Place)>,
    synced: Place,
    /// Synced by nobody from here on.
    stopped: bool,
}

/// What the writer and this thread tell one another.
#[derive(Default)]
pub(super) struct Syncing {
    state: Mutex<State>,
    changed: Condvar,
}

impl Syncing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was written up to here.
    pub(super) fn wrote(&self, file: &Arc<dyn DiskFile>, place: Place) {
        let mut state = self.lock();
        let idle = state.dirty.is_none();
        state.dirty = Some((file.clone(), place));
        if idle {
            self.changed.notify_all();
        }
    }

    /// All up to here will last.
    pub(super) fn has_synced(&self, place: Place) {
        let mut state = self.lock();
        state.synced = state.synced.max(place);
    }

    /// How far all will last.
    pub(super) fn synced(&self) -> Place {
        self.lock().synced
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Syncs `every` so often while something is written; a failure is told once and ends it.
    fn run(&self, every: Duration, on_failure: impl FnOnce(&io::Error)) {
        loop {
            let idle = |state: &mut State| state.dirty.is_none() && !state.stopped;
            let state = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
            let stopped = |state: &mut State| !state.stopped;
            let waited = self.changed.wait_timeout_while(state, every, stopped);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.stopped {
                return;
            }
            let Some((file, place)) = state.dirty.take() else { continue };
            drop(state);
            if let Err(error) = file.sync() {
                return on_failure(&error);
            }
            self.has_synced(place);
        }
    }
}

/// Syncs until it is stopped; where that fails, or ends by a fault of the program, the log is unusable.
pub(super) fn run(shared: &Shared, every: Duration) {
    let run = || shared.syncing.run(every, |error| shared.fail("could not be synced", error));
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        let error = io::Error::other("the thread that syncs it has ended by a fault of the program");
        shared.fail("is synced no more", &error);
    }
}
