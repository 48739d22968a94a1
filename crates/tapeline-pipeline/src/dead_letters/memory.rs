//! Letters in memory: gone with the process, bounded in count and bytes.
//!
//! Room is shared by components: one may have as many critical letters as there is room left besides all critical
//! ones. So one alone gets half, and whoever comes next gets at least half of what is left.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{DeadLetters, Filter, Kept, Letter, LetterId, NoRoom};

/// What a letter costs besides its data.
const LETTER_BYTES: usize = 256;

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBounds {
    /// Letters.
    pub letters: usize,
    /// Bytes, what a letter costs besides its data among them.
    pub bytes: usize,
}

impl Default for MemoryBounds {
    fn default() -> Self {
        MemoryBounds { letters: 10_000, bytes: 64 << 20 }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryLetters {
    shelf: Mutex<Shelf>,
}

/// Letters by name, in memory; a store on disk keeps one too.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    bounds: MemoryBounds,
    critical: BTreeMap<LetterId, Arc<Letter>>,
    critical_bytes: usize,
    /// Critical letters by component.
    shares: HashMap<Arc<str>, Share>,
    others: BTreeMap<LetterId, Arc<Letter>>,
    bytes: usize,
    last: LetterId,
    evicted: u64,
}

/// What one component has of it.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    letters: usize,
    bytes: usize,
}

/// What a letter costs.
pub(super) fn cost(letter: &Letter) -> usize {
    LETTER_BYTES + letter.update.data.len() + letter.error.len()
}

impl Shelf {
    pub(super) fn new(bounds: MemoryBounds) -> Self {
        Shelf { bounds, ..Shelf::default() }
    }

    fn has_room(&self, more: usize) -> bool {
        self.critical.len() + self.others.len() < self.bounds.letters
            && self.bytes + more <= self.bounds.bytes
    }

    /// Whether a component has not had its share of what would be there if everything gave way that may.
    fn has_share_left(&self, component: &str, more: usize) -> bool {
        let own = self.shares.get(component).copied().unwrap_or_default();
        own.letters < self.bounds.letters.saturating_sub(self.critical.len())
            && own.bytes + more <= self.bounds.bytes.saturating_sub(self.critical_bytes)
    }

    fn count_critical(&mut self, letter: &Letter) {
        let share = self.shares.entry(letter.component.clone()).or_default();
        share.letters += 1;
        share.bytes += cost(letter);
        self.critical_bytes += cost(letter);
    }

    fn uncount_critical(&mut self, letter: &Letter) {
        self.critical_bytes -= cost(letter);
        let Some(share) = self.shares.get_mut(&letter.component) else { return };
        share.letters -= 1;
        share.bytes -= cost(letter);
        if share.letters == 0 {
            self.shares.remove(&letter.component);
        }
    }

    /// Keeps a letter; tells its name and those that gave way to it, which may be itself.
    pub(super) fn put(&mut self, letter: Arc<Letter>) -> Result<(LetterId, Vec<LetterId>), NoRoom> {
        let (more, is_critical) = (cost(&letter), letter.is_critical());
        if is_critical && !self.has_share_left(&letter.component, more) {
            return Err(NoRoom);
        }
        self.last += 1;
        let id = self.last;
        let mut gone = Vec::new();
        while !self.has_room(more) {
            let Some((oldest, letter)) = self.others.pop_first() else { break };
            self.bytes -= cost(&letter);
            gone.push(oldest);
        }
        if self.has_room(more) {
            self.insert(id, letter);
        } else {
            gone.push(id);
        }
        self.evicted += gone.len() as u64;
        Ok((id, gone))
    }

    pub(super) fn insert(&mut self, id: LetterId, letter: Arc<Letter>) {
        self.last = self.last.max(id);
        drop(self.take(id));
        self.bytes += cost(&letter);
        if letter.is_critical() {
            self.count_critical(&letter);
            self.critical.insert(id, letter);
        } else {
            self.others.insert(id, letter);
        }
    }

    /// Bytes of what is kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Everything, the oldest first.
    pub(super) fn all(&self) -> Vec<(LetterId, Arc<Letter>)> {
        self.list(&Filter::default(), usize::MAX)
    }

    pub(super) fn take(&mut self, id: LetterId) -> Option<Arc<Letter>> {
        let letter = match self.critical.remove(&id) {
            Some(letter) => {
                self.uncount_critical(&letter);
                letter
            }
            None => self.others.remove(&id)?,
        };
        self.bytes -= cost(&letter);
        Some(letter)
    }

    pub(super) fn list(&self, filter: &Filter, most: usize) -> Vec<(LetterId, Arc<Letter>)> {
        let mut found: Vec<_> = self
            .critical
            .iter()
            .chain(&self.others)
            .filter(|(id, letter)| filter.lets_through(**id, letter))
            .map(|(id, letter)| (*id, letter.clone()))
            .collect();
        found.sort_unstable_by_key(|(id, _)| *id);
        found.truncate(most);
        found
    }

    pub(super) fn kept(&self) -> Kept {
        let mut kept = Kept { bytes: self.bytes as u64, evicted: self.evicted, ..Kept::default() };
        for letter in self.critical.values().chain(self.others.values()) {
            *kept.letters.entry((letter.component.clone(), letter.reason.name())).or_default() += 1;
            kept.oldest_us = Some(kept.oldest_us.map_or(letter.last_us, |us| us.min(letter.last_us)));
        }
        kept
    }
}

impl MemoryLetters {
    /// Room for so much.
    pub fn new(bounds: MemoryBounds) -> Self {
        MemoryLetters { shelf: Mutex::new(Shelf::new(bounds)) }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeadLetters for MemoryLetters {
    fn put(&self, letter: Letter) -> Result<LetterId, NoRoom> {
        self.shelf().put(Arc::new(letter)).map(|(id, _)| id)
    }

    fn list(&self, filter: &Filter, most: usize) -> Vec<(LetterId, Arc<Letter>)> {
        self.shelf().list(filter, most)
    }

    fn take(&self, id: LetterId) -> Option<Arc<Letter>> {
        self.shelf().take(id)
    }

    fn kept(&self) -> Kept {
        self.shelf().kept()
    }
}
