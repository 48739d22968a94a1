//! Who hears a channel, over all shards of this node: the `subscribers` of every answer to a publish, and the list that
//! `GET /presence` shows. It is told of subscriptions as they come and go, and asked by publishers; it routes nothing.

use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use tapeline_schema::Pattern;

use crate::channel::{Channel, ChannelMap};
use crate::reply::Topic;

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The client id that it gave.
    pub client: Option<Box<str>>,
    /// Token subject, else remote address.
    pub principal: Arc<str>,
}

/// A session that hears a topic.
#[derive(Clone, Debug)]
pub struct Hearing {
    /// Unique in this node.
    pub session: u64,
    /// Since when, microseconds since 1970.
    pub since_us: u64,
    /// Whether it hears a message once for each topic that covers it, instead of once.
    pub each_way: bool,
    /// Whose it is.
    pub who: Arc<Who>,
}

/// Who hears a topic, as other nodes are told it.
#[derive(Clone, Debug)]
pub struct HeardTopic {
    /// What is heard.
    pub topic: Topic,
    /// Sessions; none where nobody hears it any more.
    pub count: usize,
    /// Some of them.
    pub sessions: Vec<Hearing>,
}

/// A session that hears a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hearer {
    /// Whose it is.
    pub who: Arc<Who>,
    /// Since when, microseconds since 1970.
    pub since_us: u64,
    /// The roll-up or pattern through which it hears the channel; `None` where it asked for the channel itself.
    pub via: Option<Box<str>>,
}

/// Sessions that hear a channel.
#[derive(Clone, Debug, Default)]
pub struct Hearers {
    /// All of them, each once.
    pub count: usize,
    /// Some of them, those first that came first of those that are here.
    pub sessions: Vec<Hearer>,
}

#[derive(Default)]
struct Inner {
    channels: ChannelMap<Vec<Hearing>>,
    patterns: Vec<(Pattern, Vec<Hearing>)>,
    /// Topics whose hearers have changed since other nodes were told; nothing where there are none.
    changed: Option<HashMap<Box<str>, Topic, FixedState>>,
}

impl Inner {
    fn note_change(&mut self, topic: &Topic) {
        if let Some(changed) = &mut self.changed {
            changed.entry(key_of(topic)).or_insert_with(|| topic.clone());
        }
    }

    fn heard(&self, topic: Topic, named: usize) -> HeardTopic {
        let hearing = match &topic {
            Topic::Channel(channel) => self.channels.get(channel),
            Topic::Pattern(pattern) => {
                self.patterns.iter().find(|(known, _)| known == pattern).map(|(_, hearing)| hearing)
            }
        };
        let hearing = hearing.map(Vec::as_slice).unwrap_or_default();
        let sessions = hearing.iter().take(named).cloned().collect();
        HeardTopic { topic, count: hearing.len(), sessions }
    }

    /// Who hears the channel, by the name or pattern that they asked for; the channel's own name first.
    fn ways<'a>(&'a self, channel: &'a Channel) -> impl Iterator<Item = (&'a str, &'a [Hearing])> {
        let names = std::iter::once(channel).chain(channel.roll_ups());
        let by_name = names.filter_map(|name| Some((name.name(), self.channels.get(name)?.as_slice())));
        let matching = self.patterns.iter().filter(|(pattern, _)| pattern.matches(channel.name()));
        by_name.chain(matching.map(|(pattern, hearing)| (pattern.as_str(), hearing.as_slice())))
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Audience(RwLock<Inner>);

impl Audience {
    /// A session hears a topic from now on; told once a session and topic.
    pub(crate) fn add(&self, topic: &Topic, hearing: Hearing) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.note_change(topic);
        match topic {
            Topic::Channel(channel) => inner.channels.entry(channel.clone()).or_default().push(hearing),
            Topic::Pattern(pattern) => match inner.patterns.iter_mut().find(|(known, _)| known == pattern) {
                Some((_, sessions)) => sessions.push(hearing),
                None => inner.patterns.push((pattern.clone(), vec![hearing])),
            },
        }
    }

    /// A session no longer hears a topic.
    pub(crate) fn remove(&self, topic: &Topic, session: u64) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.note_change(topic);
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

    /// Sessions that hear the channel: directly, through a roll-up or a pattern, each counted once, or once for each way
    /// where it is told of each.
    pub(crate) fn count(&self, channel: &Channel) -> usize {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let heard: Vec<&[Hearing]> = inner.ways(channel).map(|(_, hearing)| hearing).collect();
        count_of(&heard)
    }

    /// The same, with at most `limit` of them named: who asked for the channel itself comes before others.
    pub(crate) fn hearers(&self, channel: &Channel, limit: usize) -> Hearers {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let ways: Vec<(&str, &[Hearing])> = inner.ways(channel).collect();
        let heard: Vec<&[Hearing]> = ways.iter().map(|(_, hearing)| *hearing).collect();
        let mut named: HashSet<u64, FixedState> = HashSet::default();
        let mut sessions = Vec::new();
        for (way, one) in ways.iter().flat_map(|(way, hearing)| hearing.iter().map(move |one| (*way, one))) {
            if sessions.len() == limit {
                break;
            }
            if named.insert(one.session) {
                let via = (way != channel.name()).then(|| way.into());
                sessions.push(Hearer { who: one.who.clone(), since_us: one.since_us, via });
            }
        }
        sessions.sort_by_key(|hearer| hearer.since_us);
        Hearers { count: count_of(&heard), sessions }
    }

    /// At most `limit` topics whose hearers have changed since the last call, each with at most `named` of them; all that
    /// are heard where `again` or where this is the first call.
    pub(crate) fn take_changed(&self, again: bool, limit: usize, named: usize) -> Vec<HeardTopic> {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if again || inner.changed.is_none() {
            let by_name = inner.channels.keys().cloned().map(Topic::Channel);
            let by_pattern = inner.patterns.iter().map(|(pattern, _)| Topic::Pattern(pattern.clone()));
            let all = by_name.chain(by_pattern).map(|topic| (key_of(&topic), topic)).collect();
            inner.changed = Some(all);
        }
        let Some(mut changed) = inner.changed.take() else { return Vec::new() };
        let keys: Vec<Box<str>> = changed.keys().take(limit).cloned().collect();
        let topics: Vec<Topic> = keys.iter().filter_map(|key| changed.remove(key)).collect();
        inner.changed = Some(changed);
        topics.into_iter().map(|topic| inner.heard(topic, named)).collect()
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

/// Tells a channel from a pattern of the same text.
fn key_of(topic: &Topic) -> Box<str> {
    let kind = if matches!(topic, Topic::Pattern(_)) { 'p' } else { 'c' };
    format!("{kind}{}", topic.name()).into()
}

fn count_of(heard: &[&[Hearing]]) -> usize {
    match heard {
        [] => 0,
        [only] => only.len(),
        several => {
            let all = || several.iter().flat_map(|hearing| hearing.iter());
            let distinct: HashSet<u64, FixedState> =
                all().filter(|one| !one.each_way).map(|one| one.session).collect();
            distinct.len() + all().filter(|one| one.each_way).count()
        }
    }
}

fn forget(sessions: &mut Vec<Hearing>, session: u64) {
    if let Some(at) = sessions.iter().position(|known| known.session == session) {
        sessions.swap_remove(at);
    }
}
