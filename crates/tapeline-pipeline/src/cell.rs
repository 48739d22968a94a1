//! One component's place: its state machine behind a lock, and how its thread is woken. It knows no thread.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapeline_core::clock::Now;
use tokio::sync::Notify;

use crate::dead_letters::DeadLetters;
use crate::worker::{CallId, Happening, Outcome, Step, Worker};

/// Is told at once of what happens; called on the thread where it does, under no lock, so it must be quick. A panic is
/// caught, and said once.
pub trait Observe: Send + Sync {
    /// Something has happened to a component.
    fn on_happening(&self, component: &str, happening: Happening);
}

/// See the module.
pub(crate) struct Cell {
    /// Greater for later ones: several are locked in this order only.
    pub(crate) number: u64,
    pub(crate) name: Arc<str>,
    worker: Mutex<Worker>,
    /// Wakes the component's thread.
    pub(crate) wake: Notify,
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Cell {
    pub(crate) fn new(number: u64, name: Arc<str>, worker: Worker) -> Self {
        Cell { number, name, worker: Mutex::new(worker), wake: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Worker> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Worker::step`]; and what has happened.
    pub(crate) fn step(
        &self,
        done: Option<(CallId, Outcome)>,
        now: Now,
        letters: &dyn DeadLetters,
    ) -> (Step, Vec<Happening>) {
        let mut worker = self.lock();
        let step = worker.step(done, now, letters);
        (step, worker.take_happenings())
    }
}
