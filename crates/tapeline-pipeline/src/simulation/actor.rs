//! A component and its thread, played: each call has a length and an end that chance and its taste decide.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use tapeline_core::clock::micros;
use tapeline_core::feed::Update;
use tapeline_core::testkit::Rng;

use crate::cell::Cell;
use crate::component::Failure;
use crate::floor::Floor;
use crate::worker::{CallId, Outcome, Step};

const MS: u64 = 1_000;
/// A call that blocks comes back after so long.
const HANG_US: u64 = 10_000 * MS;

/// How a component behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taste {
    Good,
    /// Everything, now and then.
    Mixed,
    /// Fails until this time, then works.
    FailsUntil(u64),
    /// Works, and slowly.
    Slow,
    /// Blocks now and then.
    Hangs,
}

/// What is under way.
struct Busy {
    id: CallId,
    update: Arc<Update>,
    ends_us: u64,
    outcome: Outcome,
}

/// What its thread does.
enum Doing {
    /// About to ask.
    Asks,
    Calls(Box<Busy>),
    WaitsUntil(u64),
    Sleeps,
}

/// A channel and symbol, and a number of it.
pub(super) type Which = (String, u64);

/// See the module.
pub(super) struct Actor {
    pub(super) cell: Arc<Cell>,
    pub(super) taste: Taste,
    rng: Rng,
    doing: Doing,
    pub(super) delivered: Vec<(Which, u64)>,
    last: HashMap<String, u64>,
    pub(super) redriven: Vec<Which>,
    pub(super) is_restarting: bool,
    pub(super) problem: Option<String>,
}

pub(super) fn which(update: &Update) -> Which {
    let symbol = update.symbol.as_deref().unwrap_or_default();
    (format!("{}:{symbol}", update.channel), update.sequence.unwrap_or_default())
}

impl Actor {
    pub(super) fn new(cell: Arc<Cell>, taste: Taste, rng: Rng) -> Self {
        Actor {
            cell,
            taste,
            rng,
            doing: Doing::Asks,
            delivered: Vec::new(),
            last: HashMap::new(),
            redriven: Vec::new(),
            is_restarting: false,
            problem: None,
        }
    }

    /// Does what its thread would by now.
    pub(super) fn act(&mut self, floor: &Floor) {
        for _ in 0..200 {
            let now = floor.clock.now();
            let done = match &self.doing {
                Doing::Calls(busy) if busy.ends_us <= now.mono_us => {
                    let Doing::Calls(busy) = std::mem::replace(&mut self.doing, Doing::Asks) else { return };
                    self.note(&busy);
                    Some((busy.id, busy.outcome))
                }
                Doing::Calls(_) => return,
                Doing::WaitsUntil(until_us) if *until_us > now.mono_us && !self.is_woken() => return,
                Doing::Sleeps if !self.is_woken() => return,
                _ => None,
            };
            self.doing = match floor.step(&self.cell, done, now) {
                Step::Call { id, update } => Doing::Calls(Box::new(self.begin(id, update, now.mono_us))),
                Step::Wait { until_us } => Doing::WaitsUntil(until_us),
                Step::Idle => Doing::Sleeps,
                Step::End => {
                    let mut worker = self.cell.lock();
                    worker.restart();
                    worker.take_ended();
                    self.is_restarting = false;
                    Doing::Asks
                }
            };
        }
    }

    fn is_woken(&self) -> bool {
        pin!(self.cell.wake.notified()).enable()
    }

    fn begin(&mut self, id: CallId, update: Arc<Update>, now_us: u64) -> Busy {
        let limit_us = micros(self.cell.lock().call_timeout());
        let (length_us, outcome) = self.draw(now_us, limit_us);
        Busy { id, update, ends_us: now_us + length_us, outcome }
    }

    fn draw(&mut self, now_us: u64, limit_us: u64) -> (u64, Outcome) {
        let short_us = self.rng.below(3) as u64 * MS;
        let transient = || Outcome::Failed(Failure::Transient("no connection".to_string()));
        match self.taste {
            Taste::Good => (0, Outcome::Delivered),
            Taste::FailsUntil(until_us) if now_us < until_us => (short_us, transient()),
            Taste::FailsUntil(_) => (short_us, Outcome::Delivered),
            Taste::Slow => (20 * MS + short_us, Outcome::Delivered),
            Taste::Hangs if self.rng.percent(5) => (HANG_US, Outcome::Delivered),
            Taste::Hangs => (short_us, Outcome::Delivered),
            Taste::Mixed => match self.rng.below(20) {
                0..3 => (short_us, transient()),
                3 => (short_us, Outcome::Failed(Failure::Permanent("no".to_string()))),
                4 => (short_us, Outcome::Failed(Failure::Message("what is this".to_string()))),
                5 => (limit_us, Outcome::TimedOut),
                6 => (short_us, Outcome::Panicked("oh".into())),
                _ => (short_us, Outcome::Delivered),
            },
        }
    }

    /// A call has ended that counts: order must hold, and nothing comes twice but what was sent anew.
    fn note(&mut self, busy: &Busy) {
        let counts = self.cell.lock().under_way().is_some_and(|(id, _)| id == busy.id);
        if !counts || busy.outcome != Outcome::Delivered {
            return;
        }
        let which = which(&busy.update);
        self.delivered.push((which.clone(), busy.ends_us));
        if let Some(place) = self.redriven.iter().position(|other| *other == which) {
            self.redriven.swap_remove(place);
            return;
        }
        let last = self.last.insert(which.0.clone(), which.1);
        if last.is_some_and(|last| last >= which.1) {
            self.problem = Some(format!("{} took {which:?} after {last:?}", self.cell.name));
        }
    }

    /// Begins its thread anew, as the pipeline does; one that is in a call does so when that has ended.
    pub(super) fn restart(&mut self) {
        let mut worker = self.cell.lock();
        if worker.is_hung() {
            worker.restart();
        } else {
            worker.end(crate::worker::Ending::Now);
            self.is_restarting = true;
            drop(worker);
            self.cell.wake.notify_one();
        }
    }
}
