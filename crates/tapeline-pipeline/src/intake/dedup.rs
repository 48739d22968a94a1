//! What has been accepted lately, in two generations: when the window has passed, the older one is forgotten. It
//! remembers marks, not updates; those of critical channels are compared whole, others by a hash of 128 bits.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foldhash::quality::RandomState;
use hashbrown::HashMap;
use tapeline_core::clock::{Now, micros};
use tapeline_core::feed::{Update, VenueChannel};
use tapeline_schema::Priority;

/// What the same thing again has again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Id {
    Named(Box<str>),
    Numbered(u64),
    Content(Bytes),
}

/// By what an update is known again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mark {
    Hash(u128),
    Whole(Box<Whole>),
}

/// Source, channel, symbol and id of a critical update.
type Whole = (Arc<str>, VenueChannel, Option<Arc<str>>, WholeId);

/// An id of a critical update.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WholeId(Id);

/// See the module.
#[derive(Debug)]
pub(crate) struct Dedup {
    window_us: u64,
    /// Marks in a generation.
    most: usize,
    states: [RandomState; 2],
    recent: HashMap<Mark, u64>,
    older: HashMap<Mark, u64>,
    /// Since when `recent` is filled, by the monotonic clock.
    since_us: u64,
    shortened: u64,
}

impl Dedup {
    pub(crate) fn new(window: Duration, remembered: usize) -> Self {
        Dedup {
            window_us: micros(window),
            most: (remembered / 2).max(1),
            states: Default::default(),
            recent: HashMap::new(),
            older: HashMap::new(),
            since_us: 0,
            shortened: 0,
        }
    }

    /// The mark of an update: by its id, else its number, else its content where that is given; else it has none.
    pub(crate) fn mark(&self, update: &Update, content: Option<&Bytes>) -> Option<Mark> {
        if update.channel.priority() == Priority::Critical {
            let named = update.id.clone().map(Id::Named).or(update.sequence.map(Id::Numbered));
            let id = WholeId(named.or_else(|| content.cloned().map(Id::Content))?);
            let (source, channel) = (update.source.clone(), update.channel.clone());
            return Some(Mark::Whole(Box::new((source, channel, update.symbol.clone(), id))));
        }
        let halves = match (&update.id, update.sequence, content) {
            (Some(id), _, _) => self.halves(update, &(0_u8, id)),
            (None, Some(number), _) => self.halves(update, &(1_u8, number)),
            (None, None, Some(data)) => self.halves(update, &(2_u8, data)),
            (None, None, None) => return None,
        };
        let [high, low] = halves.map(u128::from);
        Some(Mark::Hash(high << 64 | low))
    }

    fn halves(&self, update: &Update, id: &impl Hash) -> [u64; 2] {
        self.states.each_ref().map(|state| {
            let mut hasher = state.build_hasher();
            update.source.hash(&mut hasher);
            update.channel.hash(&mut hasher);
            update.symbol.hash(&mut hasher);
            id.hash(&mut hasher);
            hasher.finish()
        })
    }

    /// Whether the same was remembered within the window.
    pub(crate) fn knows(&mut self, mark: &Mark, now: Now) -> bool {
        self.age(now);
        let remembered_us = self.recent.get(mark).or_else(|| self.older.get(mark));
        remembered_us.is_some_and(|us| now.mono_us.saturating_sub(*us) < self.window_us)
    }

    pub(crate) fn remember(&mut self, mark: Mark, now: Now) {
        self.age(now);
        if self.recent.len() >= self.most {
            self.shortened += 1;
            self.turn(now);
        }
        self.recent.insert(mark, now.mono_us);
    }

    pub(crate) fn shortened(&self) -> u64 {
        self.shortened
    }

    fn age(&mut self, now: Now) {
        let aged_us = now.mono_us.saturating_sub(self.since_us);
        if aged_us >= self.window_us {
            self.turn(now);
        }
        // Nothing of either generation can be within the window.
        if aged_us >= self.window_us.saturating_mul(2) {
            self.older.clear();
        }
    }

    fn turn(&mut self, now: Now) {
        std::mem::swap(&mut self.recent, &mut self.older);
        self.recent.clear();
        self.since_us = now.mono_us;
    }
}
