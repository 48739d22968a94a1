//! What sources and components share: who takes which channel, and the way of an update from its source into the lanes
//! of each. It has no threads of its own: the pipeline runs it, and so does the simulator.

mod anew;
mod gate;
mod routes;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tapeline_core::clock::{Clock, Now};
use tokio::sync::Notify;

use crate::cell::{Cell, Observe};
use crate::config::QueueConfig;
use crate::dead_letters::DeadLetters;
use crate::intake::IntakeConfig;
use crate::stats::SourceStats;
use crate::worker::{CallId, Happening, Outcome, Step};

pub use anew::NotRedriven;
pub(crate) use gate::{Gate, Patience};
pub use gate::{Pushed, Refusal};
pub(crate) use routes::{Routes, Taker};

/// What a floor is made of.
pub(crate) struct FloorParts {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) letters: Arc<dyn DeadLetters>,
    pub(crate) queue: QueueConfig,
    pub(crate) intake: IntakeConfig,
    /// A number that no other life of a pipeline has.
    pub(crate) run: u64,
}

/// See the module.
pub(crate) struct Floor {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) letters: Arc<dyn DeadLetters>,
    pub(crate) run: u64,
    queue: QueueConfig,
    intake: IntakeConfig,
    keys: foldhash::fast::RandomState,
    serials: AtomicU64,
    is_open: AtomicBool,
    routes: RwLock<Arc<Routes>>,
    /// Grows with each change of the routes.
    version: AtomicU64,
    gates: Mutex<BTreeMap<Arc<str>, Arc<Gate>>>,
    /// Sources that wait for room, and what wakes them.
    waiting: AtomicUsize,
    room: Notify,
    observers: RwLock<Vec<Arc<dyn Observe>>>,
    /// Said once: an observer that panics does so often.
    has_panicked: AtomicBool,
}

impl Floor {
    pub(crate) fn new(parts: FloorParts) -> Self {
        Floor {
            clock: parts.clock,
            letters: parts.letters,
            run: parts.run,
            queue: parts.queue,
            intake: parts.intake,
            keys: foldhash::fast::RandomState::default(),
            serials: AtomicU64::new(1),
            is_open: AtomicBool::new(true),
            routes: RwLock::default(),
            version: AtomicU64::new(1),
            gates: Mutex::default(),
            waiting: AtomicUsize::new(0),
            room: Notify::new(),
            observers: RwLock::default(),
            has_panicked: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Takes nothing in any more. When this returns, no push is under way.
    pub(crate) fn close(&self) {
        self.is_open.store(false, Ordering::Release);
        self.all_gates().iter().for_each(|(_, gate)| gate.pass_barrier());
        self.room.notify_waiters();
    }

    /// The gate of this name, the same each time.
    pub(crate) fn gate(&self, name: &str) -> Arc<Gate> {
        let new = || Arc::new(Gate::new(self.intake.clone(), &self.queue));
        self.gates().entry(name.into()).or_insert_with(new).clone()
    }

    fn gates(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Gate>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All gates, as they are now: none is waited for while the list is held.
    fn all_gates(&self) -> Vec<(Arc<str>, Arc<Gate>)> {
        self.gates().iter().map(|(name, gate)| (name.clone(), gate.clone())).collect()
    }

    pub(crate) fn source_stats(&self) -> BTreeMap<String, SourceStats> {
        self.all_gates().into_iter().map(|(name, gate)| (name.to_string(), gate.stats())).collect()
    }

    pub(crate) fn set_routes(&self, routes: Routes) {
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
        self.version.fetch_add(1, Ordering::Release);
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn routes(&self) -> Arc<Routes> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn observe(&self, observer: Arc<dyn Observe>) {
        self.observers.write().unwrap_or_else(PoisonError::into_inner).push(observer);
    }

    pub(crate) fn tell(&self, component: &str, happenings: Vec<Happening>) {
        if happenings.is_empty() {
            return;
        }
        let observers = self.observers.read().unwrap_or_else(PoisonError::into_inner).clone();
        for happening in happenings {
            match happening {
                Happening::Lost => {
                    tracing::error!(component, "a critical message is lost: no room for its dead letter")
                }
                Happening::Hung => tracing::warn!(component, "a component does not come back from a call"),
                _ => tracing::debug!(component, ?happening, "pipeline"),
            }
            observers.iter().for_each(|observer| self.tell_one(&**observer, component, happening));
        }
    }

    /// A panic of an observer must take neither a component's thread along, nor the watchdog, nor a stop.
    fn tell_one(&self, observer: &dyn Observe, component: &str, happening: Happening) {
        let told = catch_unwind(AssertUnwindSafe(|| observer.on_happening(component, happening)));
        if told.is_err() && !self.has_panicked.swap(true, Ordering::Relaxed) {
            tracing::error!(component, ?happening, "an observer panicked; said once");
        }
    }

    /// Ends a component's call and says what is next; see [`crate::worker::Worker::step`].
    pub(crate) fn step(&self, cell: &Cell, done: Option<(CallId, Outcome)>, now: Now) -> Step {
        let (step, happenings) = cell.step(done, now, &*self.letters);
        self.tell(&cell.name, happenings);
        self.tell_room();
        step
    }

    /// A component's call does not come back.
    pub(crate) fn on_hung(&self, cell: &Cell, id: CallId, now: Now) {
        let happenings = {
            let mut worker = cell.lock();
            worker.on_hung(id, now, &*self.letters);
            worker.take_happenings()
        };
        self.tell(&cell.name, happenings);
        self.tell_room();
    }

    /// There may be room, or somebody who holds nobody back any more.
    pub(crate) fn tell_room(&self) {
        // Whoever waits has counted itself before it looked at the lanes, under the lock that was just let go.
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.room.notify_waiters();
        }
    }
}
