//! What this node's sessions want: channels that were joined and interests that are listened to, each with its topic in
//! Redis. After a break all of them are looked at again, and after a change of the catalogue their topics are.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_core::Channel;
use tapeline_core::broker::{Head, Interest, Page};
use tapeline_core::message::Message;

use super::link::{Command, LinkError, Patience, Topic, Value, lock};
use super::node::Node;
use super::reading::SLICE;
use super::scripts::ANEW;
use super::seen::Newest;

/// Sources of one interest that are looked at after a break.
const SOURCES_LIMIT: usize = 100_000;

/// What is done when all was looked at.
type Then = Box<dyn FnOnce(&Arc<Node>) + Send>;

struct Held {
    channel: Channel,
    topic: Topic,
    count: usize,
}

/// How closely a channel is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Where it stands.
    Heads,
    /// Whether the newest message that was seen is there, too.
    Newest,
}

/// See the module.
#[derive(Default)]
pub(super) struct Joined {
    channels: HashMap<Box<str>, Held, FixedState>,
    interests: HashMap<Topic, (Interest, usize), FixedState>,
    /// The catalogue's changes that the topics go by.
    changes: u64,
}

impl Joined {
    pub(super) fn is_listened_to(&self, topic: &Topic) -> bool {
        self.interests.contains_key(topic)
    }

    pub(super) fn channels(&self) -> Vec<Channel> {
        self.channels.values().map(|held| held.channel.clone()).collect()
    }
}

/// Where a channel's messages are heard; a roll-up's are those of its sources too.
fn topic_of(channel: &Channel) -> Topic {
    let kind = if channel.is_roll_up() { 'r' } else { 'c' };
    Topic::Channel(format!("tapeline:{kind}:{}", channel.name()).into())
}

/// Where an interest's messages are heard.
pub(super) fn topic_of_interest(interest: &Interest) -> Topic {
    match interest {
        Interest::RollUp(roll_up) => Topic::Channel(format!("tapeline:r:{}", roll_up.name()).into()),
        Interest::Pattern(pattern) => Topic::Pattern(format!("tapeline:c:{}", pattern.as_str()).into()),
    }
}

impl Node {
    pub(super) fn join(self: &Arc<Self>, channel: &Channel, answer: Box<dyn FnOnce(Head) + Send>) {
        let channel = channel.current().clone();
        let topic = {
            let mut joined = lock(&self.joined);
            let held = joined.channels.entry(channel.name().into()).or_insert_with(|| Held {
                channel: channel.clone(),
                topic: topic_of(&channel),
                count: 0,
            });
            held.count += 1;
            held.topic.clone()
        };
        let node = self.clone();
        self.link.listen(topic, Box::new(move || node.head(channel, answer)));
    }

    pub(super) fn leave(&self, channel: &Channel) {
        let topic = {
            let mut joined = lock(&self.joined);
            let Some(held) = joined.channels.get_mut(channel.name()) else { return };
            held.count -= 1;
            let topic = held.topic.clone();
            if held.count == 0 {
                joined.channels.remove(channel.name());
            }
            topic
        };
        self.link.unlisten(&topic);
    }

    pub(super) fn listen(&self, interest: &Interest) {
        let topic = topic_of_interest(interest);
        lock(&self.joined).interests.entry(topic.clone()).or_insert_with(|| (interest.clone(), 0)).1 += 1;
        self.link.listen(topic, Box::new(|| {}));
    }

    pub(super) fn unlisten(&self, interest: &Interest) {
        let topic = topic_of_interest(interest);
        {
            let mut joined = lock(&self.joined);
            let Some((_, count)) = joined.interests.get_mut(&topic) else { return };
            *count -= 1;
            if *count == 0 {
                joined.interests.remove(&topic);
            }
        }
        self.link.unlisten(&topic);
    }

    /// Where the catalogue has made another kind of channel of a joined name, its messages come by another topic.
    pub(super) fn follow_catalogue(&self) {
        let changes = self.directory.changes();
        let mut moved = Vec::new();
        {
            let mut joined = lock(&self.joined);
            // An odd number is a change under way.
            if joined.changes == changes || changes % 2 == 1 {
                return;
            }
            joined.changes = changes;
            for held in joined.channels.values_mut().filter(|held| held.channel.is_replaced()) {
                held.channel = held.channel.current().clone();
                let topic = topic_of(&held.channel);
                if topic != held.topic {
                    moved.push((std::mem::replace(&mut held.topic, topic.clone()), topic, held.count));
                }
            }
        }
        for (old, new, count) in moved {
            for _ in 0..count {
                self.link.listen(new.clone(), Box::new(|| {}));
                self.link.unlisten(&old);
            }
        }
    }

    /// Tells where everything stands that is wanted here: messages may have been missed. `then` is called when what is
    /// joined was looked at, unless the line breaks before.
    pub(super) fn look_everywhere(self: &Arc<Self>, look: Look, then: Then) {
        let (channels, interests) = {
            let joined = lock(&self.joined);
            let interests = joined.interests.values().map(|(interest, _)| interest.clone());
            (joined.channels(), interests.collect::<Vec<_>>())
        };
        self.look_in_slices(channels, look, then);
        for interest in interests {
            let node = self.clone();
            let tell = move |sources: tapeline_core::broker::Sources| {
                for (channel, head) in sources.heads {
                    node.tell_head(&channel, head, look);
                }
            };
            self.list(interest, SOURCES_LIMIT, Box::new(tell));
        }
    }

    /// All at once may be more than can wait for the line.
    fn look_in_slices(self: &Arc<Self>, mut channels: Vec<Channel>, look: Look, then: Then) {
        let slice = channels.split_off(channels.len().saturating_sub(SLICE));
        self.look_at(slice, look);
        let node = self.clone();
        // Answers come in order: by then the slice was looked at.
        self.link.ask(&Command::new("PING"), Patience::Now, move |answer| match answer {
            Ok(_) if channels.is_empty() => then(&node),
            Ok(_) => node.look_in_slices(channels, look, then),
            // There will be another line, and everything is looked at there.
            Err(LinkError::NotSent(_) | LinkError::Unknown(_)) => {}
            Err(_) => node.later(move |node| node.look_in_slices(channels, look, then)),
        });
    }

    /// Tells where channels stand, and keeps them from expiring.
    pub(super) fn look_at(self: &Arc<Self>, channels: Vec<Channel>, look: Look) {
        for channel in channels {
            let node = self.clone();
            let told = channel.clone();
            self.head_now(&channel, Box::new(move |head| node.tell_head(&told, head, look)));
        }
    }

    /// Tells where a channel stands; one that lacks what was seen of it begins anew, once for all nodes.
    pub(super) fn tell_head(self: &Arc<Self>, channel: &Channel, head: Head, look: Look) {
        let seen = lock(&self.seen).of(channel.name()).filter(|newest| newest.epoch == head.epoch).cloned();
        // It may have been seen after the head was read: what is asked for from here on must be there.
        if let Some(newest) = seen.filter(|newest| look == Look::Newest || newest.offset > head.top) {
            return self.look_for(channel.clone(), newest);
        }
        if let Some(sink) = self.sink.get() {
            sink.on_head(channel, &head);
        }
    }

    /// Reads after a message was seen: Redis may stand before it, or hold another one there.
    fn look_for(self: &Arc<Self>, channel: Channel, newest: Newest) {
        let node = self.clone();
        let told = channel.clone();
        let compare = move |page: Page| {
            let is_other = |message: &Arc<Message>| {
                message.offset_in(&told) == Some(newest.offset) && message.id != newest.id
            };
            let same_epoch = page.head.epoch == newest.epoch;
            if same_epoch && (page.head.top < newest.offset || page.messages.iter().any(is_other)) {
                return node.begin_anew(told, &page.head);
            }
            if let Some(sink) = node.sink.get() {
                sink.on_head(&told, &page.head);
            }
        };
        self.page_now(&channel, newest.offset - 1, Box::new(compare));
    }

    fn begin_anew(self: &Arc<Self>, channel: Channel, head: &Head) {
        let plan = self.plans.of(&channel);
        let keys = [&plan.meta, &plan.stream, &plan.index, &plan.rows, &plan.order];
        let command =
            ANEW.command(&keys).args([channel.name(), &plan.row, &head.epoch]).arg(self.fresh_epoch());
        tracing::warn!("redis lacks messages that were seen of {}: it begins anew", channel.name());
        let node = self.clone();
        self.link.ask(&command, Patience::Return, move |answer: Result<Value, _>| {
            if answer.is_ok() {
                let (teller, told) = (node.clone(), channel.clone());
                node.head(
                    channel,
                    Box::new(move |head| {
                        if let Some(sink) = teller.sink.get() {
                            sink.on_head(&told, &head);
                        }
                    }),
                );
            }
        });
    }
}
