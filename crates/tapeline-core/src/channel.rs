//! A channel that has been looked up once: its name, its family's row and its roll-ups, shared by everybody.
//! [`Directory`] hands out one [`Channel`] a name, so comparing two is a pointer comparison and hashing one is
//! reading a field. It does not know what is kept for a channel; that is the broker's.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_schema::{Catalog, ChannelSpec, Delivery, check_name};

use crate::error::Refusal;
use tapeline_schema::ErrorCode;

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
    spec: Arc<ChannelSpec>,
    roll_ups: Box<[Channel]>,
    is_roll_up: bool,
    declared: bool,
    head: Box<[u8]>,
}

impl Channel {
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

    /// The part of a frame that is the same for all its messages: `"channel":"…","symbol":"…","data":`.
    pub(crate) fn frame_head(&self) -> &[u8] {
        &self.inner().head
    }

    /// Whether others than the directory hold it.
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1 || Arc::strong_count(&self.0.inner) > 1
    }

    fn new(name: &str, catalog: &Catalog, roll_ups: Box<[Channel]>) -> Self {
        let resolved = catalog.resolve(name);
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
        head.extend_from_slice(b",\"data\":");
        let inner = Arc::new(Inner {
            name: name.into(),
            hash: FixedState::default().hash_one(name),
            spec: resolved.spec,
            roll_ups,
            is_roll_up: resolved.roll_up,
            declared: resolved.declared,
            head: head.into_boxed_slice(),
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

const STRIPES: usize = 16;

/// Every channel in use, one [`Channel`] a name.
pub struct Directory {
    catalog: Catalog,
    stripes: [RwLock<HashMap<Box<str>, Channel, FixedState>>; STRIPES],
}

impl Directory {
    /// An empty directory over a catalogue.
    pub fn new(catalog: Catalog) -> Self {
        Directory { catalog, stripes: std::array::from_fn(|_| RwLock::new(HashMap::default())) }
    }

    /// The catalogue it reads.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The channel of this name, made if it is new; refuses a name outside the rules.
    pub fn channel(&self, name: &str) -> Result<Channel, Refusal> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        check_name(name).map_err(|e| Refusal::new(ErrorCode::BadChannel, e.to_string()))?;
        let resolved = self.catalog.resolve(name);
        let mut roll_ups = Vec::new();
        if !resolved.roll_up {
            for roll_up in &resolved.spec.rolls_up_to {
                roll_ups.push(self.channel(roll_up)?);
            }
        }
        let made = Channel::new(name, &self.catalog, roll_ups.into_boxed_slice());
        let mut stripe = self.stripe(name).write().unwrap_or_else(PoisonError::into_inner);
        Ok(stripe.entry(name.into()).or_insert(made).clone())
    }

    fn known(&self, name: &str) -> Option<Channel> {
        self.stripe(name).read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Forgets channels that nobody else holds; call now and then.
    pub fn sweep(&self) {
        for stripe in &self.stripes {
            let mut stripe = stripe.write().unwrap_or_else(PoisonError::into_inner);
            stripe.retain(|_, channel| channel.is_in_use());
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of stripes")]
    fn stripe(&self, name: &str) -> &RwLock<HashMap<Box<str>, Channel, FixedState>> {
        let hash = FixedState::default().hash_one(name);
        &self.stripes[(hash >> 48) as usize % STRIPES]
    }
}

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

    fn directory() -> Directory {
        Directory::new(Catalog::built_in())
    }

    #[test]
    fn a_name_is_one_channel_however_often_it_is_asked_for() {
        let directory = directory();
        let one = directory.channel("market_data:AAPL").unwrap();
        let two = directory.channel("market_data:AAPL").unwrap();
        assert!(Arc::ptr_eq(&one.0, &two.0));
        let roll_ups: Vec<_> = one.roll_ups().iter().map(Channel::name).collect();
        assert_eq!(roll_ups, ["market_data", "price_updates"]);
    }

    #[test]
    fn a_channel_nobody_holds_is_forgotten_by_the_sweep() {
        let directory = directory();
        let held = directory.channel("a").unwrap();
        directory.channel("b").unwrap();
        directory.sweep();
        assert!(directory.known("a").is_some());
        assert!(directory.known("b").is_none());
        let own = held.with_own_handle();
        drop(held);
        directory.sweep();
        assert!(directory.known("a").is_some());
        drop(own);
        directory.sweep();
        assert!(directory.known("a").is_none());
    }

    #[test]
    fn a_json_string_escapes_quotes_backslashes_and_control_characters() {
        let mut out = Vec::new();
        push_json_string(&mut out, "a\"b\\c\n\u{1}é");
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\c\\n\\u0001é\"");
    }
}
