//! What the hub has noticed of its channels, for whoever asks: the busiest, and those that have fallen out of their
//! rhythm. `watch` writes it once a second; shards read what has changed and tell their sessions. Feeds put up which book
//! they fetch anew.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tapeline_schema::events::FreshnessState;

/// How many changes a shard may be behind by before it has missed some.
const CHANGES: usize = 65_536;

/// A channel and how much it says.
#[derive(Clone, Debug, PartialEq)]
pub struct BusyChannel {
    /// Its name.
    pub channel: Box<str>,
    /// Messages a second, over the last few seconds.
    pub per_second: f64,
}

/// A channel that is not as fresh as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateChannel {
    /// Its name.
    pub channel: Box<str>,
    /// How it stands.
    pub state: FreshnessState,
    /// How long it has been silent, in milliseconds.
    pub age_ms: u64,
    /// How long it usually is, in milliseconds.
    pub usual_ms: u64,
}

/// Something that the subscribers of a channel are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub channel: Box<str>,
    pub what: Changed,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Its freshness.
    Freshness {
        state: FreshnessState,
        /// Its subscribers had been told that it is stale.
        was_alarmed: bool,
        age_ms: u64,
    },
    /// Its book was found wrong and is fetched anew.
    BookResync,
}

/// What one look at all channels has shown.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub busiest: Vec<BusyChannel>,
    pub late: BTreeMap<Box<str>, LateChannel>,
    /// The same of channels of which each message counts.
    pub quiet: BTreeMap<Box<str>, LateChannel>,
    pub changes: Vec<Change>,
    pub watched: usize,
}

#[derive(Debug, Default)]
struct Inner {
    busiest: Vec<BusyChannel>,
    late: BTreeMap<Box<str>, LateChannel>,
    quiet: BTreeMap<Box<str>, LateChannel>,
    changes: VecDeque<Change>,
    /// Changes that are no longer in the list.
    gone: u64,
    watched: usize,
}

impl Inner {
    fn let_go(&mut self) {
        while self.changes.len() > CHANGES {
            self.changes.pop_front();
            self.gone += 1;
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Board {
    inner: Mutex<Inner>,
    late: AtomicUsize,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn update(&self, seen: Seen) {
        let mut inner = self.lock();
        self.late.store(seen.late.len(), Ordering::Relaxed);
        (inner.busiest, inner.late, inner.quiet) = (seen.busiest, seen.late, seen.quiet);
        inner.watched = seen.watched;
        inner.changes.extend(seen.changes);
        inner.let_go();
    }

    /// A feed fetches the book of this channel anew.
    pub(crate) fn put_book_resync(&self, channel: &str) {
        let mut inner = self.lock();
        inner.changes.push_back(Change { channel: channel.into(), what: Changed::BookResync });
        inner.let_go();
    }

    /// At most `limit` changes since a reader looked, the oldest first; `read` counts what it has read.
    pub(crate) fn changes_after(&self, read: &mut u64, limit: usize) -> Vec<Change> {
        let inner = self.lock();
        let from = (*read).max(inner.gone);
        let known = usize::try_from(from - inner.gone).unwrap_or_default();
        let new: Vec<Change> = inner.changes.iter().skip(known).take(limit).cloned().collect();
        *read = from + new.len() as u64;
        new
    }

    /// The busiest channels, the busiest first.
    pub fn busiest(&self) -> Vec<BusyChannel> {
        self.lock().busiest.clone()
    }

    /// Channels that are not fresh, by name.
    pub fn late(&self) -> Vec<LateChannel> {
        self.lock().late.values().cloned().collect()
    }

    /// How the channel stands, if it is not fresh.
    pub fn find_late(&self, channel: &str) -> Option<LateChannel> {
        if self.late.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.lock().late.get(channel).cloned()
    }

    /// How a channel stands of which each message counts, if it is silent against its rhythm. Nobody is told so.
    pub fn find_quiet(&self, channel: &str) -> Option<LateChannel> {
        self.lock().quiet.get(channel).cloned()
    }

    /// How many channels are watched.
    pub fn watched(&self) -> usize {
        self.lock().watched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(n: usize) -> Change {
        let what = Changed::Freshness { state: FreshnessState::Stale, was_alarmed: false, age_ms: 0 };
        Change { channel: n.to_string().into(), what }
    }

    #[test]
    fn each_reader_is_told_each_change_once_and_the_oldest_give_way() {
        let board = Board::default();
        let (mut early, mut late) = (0, 0);
        board.update(Seen { changes: vec![change(1)], ..Seen::default() });
        assert_eq!(board.changes_after(&mut early, 10), [change(1)]);
        assert_eq!(board.changes_after(&mut early, 10), []);
        board.update(Seen { changes: vec![change(2)], ..Seen::default() });
        assert_eq!(board.changes_after(&mut early, 10), [change(2)]);
        assert_eq!(board.changes_after(&mut late, 1), [change(1)]);
        assert_eq!(board.changes_after(&mut late, 9), [change(2)]);
        board.update(Seen { changes: (0..CHANGES + 5).map(change).collect(), ..Seen::default() });
        let told = board.changes_after(&mut late, usize::MAX);
        assert_eq!((told.len(), &told[0]), (CHANGES, &change(5)));
    }
}
