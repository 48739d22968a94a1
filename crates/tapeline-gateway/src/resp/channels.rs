//! Publishing and subscribing: `PUBLISH`, the three kinds of subscription, and `PUBSUB`. A channel is a channel of the hub:
//! sharded ones are the same channels, told by another word.

use std::collections::HashMap;

use bytes::Bytes;
use tapeline_core::Command;
use tapeline_core::command::{Publication, SubscribeOptions, Wanted};
use tapeline_core::shard::Handled;
use tapeline_schema::Pattern;

use super::Outcome;
use super::mark::{Kind, Mark, Shape};
use super::talk::Call;
use super::wire::{SHARDED, kind, push_confirmed, refused};

const NO_NAME: &str = "ERR bad_channel: the name has bytes that are no printable ASCII";

pub(super) fn publish(call: &mut Call<'_, '_>) -> Outcome {
    let Ok(channel) = std::str::from_utf8(call.words.at(1)) else { return call.fail(NO_NAME) };
    let publication = Publication {
        channel: channel.into(),
        data: Bytes::copy_from_slice(call.words.at(2)),
        raw: true,
        ..Publication::default()
    };
    let mark = Mark { turn: call.port.turn(), shape: Shape::Published };
    let command = Command::Publish { publication: Box::new(publication), req: Some(mark.text()) };
    match call.port.handle(command) {
        Handled::Done => Outcome::Done,
        Handled::Busy(busy) => Outcome::Busy(busy),
    }
}

pub(super) fn subscribe(call: &mut Call<'_, '_>) -> Outcome {
    start(call, Kind::Channel)
}

pub(super) fn psubscribe(call: &mut Call<'_, '_>) -> Outcome {
    start(call, Kind::Pattern)
}

pub(super) fn ssubscribe(call: &mut Call<'_, '_>) -> Outcome {
    start(call, Kind::Sharded)
}

pub(super) fn unsubscribe(call: &mut Call<'_, '_>) -> Outcome {
    end(call, Kind::Channel)
}

pub(super) fn punsubscribe(call: &mut Call<'_, '_>) -> Outcome {
    end(call, Kind::Pattern)
}

pub(super) fn sunsubscribe(call: &mut Call<'_, '_>) -> Outcome {
    end(call, Kind::Sharded)
}

/// The session's subscriptions, as this protocol counts them.
struct Held(Vec<(Kind, Box<str>)>);

impl Held {
    fn of(call: &Call<'_, '_>) -> Self {
        let named = |(is_pattern, tag, name)| (kind(is_pattern, tag), name);
        Held(call.port.topics().into_iter().map(named).collect())
    }

    /// What Redis tells beside the name: channels and patterns together, sharded channels apart.
    fn count(&self, of: Kind) -> usize {
        let sharded = of == Kind::Sharded;
        self.0.iter().filter(|(kind, _)| (*kind == Kind::Sharded) == sharded).count()
    }

    fn has(&self, kind: Kind, name: &str) -> bool {
        self.0.iter().any(|(known, held)| *known == kind && **held == *name)
    }
}

/// Each name is asked for by itself, so that each is answered by itself.
fn start(call: &mut Call<'_, '_>, kind: Kind) -> Outcome {
    // A message must not overtake the confirmation, which waits for the answers before it.
    if call.port.in_flight() > 0 {
        return Outcome::Wait;
    }
    let mut held = Held::of(call);
    for word in call.words.from(1) {
        let Ok(name) = std::str::from_utf8(word) else {
            call.fail(NO_NAME);
            continue;
        };
        let other = if kind == Kind::Sharded { Kind::Channel } else { Kind::Sharded };
        if kind != Kind::Pattern && held.has(other, name) {
            call.fail("ERR this connection hears the channel already, by SUBSCRIBE or SSUBSCRIBE: they are one channel here");
            continue;
        }
        let is_new = !held.has(kind, name);
        let count = held.count(kind) + usize::from(is_new);
        let mark = Mark { turn: call.port.turn(), shape: Shape::Subscribed(kind, count) };
        let options = SubscribeOptions {
            tag: if kind == Kind::Sharded { SHARDED } else { 0 },
            ..SubscribeOptions::default()
        };
        let command = Command::Subscribe {
            wanted: vec![wanted(kind, name)],
            options: Box::new(options),
            req: Some(mark.text()),
        };
        call.port.handle(command);
        if is_new && call.port.hears(kind == Kind::Pattern, name) {
            held.0.push((kind, name.into()));
        }
    }
    Outcome::Done
}

fn end(call: &mut Call<'_, '_>, kind: Kind) -> Outcome {
    let mut held = Held::of(call);
    let names: Vec<Box<[u8]>> = if call.words.len() > 1 {
        call.words.from(1).map(Box::from).collect()
    } else {
        held.0.iter().filter(|(known, _)| *known == kind).map(|(_, name)| name.as_bytes().into()).collect()
    };
    if names.is_empty() {
        let count = held.count(kind);
        return call.reply(|writer| push_confirmed(writer, kind.unsubscribed(), None, count));
    }
    for word in names {
        let known = std::str::from_utf8(&word).ok().filter(|name| held.has(kind, name));
        let Some(name) = known else {
            // What was not heard is over too.
            let count = held.count(kind);
            let name = String::from_utf8_lossy(&word);
            call.reply(|writer| push_confirmed(writer, kind.unsubscribed(), Some(&name), count));
            continue;
        };
        held.0.retain(|(known, held)| *known != kind || **held != *name);
        let mark = Mark { turn: call.port.turn(), shape: Shape::Unsubscribed(kind, held.count(kind)) };
        call.port.handle(Command::Unsubscribe { wanted: vec![wanted(kind, name)], req: Some(mark.text()) });
    }
    Outcome::Done
}

fn wanted(kind: Kind, name: &str) -> Wanted {
    if kind == Kind::Pattern { Wanted::Pattern(name.into()) } else { Wanted::Channel(name.into()) }
}

pub(super) fn pubsub(call: &mut Call<'_, '_>) -> Outcome {
    let words = call.words;
    // Who hears what is nobody's business but an operator's, as in /channels.
    if let Err(refusal) = call.port.grant().may_operate() {
        return call.fail(&refused(&refusal));
    }
    if words.is(1, "channels") || words.is(1, "shardchannels") {
        return channels(call);
    }
    if words.is(1, "numsub") || words.is(1, "shardnumsub") {
        return numbers(call);
    }
    if words.is(1, "numpat") && words.len() == 2 {
        let count = call.port.hub().subscribed_patterns().len();
        return call.reply(|writer| _ = writer.integer(i64::try_from(count).unwrap_or(i64::MAX)));
    }
    call.no_subcommand()
}

fn channels(call: &mut Call<'_, '_>) -> Outcome {
    let pattern = match (call.words.len(), std::str::from_utf8(call.words.at(2)).map(Pattern::parse)) {
        (2, _) => None,
        (3, Ok(Ok(pattern))) => Some(pattern),
        (3, _) => return call.reply(|writer| _ = writer.array(0)),
        _ => return call.odd_arguments(),
    };
    let heard = call.port.hub().subscribed_channels();
    let names = heard.filter(|(_, count)| *count > 0).map(|(channel, _)| channel.name().to_string());
    let names: Vec<String> =
        names.filter(|name| pattern.as_ref().is_none_or(|pattern| pattern.matches(name))).collect();
    call.reply(|writer| {
        writer.array(names.len());
        for name in &names {
            writer.bulk(name.as_bytes());
        }
    })
}

fn numbers(call: &mut Call<'_, '_>) -> Outcome {
    let words = call.words;
    let heard: HashMap<String, usize> = match words.len() {
        2 => HashMap::new(),
        _ => {
            let heard = call.port.hub().subscribed_channels();
            heard.map(|(channel, count)| (channel.name().to_string(), count)).collect()
        }
    };
    call.reply(|writer| {
        writer.array(2 * (words.len() - 2));
        for word in words.from(2) {
            let count = std::str::from_utf8(word).ok().and_then(|name| heard.get(name)).copied();
            writer.bulk(word).integer(i64::try_from(count.unwrap_or(0)).unwrap_or(i64::MAX));
        }
    })
}
