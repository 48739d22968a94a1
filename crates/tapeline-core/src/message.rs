//! A message: an event's bytes and its header, encoded at most once per wire and shared by every receiver.
//! A [`Draft`] is what a publisher hands in; it becomes a [`Message`] when the broker has counted it.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use smallvec::SmallVec;
use uuid::Uuid;

use crate::channel::{Channel, push_json_string};
use crate::clock::push_rfc3339;
pub use crate::epoch::Epoch;
use crate::families::FamilyNumber;
use crate::reply::{Reply, Topic};
use crate::table::{Extent, Merging, Rows};
use tapeline_schema::CloseCode;

/// The byte formats that a message can be kept encoded in, by [`Wire::slot`].
pub mod slot {
    /// The native protocol.
    pub const NATIVE: usize = 0;
    /// The native protocol with compressed frames.
    pub const NATIVE_DEFLATE: usize = 1;
    /// Socket.IO events that carry the bare data.
    pub const SOCKET_IO: usize = 2;
    /// Socket.IO events that carry data and header.
    pub const SOCKET_IO_HEADERS: usize = 3;
    /// The Redis protocol, version 2.
    pub const RESP2: usize = 4;
    /// The Redis protocol, version 3.
    pub const RESP3: usize = 5;
    /// Server-Sent Events.
    pub const SSE: usize = 6;
}

/// The number of byte formats a message can be kept encoded in.
pub const WIRES: usize = 7;
/// Those that most messages are encoded in; the cache of the others is made when the first of them is asked for.
const USUAL_WIRES: usize = 2;

/// One of the subscriptions through which a session hears a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// What was subscribed.
    pub topic: Topic,
    /// The wire's own mark of the subscription.
    pub tag: u8,
}

/// A byte format. One static value a format; `slot` is its place in [`Message`]'s cache.
pub trait Wire: Send + Sync {
    /// Below [`WIRES`], different for each format; one of [`slot`].
    fn slot(&self) -> usize;
    /// The message as it goes to every receiver of this format.
    fn message(&self, message: &Message) -> Box<[u8]>;
    /// Whether it is spoken as Redis does: a message is delivered once for each subscription that covers it, and
    /// everything, answers too, leaves in one line, in the order in which it was queued.
    fn by_subscription(&self) -> bool {
        false
    }
    /// The message as it goes to a session that hears it in these ways, all deliveries in a row. Asked where
    /// [`Wire::by_subscription`] says so and the ways are others than the channel's own name with tag 0 alone.
    fn named(&self, message: &Message, _ways: &[Way]) -> Box<[u8]> {
        self.message(message)
    }
    /// Which place in the order of answers the answer to a request of this mark fills, where the format's answers carry
    /// no mark of their request.
    fn turn(&self, _req: &str) -> Option<u64> {
        None
    }
    /// The wire whose bytes of this message serve here too, so that they are not made and kept twice.
    fn same_as(&self, _message: &Message) -> Option<&'static dyn Wire> {
        None
    }
    /// An answer or notice for one receiver; nothing where the format cannot say it.
    fn reply(&self, reply: &Reply) -> Bytes;
    /// The last bytes before the connection is closed; nothing where the format has none.
    fn close(&self, code: CloseCode, reason: &str) -> Bytes;
    /// What the receiver has to answer if it lives; nothing where the format has no such thing.
    fn ping(&self) -> Bytes;
    /// Whether a receiver may say nothing for ever: it is not closed for that.
    fn may_be_silent(&self) -> bool {
        false
    }
    /// Whether a large message takes long enough that it is encoded before it is delivered, off the shards.
    fn is_slow(&self) -> bool {
        false
    }
}

/// Repeats of one publish are recognised by these two.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// Who publishes.
    pub principal: Arc<str>,
    /// What the publisher calls this publish.
    pub key: Box<str>,
}

/// A message before the broker has counted it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Where it goes.
    pub channel: Channel,
    /// Its type, where it is not the family's own.
    pub kind: Option<Box<str>>,
    /// One JSON value, exactly as it came; in a table's channel the form that subscribers get; in a channel of an
    /// undeclared name any bytes.
    pub data: Bytes,
    /// Where a table's rows lie in the data.
    pub rows: Option<Box<Rows>>,
    /// Carried end to end.
    pub correlation_id: Option<Box<str>>,
    /// Set where the publisher wants repeats refused.
    pub idempotency: Option<Box<IdempotencyKey>>,
    /// Whose channel it says this is; only where the channel takes an owner.
    pub owner: Option<Box<str>>,
    /// It came from the channel's plain name in Redis, where others have it already.
    pub from_plain_name: bool,
    /// A UUID, version 7.
    pub id: Uuid,
    /// Receipt by the hub, microseconds since 1970.
    pub timestamp_us: u64,
}

/// The place of a message in one of its roll-ups.
#[derive(Clone, Debug)]
pub struct RollUpMark {
    /// The roll-up.
    pub channel: Channel,
    /// Its own count.
    pub offset: u64,
    /// Its own epoch.
    pub epoch: Epoch,
}

/// What id, timestamp, offset and the like take beside the data; a roll-up's mark takes less.
const HEADER_WEIGHT: usize = 192;

/// Made at most once.
type Encoded = OnceLock<Box<[u8]>>;

/// An event with its header; immutable.
#[derive(Debug)]
pub struct Message {
    /// Where it was published.
    pub channel: Channel,
    /// Its type, where it is not the family's own.
    pub kind: Option<Box<str>>,
    /// One JSON value, exactly as it came; in a table's channel the form that subscribers get; in a channel of an
    /// undeclared name any bytes.
    pub data: Bytes,
    /// Where a table's rows lie in the data.
    pub rows: Option<Box<Rows>>,
    /// What it says holds for whoever stands at this offset or after it: the one before its own, or an earlier one
    /// where it says what several messages said, or 0 where it says all.
    pub since: u64,
    /// Carried end to end.
    pub correlation_id: Option<Box<str>>,
    /// A UUID, version 7.
    pub id: Uuid,
    /// Receipt by the hub, microseconds since 1970.
    pub timestamp_us: u64,
    /// Its place in its channel: 1, 2, 3 …
    pub offset: u64,
    /// What the offset counts under.
    pub epoch: Epoch,
    /// Its places in the roll-ups that count for themselves.
    pub roll_ups: SmallVec<[RollUpMark; 1]>,
    /// Its channel's, so that counting a delivery reads nothing else.
    family: FamilyNumber,
    weight: u32,
    encoded: [Encoded; USUAL_WIRES],
    rarely_encoded: OnceLock<Box<[Encoded; WIRES - USUAL_WIRES]>>,
}

impl Message {
    /// The draft, counted.
    pub fn new(draft: Draft, offset: u64, epoch: Epoch, roll_ups: SmallVec<[RollUpMark; 1]>) -> Self {
        let Draft { channel, kind, data, rows, correlation_id, id, timestamp_us, .. } = draft;
        let since = match rows.as_ref().map(|rows| rows.extent) {
            None | Some(Extent::Changes) => offset - 1,
            Some(Extent::Part | Extent::Whole) => 0,
        };
        let labels = kind.as_deref().unwrap_or(&channel.spec().kind).len()
            + correlation_id.as_deref().map_or(0, str::len);
        let weight =
            data.len() + channel.frame_head().len() + 2 * labels + HEADER_WEIGHT * (1 + roll_ups.len());
        Message {
            family: channel.family(),
            channel,
            kind,
            data,
            rows,
            since,
            correlation_id,
            id,
            timestamp_us,
            offset,
            epoch,
            roll_ups,
            weight: u32::try_from(weight).unwrap_or(u32::MAX),
            encoded: Default::default(),
            rarely_encoded: OnceLock::new(),
        }
    }

    /// This message of a table with other rows: what whoever stands at `since` lacks up to its offset.
    pub fn with_rows(&self, (data, rows): (Bytes, Rows), since: u64) -> Self {
        let draft = Draft {
            channel: self.channel.clone(),
            kind: self.kind.clone(),
            data,
            rows: Some(Box::new(rows)),
            correlation_id: self.correlation_id.clone(),
            idempotency: None,
            owner: None,
            from_plain_name: false,
            id: self.id,
            timestamp_us: self.timestamp_us,
        };
        let message = Message::new(draft, self.offset, self.epoch.clone(), self.roll_ups.clone());
        Message { since: message.since.min(since), ..message }
    }

    /// What messages of a table that follow one another say together; `None` if there are none.
    pub fn merged(messages: &[Arc<Message>]) -> Option<Arc<Message>> {
        let newest = messages.last()?;
        if messages.len() == 1 {
            return Some(newest.clone());
        }
        let mut merging = Merging::default();
        for message in messages {
            merging.apply(message.rows.as_deref()?, &message.data);
        }
        let since = messages.iter().map(|message| message.since).min()?;
        Some(Arc::new(newest.with_rows(merging.write(), since)))
    }

    /// Only the rows of a table's message that changed last, as a part of the table.
    pub fn last_rows(&self, count: usize) -> Option<Self> {
        let rows = self.rows.as_deref()?;
        let skipped = rows.iter().skip(rows.len().saturating_sub(count));
        let kept = skipped.map(|row| (row.key.clone(), row.removed, rows.bytes(row, &self.data)));
        Some(self.with_rows(Rows::write(kept, rows.meta(&self.data), Extent::Part), 0))
    }

    /// Whether it says all there is: any message but one of a table's changes does.
    pub fn is_whole(&self) -> bool {
        self.rows.as_ref().is_none_or(|rows| rows.extent == Extent::Whole)
    }

    /// The type that subscribers see.
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or(&self.channel.spec().kind)
    }

    /// Its place as `channel` counts: its own channel, or a roll-up that counts for itself.
    pub fn offset_in(&self, channel: &Channel) -> Option<u64> {
        self.places().find(|(known, _, _)| *known == channel).map(|(_, offset, _)| offset)
    }

    /// Its offset and epoch in its own channel and in each roll-up that counts for itself.
    pub fn places(&self) -> impl Iterator<Item = (&Channel, u64, &Epoch)> {
        let marks = self.roll_ups.iter().map(|mark| (&mark.channel, mark.offset, &mark.epoch));
        std::iter::once((&self.channel, self.offset, &self.epoch)).chain(marks)
    }

    /// Its bytes on this wire, made at the first call.
    pub fn encoded(&self, wire: &'static dyn Wire) -> &[u8] {
        let rare = || self.rarely_encoded.get_or_init(Box::default);
        let cell = self.encoded.get(wire.slot()).or_else(|| rare().get(wire.slot() - USUAL_WIRES));
        let Some(cell) = cell else { return &[] };
        if let Some(bytes) = cell.get() {
            return bytes;
        }
        match wire.same_as(self) {
            Some(other) => self.encoded(other),
            None => cell.get_or_init(|| wire.message(self)),
        }
    }

    /// Whether the data is a JSON value, as it is in all channels but those of undeclared names, which take any bytes.
    pub fn is_json(&self) -> bool {
        self.channel.declared() || is_json(&self.data)
    }

    /// Appends the JSON object that the native protocol, history and last values share.
    pub fn push_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":");
        push_json_string(out, self.kind());
        out.push(b',');
        out.extend_from_slice(self.channel.frame_head());
        if self.is_json() {
            out.extend_from_slice(b"\"data\":");
            out.extend_from_slice(&self.data);
        } else {
            out.extend_from_slice(b"\"data_b64\":\"");
            push_base64(out, &self.data);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"timestamp\":\"");
        push_rfc3339(out, self.timestamp_us);
        out.extend_from_slice(b"\",\"id\":\"");
        let mut text = Uuid::encode_buffer();
        out.extend_from_slice(self.id.hyphenated().encode_lower(&mut text).as_bytes());
        out.push(b'"');
        if let Some(correlation_id) = &self.correlation_id {
            out.extend_from_slice(b",\"correlation_id\":");
            push_json_string(out, correlation_id);
        }
        out.extend_from_slice(b",\"offset\":");
        push_number(out, self.offset);
        out.extend_from_slice(b",\"epoch\":");
        push_json_string(out, &self.epoch);
        self.push_roll_ups(out);
        out.push(b'}');
    }

    fn push_roll_ups(&self, out: &mut Vec<u8>) {
        if self.roll_ups.is_empty() {
            return;
        }
        out.extend_from_slice(b",\"rollup\":{");
        for (n, mark) in self.roll_ups.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            push_json_string(out, mark.channel.name());
            out.extend_from_slice(b":{\"offset\":");
            push_number(out, mark.offset);
            out.extend_from_slice(b",\"epoch\":");
            push_json_string(out, &mark.epoch);
            out.push(b'}');
        }
        out.push(b'}');
    }

    /// What it is counted by.
    pub fn family(&self) -> FamilyNumber {
        self.family
    }

    /// About its bytes on a wire, a little too many: what it counts for in an outbox, known without encoding it.
    pub fn weight(&self) -> usize {
        self.weight as usize
    }
}

/// Whether the bytes are one JSON value.
pub fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(bytes).is_ok()
}

/// Appends bytes in base64, with padding (RFC 4648 section 4).
pub fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
}

/// Appends a number in decimal digits.
pub fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

/// What a publisher is told. It knows the channel: repeating it would be one more clone for every message.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Its place in the channel.
    pub offset: u64,
    /// What the offset counts under.
    pub epoch: Epoch,
    /// The message's id; of a repeat, the first one's.
    pub id: Uuid,
    /// Whether it repeats an earlier publish and went nowhere.
    pub duplicate: bool,
    /// Whether it is only held for now, without an offset: it is published when the broker is in reach again, unless
    /// there is something newer by then.
    pub held: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 999, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
