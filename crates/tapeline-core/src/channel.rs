//! A channel that has been looked up once: its name, its family's row and its roll-ups, shared by everybody.
//! The directory hands out one [`Channel`] a name, so comparing two is a pointer comparison and hashing one is
//! reading a field. It does not know what is kept for a channel; that is the broker's.
//!
//! A channel never changes. Where the catalogue changes under it, the directory hands out another of the same name,
//! and who still holds the old one finds its successor with [`Channel::current`].

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_schema::{ChannelSpec, Delivery, Readers, Resolved};

use crate::families::FamilyNumber;

/// A named stream of messages: `market_data:AAPL`. Cheap to clone.
///
/// Clones count on one handle, which threads that clone and drop at the same time fight over. Who clones it for many
/// messages gives them a handle of their own first.
#[derive(Clone)]
pub struct Channel(Arc<Handle>);

struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    name: Box<str>,
    hash: u64,
    family: FamilyNumber,
    /// Where the shard that watches has it.
    watch_place: AtomicU32,
    spec: Arc<ChannelSpec>,
    roll_ups: Box<[Channel]>,
    is_roll_up: bool,
    declared: bool,
    head: Box<[u8]>,
    owner: OwnerCell,
    next: OnceLock<Successor>,
}

/// A channel's owner, once there is one; shared with the channel that goes on where this one was.
type OwnerCell = Arc<OnceLock<Box<str>>>;

/// The channel that took another's place when the catalogue changed.
struct Successor {
    channel: Channel,
    /// It starts anew.
    anew: bool,
}

impl Channel {
    /// The channel of this name as the catalogue has it now, for the holder of one that was looked up earlier.
    pub fn current(&self) -> &Channel {
        self.successors().last().map_or(self, |next| &next.channel)
    }

    /// Whether the catalogue has another row for it now.
    pub fn is_replaced(&self) -> bool {
        self.inner().next.get().is_some()
    }

    /// Whether both are one: of one name, and by one row.
    pub fn is(&self, other: &Channel) -> bool {
        Arc::ptr_eq(&self.0.inner, &other.0.inner)
    }

    /// Whether its row has become another in what messages, queues and subscriptions were made by, if only for a while.
    /// Then the channel started anew: its offsets are void, and what was kept of it is forgotten.
    pub fn has_ended(&self) -> bool {
        self.successors().any(|next| next.anew)
    }

    fn successors(&self) -> impl Iterator<Item = &Successor> {
        std::iter::successors(self.inner().next.get(), |next| next.channel.inner().next.get())
    }

    /// Whether a channel with this row would go on where this one is.
    pub(crate) fn is_like(&self, row: &Resolved) -> bool {
        let inner = self.inner();
        let alike = match (inner.is_roll_up, row.roll_up) {
            // Its row is made of its sources' rows; what else differs concerns nobody who hears it.
            (true, true) => {
                let told = |spec: &ChannelSpec| (spec.delivery, spec.priority);
                // How rows that are published under its own name are told apart.
                let kept = |spec: &ChannelSpec| (spec.row_key.clone(), spec.removed_when.clone());
                told(&inner.spec) == told(&row.spec) && kept(&inner.spec) == kept(&row.spec)
            }
            (false, false) => inner.spec.differs_only_live(&row.spec),
            _ => false,
        };
        alike && inner.declared == row.declared
    }

    /// Whether this is the row it has.
    pub(crate) fn has_row(&self, row: &Resolved) -> bool {
        let inner = self.inner();
        (inner.is_roll_up, inner.declared) == (row.roll_up, row.declared)
            && (Arc::ptr_eq(&inner.spec, &row.spec) || inner.spec == row.spec)
    }

    /// Hands its holders on to the channel that takes its place.
    pub(crate) fn replace_by(&self, channel: Channel, anew: bool) {
        // Only the directory does this, once a channel, while it holds its lock.
        let _ = self.inner().next.set(Successor { channel, anew });
    }

    /// The same channel with a handle of its own.
    #[must_use]
    pub fn with_own_handle(&self) -> Self {
        Channel(Arc::new(Handle { inner: self.0.inner.clone() }))
    }

    fn inner(&self) -> &Inner {
        &self.0.inner
    }

    /// The whole name.
    pub fn name(&self) -> &str {
        &self.inner().name
    }

    /// The family's row.
    pub fn spec(&self) -> &ChannelSpec {
        &self.inner().spec
    }

    /// What it is counted by.
    pub fn family(&self) -> FamilyNumber {
        self.inner().family
    }

    /// Whose it is: the subject that may read it, once the broker has taken or learned one. It stays as long as
    /// anybody holds the channel.
    pub fn owner(&self) -> Option<&str> {
        self.inner().owner.get().map(|owner| &**owner)
    }

    /// Gives it the owner that the broker has taken or learned; the first one stays.
    pub fn set_owner(&self, owner: &str) {
        if self.owner().is_none() {
            // Who was faster has decided it.
            let _ = self.inner().owner.set(owner.into());
        }
    }

    /// Whether a publisher may say whose it is. A roll-up belongs to nobody: what it collects has owners of its own.
    pub fn takes_owner(&self) -> bool {
        self.inner().spec.read == Readers::Owner && !self.inner().is_roll_up
    }

    pub(crate) fn watch_place(&self) -> u32 {
        self.inner().watch_place.load(Ordering::Relaxed)
    }

    pub(crate) fn set_watch_place(&self, place: u32) {
        self.inner().watch_place.store(place, Ordering::Relaxed);
    }

    /// The lane its messages travel in.
    pub fn lane(&self) -> usize {
        self.inner().spec.priority.lane()
    }

    /// The roll-ups that hear its messages.
    pub fn roll_ups(&self) -> &[Channel] {
        &self.inner().roll_ups
    }

    /// Whether the name is that of a roll-up.
    pub fn is_roll_up(&self) -> bool {
        self.inner().is_roll_up
    }

    /// Whether messages of this roll-up's sources are also counted and kept under its own name.
    pub fn counts_for_itself(&self) -> bool {
        self.inner().is_roll_up && self.inner().spec.delivery == Delivery::Every
    }

    /// Whether a family declares the name.
    pub fn declared(&self) -> bool {
        self.inner().declared
    }

    /// Whether more than the newest message is kept, so that missed ones can be read again.
    pub fn keeps_history(&self) -> bool {
        match self.inner().spec.delivery {
            Delivery::Every => true,
            Delivery::Latest => self.inner().spec.keep.count > 1,
            // What is counted there is rows.
            Delivery::Table => false,
        }
    }

    /// Whether its messages are rows of a table.
    pub fn is_table(&self) -> bool {
        self.inner().spec.delivery == Delivery::Table
    }

    /// The part of a frame that is the same for all its messages: `"channel":"…","symbol":"…",`.
    pub(crate) fn frame_head(&self) -> &[u8] {
        &self.inner().head
    }

    #[cfg(test)]
    pub(crate) fn is_same(&self, other: &Channel) -> bool {
        Arc::ptr_eq(&self.0.inner, &other.0.inner)
    }

    /// Whether others than the directory hold it.
    pub(crate) fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1 || Arc::strong_count(&self.0.inner) > 1
    }

    /// `from` is the channel that it goes on from, if it does: what becomes known of one's owner holds for both.
    pub(crate) fn new(
        name: &str,
        resolved: Resolved,
        roll_ups: Box<[Channel]>,
        family: FamilyNumber,
        from: Option<&Channel>,
    ) -> Self {
        let owner = from.map(|from| from.inner().owner.clone()).unwrap_or_default();
        let mut head = Vec::with_capacity(name.len() * 2 + 32);
        head.extend_from_slice(b"\"channel\":");
        push_json_string(&mut head, name);
        if !resolved.roll_up {
            for (key, value) in resolved.spec.keys_of(name) {
                head.push(b',');
                push_json_string(&mut head, key);
                head.push(b':');
                push_json_string(&mut head, value);
            }
        }
        head.push(b',');
        let inner = Arc::new(Inner {
            name: name.into(),
            hash: FixedState::default().hash_one(name),
            family,
            watch_place: AtomicU32::new(u32::MAX),
            spec: resolved.spec,
            roll_ups,
            is_roll_up: resolved.roll_up,
            declared: resolved.declared,
            head: head.into_boxed_slice(),
            owner,
            next: OnceLock::new(),
        });
        Channel(Arc::new(Handle { inner }))
    }
}

impl PartialEq for Channel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0.inner, &other.0.inner)
            || (self.inner().hash == other.inner().hash && self.inner().name == other.inner().name)
    }
}

impl Eq for Channel {}

impl Hash for Channel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.inner().hash);
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner().name)
    }
}

/// A hash map keyed by channel.
pub type ChannelMap<V> = HashMap<Channel, V, FixedState>;

/// Appends `text` as a JSON string.
pub fn push_json_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut plain_from = 0;
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(bytes.get(plain_from..at).unwrap_or_default());
        plain_from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => {
                out.extend_from_slice(b"\\u00");
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[digit(other >> 4), digit(other & 15)]);
            }
        }
    }
    out.extend_from_slice(bytes.get(plain_from..).unwrap_or_default());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_string_escapes_quotes_backslashes_and_control_characters() {
        let mut out = Vec::new();
        push_json_string(&mut out, "a\"b\\c\n\u{1}é");
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\c\\n\\u0001é\"");
    }
}
