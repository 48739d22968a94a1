//! One world: sources, components, clocks and letters, and what must be true of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tapeline_core::clock::{Clock, Now};
use tapeline_core::feed::{Update, UpdateKind, VenueChannel};
use tapeline_core::testkit::Rng;
use tapeline_schema::Priority;

use super::actor::{Actor, Taste, Which, which};
use crate::cell::Cell;
use crate::config::{BreakerConfig, QueueConfig, RetryConfig};
use crate::dead_letters::{DeadLetters, Filter, MemoryBounds, MemoryLetters};
use crate::floor::{Floor, FloorParts, Gate, Patience, Pushed, Refusal, Routes, Taker};
use crate::intake::IntakeConfig;
use crate::redrive::{Redrive, Redrives, Rehearsal};
use crate::worker::{Bounds, CallId, Worker};

const SOURCES: usize = 2;

/// Both readings, each on its own.
#[derive(Default)]
struct TwoClocks {
    mono_us: AtomicU64,
    wall_us: AtomicU64,
}

impl Clock for TwoClocks {
    fn now(&self) -> Now {
        let (mono_us, wall_us) = (&self.mono_us, &self.wall_us);
        Now { mono_us: mono_us.load(Ordering::Relaxed), wall_us: wall_us.load(Ordering::Relaxed) }
    }
}

impl TwoClocks {
    fn advance(&self, us: u64) {
        self.mono_us.fetch_add(us, Ordering::Relaxed);
        self.wall_us.fetch_add(us, Ordering::Relaxed);
    }
}

/// What was delivered, and when.
type Deliveries = Vec<(Which, u64)>;

/// Who plays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cast {
    Everybody,
    /// The first is bad, the others are good, and nothing else is special.
    OneIsBad,
    /// The same without the first.
    WithoutIt,
}

/// What has happened in worlds: a simulator in which something never happens proves nothing about it.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    fn count(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    pub(super) fn add(&mut self, other: &Seen) {
        other.0.iter().for_each(|(what, times)| self.count(what, *times));
    }

    pub(super) fn assert_that_everything_happened(&self) {
        let wanted = [
            "accepted",
            "invalid",
            "deduplicated",
            "no_room_for_letters",
            "held back",
            "delivered",
            "conflated",
            "overflow",
            "expired",
            "max_retries",
            "validation",
            "timeout",
            "panic",
            "circuit_open",
            "stopped",
            "retried",
            "redriven",
            "hung",
            "restarts",
        ];
        for what in wanted {
            assert!(self.0.get(what).is_some_and(|times| *times > 0), "never happened: {what}; {:?}", self.0);
        }
    }
}

/// Critical messages that a component has lost for want of room for letters.
fn lost(actor: &Actor) -> u64 {
    actor.cell.lock().stats().dropped.get("no_room_for_letters").copied().unwrap_or_default()
}

struct Feed {
    gate: Arc<Gate>,
    numbers: HashMap<String, u64>,
    last: Option<Arc<Update>>,
    /// Held back by a component.
    waiting: Option<Arc<Update>>,
}

/// See the module.
pub(super) struct World {
    cast: Cast,
    rng: Rng,
    clock: Arc<TwoClocks>,
    letters: Arc<MemoryLetters>,
    floor: Floor,
    feeds: Vec<Feed>,
    actors: Vec<Actor>,
    /// Critical messages that a component has been given, and has to answer for.
    owed: HashSet<(String, Which)>,
    late: HashMap<u64, CallId>,
    redrives: Redrives,
    /// Letters that somebody has taken out.
    taken: u64,
    /// Letters that components wrote which are no more.
    past_letters: u64,
    gone: HashSet<(String, Which)>,
    pub(super) seen: Seen,
}

impl World {
    pub(super) fn new(seed: u64, cast: Cast) -> Self {
        let mut rng = Rng::new(seed);
        let clock = Arc::new(TwoClocks::default());
        clock.advance(5_000_000);
        let few = cast == Cast::Everybody && rng.percent(20);
        let bounds = MemoryBounds { letters: if few { 6 } else { 100_000 }, ..MemoryBounds::default() };
        let letters = Arc::new(MemoryLetters::new(bounds));
        let queue = QueueConfig {
            max_size: rng.between(2, 12),
            timeout_seconds: 0.05,
            dedup_window_seconds: 1e7,
            ..QueueConfig::default()
        };
        let floor = Floor::new(FloorParts {
            clock: clock.clone(),
            letters: letters.clone(),
            queue: queue.clone(),
            intake: IntakeConfig { max_bytes: 200, ..IntakeConfig::default() },
            run: seed,
        });
        let feed = |number: usize| Feed {
            gate: floor.gate(&format!("source {number}")),
            numbers: HashMap::new(),
            last: None,
            waiting: None,
        };
        let feeds = (0..SOURCES).map(feed).collect();
        let mut world = World {
            cast,
            clock,
            letters,
            feeds,
            floor,
            actors: Vec::new(),
            owed: HashSet::new(),
            late: HashMap::new(),
            redrives: Redrives::default(),
            taken: 0,
            past_letters: 0,
            gone: HashSet::new(),
            seen: Seen::default(),
            rng,
        };
        for number in 0..world.rng.between(2, 4) {
            world.add_actor(number, &queue);
        }
        world.set_routes();
        world
    }

    fn add_actor(&mut self, number: usize, queue: &QueueConfig) {
        let seed = self.rng.number();
        let mut rng = Rng::new(seed);
        let until_us = self.clock.now().mono_us + 30_000_000;
        let tastes = [Taste::Good, Taste::Mixed, Taste::FailsUntil(until_us), Taste::Slow, Taste::Hangs];
        let drawn = rng.pick(if self.cast == Cast::Everybody { &tastes } else { &tastes[1..] }).copied();
        let is_bad = self.cast == Cast::Everybody || number == 0;
        let taste = drawn.filter(|_| is_bad).unwrap_or(Taste::Good);
        let bounds = Bounds {
            queue: queue.clone(),
            retry: RetryConfig { budget: rng.percent(20).then_some(2), ..RetryConfig::default() },
            breaker: BreakerConfig { minimum_calls: 5, trial_calls: 3, ..BreakerConfig::default() },
            deadline: rng.percent(30).then_some(Duration::from_millis(300)),
            ..Bounds::default()
        };
        if self.cast == Cast::WithoutIt && number == 0 {
            return;
        }
        let mut jitter = Rng::new(seed ^ 1);
        let chance = Box::new(move || jitter.below(1_000) as f64 / 1_000.0);
        let name: Arc<str> = format!("component {number}").into();
        let worker = Worker::new(name.clone(), self.floor.run, bounds, chance);
        let cell = Arc::new(Cell::new(number as u64, name, worker));
        self.actors.push(Actor::new(cell, taste, rng));
    }

    fn set_routes(&self) {
        let taker = |actor: &Actor| Taker {
            cell: actor.cell.clone(),
            takes: VenueChannel::ALL
                .iter()
                .filter(|channel| **channel != VenueChannel::Ohlc)
                .cloned()
                .collect(),
            skips: vec![VenueChannel::Ohlc],
        };
        self.floor.set_routes(Routes::new(self.actors.iter().map(taker).collect()));
    }

    pub(super) fn step(&mut self) {
        let special = self.cast == Cast::Everybody;
        match self.rng.below(100) {
            0..50 => (0..self.rng.between(1, 10)).for_each(|_| self.push()),
            50..75 => self.clock.advance(self.rng.below(20_000) as u64),
            75..84 => self.look(),
            84..88 => self.clock.advance(self.rng.below(6_000_000) as u64),
            88..90 => self.jump(),
            90..93 if special => self.redrive(),
            93..95 if special => self.throw_away(),
            95..97 if special => self.restart(),
            97 if special && self.actors.len() > 2 && self.rng.percent(20) => self.unregister(),
            _ => {}
        }
        self.act();
    }

    fn act(&mut self) {
        self.actors.iter_mut().for_each(|actor| actor.act(&self.floor));
    }

    /// An operator sets the wall clock, or the monotonic one leaps.
    fn jump(&mut self) {
        let wall_us = self.rng.number() >> 14;
        match self.rng.below(3) {
            0 => self.clock.advance(60_000_000),
            _ => self.clock.wall_us.store(wall_us, Ordering::Relaxed),
        }
    }

    fn push(&mut self) {
        let number = self.rng.below(self.feeds.len());
        let patient = self.cast == Cast::Everybody && self.rng.percent(30);
        let chosen = self.rng.below(100);
        let drawn = self.draw(number, chosen);
        let Some(feed) = self.feeds.get_mut(number) else { return };
        // What is held back goes first.
        let (update, patient) = match feed.waiting.take() {
            Some(update) => (update, true),
            None => (drawn, patient),
        };
        let patience = if patient { Patience::Waits } else { Patience::None };
        let lost_before: Vec<u64> = self.actors.iter().map(lost).collect();
        let Some(pushed) = self.floor.push(&feed.gate, &update, patience) else {
            feed.waiting = Some(update);
            return self.seen.count("held back", 1);
        };
        match pushed {
            Pushed::Accepted => {
                feed.last = Some(update.clone());
                self.owe(&update, &lost_before);
            }
            // It may come again.
            Pushed::Refused(Refusal::NoRoom) => feed.waiting = Some(update),
            Pushed::Refused(Refusal::Stopped) => unreachable!("nobody has stopped it"),
            Pushed::Invalid(_) | Pushed::Repeated => {}
        }
    }

    fn draw(&mut self, number: usize, chosen: usize) -> Arc<Update> {
        let channel = match self.rng.below(10) {
            0..3 => VenueChannel::Ticker,
            3 => VenueChannel::Book,
            4..6 => VenueChannel::Trade,
            6 => VenueChannel::Ohlc,
            7 => VenueChannel::Heartbeat,
            8 => VenueChannel::Balances,
            _ => VenueChannel::Executions,
        };
        let symbol = format!("S{number}-{}", self.rng.below(3));
        let feed = &mut self.feeds[number];
        if let (Some(last), 0..5) = (&feed.last, chosen) {
            return last.clone();
        }
        let count = feed.numbers.entry(format!("{channel}:{symbol}")).or_default();
        *count += 1;
        let data = if chosen == 99 { "{\"torn\":".to_string() } else { format!("{{\"n\":{count}}}") };
        Arc::new(Update {
            source: "sim".into(),
            channel,
            kind: UpdateKind::Change,
            symbol: Some(symbol.into()),
            data: data.into(),
            id: None,
            sequence: Some(*count),
            venue_us: None,
            received: self.clock.now(),
        })
    }

    /// Everybody answers for a critical one, but who has said that it is lost: only where letters have little room.
    fn owe(&mut self, update: &Update, lost_before: &[u64]) {
        if update.channel.priority() == Priority::Critical {
            let answers = |(actor, before): &(&Actor, &u64)| lost(actor) == **before;
            for (actor, _) in self.actors.iter().zip(lost_before).filter(answers) {
                self.owed.insert((actor.cell.name.to_string(), which(update)));
            }
        }
    }

    /// The watchdog's.
    fn look(&mut self) {
        let cells: Vec<_> = self.actors.iter().map(|actor| actor.cell.clone()).collect();
        let before: Vec<_> = cells.iter().map(|cell| cell.lock().is_hung()).collect();
        self.late = crate::thread::look(&self.floor, &cells, &self.late);
        let hung = cells.iter().zip(before).filter(|(cell, before)| cell.lock().is_hung() && !before).count();
        self.seen.count("hung", hung as u64);
    }

    fn redrive(&mut self) {
        let letters = self.letters.list(&Filter::default(), usize::MAX);
        let of = |id: u64| letters.iter().find(|(other, _)| *other == id).map(|(_, letter)| letter.clone());
        let one = self.rng.pick(&letters).map(|(id, _)| *id).filter(|_| self.rng.percent(50));
        let redrive = Redrive {
            filter: Filter { id: one, ..Filter::default() },
            most: self.rng.between(1, 5),
            rehearsal: if self.rng.percent(20) { Rehearsal::Dry } else { Rehearsal::Real },
            ..Redrive::default()
        };
        let cells: Vec<_> = self.actors.iter().map(|actor| actor.cell.clone()).collect();
        let redriven = self.redrives.run(&redrive, &self.floor, &cells);
        if redrive.rehearsal == Rehearsal::Dry {
            return;
        }
        for letter in redriven.sent.iter().filter_map(|id| of(*id)) {
            self.taken += 1;
            let actor = self.actors.iter_mut().find(|actor| actor.cell.name == letter.component);
            actor.into_iter().for_each(|actor| actor.redriven.push(which(&letter.update)));
        }
    }

    /// Somebody throws the oldest letters away.
    fn throw_away(&mut self) {
        let letters = self.letters.list(&Filter::default(), self.rng.between(1, 5));
        for (id, letter) in letters {
            assert!(self.letters.take(id).is_some());
            self.taken += 1;
            self.gone.insert((letter.component.to_string(), which(&letter.update)));
        }
    }

    fn restart(&mut self) {
        self.actors.iter_mut().for_each(Actor::restart);
        self.seen.count("restarts", 1);
    }

    fn unregister(&mut self) {
        let actor = self.actors.swap_remove(self.rng.below(self.actors.len()));
        self.set_routes();
        let now = self.clock.now();
        let mut worker = actor.cell.lock();
        worker.close();
        if let Some((id, _)) = worker.under_way() {
            worker.on_hung(id, now, &*self.letters);
        }
        worker.give_up_all(now, &*self.letters);
        let stats = worker.stats();
        drop(worker);
        let name = actor.cell.name.to_string();
        // Without room for letters, its owner is told what is left by the numbers.
        let left = stats.queued[0] > 0;
        let delivered: HashSet<_> = actor.delivered.iter().map(|(which, _)| which.clone()).collect();
        self.owed.retain(|(of, which)| *of != name || !(left || delivered.contains(which)));
        self.count(&stats);
        self.taken_by_gone(&stats);
    }

    /// Keeps the sum of letters right where a component is no longer asked.
    fn taken_by_gone(&mut self, stats: &crate::stats::ComponentStats) {
        self.past_letters += stats.dead_lettered.values().sum::<u64>();
    }

    fn count(&mut self, stats: &crate::stats::ComponentStats) {
        let seen = &mut self.seen;
        stats.dropped.iter().chain(&stats.dead_lettered).for_each(|(what, times)| seen.count(what, *times));
        let counts = [stats.delivered, stats.conflated, stats.retried, stats.redriven];
        for (what, times) in ["delivered", "conflated", "retried", "redriven"].into_iter().zip(counts) {
            seen.count(what, times);
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let mut letters = self.past_letters;
        for actor in &self.actors {
            let stats = actor.cell.lock().stats();
            if !stats.balances() {
                return Err(format!("{} does not balance: {stats:?}", actor.cell.name));
            }
            if let Some(problem) = &actor.problem {
                return Err(problem.clone());
            }
            letters += stats.dead_lettered.values().sum::<u64>();
        }
        for (name, stats) in self.floor.source_stats() {
            let sum = stats.invalid + stats.deduplicated + stats.refused + stats.accepted;
            if stats.taken_in != sum {
                return Err(format!("{name} does not balance: {stats:?}"));
            }
        }
        let kept = self.letters.kept();
        let found = kept.letters.values().sum::<u64>() + kept.evicted + self.taken;
        if letters != found {
            return Err(format!("{letters} letters were written, {found} are known"));
        }
        Ok(())
    }

    /// Everybody works again; then nothing waits, and every critical message has its place.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        for actor in &mut self.actors {
            actor.taste = Taste::Good;
        }
        for _ in 0..200 {
            self.clock.advance(500_000);
            self.look();
            self.act();
            self.throw_away();
            self.check()?;
        }
        self.actors.iter().try_for_each(|actor| {
            let stats = actor.cell.lock().stats();
            let waits = stats.queued.iter().sum::<u64>() > 0 || stats.hung;
            if waits {
                Err(format!("{} does not come to an end: {stats:?}", actor.cell.name))
            } else {
                Ok(())
            }
        })?;
        for actor in &self.actors {
            let name = actor.cell.name.to_string();
            for (which, _) in &actor.delivered {
                self.owed.remove(&(name.clone(), which.clone()));
            }
        }
        for (_, letter) in self.letters.list(&Filter::default(), usize::MAX) {
            self.owed.remove(&(letter.component.to_string(), which(&letter.update)));
        }
        for gone in &self.gone {
            self.owed.remove(gone);
        }
        let all: Vec<_> = self.actors.iter().map(|actor| actor.cell.lock().stats()).collect();
        all.iter().for_each(|stats| self.count(stats));
        for stats in self.floor.source_stats().values() {
            let counts = [stats.accepted, stats.invalid, stats.deduplicated, stats.refused];
            for (what, times) in ["accepted", "invalid", "deduplicated", "refused"].into_iter().zip(counts) {
                self.seen.count(what, times);
            }
        }
        match self.owed.iter().next() {
            Some((name, which)) => Err(format!("{name} has lost the critical {which:?}")),
            None => Ok(()),
        }
    }

    /// Of each component but the first: what was delivered, and when.
    pub(super) fn deliveries(&self) -> Vec<(Arc<str>, Deliveries)> {
        let others = self.actors.iter().filter(|actor| actor.cell.number > 0);
        others.map(|actor| (actor.cell.name.clone(), actor.delivered.clone())).collect()
    }
}
