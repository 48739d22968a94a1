//! The store of one process: the state behind a lock, and where there is one a journal that makes its changes durable
//! before anybody is answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::state::{Bounds, Change, State};
use super::{Done, Entry, Expect, Key, Listing, Range, Store, Write};
use crate::clock::Clock;
use crate::error::Refusal;

/// What makes changes durable.
pub trait Journal: Send + Sync {
    /// Takes a change, in the order of decision, and calls `done` when it is durable, or with why it is not. It does not
    /// wait, and calls `done` only after it has returned.
    fn record(&self, change: Change, done: Done<()>);
}

/// What a store held at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Changes that make it, for [`State::restore`].
    pub changes: Vec<Change>,
    /// The newest version given until then.
    pub version: u64,
}

/// See the module. Cheap to clone; clones are the same store.
#[derive(Clone)]
pub struct LocalStore {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    journal: Option<Journaled>,
}

struct Journaled {
    journal: Arc<dyn Journal>,
    /// Held from a decision until the journal has it, so that it gets them in order.
    turn: Mutex<()>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalStore {
    /// A store that is gone with its process.
    pub fn new(clock: Arc<dyn Clock>, bounds: Bounds) -> Self {
        let state = State::new(bounds, clock.now());
        LocalStore { shared: Arc::new(Shared { state: Mutex::new(state), clock, journal: None }) }
    }

    /// A store that begins with a state and whose changes go through a journal.
    pub fn with_journal(clock: Arc<dyn Clock>, state: State, journal: Arc<dyn Journal>) -> Self {
        let journal = Some(Journaled { journal, turn: Mutex::default() });
        LocalStore { shared: Arc::new(Shared { state: Mutex::new(state), clock, journal }) }
    }

    /// What is held now, without what is still being made durable.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.shared.state();
        Snapshot { changes: state.changes().collect(), version: state.version() }
    }

    /// Decides, records and makes a change, and answers its version; nothing where there is nothing to change.
    fn change(
        &self,
        decide: impl FnOnce(&mut State) -> Result<Option<Change>, Refusal>,
        done: impl FnOnce(Result<Option<u64>, Refusal>) + Send + 'static,
    ) {
        let Some(journaled) = &self.shared.journal else {
            let mut state = self.shared.state();
            let decided = decide(&mut state);
            let made = decided.map(|change| {
                change.map(|change| {
                    let version = change.version;
                    state.settle(change, true);
                    version
                })
            });
            drop(state);
            return done(made);
        };
        let turn = journaled.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let decided = decide(&mut self.shared.state());
        let change = match decided {
            Ok(Some(change)) => change,
            other => {
                drop(turn);
                return done(other.map(|_| None));
            }
        };
        let shared = self.shared.clone();
        let settled = change.clone();
        let recorded = move |outcome: Result<(), Refusal>| {
            let version = settled.version;
            shared.state().settle(settled, outcome.is_ok());
            done(outcome.map(|()| Some(version)));
        };
        journaled.journal.record(change, Box::new(recorded));
    }
}

impl Store for LocalStore {
    fn get(&self, key: &Key, done: Done<Option<Entry>>) {
        let entry = self.shared.state().get(key, self.shared.clock.now());
        done(Ok(entry));
    }

    fn set(&self, key: &Key, write: Write, done: Done<u64>) {
        let now = self.shared.clock.now();
        let decide = |state: &mut State| state.set(key, write, now).map(Some);
        self.change(decide, |made| done(made.map(Option::unwrap_or_default)));
    }

    fn delete(&self, key: &Key, expect: Expect, done: Done<bool>) {
        let now = self.shared.clock.now();
        self.change(|state| state.delete(key, expect, now), |made| done(made.map(|made| made.is_some())));
    }

    fn list(&self, range: &Range, done: Done<Listing>) {
        let listing = self.shared.state().list(range, self.shared.clock.now());
        done(Ok(listing));
    }

    fn sweep(&self) {
        self.shared.state().sweep(self.shared.clock.now());
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
