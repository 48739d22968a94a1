//! Publishing and subscribing: `PUBLISH`, the three kinds of subscription, and `PUBSUB`. A channel is a channel of the hub:
//! sharded ones are the same channels, told by another word.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use tapeline_codec::resp::Writer;
use tapeline_core::Command;
use tapeline_core::command::{Publication, SubscribeOptions, Wanted};
use tapeline_core::shard::Handled;
use tapeline_schema::Pattern;

use super::Outcome;
use super::mark::{Kind, Mark, Shape};
use super::name::{from_hub, pattern_to_hub, to_hub};
use super::talk::Call;
use super::wire::{SHARDED, kind, push_confirmed, refused};

/// The answers that subscriptions are owed by the hub, which tells nothing of one that ended before it stood: by kind and
/// name the place in the order of answers, and the count.
pub(super) type Owed = HashMap<(Kind, Box<str>), (u64, usize)>;

/// Bytes of names that one answer lists.
const LISTED_BYTES: usize = 4 << 20;
const TWICE: &str =
    "ERR this connection hears the channel already, by SUBSCRIBE or SSUBSCRIBE: they are one channel here";

pub(super) fn publish(call: &mut Call<'_, '_>) -> Outcome {
    // Who hears of it may look at once for what was set before.
    if !call.talk.gauge.has_written() {
        return Outcome::Wait;
    }
    let publication = Publication {
        channel: to_hub(call.words.at(1)).into(),
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
#[derive(Default)]
struct Held {
    all: HashSet<(Kind, Box<str>)>,
    /// Those of `all` that are sharded.
    sharded: usize,
}

impl Held {
    fn of(call: &Call<'_, '_>) -> Self {
        let mut held = Held::default();
        for (is_pattern, tag, name) in call.port.topics() {
            held.put((kind(is_pattern, tag), name));
        }
        held
    }

    fn put(&mut self, one: (Kind, Box<str>)) {
        let is_sharded = one.0 == Kind::Sharded;
        self.sharded += usize::from(self.all.insert(one) && is_sharded);
    }

    fn remove(&mut self, one: &(Kind, Box<str>)) {
        self.sharded -= usize::from(self.all.remove(one) && one.0 == Kind::Sharded);
    }

    /// What Redis tells beside the name: channels and patterns together, sharded channels apart.
    fn count(&self, of: Kind) -> usize {
        if of == Kind::Sharded { self.sharded } else { self.all.len() - self.sharded }
    }

    fn has(&self, kind: Kind, name: &str) -> bool {
        self.all.contains(&(kind, name.into()))
    }
}

/// Says that a command names more channels than one connection may hear. Clients that come back subscribe all of theirs in
/// one command.
fn too_many(call: &Call<'_, '_>) -> Option<String> {
    let (names, limit) = (call.words.len() - 1, call.port.hub().settings().subscriptions_per_connection);
    (names > limit).then(|| {
        format!("ERR invalid_request: {names} channels in one request, the limit is {limit} (limits.subscriptions_per_connection)")
    })
}

/// Each name is asked for by itself, so that each is answered by itself.
fn start(call: &mut Call<'_, '_>, kind: Kind) -> Outcome {
    // A message must not overtake the confirmation, which waits for the answers before it.
    if call.port.in_flight() > 0 {
        return Outcome::Wait;
    }
    if let Some(text) = too_many(call) {
        return call.fail(&text);
    }
    let mut held = Held::of(call);
    for word in call.words.from(1) {
        let name = hub_name(kind, word);
        let other = if kind == Kind::Sharded { Kind::Channel } else { Kind::Sharded };
        if kind != Kind::Pattern && held.has(other, &name) {
            call.fail(TWICE);
            continue;
        }
        if held.has(kind, &name) {
            let count = held.count(kind);
            call.reply(|writer| push_confirmed(writer, kind.subscribed(), Some(word), count));
            continue;
        }
        start_one(call, kind, name, &mut held);
    }
    Outcome::Done
}

fn start_one(call: &mut Call<'_, '_>, kind: Kind, name: Box<str>, held: &mut Held) {
    let (turn, count) = (call.port.turn(), held.count(kind) + 1);
    let mark = Mark { turn, shape: Shape::Subscribed(kind, count) };
    let tag = if kind == Kind::Sharded { SHARDED } else { 0 };
    let options = Box::new(SubscribeOptions { tag, ..SubscribeOptions::default() });
    let wanted = vec![wanted(kind, &name)];
    call.port.handle(Command::Subscribe { wanted, options, req: Some(mark.text()) });
    if call.port.hears(kind == Kind::Pattern, &name) {
        call.talk.owed.insert((kind, name.clone()), (turn, count));
        held.put((kind, name));
    }
}

fn end(call: &mut Call<'_, '_>, kind: Kind) -> Outcome {
    if let Some(text) = too_many(call) {
        return call.fail(&text);
    }
    let mut held = Held::of(call);
    if call.words.len() > 1 {
        for word in call.words.from(1) {
            end_one(call, kind, hub_name(kind, word), word, &mut held);
        }
        return Outcome::Done;
    }
    let all: Vec<Box<str>> = call
        .port
        .topics()
        .into_iter()
        .filter(|(is_pattern, tag, _)| self::kind(*is_pattern, *tag) == kind)
        .map(|(.., name)| name)
        .collect();
    if all.is_empty() {
        let count = held.count(kind);
        return call.reply(|writer| push_confirmed(writer, kind.unsubscribed(), None, count));
    }
    for name in all {
        let word = from_hub(&name).into_owned();
        end_one(call, kind, name, &word, &mut held);
    }
    Outcome::Done
}

fn end_one(call: &mut Call<'_, '_>, kind: Kind, name: Box<str>, word: &[u8], held: &mut Held) {
    if !held.has(kind, &name) {
        // What was not heard is over too.
        let count = held.count(kind);
        call.reply(|writer| push_confirmed(writer, kind.unsubscribed(), Some(word), count));
        return;
    }
    pay(call, kind, &name);
    let mark = Mark { turn: call.port.turn(), shape: Shape::Unsubscribed(kind, held.count(kind) - 1) };
    call.port.handle(Command::Unsubscribe { wanted: vec![wanted(kind, &name)], req: Some(mark.text()) });
    // It may have been refused: too many requests.
    if !call.port.hears(kind == Kind::Pattern, &name) {
        held.remove(&(kind, name));
    }
}

/// The subscription is about to end: its confirmation, unless that has come, is said now.
fn pay(call: &mut Call<'_, '_>, kind: Kind, name: &str) {
    let Some((turn, count)) = call.talk.owed.remove(&(kind, Box::from(name))) else { return };
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, call.talk.version);
    push_confirmed(&mut writer, kind.subscribed(), Some(&from_hub(name)), count);
    call.port.answer(turn, &bytes);
}

/// Ends all, without a word but those that are owed, and that it is refused. Answers whether they have ended.
pub(super) fn end_all(call: &mut Call<'_, '_>) -> bool {
    if call.port.subscriptions() > 0 {
        for (kind, name) in Held::of(call).all {
            pay(call, kind, &name);
        }
        let mark = Mark { turn: call.port.turn(), shape: Shape::Ended };
        call.port.handle(Command::UnsubscribeAll { req: Some(mark.text()) });
        if call.port.subscriptions() > 0 {
            return false;
        }
    }
    call.talk.owed.clear();
    true
}

fn hub_name(kind: Kind, word: &[u8]) -> Box<str> {
    if kind == Kind::Pattern { pattern_to_hub(word).into() } else { to_hub(word).into() }
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
    let pattern = match (call.words.len(), Pattern::parse(&pattern_to_hub(call.words.at(2)))) {
        (2, _) => None,
        (3, Ok(pattern)) => Some(pattern),
        (3, _) => return call.reply(|writer| _ = writer.array(0)),
        _ => return call.odd_arguments(),
    };
    let heard = call.port.hub().subscribed_channels();
    let names = heard.filter(|(_, count)| *count > 0).map(|(channel, _)| channel.name().to_string());
    let names: Vec<String> =
        names.filter(|name| pattern.as_ref().is_none_or(|pattern| pattern.matches(name))).collect();
    if names.iter().map(String::len).sum::<usize>() > LISTED_BYTES {
        return call.fail("ERR too_large: the names are more than 4 MiB; ask for fewer by a pattern");
    }
    call.reply(|writer| {
        writer.array(names.len());
        for name in &names {
            writer.bulk(&from_hub(name));
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
            let count = heard.get(&*to_hub(word)).copied();
            writer.bulk(word).integer(i64::try_from(count.unwrap_or(0)).unwrap_or(i64::MAX));
        }
    })
}
