//! The rows of one message: where each lies in its data, what tells it apart and whether it is a removal.
//! [`Merging`] makes one message's rows of several, in their order.

use std::ops::Range;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::RowKey;

/// One row of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What tells it apart.
    pub key: RowKey,
    /// Whether it deletes the row.
    pub removed: bool,
    at: Range<u32>,
}

/// How much of a table a message's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What changed.
    Changes,
    /// The beginning of a part: whatever a client holds of the table is replaced by these rows, and more is not there.
    Part,
    /// All of it, replacing whatever a client holds.
    Whole,
}

/// What a table message's data says: always `{"rows":[…],"meta":{…},"snapshot":…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    list: Box<[Row]>,
    meta: Range<u32>,
    /// How much of the table these rows are.
    pub extent: Extent,
}

impl Rows {
    /// The rows in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Row> + ExactSizeIterator {
        self.list.iter()
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The row's JSON, within the data that these rows lie in.
    pub fn bytes<'a>(&self, row: &Row, data: &'a [u8]) -> &'a [u8] {
        slice(&row.at, data)
    }

    /// The `meta` object's JSON, within the data that these rows lie in.
    pub fn meta<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        slice(&self.meta, data)
    }

    /// Data with these rows, and where they lie in it.
    pub fn write<'a>(
        rows: impl Iterator<Item = (RowKey, bool, &'a [u8])>,
        meta: &[u8],
        extent: Extent,
    ) -> (Bytes, Rows) {
        let mut data = Vec::with_capacity(256);
        data.extend_from_slice(b"{\"rows\":[");
        let mut list = Vec::new();
        for (n, (key, removed, bytes)) in rows.enumerate() {
            if n > 0 {
                data.push(b',');
            }
            let at = append(&mut data, bytes);
            list.push(Row { key, removed, at });
        }
        data.extend_from_slice(b"],\"meta\":");
        let meta = append(&mut data, meta);
        data.extend_from_slice(match extent {
            Extent::Changes => b",\"snapshot\":false}",
            Extent::Part => b",\"snapshot\":false,\"partial\":true}",
            Extent::Whole => b",\"snapshot\":true}",
        });
        (data.into(), Rows { list: list.into(), meta, extent })
    }
}

fn slice<'a>(at: &Range<u32>, data: &'a [u8]) -> &'a [u8] {
    data.get(at.start as usize..at.end as usize).unwrap_or_default()
}

fn append(data: &mut Vec<u8>, bytes: &[u8]) -> Range<u32> {
    let start = u32::try_from(data.len()).unwrap_or(u32::MAX);
    data.extend_from_slice(bytes);
    start..u32::try_from(data.len()).unwrap_or(u32::MAX)
}

/// Several messages' rows on their way to be one's: the newest of each key, a removal as well as any other. After a
/// whole table, removed rows are simply not there.
#[derive(Default)]
pub struct Merging<'a> {
    list: Vec<Option<(&'a RowKey, bool, &'a [u8])>>,
    places: HashMap<&'a RowKey, usize, FixedState>,
    meta: &'a [u8],
    whole: bool,
}

impl<'a> Merging<'a> {
    /// Applies a message's rows after those before.
    pub fn apply(&mut self, rows: &'a Rows, data: &'a [u8]) {
        if rows.extent == Extent::Whole {
            self.list.clear();
            self.places.clear();
            self.whole = true;
        }
        self.meta = rows.meta(data);
        for row in rows.iter() {
            let gone = row.removed && self.whole;
            let next = self.list.len();
            let place = self.places.entry(&row.key);
            let newest = (!gone).then(|| (&row.key, row.removed, rows.bytes(row, data)));
            match place {
                hashbrown::hash_map::Entry::Occupied(place) => {
                    if let Some(known) = self.list.get_mut(*place.get()) {
                        *known = newest;
                    }
                }
                hashbrown::hash_map::Entry::Vacant(place) => {
                    place.insert(next);
                    self.list.push(newest);
                }
            }
        }
    }

    /// The data that says the same as all that was applied.
    pub fn write(self) -> (Bytes, Rows) {
        let meta = if self.meta.is_empty() { b"{}" } else { self.meta };
        let rows = self.list.into_iter().flatten().map(|(key, removed, bytes)| (key.clone(), removed, bytes));
        Rows::write(rows, meta, if self.whole { Extent::Whole } else { Extent::Changes })
    }
}
