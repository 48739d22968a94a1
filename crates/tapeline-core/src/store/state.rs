//! What a store of one process holds, as plain state: changes are decided, then made or given up.
//!
//! Between the two a change is *pending*: later ones on the same key are decided by it, readers do not see it. So a value
//! that was read is always one that its writer could be answered for. It owns no lock, clock or disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use smallvec::SmallVec;
use tapeline_schema::ErrorCode;

use super::{Entry, Expect, Key, LIST_BYTES, LIST_LIMIT, Listing, Range, Write};
use crate::clock::{Now, micros};
use crate::error::Refusal;

/// What an entry takes beside its key and value, about.
const OVERHEAD: usize = 160;

/// How much a store takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Entries.
    pub entries: usize,
    /// Bytes of keys and values, with some for each entry.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { entries: 1_000_000, bytes: 256 << 20 }
    }
}

/// What becomes of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of this key.
    pub key: Key,
    /// Greater than that of every change before.
    pub version: u64,
    /// The value from now on; none where it is removed.
    pub value: Option<Bytes>,
    /// When it goes away, in microseconds since 1970.
    pub expires_us: Option<u64>,
}

impl Change {
    fn weight(&self) -> usize {
        self.value.as_ref().map_or(0, |value| weight(&self.key, value))
    }

    fn is_there(&self, now: Now) -> bool {
        self.value.is_some() && is_alive(self.expires_us, now)
    }
}

fn weight(key: &Key, value: &Bytes) -> usize {
    key.as_str().len() + value.len() + OVERHEAD
}

fn is_alive(expires_us: Option<u64>, now: Now) -> bool {
    expires_us.is_none_or(|at| at > now.wall_us)
}

/// See the module.
#[derive(Debug)]
pub struct State {
    bounds: Bounds,
    entries: BTreeMap<Key, Entry>,
    /// Entries that go away, soonest first.
    expiries: BTreeSet<(u64, Key)>,
    /// Changes that are decided and not made, in the order of their decision.
    pending: BTreeMap<Key, SmallVec<[Change; 1]>>,
    pending_count: usize,
    pending_bytes: usize,
    bytes: usize,
    version: u64,
}

impl State {
    /// Nothing. Versions begin with the clock's microseconds: a store that comes after this one, also after a loss,
    /// begins above all that this one gave, as long as changes are rarer than microseconds.
    pub fn new(bounds: Bounds, now: Now) -> Self {
        State {
            bounds,
            entries: BTreeMap::new(),
            expiries: BTreeSet::new(),
            pending: BTreeMap::new(),
            pending_count: 0,
            pending_bytes: 0,
            bytes: 0,
            version: now.wall_us,
        }
    }

    /// Makes a change that an earlier store decided. Called in their order, before anything else.
    pub fn restore(&mut self, change: Change) {
        self.version = self.version.max(change.version);
        self.make(change);
    }

    /// The newest version given so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What is held, as the changes that make it; [`State::restore`] takes them.
    pub fn changes(&self) -> impl Iterator<Item = Change> {
        self.entries.iter().map(|(key, entry)| Change {
            key: key.clone(),
            version: entry.version,
            value: Some(entry.value.clone()),
            expires_us: entry.expires_us,
        })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads one entry.
    pub fn get(&self, key: &Key, now: Now) -> Option<Entry> {
        self.entries.get(key).filter(|entry| is_alive(entry.expires_us, now)).cloned()
    }

    /// Decides a write; [`State::settle`] must follow.
    ///
    /// # Errors
    /// `version_conflict`, or `storage_full`.
    pub fn set(&mut self, key: &Key, write: Write, now: Now) -> Result<Change, Refusal> {
        self.check(key, write.expect, now)?;
        self.check_room(key, &write.value)?;
        let expires_us = write.ttl.map(|ttl| now.wall_us.saturating_add(micros(ttl)));
        Ok(self.decide(key, Some(write.value), expires_us))
    }

    /// Decides a removal, if there is something to remove; [`State::settle`] must follow.
    ///
    /// # Errors
    /// `version_conflict`.
    pub fn delete(&mut self, key: &Key, expect: Expect, now: Now) -> Result<Option<Change>, Refusal> {
        let there = self.check(key, expect, now)?;
        Ok(there.map(|_| self.decide(key, None, None)))
    }

    /// Makes a decided change, or gives it up.
    pub fn settle(&mut self, change: Change, is_made: bool) {
        if let Some(waiting) = self.pending.get_mut(&change.key) {
            let before = waiting.len();
            waiting.retain(|waiting| waiting.version != change.version);
            if waiting.len() < before {
                self.pending_count -= 1;
                self.pending_bytes -= change.weight();
            }
            if waiting.is_empty() {
                self.pending.remove(&change.key);
            }
        }
        if is_made {
            self.make(change);
        }
    }

    /// Reads the entries of a range.
    pub fn list(&self, range: &Range, now: Now) -> Listing {
        let after = range.after.as_deref().filter(|after| **after >= *range.prefix);
        let start = after.map_or(Bound::Included(&*range.prefix), Bound::Excluded);
        let entries = self.entries.range::<str, _>((start, Bound::Unbounded));
        let within = entries.take_while(|(key, _)| key.as_str().starts_with(&*range.prefix));
        let limit = range.limit.clamp(1, LIST_LIMIT);
        let (mut listing, mut bytes) = (Listing::default(), 0);
        for (key, entry) in within.filter(|(_, entry)| is_alive(entry.expires_us, now)) {
            bytes += weight(key, &entry.value);
            if listing.entries.len() == limit || (bytes > LIST_BYTES && !listing.entries.is_empty()) {
                listing.more = true;
                break;
            }
            listing.entries.push((key.clone(), entry.clone()));
        }
        listing
    }

    /// Lets go of what has expired.
    pub fn sweep(&mut self, now: Now) {
        while let Some((at, _)) = self.expiries.first()
            && *at <= now.wall_us
            && let Some((_, key)) = self.expiries.pop_first()
        {
            self.remove(&key);
        }
    }

    /// The version that the next change is decided by, if there is a value; refused where that is not expected.
    fn check(&self, key: &Key, expect: Expect, now: Now) -> Result<Option<u64>, Refusal> {
        let version = match self.pending.get(key).and_then(|waiting| waiting.last()) {
            Some(newest) => newest.is_there(now).then_some(newest.version),
            None => self.get(key, now).map(|entry| entry.version),
        };
        expect.check(key, version)?;
        Ok(version)
    }

    fn check_room(&self, key: &Key, value: &Bytes) -> Result<(), Refusal> {
        let held = self.entries.get(key).map_or(0, |entry| weight(key, &entry.value));
        let entries = self.entries.len() + self.pending_count + usize::from(held == 0);
        let bytes = self.bytes + self.pending_bytes + weight(key, value) - held;
        let Bounds { entries: most, bytes: most_bytes } = self.bounds;
        let message = match (held == 0 && entries > most, bytes > most_bytes) {
            (true, _) => format!("the store holds {most} entries, the limit"),
            (_, true) => format!("the store has no room for {key}: the limit is {most_bytes} bytes"),
            _ => return Ok(()),
        };
        Err(Refusal::new(ErrorCode::StorageFull, message))
    }

    fn decide(&mut self, key: &Key, value: Option<Bytes>, expires_us: Option<u64>) -> Change {
        self.version += 1;
        let change = Change { key: key.clone(), version: self.version, value, expires_us };
        self.pending_count += 1;
        self.pending_bytes += change.weight();
        self.pending.entry(key.clone()).or_default().push(change.clone());
        change
    }

    fn make(&mut self, change: Change) {
        let Change { key, version, value, expires_us } = change;
        if self.entries.get(&key).is_some_and(|entry| entry.version >= version) {
            return;
        }
        self.remove(&key);
        let Some(value) = value else { return };
        if let Some(at) = expires_us {
            self.expiries.insert((at, key.clone()));
        }
        self.bytes += weight(&key, &value);
        self.entries.insert(key, Entry { value, version, expires_us });
    }

    fn remove(&mut self, key: &Key) {
        let Some(entry) = self.entries.remove(key) else { return };
        self.bytes -= weight(key, &entry.value);
        if let Some(at) = entry.expires_us {
            self.expiries.remove(&(at, key.clone()));
        }
    }
}
