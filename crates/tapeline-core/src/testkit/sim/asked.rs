//! What a client has asked for, by the contract's words: which names a subscription covers, how it is served, and
//! where it begins in each. Written without a look at the core's own rules.

use std::collections::HashMap;

use tapeline_schema::{Delivery, Priority};

use crate::broker::Head;
use crate::channel::Channel;
use crate::command::Since;
use crate::message::Epoch;
use crate::reply::Topic;

/// How a source channel is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Every,
    Latest,
}

/// The manner and rate that the family gives for what was asked; `None` if it refuses.
pub(super) fn manner(channel: &Channel, asked: Option<Delivery>, rate: Option<u32>) -> Option<(Manner, u32)> {
    let spec = channel.spec();
    match asked.unwrap_or(spec.delivery) {
        Delivery::Latest if spec.priority == Priority::Critical => None,
        Delivery::Latest => Some((Manner::Latest, rate.or(spec.max_rate).unwrap_or(0))),
        Delivery::Table if spec.delivery != Delivery::Table => None,
        // What is merged says the same as the newest of each row.
        Delivery::Table => Some((Manner::Latest, rate.or(spec.max_rate).unwrap_or(0))),
        Delivery::Every if rate.is_some() => None,
        Delivery::Every => Some((Manner::Every, 0)),
    }
}

/// Where a subscription begins in one name.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub channel: Channel,
    pub manner: Manner,
    pub epoch: Epoch,
    /// The first message wanted is the one after.
    pub after: u64,
    pub recovered: bool,
    /// A gap says that the client's offsets from here on are void.
    pub void_from: Option<u64>,
    pub top: u64,
    /// The client said what it has.
    pub resumed: bool,
}

impl Start {
    /// The contract's rule for `since`.
    pub(super) fn of(channel: &Channel, manner: Manner, since: Option<&Since>, head: &Head) -> Self {
        let start = |after, recovered, void_from| Start {
            channel: channel.clone(),
            manner,
            epoch: head.epoch.clone(),
            after,
            recovered,
            void_from,
            top: head.top,
            resumed: since.is_some(),
        };
        let Some(since) = since else {
            if manner == Manner::Latest {
                return start(0, true, None);
            }
            let replay = channel.spec().replay_on_subscribe as u64;
            let after = head.top.saturating_sub(replay).max(head.oldest.saturating_sub(1));
            return start(after.min(head.top), true, None);
        };
        let stale = since.epoch.as_deref().is_some_and(|epoch| *epoch != *head.epoch);
        if stale || since.offset > head.top {
            return start(0, false, Some(since.offset + 1));
        }
        // The newest follows and supersedes what was missed.
        let latest = manner == Manner::Latest;
        start(since.offset, latest || since.offset == head.top || head.oldest <= since.offset + 1, None)
    }
}

/// A subscription that stands, as its client knows it.
pub(super) struct Standing {
    pub topic: Topic,
    pub delivery: Option<Delivery>,
    pub rate: Option<u32>,
    /// The broker has said where it begins.
    pub listed: bool,
    /// Frames of other subscriptions were on their way when it began.
    pub mixed: bool,
    /// More sources than the limit: unlisted ones begin anywhere.
    pub partial: bool,
    pub starts: HashMap<String, Start>,
    /// How many counts of an unlisted name had ended before the list was made.
    pub ended: HashMap<String, usize>,
    /// Up to where everything has come or was said to be missing.
    pub frontiers: HashMap<(String, Epoch), u64>,
}

impl Standing {
    pub(super) fn new(topic: Topic, delivery: Option<Delivery>, rate: Option<u32>) -> Self {
        Standing {
            topic,
            delivery,
            rate,
            listed: false,
            mixed: false,
            partial: false,
            starts: HashMap::new(),
            ended: HashMap::new(),
            frontiers: HashMap::new(),
        }
    }

    /// The broker has said where it begins in a name.
    pub(super) fn begin(&mut self, name: &str, start: Start) {
        let unlisted = self.spreads() && self.listed && !self.partial;
        self.listed |= !self.spreads();
        match self.starts.get_mut(name) {
            // What a standing subscription began with earlier still counts.
            // Another wish, such as no rate any more, may have it served in another way from now on.
            Some(known) if known.manner != start.manner => {
                self.frontiers.remove(&(name.to_string(), start.epoch.clone()));
                *known = start;
            }
            Some(known) if known.epoch == start.epoch => {
                if known.manner == Manner::Latest {
                    known.after = known.after.max(start.after);
                } else if start.after < known.after {
                    known.after = start.after;
                    self.frontiers.remove(&(name.to_string(), start.epoch));
                }
            }
            Some(_) => {}
            // It appeared after the list was made, so it is heard from its first message on.
            None if unlisted => {}
            None => {
                self.starts.insert(name.to_string(), start);
            }
        }
    }

    /// Whether it hears each source under the source's own count.
    pub(super) fn spreads(&self) -> bool {
        match &self.topic {
            Topic::Pattern(_) => true,
            Topic::Channel(channel) => {
                let latest =
                    manner(channel, self.delivery, self.rate).is_some_and(|(m, _)| m == Manner::Latest);
                channel.is_roll_up() && (latest || !channel.counts_for_itself())
            }
        }
    }

    pub(super) fn covers(&self, channel: &Channel) -> bool {
        match &self.topic {
            Topic::Pattern(pattern) => pattern.matches(channel.name()),
            Topic::Channel(asked) => {
                channel == asked || (self.spreads() && channel.roll_ups().contains(asked))
            }
        }
    }

    /// How it is served from a name that it covers.
    pub(super) fn manner(&self, channel: &Channel) -> (Manner, u32) {
        let given = manner(channel, self.delivery, self.rate).or_else(|| manner(channel, None, None));
        given.unwrap_or((Manner::Every, 0))
    }

    /// The offset after which it wants messages of a count; `None` if it wants none of it, or nobody can say.
    pub(super) fn after(&self, name: &str, epoch: &Epoch, counts: &[Epoch]) -> Option<u64> {
        let at = counts.iter().position(|count| count == epoch)?;
        match self.starts.get(name) {
            // It was served otherwise, and its next answer says where every message begins.
            Some(start) if start.manner == Manner::Latest => None,
            Some(start) if start.epoch == *epoch => Some(start.after),
            Some(start) => {
                let began = counts.iter().position(|count| *count == start.epoch)?;
                (at > began).then_some(0)
            }
            None if self.partial || !self.listed => None,
            None => (at >= self.ended.get(name).copied().unwrap_or(0)).then_some(0),
        }
    }
}
