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
use super::name::{from_hub, pattern_to_hub, to_hub};
use super::talk::Call;
use super::wire::{SHARDED, kind, push_confirmed, refused};
use super::words::Kept;

/// Names of one command that are followed before others have their turn.
const SLICE: usize = 64;
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

/// How many subscriptions the session has, as this protocol counts them.
#[derive(Clone, Copy)]
struct Counts {
    all: usize,
    /// Those of `all` that are sharded.
    sharded: usize,
}

impl Counts {
    fn of(call: &Call<'_, '_>) -> Self {
        Counts { all: call.port.subscriptions(), sharded: call.port.subscriptions_marked(SHARDED) }
    }

    /// What Redis tells beside the name: channels and patterns together, sharded channels apart.
    fn told(self, of: Kind) -> usize {
        if of == Kind::Sharded { self.sharded } else { self.all - self.sharded }
    }

    /// Looks again after one of this kind may have begun or ended.
    fn look_again(&mut self, call: &Call<'_, '_>, kind: Kind) {
        let before = std::mem::replace(&mut self.all, call.port.subscriptions());
        if kind == Kind::Sharded {
            self.sharded = (self.sharded + self.all).saturating_sub(before);
        }
    }
}

/// As what the session hears a name, if it does.
fn heard(call: &Call<'_, '_>, like: Kind, name: &str) -> Option<Kind> {
    let is_pattern = like == Kind::Pattern;
    call.port.heard(is_pattern, name).map(|tag| kind(is_pattern, tag))
}

/// Says that a command names more channels than one connection may hear. Clients that come back subscribe all of theirs in
/// one command.
fn too_many(call: &Call<'_, '_>) -> Option<String> {
    let (names, limit) = (call.words.len() - 1, call.port.hub().settings().subscriptions_per_connection);
    // Whoever hears more than that, from when more were allowed, may say so.
    (names > limit.max(call.port.subscriptions())).then(|| {
        format!("ERR invalid_request: {names} channels in one request, the limit is {limit} (limits.subscriptions_per_connection)")
    })
}

/// Follows a command name by name, so many before others have their turn.
fn each_name(call: &mut Call<'_, '_>, mut follow: impl FnMut(&mut Call<'_, '_>, &[u8])) -> Outcome {
    let (words, done) = (call.words, std::mem::take(&mut call.talk.named));
    words.from(1 + done).take(SLICE).for_each(|word| follow(call, word));
    if 1 + done + SLICE < words.len() {
        call.talk.named = done + SLICE;
        return Outcome::Turn;
    }
    Outcome::Done
}

/// Each name is asked for by itself, so that each is answered by itself. All may be asked for at once: the session begins
/// them in the order of their answers.
fn start(call: &mut Call<'_, '_>, kind: Kind) -> Outcome {
    if call.talk.named == 0 {
        // What the client published before is not for it.
        if call.port.in_flight() > 0 {
            return Outcome::Wait;
        }
        if let Some(text) = too_many(call) {
            return call.fail(&text);
        }
    }
    let mut counts = Counts::of(call);
    each_name(call, |call, word| {
        let name = hub_name(kind, word);
        match heard(call, kind, &name) {
            None => start_one(call, kind, &name, &mut counts),
            Some(as_what) if as_what == kind => {
                let count = counts.told(kind);
                call.reply(|writer| push_confirmed(writer, kind.subscribed(), Some(word), count));
            }
            Some(_) => _ = call.fail(TWICE),
        }
    })
}

fn start_one(call: &mut Call<'_, '_>, kind: Kind, name: &str, counts: &mut Counts) {
    let mark = Mark { turn: call.port.turn(), shape: Shape::Subscribed(kind, counts.told(kind) + 1) };
    let tag = if kind == Kind::Sharded { SHARDED } else { 0 };
    let options = Box::new(SubscribeOptions { tag, ..SubscribeOptions::default() });
    let wanted = vec![wanted(kind, name)];
    call.port.handle(Command::Subscribe { wanted, options, req: Some(mark.text()) });
    counts.look_again(call, kind);
}

fn end(call: &mut Call<'_, '_>, kind: Kind) -> Outcome {
    // What has not begun cannot end: its confirmation comes first.
    if call.port.unanswered() > 0 {
        return Outcome::Wait;
    }
    if call.talk.named == 0
        && let Some(text) = too_many(call)
    {
        return call.fail(&text);
    }
    let mut counts = Counts::of(call);
    if call.words.len() > 1 {
        return each_name(call, |call, word| end_one(call, kind, word, &mut counts));
    }
    let topics = call.port.topics().into_iter();
    let all = topics.filter(|(is_pattern, tag, _)| self::kind(*is_pattern, *tag) == kind);
    let names = all.map(|(.., name)| Box::from(&*from_hub(&name)));
    let words: Kept = std::iter::once(Box::from(call.words.at(0))).chain(names).collect();
    if words.len() == 1 {
        let count = counts.told(kind);
        return call.reply(|writer| push_confirmed(writer, kind.unsubscribed(), None, count));
    }
    // The same with all names said.
    call.talk.waiting.push_front(words);
    Outcome::Done
}

fn end_one(call: &mut Call<'_, '_>, kind: Kind, word: &[u8], counts: &mut Counts) {
    let name = hub_name(kind, word);
    if heard(call, kind, &name) != Some(kind) {
        // What was not heard is over too.
        let count = counts.told(kind);
        call.reply(|writer| push_confirmed(writer, kind.unsubscribed(), Some(word), count));
        return;
    }
    let mark = Mark { turn: call.port.turn(), shape: Shape::Unsubscribed(kind, counts.told(kind) - 1) };
    call.port.handle(Command::Unsubscribe { wanted: vec![wanted(kind, &name)], req: Some(mark.text()) });
    // It may have been refused: too many requests.
    counts.look_again(call, kind);
}

/// Ends all, without a word but that it is refused. Answers whether they have ended.
pub(super) fn end_all(call: &mut Call<'_, '_>) -> bool {
    if call.port.subscriptions() > 0 {
        let mark = Mark { turn: call.port.turn(), shape: Shape::Ended };
        call.port.handle(Command::UnsubscribeAll { req: Some(mark.text()) });
    }
    call.port.subscriptions() == 0
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
    if words.is(1, "numpat") {
        if words.len() > 2 {
            return call.odd_arguments();
        }
        let count = call.port.hub().subscribed_patterns().len();
        return call.reply(|writer| _ = writer.integer(i64::try_from(count).unwrap_or(i64::MAX)));
    }
    call.no_subcommand()
}

fn channels(call: &mut Call<'_, '_>) -> Outcome {
    let pattern = match (call.words.len(), Pattern::parse(&pattern_to_hub(call.words.at(2)))) {
        (2, _) => None,
        (3, Ok(pattern)) => Some(pattern),
        // As in Redis, what is empty matches nothing.
        (3, _) if call.words.at(2).is_empty() => return call.reply(|writer| _ = writer.array(0)),
        (3, Err(error)) => return call.fail(&format!("ERR bad_pattern: {error}")),
        _ => {
            let sub = call.words.shown(1);
            return call.fail(&format!(
                "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try PUBSUB HELP."
            ));
        }
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
