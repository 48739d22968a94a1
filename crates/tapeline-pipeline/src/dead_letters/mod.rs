//! Dead letters of components: what was given up, kept with its reason until somebody looks, sends it anew or throws
//! it away. A store is bounded; what is critical is the last that it parts with, and never unsaid. It is shared by
//! components: one that fills it leaves the others as much as it has.
//!
//! It does not know why a message is given up, nor how it is called.

mod disk;
mod hub;
mod letter;
mod memory;

use std::sync::Arc;

pub use disk::DiskLetters;
pub use hub::HubLetters;
pub(crate) use letter::cut;
pub use letter::{Earlier, Filter, Letter, LetterId};
pub use memory::{MemoryBounds, MemoryLetters};

use std::collections::BTreeMap;

/// There is no room for a critical letter: its component has its share of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for a critical dead letter: its component has its share of the store already")]
pub struct NoRoom;

/// What a store keeps, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Letters, by component and reason.
    pub letters: BTreeMap<(Arc<str>, &'static str), u64>,
    /// Bytes of their data.
    pub bytes: u64,
    /// When the oldest was given up, microseconds since 1970.
    pub oldest_us: Option<u64>,
    /// Letters that gave way to others, since the start; none of them critical.
    pub evicted: u64,
}

/// Where letters are kept. No method waits for anything: they are called under a component's lock.
pub trait DeadLetters: Send + Sync {
    /// Keeps a letter and names it. The oldest that is not critical gives way where there is no room.
    ///
    /// # Errors
    /// It is critical, and there is no room within its component's share, or the disk has not taken the last ones:
    /// whoever has it keeps it, or counts it as lost and says so.
    fn put(&self, letter: Letter) -> Result<LetterId, NoRoom>;

    /// Letters that a filter lets through, the oldest first, so many at most.
    fn list(&self, filter: &Filter, most: usize) -> Vec<(LetterId, Arc<Letter>)>;

    /// Takes a letter out, if it is still there.
    fn take(&self, id: LetterId) -> Option<Arc<Letter>>;

    /// What is kept.
    fn kept(&self) -> Kept;
}

#[cfg(test)]
mod tests;
