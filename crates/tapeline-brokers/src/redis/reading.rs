//! What is read from Redis: where channels stand, what they keep, and which sources an interest has. Whoever asks while
//! the line is down is answered on its return.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tapeline_core::Channel;
use tapeline_core::broker::{Head, Interest, NEWEST, Page, Sources};
use tapeline_core::message::{Epoch, Message};
use tapeline_core::table::RowKey;
use tapeline_schema::Pattern;

use super::frame::{Origin, decode, whole};
use super::joined::topic_of_interest;
use super::link::{Command, LinkError, Patience, Value, lock};
use super::node::Node;
use super::plan::{Plan, index_key, sources_key, tags};
use super::publishing::{is_refusal_of_writes, leads_elsewhere};
use super::scripts::{FORGET, READ};

/// What Redis refuses is asked again after so long.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Names looked through under one tag for a pattern that is more than a prefix.
const NAMES_LIMIT: usize = 100_000;

/// Entries that are read at most; Redis takes no count beyond its own numbers.
const ENTRIES_LIMIT: usize = 1 << 24;

/// Channels that are asked about in one go; what all of them cost has room on the line.
pub(super) const SLICE: usize = 4_096;

type Ask = Box<dyn FnOnce(&Arc<Node>) + Send>;

/// Something to be asked again later.
pub(super) struct Again {
    at: Instant,
    ask: Ask,
}

/// How a channel is read.
#[derive(Clone, Copy)]
enum Reading {
    /// Makes the channel if it is not there.
    Head,
    /// Leaves it alone.
    Look,
    After(u64, usize),
}

impl Node {
    /// Where a channel stands, from when it is made.
    pub(super) fn head(self: &Arc<Self>, channel: Channel, answer: Box<dyn FnOnce(Head) + Send>) {
        self.ask_page(channel, Reading::Head, Patience::Return, Box::new(move |page| answer(page.head)));
    }

    /// The same, asked on this line only: the next one asks anew.
    pub(super) fn head_now(self: &Arc<Self>, channel: &Channel, answer: Box<dyn FnOnce(Head) + Send>) {
        let answer = Box::new(move |page: Page| answer(page.head));
        self.ask_page(channel.clone(), Reading::Head, Patience::Now, answer);
    }

    /// One message after this offset, likewise.
    pub(super) fn page_now(
        self: &Arc<Self>,
        channel: &Channel,
        after: u64,
        answer: Box<dyn FnOnce(Page) + Send>,
    ) {
        self.ask_page(channel.clone(), Reading::After(after, 1), Patience::Now, answer);
    }

    pub(super) fn read(
        self: &Arc<Self>,
        channel: &Channel,
        after: u64,
        limit: usize,
        answer: Box<dyn FnOnce(Page) + Send>,
    ) {
        self.ask_page(channel.clone(), Reading::After(after, limit), Patience::Return, answer);
    }

    fn ask_page(
        self: &Arc<Self>,
        channel: Channel,
        reading: Reading,
        patience: Patience,
        answer: Box<dyn FnOnce(Page) + Send>,
    ) {
        let plan = self.plans.of(channel.current());
        let command = self.read_command(&plan, reading);
        let node = self.clone();
        self.link.ask(&command, patience, move |value| match value {
            Ok(value) => answer(node.page(&plan, &value, reading)),
            // Whoever asks on this line only asks anew on the next one.
            Err(LinkError::NotSent(_) | LinkError::Unknown(_)) if patience == Patience::Now => {}
            Err(error) => {
                tracing::debug!("{}: {error}", channel.name());
                node.on_unread(&error);
                node.later(move |node| node.ask_page(channel, reading, patience, answer));
            }
        });
    }

    /// Someone else may be the primary by now.
    fn on_unread(&self, error: &LinkError) {
        if let LinkError::Refused(why) = error
            && leads_elsewhere(why)
        {
            self.link.reconnect(why);
        }
    }

    fn read_command(&self, plan: &Plan, reading: Reading) -> Command {
        let keys = [&plan.meta, &plan.stream, &plan.index, &plan.rows, &plan.order];
        let mut command = READ.command(&keys);
        plan.push_row(&mut command, self.now_us());
        let fresh = if matches!(reading, Reading::Head) { self.fresh_epoch() } else { String::new() };
        let command = command.arg(fresh).arg(&plan.ttl);
        let command = match reading {
            Reading::Head | Reading::Look => command.arg("0").arg("0"),
            Reading::After(NEWEST, limit) => command.arg("n").number(limit.min(ENTRIES_LIMIT) as u64),
            Reading::After(after, limit) => {
                command.number(after.min(1 << 52)).number(limit.min(ENTRIES_LIMIT) as u64)
            }
        };
        command.arg(plan.channel.owner().unwrap_or_default())
    }

    fn page(&self, plan: &Plan, value: &Value, reading: Reading) -> Page {
        let number = |at: usize| value.part(at).and_then(Value::number).unwrap_or_default();
        let epoch = Epoch::from(value.part(0).and_then(Value::text).unwrap_or_default());
        let head = Head { epoch, top: number(1), oldest: number(2) };
        if let Some(owner) = value.part(3).and_then(Value::text).filter(|owner| !owner.is_empty()) {
            self.directory.owned_by(&plan.channel, owner);
        }
        let frames = value.part(4).map(Value::parts).unwrap_or_default();
        // The newest first: a node that knows nothing of a channel learns its owner from what it reads, and the newest
        // message says whose it is by now.
        let messages = frames.iter().rev().filter_map(|frame| self.kept(frame.bytes()?));
        let mut messages: Vec<Arc<Message>> = messages.map(Arc::new).collect();
        messages.reverse();
        if !plan.channel.is_table() {
            return Page { head, messages };
        }
        let rows = value.part(5).map(Value::parts);
        let told = match (rows, messages.last()) {
            (Some(rows), Some(newest)) if !newest.is_whole() => {
                let meta = newest.rows.as_ref().map_or(&b"{}"[..], |rows| rows.meta(&newest.data));
                let pairs = rows.chunks_exact(2).filter_map(|pair| {
                    let (key, row) = (pair.first()?.bytes()?, pair.last()?.bytes()?);
                    Some((RowKey::from_bytes(key), &**row))
                });
                Some(Arc::new(newest.with_rows(whole(pairs, meta), 0)))
            }
            _ => Message::merged(&messages),
        };
        let wanted = matches!(reading, Reading::After(_, limit) if limit > 0);
        Page { head, messages: told.filter(|_| wanted).into_iter().collect() }
    }

    fn kept(&self, frame: &[u8]) -> Option<Message> {
        decode(frame, Origin::Kept, &self.directory, |channel| self.plans.of(channel)).ok()
    }

    /// Asks something again a little later.
    pub(super) fn later(&self, ask: impl FnOnce(&Arc<Node>) + Send + 'static) {
        lock(&self.again).push_back(Again { at: Instant::now() + AGAIN_AFTER, ask: Box::new(ask) });
    }

    pub(super) fn ask_again(self: &Arc<Self>) {
        let now = Instant::now();
        let due = {
            let mut again = lock(&self.again);
            // In the order of their times; what is left comes with the next tick.
            let due = again.iter().take(SLICE).take_while(|again| again.at <= now).count();
            again.drain(..due).collect::<Vec<_>>()
        };
        for again in due {
            (again.ask)(self);
        }
    }

    /// Lists an interest's sources; where it is listened to, once its messages are heard.
    pub(super) fn sources(
        self: &Arc<Self>,
        interest: &Interest,
        limit: usize,
        answer: Box<dyn FnOnce(Sources) + Send>,
    ) {
        let topic = topic_of_interest(interest);
        if !lock(&self.joined).is_listened_to(&topic) {
            return self.list(interest.clone(), limit, answer);
        }
        let (node, interest, heard) = (self.clone(), interest.clone(), topic.clone());
        let ready = move || {
            let link = node.link.clone();
            node.list(
                interest,
                limit,
                Box::new(move |sources| {
                    answer(sources);
                    link.unlisten(&heard);
                }),
            );
        };
        self.link.listen(topic, Box::new(ready));
    }

    /// Lists an interest's sources.
    pub(super) fn list(
        self: &Arc<Self>,
        interest: Interest,
        limit: usize,
        answer: Box<dyn FnOnce(Sources) + Send>,
    ) {
        let tags = tags(&self.directory.catalog());
        let commands: Vec<Command> = tags.iter().map(|tag| list_command(&interest, tag, limit)).collect();
        let node = self.clone();
        let named = move |names: Result<Vec<Value>, _>| match names.and_then(readable) {
            Ok(names) => {
                let named = tags.iter().zip(&names).flat_map(|(tag, names)| {
                    names.parts().iter().filter_map(move |name| Some((tag.as_str(), name.text()?)))
                });
                let channels = node.sources_among(&interest, named, limit + 1);
                node.heads(channels, Vec::new(), limit, answer);
            }
            Err(error) => {
                node.on_unread(&error);
                node.later(move |node| node.list(interest, limit, answer));
            }
        };
        self.link.ask_all(&commands, Patience::Return, Box::new(named));
    }

    /// Those of the listed names that are sources still, and lie where they are listed.
    fn sources_among<'a>(
        &self,
        interest: &Interest,
        listed: impl Iterator<Item = (&'a str, &'a str)>,
        most: usize,
    ) -> Vec<Arc<Plan>> {
        let own = match interest {
            Interest::RollUp(roll_up) => Some(self.plans.of(roll_up.current())),
            Interest::Pattern(_) => None,
        };
        let found = listed.filter_map(|(tag, name)| {
            if matches!(interest, Interest::Pattern(pattern) if !pattern.matches(name)) {
                return None;
            }
            let channel = self.directory.channel(name).ok()?;
            let plan = self.plans.of(&channel);
            let still = match interest {
                Interest::RollUp(roll_up) => channel != *roll_up && channel.roll_ups().contains(roll_up),
                Interest::Pattern(_) => true,
            };
            (still && plan.tag == tag).then_some(plan)
        });
        found.take(most).chain(own).collect()
    }

    /// Where channels stand, a slice after the other: all at once may be more than can wait for the line.
    fn heads(
        self: &Arc<Self>,
        mut plans: Vec<Arc<Plan>>,
        mut heads: Vec<(Channel, Head)>,
        limit: usize,
        answer: Box<dyn FnOnce(Sources) + Send>,
    ) {
        if plans.is_empty() {
            let partial = heads.len() > limit;
            heads.truncate(limit);
            return answer(Sources { heads, partial });
        }
        let left = plans.split_off(plans.len().min(SLICE));
        let commands: Vec<Command> =
            plans.iter().map(|plan| self.read_command(plan, Reading::Look)).collect();
        let node = self.clone();
        let told = move |values: Result<Vec<Value>, _>| match values.and_then(readable) {
            Ok(values) => {
                heads.extend(plans.iter().zip(&values).filter_map(|(plan, value)| {
                    let head = node.page(plan, value, Reading::Look).head;
                    (!head.epoch.is_empty()).then(|| (plan.channel.current().clone(), head))
                }));
                node.heads(left, heads, limit, answer);
            }
            Err(error) => {
                node.on_unread(&error);
                plans.extend(left);
                node.later(move |node| node.heads(plans, heads, limit, answer));
            }
        };
        self.link.ask_all(&commands, Patience::Return, Box::new(told));
    }

    pub(super) fn forget(
        self: &Arc<Self>,
        channel: &Channel,
        through: u64,
        answer: Box<dyn FnOnce(u64) + Send>,
    ) {
        let plan = self.plans.of(channel.current());
        let mut keys = vec![&plan.meta, &plan.stream];
        for roll_up in plan.roll_ups.iter().filter_map(|roll_up| roll_up.counting()) {
            keys.extend([&roll_up.meta, &roll_up.stream]);
        }
        let mut command = FORGET.command(&keys);
        plan.push_row(&mut command, self.now_us());
        let (node, channel) = (self.clone(), channel.clone());
        self.link.ask(&command.number(through.min(1 << 52)), Patience::Return, move |value| match value {
            Ok(value) => answer(value.number().unwrap_or_default()),
            Err(error) => {
                node.on_unread(&error);
                node.later(move |node| node.forget(&channel, through, answer));
            }
        });
    }
}

/// Answers that may be better elsewhere, or later, are none.
fn readable(values: Vec<Value>) -> Result<Vec<Value>, LinkError> {
    match values.iter().filter_map(Value::error).find(|why| is_refusal_of_writes(why)) {
        Some(why) => Err(LinkError::Refused(why.to_owned())),
        None => Ok(values),
    }
}

fn list_command(interest: &Interest, tag: &str, limit: usize) -> Command {
    let all = ("-".to_owned(), "+".to_owned(), limit + 1);
    let (key, (from, to, most)) = match interest {
        Interest::RollUp(roll_up) => (sources_key(tag, roll_up.name()), all),
        Interest::Pattern(pattern) => (index_key(tag), range_of(pattern, limit).unwrap_or(all)),
    };
    Command::new("ZRANGEBYLEX").args([&key, &from, &to]).arg("LIMIT").arg("0").number(most as u64)
}

/// The range of names that a pattern's plain beginning leaves, and how many have to be looked at.
fn range_of(pattern: &Pattern, limit: usize) -> Option<(String, String, usize)> {
    let text = pattern.as_str();
    let plain = text.find(['*', '?', '[', '\\']).unwrap_or(text.len());
    let (prefix, rest) = text.split_at_checked(plain)?;
    // A name is ASCII, so this is behind all that begin so.
    let to = if prefix.is_empty() { "+".to_owned() } else { format!("[{prefix}\u{7f}") };
    let from = if prefix.is_empty() { "-".to_owned() } else { format!("[{prefix}") };
    Some((from, to, if rest == "*" { limit + 1 } else { NAMES_LIMIT }))
}
