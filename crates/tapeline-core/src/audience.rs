//! How many sessions hear a channel, over all shards: the `subscribers` of every answer to a publish.
//! It is told of subscriptions as they come and go, and asked by publishers; it routes nothing.

use std::sync::{PoisonError, RwLock};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use tapeline_schema::Pattern;

use crate::channel::{Channel, ChannelMap};
use crate::reply::Topic;

#[derive(Default)]
struct Inner {
    channels: ChannelMap<Vec<u64>>,
    patterns: Vec<(Pattern, Vec<u64>)>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Audience(RwLock<Inner>);

impl Audience {
    /// A session hears a topic from now on; told once a session and topic.
    pub(crate) fn add(&self, topic: &Topic, session: u64) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match topic {
            Topic::Channel(channel) => inner.channels.entry(channel.clone()).or_default().push(session),
            Topic::Pattern(pattern) => match inner.patterns.iter_mut().find(|(known, _)| known == pattern) {
                Some((_, sessions)) => sessions.push(session),
                None => inner.patterns.push((pattern.clone(), vec![session])),
            },
        }
    }

    /// A session no longer hears a topic.
    pub(crate) fn remove(&self, topic: &Topic, session: u64) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match topic {
            Topic::Channel(channel) => {
                if let Some(sessions) = inner.channels.get_mut(channel) {
                    forget(sessions, session);
                    if sessions.is_empty() {
                        inner.channels.remove(channel);
                    }
                }
            }
            Topic::Pattern(pattern) => {
                if let Some(at) = inner.patterns.iter().position(|(known, _)| known == pattern)
                    && let Some((_, sessions)) = inner.patterns.get_mut(at)
                {
                    forget(sessions, session);
                    if sessions.is_empty() {
                        inner.patterns.swap_remove(at);
                    }
                }
            }
        }
    }

    /// Sessions that hear the channel: directly, through a roll-up or a pattern, each counted once.
    pub(crate) fn count(&self, channel: &Channel) -> usize {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut heard: Vec<&[u64]> = Vec::new();
        for name in std::iter::once(channel).chain(channel.roll_ups()) {
            heard.extend(inner.channels.get(name).map(Vec::as_slice));
        }
        let matching = inner.patterns.iter().filter(|(pattern, _)| pattern.matches(channel.name()));
        heard.extend(matching.map(|(_, sessions)| sessions.as_slice()));
        match heard.as_slice() {
            [] => 0,
            [only] => only.len(),
            several => {
                let distinct: HashSet<u64, FixedState> =
                    several.iter().flat_map(|sessions| sessions.iter().copied()).collect();
                distinct.len()
            }
        }
    }

    /// Every pattern that is subscribed, with its count.
    pub(crate) fn patterns(&self) -> Vec<(Pattern, usize)> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.patterns.iter().map(|(pattern, sessions)| (pattern.clone(), sessions.len())).collect()
    }

    /// How many hear this name by itself.
    pub(crate) fn count_by_name(&self, channel: &Channel) -> usize {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.channels.get(channel).map_or(0, Vec::len)
    }

    /// Every channel that is subscribed by name, with its count.
    pub(crate) fn channels(&self) -> HashMap<Channel, usize, FixedState> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.channels.iter().map(|(channel, sessions)| (channel.clone(), sessions.len())).collect()
    }
}

fn forget(sessions: &mut Vec<u64>, session: u64) {
    if let Some(at) = sessions.iter().position(|known| *known == session) {
        sessions.swap_remove(at);
    }
}
