//! Messages and replies in RESP: subscribers get the bare data, once for each subscription that covers it. A message's
//! bytes are made once for everybody who hears it by its channel's own name.

use bytes::Bytes;
use tapeline_codec::resp::{Version, Writer};
use tapeline_core::message::{Way, slot};
use tapeline_core::reply::Topic;
use tapeline_core::{Message, Refusal, Reply, Wire};
use tapeline_schema::{CloseCode, ErrorCode};

use super::mark::{Kind, Mark, Shape};
use super::name::from_hub;

/// The tag of subscriptions that `SSUBSCRIBE` made.
pub(super) const SHARDED: u8 = 1;
/// The Redis whose replies these are.
pub(super) const REDIS_VERSION: &str = "7.0.15";
/// What a delivery takes beside its names and its data.
const FRAME_BYTES: usize = 64;

/// RESP version 2.
pub static RESP2: RespWire = RespWire { version: Version::Two };
/// RESP version 3.
pub static RESP3: RespWire = RespWire { version: Version::Three };

/// See [`RESP2`] and [`RESP3`].
pub struct RespWire {
    version: Version,
}

/// The wire of a version.
pub(super) fn wire(version: Version) -> &'static RespWire {
    match version {
        Version::Two => &RESP2,
        Version::Three => &RESP3,
    }
}

impl Wire for RespWire {
    fn slot(&self) -> usize {
        match self.version {
            Version::Two => slot::RESP2,
            Version::Three => slot::RESP3,
        }
    }

    fn message(&self, message: &Message) -> Box<[u8]> {
        let name = from_hub(message.channel.name());
        let mut out = Vec::with_capacity(FRAME_BYTES + name.len() + message.data.len());
        let mut writer = Writer::new(&mut out, self.version);
        writer.push(3).bulk(b"message").bulk(&name).bulk(&message.data);
        out.into_boxed_slice()
    }

    fn by_subscription(&self) -> bool {
        true
    }

    fn named(&self, message: &Message, ways: &[Way]) -> Box<[u8]> {
        let names = ways.iter().map(|way| way.topic.name().len() + message.channel.name().len());
        let room = names.map(|names| FRAME_BYTES + names + message.data.len()).sum();
        let mut out = Vec::with_capacity(room);
        let mut writer = Writer::new(&mut out, self.version);
        for way in ways {
            match &way.topic {
                Topic::Channel(channel) => {
                    let word: &[u8] = if way.tag == SHARDED { b"smessage" } else { b"message" };
                    writer.push(3).bulk(word).bulk(&from_hub(channel.name())).bulk(&message.data);
                }
                Topic::Pattern(pattern) => {
                    let (pattern, name) = (from_hub(pattern.as_str()), from_hub(message.channel.name()));
                    writer.push(4).bulk(b"pmessage").bulk(&pattern).bulk(&name).bulk(&message.data);
                }
            }
        }
        out.into_boxed_slice()
    }

    fn turn(&self, req: &str) -> Option<u64> {
        Some(Mark::parse(req)?.turn)
    }

    fn reply(&self, reply: &Reply) -> Bytes {
        // What nobody asked for has no form here: a gap is an incident, silence is silence.
        let Some(mark) = mark(reply) else { return Bytes::new() };
        let mut out = Vec::with_capacity(FRAME_BYTES);
        let mut writer = Writer::new(&mut out, self.version);
        match (reply, mark.shape) {
            (Reply::Published { subscribers, .. }, _) => {
                writer.integer(i64::try_from(*subscribers).unwrap_or(i64::MAX));
            }
            (Reply::Confirmed(confirmation), Shape::Subscribed(kind, count)) => {
                push_confirmed(
                    &mut writer,
                    kind.subscribed(),
                    Some(&from_hub(confirmation.topic.name())),
                    count,
                );
            }
            (Reply::Unsubscribed { topic: Some((_, name)), .. }, Shape::Unsubscribed(kind, count)) => {
                push_confirmed(&mut writer, kind.unsubscribed(), Some(&from_hub(name)), count);
            }
            (Reply::Unsubscribed { .. }, Shape::Ended) => {}
            (Reply::TokenOk { .. }, Shape::Greeted(version, id)) => {
                push_greeting(&mut Writer::new(&mut out, version), version, id);
            }
            (Reply::Error { refusal, .. }, Shape::Identified | Shape::Greeted(..)) => {
                writer.error(&refused_identity(refusal));
            }
            (Reply::Error { refusal, .. }, _) => {
                writer.error(&refused(refusal));
            }
            _ => {
                writer.simple("OK");
            }
        }
        out.into()
    }

    fn close(&self, _code: CloseCode, _reason: &str) -> Bytes {
        Bytes::new()
    }

    fn ping(&self) -> Bytes {
        Bytes::new()
    }

    fn may_be_silent(&self) -> bool {
        true
    }
}

/// That a subscription stands or is over, and how many there are.
pub(super) fn push_confirmed(writer: &mut Writer<'_>, word: &str, name: Option<&[u8]>, count: usize) {
    writer.push(3).bulk(word.as_bytes());
    match name {
        Some(name) => writer.bulk(name),
        None => writer.null(),
    };
    writer.integer(i64::try_from(count).unwrap_or(i64::MAX));
}

/// The answer to `HELLO`.
pub(super) fn push_greeting(writer: &mut Writer<'_>, version: Version, id: u64) {
    let protocol = if version == Version::Three { 3 } else { 2 };
    writer.map(7);
    writer.bulk(b"server").bulk(b"redis");
    writer.bulk(b"version").bulk(REDIS_VERSION.as_bytes());
    writer.bulk(b"proto").integer(protocol);
    writer.bulk(b"id").integer(i64::try_from(id).unwrap_or(i64::MAX));
    writer.bulk(b"mode").bulk(b"standalone");
    writer.bulk(b"role").bulk(b"master");
    writer.bulk(b"modules").array(0);
}

/// A refusal as an error: the word that programs tell it by, the hub's own code, and why.
pub(super) fn refused(refusal: &Refusal) -> String {
    let word = match refusal.code {
        ErrorCode::Forbidden => "NOPERM",
        _ => "ERR",
    };
    format!("{word} {}: {}", refusal.code.name(), refusal.message)
}

fn refused_identity(refusal: &Refusal) -> String {
    match refusal.code {
        ErrorCode::InvalidToken => {
            format!("WRONGPASS invalid username-password pair or user is disabled. ({})", refusal.message)
        }
        _ => refused(refusal),
    }
}

fn mark(reply: &Reply) -> Option<Mark> {
    Mark::parse(reply.req().as_deref()?)
}

/// The kind of a subscription that the hub tells of by these two marks.
pub(super) fn kind(is_pattern: bool, tag: u8) -> Kind {
    match (is_pattern, tag) {
        (true, _) => Kind::Pattern,
        (false, SHARDED) => Kind::Sharded,
        (false, _) => Kind::Channel,
    }
}
