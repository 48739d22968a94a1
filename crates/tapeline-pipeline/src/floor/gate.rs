//! One source's way in: through its intake, and into the lanes of every component that takes the channel. A critical
//! update goes into each one's lane, else to its dead letters. Who has room for it in neither loses it, counted and said,
//! and costs the others nothing; where nobody has, its source is told and keeps it.

use std::hash::BuildHasher;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use tapeline_core::clock::Now;
use tapeline_core::feed::Update;
use tapeline_schema::Priority;

use super::routes::{Route, Routes};
use super::{Cell, Floor};
use crate::config::QueueConfig;
use crate::intake::{Admission, Intake, IntakeConfig, Invalid};
use crate::lanes::Item;
use crate::stats::SourceStats;
use crate::worker::{Happening, Worker};

/// Channels and symbols of which the newest is remembered.
const NEWEST: usize = 65_536;

/// What became of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a refused update is still its source's"]
pub enum Pushed {
    /// Every component that takes its channel has it, in its lanes or, where a critical one found no room, as a dead
    /// letter. A component whose share of the dead letters was full too has counted it as dropped.
    Accepted,
    /// It is not what its channel says.
    Invalid(Invalid),
    /// It came before.
    Repeated,
    /// Nobody has it.
    Refused(Refusal),
}

/// Why nobody has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The pipeline is stopped.
    #[error("the pipeline is stopped")]
    Stopped,
    /// It is critical, and no component has room for it, nor for its dead letter.
    #[error("no room in any component's critical lane, nor among its dead letters")]
    NoRoom,
}

/// Whether a source can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    None,
    Waits,
}

/// See the module.
pub(crate) struct Gate {
    state: Mutex<State>,
}

struct State {
    intake: Intake,
    counts: SourceStats,
    routes: Arc<Routes>,
    version: u64,
    newest: Newest,
}

/// The number of the newest update of each channel and symbol where the newest is enough.
#[derive(Default)]
struct Newest {
    serials: HashMap<u64, u64>,
    /// Of what came until then, it is not known.
    forgotten: u64,
}

impl Newest {
    fn see(&mut self, key: u64, serial: u64) {
        if self.serials.len() >= NEWEST && !self.serials.contains_key(&key) {
            self.serials.clear();
            self.forgotten = serial;
        }
        self.serials.insert(key, serial);
    }

    fn is_after(&self, key: u64, serial: u64) -> bool {
        serial < self.forgotten || self.serials.get(&key).is_some_and(|newest| *newest > serial)
    }
}

/// What has happened to components, to be told once no lock is held.
type Told = Vec<(Arc<str>, Vec<Happening>)>;

/// A critical update was not taken.
enum Untaken {
    /// A component holds the source back for a moment.
    Held,
    NoRoom,
}

impl Gate {
    pub(super) fn new(intake: IntakeConfig, queue: &QueueConfig) -> Self {
        let state = State {
            intake: Intake::new(intake, queue),
            counts: SourceStats::default(),
            routes: Arc::default(),
            version: 0,
            newest: Newest::default(),
        };
        Gate { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stats(&self) -> SourceStats {
        let state = self.state();
        SourceStats { dedup_shortened: state.intake.shortened(), ..state.counts.clone() }
    }

    /// Returns once a push that was under way is over.
    pub(super) fn pass_barrier(&self) {
        drop(self.state());
    }
}

impl Floor {
    /// The key of an update's source, channel and symbol.
    pub(crate) fn key(&self, update: &Update) -> u64 {
        self.keys.hash_one((&update.source, &update.channel, &update.symbol))
    }

    /// Takes an update in; `None` where a source that can wait is to try again when there is room.
    pub(crate) fn push(&self, gate: &Gate, update: &Arc<Update>, patience: Patience) -> Option<Pushed> {
        let now = self.clock.now();
        let mut told = Told::new();
        let mut state = gate.state();
        let pushed = self.push_into(&mut state, update, (now, patience), &mut told);
        if let Some(pushed) = &pushed {
            state.counts.count(pushed);
        }
        drop(state);
        for (component, happenings) in told {
            self.tell(&component, happenings);
        }
        pushed
    }

    fn push_into(
        &self,
        state: &mut State,
        update: &Arc<Update>,
        (now, patience): (Now, Patience),
        told: &mut Told,
    ) -> Option<Pushed> {
        if !self.is_open() {
            return Some(Pushed::Refused(Refusal::Stopped));
        }
        let mark = match state.intake.admit(update, now) {
            Admission::Admitted(mark) => mark,
            Admission::Invalid(invalid) => return Some(Pushed::Invalid(invalid)),
            Admission::Repeated => return Some(Pushed::Repeated),
        };
        let version = self.version();
        if state.version != version {
            (state.routes, state.version) = (self.routes(), version);
        }
        let route = state.routes.of(&update.channel);
        let (key, serial) = (self.key(update), self.serials.fetch_add(1, Ordering::Relaxed));
        let item = || Item { update: update.clone(), key, serial, queued_us: now.mono_us, past: None };
        if update.channel.priority() == Priority::Critical {
            match self.give_critical(&route.takers, item, (now, patience), told) {
                Ok(()) => {}
                Err(Untaken::Held) => return None,
                Err(Untaken::NoRoom) => return Some(Pushed::Refused(Refusal::NoRoom)),
            }
        } else {
            route.takers.iter().for_each(|cell| self.give(cell, item()));
        }
        skip(route);
        if update.channel.is_latest() {
            state.newest.see(key, serial);
        }
        if let Some(mark) = mark {
            state.intake.remember(mark, now);
        }
        Some(Pushed::Accepted)
    }

    fn give(&self, cell: &Cell, item: Item) {
        let mut worker = cell.lock();
        if worker.is_closed() {
            return;
        }
        worker.offer(item);
        let wakes = worker.take_idle();
        drop(worker);
        if wakes {
            cell.wake.notify_one();
        }
    }

    /// Each gets it into its lane, else as a dead letter; who has no room for either loses it, unless that is everybody.
    fn give_critical(
        &self,
        takers: &[Arc<Cell>],
        item: impl Fn() -> Item,
        (now, patience): (Now, Patience),
        told: &mut Told,
    ) -> Result<(), Untaken> {
        let mut locked: Vec<(&Cell, MutexGuard<'_, Worker>)> = takers
            .iter()
            .map(|cell| (&**cell, cell.lock()))
            .filter(|(_, worker)| !worker.is_closed())
            .collect();
        if patience == Patience::Waits && locked.iter().any(|(_, worker)| worker.holds_back()) {
            return Err(Untaken::Held);
        }
        let mut is_taken = locked.is_empty();
        let mut without = Vec::new();
        for (place, (_, worker)) in locked.iter_mut().enumerate() {
            if !worker.is_critical_full() {
                worker.offer(item());
            } else if worker.spill(&item(), now, &*self.letters).is_err() {
                without.push(place);
                continue;
            }
            is_taken = true;
        }
        if !is_taken {
            return Err(Untaken::NoRoom);
        }
        for place in without {
            locked.get_mut(place).into_iter().for_each(|(_, worker)| worker.lose());
        }
        let_go(locked, told);
        Ok(())
    }

    /// Takes an update in, waiting while a component holds its source back.
    pub(crate) async fn push_waiting(&self, gate: &Gate, update: &Arc<Update>) -> Pushed {
        if let Some(pushed) = self.push(gate, update, Patience::Waits) {
            return pushed;
        }
        let _counted = Counted::new(&self.waiting);
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if let Some(pushed) = self.push(gate, update, Patience::Waits) {
                return pushed;
            }
            room.await;
        }
    }

    /// Whether something newer of the same channel and symbol has come, where only the newest is worth anything.
    pub(crate) fn has_newer(&self, update: &Update, run: u64, serial: u64) -> bool {
        if !update.channel.is_latest() {
            return false;
        }
        let (key, serial) = (self.key(update), if run == self.run { serial } else { 0 });
        self.all_gates().iter().any(|(_, gate)| gate.state().newest.is_after(key, serial))
    }
}

impl SourceStats {
    fn count(&mut self, pushed: &Pushed) {
        self.taken_in += 1;
        match pushed {
            Pushed::Accepted => self.accepted += 1,
            Pushed::Invalid(_) => self.invalid += 1,
            Pushed::Repeated => self.deduplicated += 1,
            Pushed::Refused(_) => self.refused += 1,
        }
    }
}

/// Lets the locks go, then wakes; what is to be told waits until the gate is let go too.
fn let_go(locked: Vec<(&Cell, MutexGuard<'_, Worker>)>, told: &mut Told) {
    let wakes: Vec<_> = locked
        .into_iter()
        .filter_map(|(cell, mut worker)| {
            let happenings = worker.take_happenings();
            if !happenings.is_empty() {
                told.push((cell.name.clone(), happenings));
            }
            worker.take_idle().then_some(cell)
        })
        .collect();
    wakes.iter().for_each(|cell| cell.wake.notify_one());
}

fn skip(route: &Route) {
    route.skippers.iter().for_each(|cell| cell.lock().count_skipped());
}

/// One more, as long as it lives.
struct Counted<'a>(&'a std::sync::atomic::AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a std::sync::atomic::AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Counted(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
