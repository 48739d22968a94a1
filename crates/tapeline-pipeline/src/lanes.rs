//! What waits for one component: a bounded lane a priority, and which of it is next. Critical ones first, the others by
//! deficit round robin, the lowest waiting lane at least every sixteenth take.
//!
//! It owns what is held back: while a message waits to be tried again, those of the same channel and symbol wait behind
//! it, and nobody else. Order within a channel and symbol never changes. It does not know time passing or calls.

mod lane;

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use tapeline_core::feed::Update;
use tapeline_core::lanes::LANES;

use crate::config::QueueConfig;
use crate::dead_letters::Earlier;
use lane::Lane;
pub(crate) use lane::Made;

/// The lowest waiting lane is served at least every so many takes.
const FAIR_TURN: u8 = 16;
/// The largest ratio between two neighbouring lanes.
const STEEPEST: f64 = 16.0;

/// One message on its way to one component.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) update: Arc<Update>,
    /// Of its channel and symbol.
    pub(crate) key: u64,
    /// Its number among all that the pipeline has taken in: smaller is older.
    pub(crate) serial: u64,
    /// When it came into the lane, by the monotonic clock.
    pub(crate) queued_us: u64,
    /// Its past, where it has one.
    pub(crate) past: Option<Box<Past>>,
}

/// What has gone wrong with a message so far.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Calls with it.
    pub(crate) attempts: u32,
    /// When the first failed, microseconds since 1970.
    pub(crate) first_us: u64,
    /// How the last failed.
    pub(crate) error: Box<str>,
    /// It is given up, but the store of dead letters had no room.
    pub(crate) given_up: Option<tapeline_schema::events::DeadLetterReason>,
    /// Times that it was sent anew.
    pub(crate) redriven: u32,
    /// How it was given up those times.
    pub(crate) history: Vec<Earlier>,
}

impl Item {
    pub(crate) fn lane(&self) -> usize {
        self.update.channel.priority().lane().min(LANES - 1)
    }

    fn is_latest(&self) -> bool {
        self.update.channel.is_latest()
    }

    pub(crate) fn past(&mut self) -> &mut Past {
        self.past.get_or_insert_default()
    }
}

/// Messages of one channel and symbol that wait behind one of them.
#[derive(Debug)]
struct Held {
    lane: usize,
    /// The number of the one that goes first: it waits for its time, is about to be taken, or is being called.
    head: u64,
    /// It, while it waits for its time.
    retry: Option<Item>,
    due_us: u64,
    /// Those behind it.
    behind: VecDeque<Item>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: [Lane; LANES],
    held: HashMap<u64, Held>,
    turn: u8,
    /// Which of the lanes below the critical one is being served, and how many takes each still has.
    serving: usize,
    credits: [f64; LANES],
    weights: [f64; LANES],
}

impl Lanes {
    pub(crate) fn new(config: &QueueConfig) -> Self {
        let times = if config.priority_multiplier.is_nan() { 1.0 } else { config.priority_multiplier };
        let ratio = times.clamp(1.0, STEEPEST);
        let size = config.max_size.max(1);
        let critical = scaled(size, times);
        let lanes = [critical, size, size, size].map(Lane::new);
        Lanes {
            lanes,
            held: HashMap::new(),
            turn: 0,
            serving: 1,
            credits: [0.0; LANES],
            weights: [0.0, ratio * ratio, ratio, 1.0],
        }
    }

    /// Whether a lane has no room; what conflates may still come in.
    pub(crate) fn is_full(&self, lane: usize) -> bool {
        self.lanes.get(lane).is_none_or(Lane::is_full)
    }

    /// Messages that wait, by lane.
    pub(crate) fn waiting(&self) -> [u64; LANES] {
        std::array::from_fn(|lane| self.lanes.get(lane).map_or(0, |lane| lane.waiting() as u64))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.waiting() == 0)
    }

    /// Appends a message, and tells what gave way to it. `newest_only` is said while nothing is called: then of what is
    /// latest only the newest is kept. A full critical lane takes it all the same: to ask before is the caller's part.
    pub(crate) fn push(&mut self, item: Item, newest_only: bool) -> Made {
        let number = item.lane();
        let Some(lane) = self.lanes.get_mut(number) else { return Made::default() };
        let mut made = Made::default();
        let full = lane.is_full();
        let may_conflate = item.is_latest() && (newest_only || (full && number == 1));
        let item = if may_conflate {
            // Only what finds no older one of its own asks for a sweep, which looks at the whole lane.
            let unplaced = lane.replace(item).and_then(|item| {
                made.conflated += lane.keep_newest();
                lane.replace(item)
            });
            match unplaced {
                None => return Made { conflated: made.conflated + 1, ..made },
                Some(item) => item,
            }
        } else {
            item
        };
        if number != 0 && lane.is_full() {
            made.dropped += 1;
            if number == LANES - 1 {
                return made;
            }
            self.drop_oldest(number);
        }
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.append(item);
        }
        made
    }

    fn drop_oldest(&mut self, number: usize) {
        let Some(lane) = self.lanes.get_mut(number) else { return };
        if let Some(item) = lane.drop_returned() {
            if self.held.get(&item.key).is_some_and(|held| held.head == item.serial) {
                self.release(item.key);
            }
            return;
        }
        let has_dropped = lane.held > 0 && (self.drop_behind(number) || self.drop_retry(number));
        if !has_dropped && let Some(lane) = self.lanes.get_mut(number) {
            lane.take_queued();
        }
    }

    /// Drops the oldest of those behind a held one: older than anything in the queue.
    fn drop_behind(&mut self, number: usize) -> bool {
        let of_lane = self.held.values_mut().filter(|held| held.lane == number && !held.behind.is_empty());
        let oldest = of_lane.min_by_key(|held| held.behind.front().map(|item| item.serial));
        let has_dropped = oldest.and_then(|held| held.behind.pop_front()).is_some();
        self.uncount_held(number, usize::from(has_dropped));
        has_dropped
    }

    /// Drops the oldest held one, where nothing else is left.
    fn drop_retry(&mut self, number: usize) -> bool {
        if self.lanes.get(number).is_some_and(Lane::is_ready) {
            return false;
        }
        let of_lane = self.held.iter().filter(|(_, held)| held.lane == number && held.retry.is_some());
        let oldest = of_lane.min_by_key(|(_, held)| held.head).map(|(key, _)| *key);
        // Nothing waits behind it, or that would have gone first.
        let has_dropped = oldest.and_then(|key| self.held.remove(&key)).is_some();
        self.uncount_held(number, usize::from(has_dropped));
        has_dropped
    }

    fn uncount_held(&mut self, number: usize, fewer: usize) {
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.held -= fewer;
        }
    }

    /// The next message, whose call is to be made now.
    pub(crate) fn take(&mut self) -> Option<Item> {
        loop {
            let turn = self.turn;
            let number = self.next_lane()?;
            let lane = self.lanes.get_mut(number)?;
            let item = lane.take()?;
            match self.held.get_mut(&item.key) {
                Some(held) if held.head != item.serial => {
                    held.behind.push_back(item);
                    lane.held += 1;
                    self.turn = turn;
                }
                _ => return Some(item),
            }
        }
    }

    fn next_lane(&mut self) -> Option<usize> {
        self.turn = (self.turn + 1) % FAIR_TURN;
        let ready = |lane: &Lane| lane.is_ready();
        if self.turn == 0 {
            return self.lanes.iter().rposition(ready);
        }
        if self.lanes.first().is_some_and(ready) {
            return Some(0);
        }
        self.lanes.iter().any(ready).then(|| self.next_by_weight())
    }

    /// One of the other lanes is ready.
    fn next_by_weight(&mut self) -> usize {
        loop {
            let is_ready = self.lanes.get(self.serving).is_some_and(Lane::is_ready);
            if let Some(credit) = self.credits.get_mut(self.serving) {
                if is_ready && *credit >= 1.0 {
                    *credit -= 1.0;
                    return self.serving;
                }
                if !is_ready {
                    *credit = 0.0;
                }
            }
            self.serving = if self.serving + 1 < LANES { self.serving + 1 } else { 1 };
            if let (Some(credit), Some(weight)) =
                (self.credits.get_mut(self.serving), self.weights.get(self.serving))
            {
                *credit += weight;
            }
        }
    }

    /// Keeps a message to be tried again at `due_us`; those of its channel and symbol wait for it.
    pub(crate) fn hold(&mut self, item: Item, due_us: u64) {
        let (key, head, lane) = (item.key, item.serial, item.lane());
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.held += 1;
        }
        let new = || Held { lane, head, retry: None, due_us, behind: VecDeque::new() };
        let held = self.held.entry(key).or_insert_with(new);
        (held.head, held.retry, held.due_us) = (head, Some(item), due_us);
    }

    /// When the next held message is due.
    pub(crate) fn next_due_us(&self) -> Option<u64> {
        if self.held.is_empty() {
            return None;
        }
        self.held.values().filter(|held| held.retry.is_some()).map(|held| held.due_us).min()
    }

    /// Lets held messages go on that are due, or all of them; answers how many gave way to a newer one behind them.
    pub(crate) fn let_due_go(&mut self, now_us: Option<u64>) -> u64 {
        if self.held.is_empty() {
            return 0;
        }
        let due = |held: &Held| held.retry.is_some() && now_us.is_none_or(|now_us| held.due_us <= now_us);
        let mut keys: Vec<(u64, u64)> =
            self.held.iter().filter(|(_, held)| due(held)).map(|(key, held)| (held.head, *key)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| self.let_go(key)).sum()
    }

    fn let_go(&mut self, key: u64) -> u64 {
        let Some(held) = self.held.get_mut(&key) else { return 0 };
        let Some(item) = held.retry.take() else { return 0 };
        let Some(lane) = self.lanes.get_mut(item.lane()) else { return 0 };
        if item.is_latest() && !held.behind.is_empty() {
            let newest = held.behind.pop_back();
            let conflated = 1 + held.behind.len();
            lane.held -= conflated + 1;
            self.held.remove(&key);
            newest.into_iter().for_each(|newest| lane.put_first(newest));
            return conflated as u64;
        }
        lane.held -= 1;
        lane.put_last(item);
        0
    }

    /// A message has got its end: those that wait behind it go on.
    pub(crate) fn release(&mut self, key: u64) {
        if self.held.is_empty() {
            return;
        }
        let Some(held) = self.held.remove(&key) else { return };
        for item in held.behind.into_iter().rev() {
            if let Some(lane) = self.lanes.get_mut(item.lane()) {
                lane.held -= 1;
                lane.put_first(item);
            }
        }
    }

    /// Keeps only the newest of what is latest, in all lanes; answers how many gave way.
    pub(crate) fn keep_newest(&mut self) -> u64 {
        let mut conflated = self.lanes.iter_mut().map(Lane::keep_newest).sum();
        for held in self.held.values_mut().filter(|held| held.behind.back().is_some_and(Item::is_latest)) {
            let older = held.behind.len() - 1;
            held.behind.drain(..older);
            conflated += older as u64;
            if let Some(lane) = self.lanes.get_mut(held.lane) {
                lane.held -= older;
            }
        }
        conflated
    }

    /// Takes out everything, in the order in which it came.
    pub(crate) fn drain(&mut self) -> Vec<Item> {
        let mut items: Vec<Item> = self.lanes.iter_mut().flat_map(Lane::drain).collect();
        for (_, held) in self.held.drain() {
            items.extend(held.retry.into_iter().chain(held.behind));
        }
        items.sort_by_key(|item| item.serial);
        items
    }
}

/// A count times a factor of at least one.
#[expect(clippy::as_conversions, reason = "there is no From<usize> for f64; a lane is far below 2^52")]
fn scaled(size: usize, times: f64) -> usize {
    (size as f64 * times.clamp(1.0, 1_000.0)).round() as usize
}

#[cfg(test)]
mod tests;
