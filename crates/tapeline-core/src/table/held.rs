//! The table that a channel holds: its rows, and in what order they changed.
//!
//! It remembers removals for a while, so that what changed after an offset can be told without the whole table. When it
//! has too many rows, those longest unchanged leave it, and everybody is told.

use std::collections::BTreeMap;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_schema::ChannelSpec;

use super::parse::removal;
use super::{Extent, RowKey, Rows};

/// Removals remembered at most; who lacks an older one gets the whole table.
const REMOVALS: usize = 1_024;

#[derive(Debug)]
struct Slot {
    bytes: Box<[u8]>,
    removed: bool,
    /// Its place in the order of changes.
    change: u64,
    /// The message that changed it.
    offset: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Table {
    slots: HashMap<RowKey, Slot, FixedState>,
    /// Rows that are there, by their last change.
    present: BTreeMap<u64, RowKey>,
    /// Rows that were removed, likewise.
    removed: BTreeMap<u64, RowKey>,
    present_bytes: usize,
    changes: u64,
    /// What changed after an older offset can no longer be told in full.
    told_from: u64,
}

/// What became of a message's rows when the table took them.
#[derive(Debug, PartialEq, Eq)]
pub enum Applied {
    /// They are what subscribers get.
    AsSaid,
    /// Subscribers get these instead: the first message of a table is the whole of it, and one that makes others leave
    /// says so.
    Rewritten(Bytes, Rows),
}

impl Table {
    /// Takes the rows of the message of this offset.
    pub fn apply(&mut self, spec: &ChannelSpec, rows: &Rows, data: &[u8], offset: u64) -> Applied {
        if rows.extent == Extent::Whole {
            self.clear(offset);
        }
        for row in rows.iter() {
            self.set(row.key.clone(), row.removed, rows.bytes(row, data), offset);
        }
        let left = self.make_room(spec, offset);
        self.forget_removals();
        if offset == 1 && rows.extent != Extent::Whole {
            self.told_from = 1;
            let (data, rows) = self.whole(rows.meta(data));
            return Applied::Rewritten(data, rows);
        }
        if left.is_empty() {
            return Applied::AsSaid;
        }
        let removals: Option<Vec<_>> = left
            .into_iter()
            .map(|(key, bytes)| Some((key, removal(spec, std::str::from_utf8(&bytes).ok()?)?)))
            .collect();
        let (data, rows) = match removals.filter(|_| rows.extent != Extent::Whole) {
            Some(removals) => {
                let said = rows.iter().map(|row| (row.key.clone(), row.removed, rows.bytes(row, data)));
                let left = removals.iter().map(|(key, bytes)| (key.clone(), true, bytes.as_slice()));
                Rows::write(said.chain(left), rows.meta(data), Extent::Changes)
            }
            None => {
                self.told_from = offset;
                self.whole(rows.meta(data))
            }
        };
        Applied::Rewritten(data, rows)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// All rows, the longest unchanged first.
    pub fn whole(&self, meta: &[u8]) -> (Bytes, Rows) {
        let rows = self.present.values().filter_map(|key| {
            let slot = self.slots.get(key)?;
            Some((key.clone(), false, &*slot.bytes))
        });
        Rows::write(rows, meta, Extent::Whole)
    }

    /// The rows that changed after an offset, removals included; the whole table where that cannot be told, or is more.
    pub fn after(&self, offset: u64, meta: &[u8]) -> (Bytes, Rows) {
        if offset < self.told_from {
            return self.whole(meta);
        }
        let newer = |order: &BTreeMap<u64, RowKey>| -> Vec<(u64, RowKey)> {
            let changed = |key: &RowKey| self.slots.get(key).is_some_and(|slot| slot.offset > offset);
            let newest_first = order.iter().rev().take_while(|(_, key)| changed(key));
            newest_first.map(|(change, key)| (*change, key.clone())).collect()
        };
        let mut changed = newer(&self.present);
        changed.extend(newer(&self.removed));
        if changed.len() > self.present.len() {
            return self.whole(meta);
        }
        changed.sort_unstable_by_key(|(change, _)| *change);
        let rows = changed.into_iter().filter_map(|(_, key)| {
            let slot = self.slots.get(&key)?;
            Some((key, slot.removed, &*slot.bytes))
        });
        Rows::write(rows, meta, Extent::Changes)
    }

    fn clear(&mut self, offset: u64) {
        self.slots.clear();
        self.present.clear();
        self.removed.clear();
        self.present_bytes = 0;
        self.told_from = offset;
    }

    fn set(&mut self, key: RowKey, removed: bool, bytes: &[u8], offset: u64) {
        self.changes += 1;
        let known = self.slots.get(&key);
        if removed && known.is_none_or(|slot| slot.removed) {
            // Nothing is there, and nobody need hear of it again.
            return;
        }
        if let Some(known) = known {
            let order = if known.removed { &mut self.removed } else { &mut self.present };
            order.remove(&known.change);
            self.present_bytes -= if known.removed { 0 } else { known.bytes.len() };
        }
        self.present_bytes += if removed { 0 } else { bytes.len() };
        let order = if removed { &mut self.removed } else { &mut self.present };
        order.insert(self.changes, key.clone());
        self.slots.insert(key, Slot { bytes: bytes.into(), removed, change: self.changes, offset });
    }

    /// Has the longest unchanged rows leave until the bounds hold; answers which did.
    fn make_room(&mut self, spec: &ChannelSpec, offset: u64) -> Vec<(RowKey, Box<[u8]>)> {
        let mut left = Vec::new();
        let too_large = |bytes: usize| spec.keep.bytes.is_some_and(|bound| bytes > bound);
        while self.present.len() > spec.keep.count
            || (too_large(self.present_bytes) && self.present.len() > 1)
        {
            let Some((change, key)) = self.present.pop_first() else { break };
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            self.present_bytes -= slot.bytes.len();
            slot.removed = true;
            slot.offset = offset;
            self.changes += 1;
            slot.change = self.changes;
            let said = std::mem::take(&mut slot.bytes);
            let text = std::str::from_utf8(&said).unwrap_or_default();
            slot.bytes = removal(spec, text).unwrap_or_default().into();
            debug_assert!(change < self.changes);
            self.removed.insert(self.changes, key.clone());
            left.push((key, said));
        }
        left
    }

    fn forget_removals(&mut self) {
        while self.removed.len() > REMOVALS {
            let Some((_, key)) = self.removed.pop_first() else { return };
            if let Some(slot) = self.slots.remove(&key) {
                self.told_from = self.told_from.max(slot.offset);
            }
        }
    }
}
