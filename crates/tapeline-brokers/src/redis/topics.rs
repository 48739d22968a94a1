//! What this node hears of Redis' pub/sub: channels and patterns, each counted by who wants it, over the breaks of the
//! line. It writes to no socket; the line takes the changes and brings the confirmations.

use std::collections::VecDeque;
use std::mem;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::resp::Command;

/// Topics in one command.
const BATCH: usize = 256;

/// Called when what is published from now on will be heard.
pub type Ready = Box<dyn FnOnce() + Send>;

/// Something that can be heard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// One channel of Redis.
    Channel(Box<str>),
    /// All whose names match.
    Pattern(Box<str>),
}

impl Topic {
    fn name(&self) -> &str {
        match self {
            Topic::Channel(name) | Topic::Pattern(name) => name,
        }
    }

    fn verb(&self, wanted: bool) -> &'static str {
        match (self, wanted) {
            (Topic::Channel(_), true) => "SUBSCRIBE",
            (Topic::Channel(_), false) => "UNSUBSCRIBE",
            (Topic::Pattern(_), true) => "PSUBSCRIBE",
            (Topic::Pattern(_), false) => "PUNSUBSCRIBE",
        }
    }
}

#[derive(Default)]
struct Wanted {
    count: usize,
    confirmed: bool,
    waiting: Vec<Ready>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Topics {
    wanted: HashMap<Topic, Wanted, FixedState>,
    /// Subscriptions that are not confirmed yet, by topic: one that was left and joined again has several.
    unconfirmed: HashMap<Topic, usize, FixedState>,
    changes: VecDeque<(Topic, bool)>,
    up: bool,
}

impl Topics {
    /// One more wants it; the answer is to be called if it is heard already.
    pub(super) fn add(&mut self, topic: Topic, ready: Ready) -> Option<Ready> {
        let wanted = self.wanted.entry(topic.clone()).or_default();
        wanted.count += 1;
        if wanted.confirmed {
            return Some(ready);
        }
        wanted.waiting.push(ready);
        if wanted.count == 1 && self.up {
            self.ask_for(topic);
        }
        None
    }

    /// One fewer wants it; who still waits for it is answered.
    pub(super) fn remove(&mut self, topic: &Topic) -> Vec<Ready> {
        let Some(wanted) = self.wanted.get_mut(topic) else { return Vec::new() };
        wanted.count -= 1;
        if wanted.count > 0 {
            return Vec::new();
        }
        let waiting = mem::take(&mut wanted.waiting);
        self.wanted.remove(topic);
        if self.up {
            self.changes.push_back((topic.clone(), false));
        }
        waiting
    }

    /// A new line hears nothing yet.
    pub(super) fn begin(&mut self) {
        self.end();
        self.up = true;
        let all: Vec<Topic> = self.wanted.keys().cloned().collect();
        for topic in all {
            self.ask_for(topic);
        }
    }

    /// The line is down.
    pub(super) fn end(&mut self) {
        self.up = false;
        self.changes.clear();
        self.unconfirmed.clear();
        for wanted in self.wanted.values_mut() {
            wanted.confirmed = false;
        }
    }

    fn ask_for(&mut self, topic: Topic) {
        *self.unconfirmed.entry(topic.clone()).or_default() += 1;
        self.changes.push_back((topic, true));
    }

    /// The next command to send.
    pub(super) fn next(&mut self) -> Option<Command> {
        let (topic, wanted) = self.changes.pop_front()?;
        let verb = topic.verb(wanted);
        let mut command = Command::new(verb).arg(topic.name());
        for _ in 1..BATCH {
            let Some((topic, _)) = self.changes.pop_front_if(|(topic, wanted)| topic.verb(*wanted) == verb)
            else {
                break;
            };
            command.push(topic.name().as_bytes());
        }
        Some(command)
    }

    /// Redis has confirmed a subscription; who waited is to be answered.
    pub(super) fn confirm(&mut self, topic: &Topic) -> Vec<Ready> {
        let left = self.unconfirmed.get_mut(topic).map_or(0, |left| {
            *left -= 1;
            *left
        });
        if left > 0 {
            return Vec::new();
        }
        self.unconfirmed.remove(topic);
        let Some(wanted) = self.wanted.get_mut(topic) else { return Vec::new() };
        wanted.confirmed = true;
        mem::take(&mut wanted.waiting)
    }

    /// Whether everything asked for is confirmed.
    pub(super) fn is_settled(&self) -> bool {
        self.up && self.unconfirmed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::Channel(name.into())
    }

    fn sent(topics: &mut Topics) -> Vec<String> {
        let commands = std::iter::from_fn(|| topics.next()).map(|command| {
            let mut out = Vec::new();
            command.pack(&mut out);
            let text = String::from_utf8(out).unwrap();
            let words = text.split("\r\n").filter(|word| !word.starts_with(['$', '*']) && !word.is_empty());
            words.collect::<Vec<_>>().join(" ")
        });
        commands.collect()
    }

    fn nothing() -> Ready {
        Box::new(|| {})
    }

    #[test]
    fn a_topic_is_subscribed_once_for_all_who_want_it_and_again_on_every_line() {
        let mut topics = Topics::default();
        assert!(topics.add(topic("a"), nothing()).is_none());
        topics.begin();
        assert!(topics.add(topic("a"), nothing()).is_none() && !topics.is_settled());
        assert_eq!(sent(&mut topics), ["SUBSCRIBE a"]);
        assert_eq!(topics.confirm(&topic("a")).len(), 2);
        assert!(topics.is_settled() && topics.add(topic("a"), nothing()).is_some());
        assert!(topics.remove(&topic("a")).is_empty() && sent(&mut topics).is_empty());
        topics.end();
        topics.begin();
        assert_eq!(sent(&mut topics), ["SUBSCRIBE a"]);
        topics.remove(&topic("a"));
        topics.remove(&topic("a"));
        assert_eq!(sent(&mut topics), ["UNSUBSCRIBE a"]);
    }

    #[test]
    fn who_joins_again_hears_only_after_the_second_confirmation() {
        let (mut topics, heard) = (Topics::default(), Arc::new(AtomicUsize::new(0)));
        topics.begin();
        topics.add(topic("a"), nothing());
        topics.remove(&topic("a"));
        let counted = heard.clone();
        topics.add(topic("a"), Box::new(move || counted.store(1, Ordering::Relaxed)));
        assert_eq!(sent(&mut topics), ["SUBSCRIBE a", "UNSUBSCRIBE a", "SUBSCRIBE a"]);
        assert!(topics.confirm(&topic("a")).is_empty(), "that was the first one's");
        topics.confirm(&topic("a")).into_iter().for_each(|ready| ready());
        assert_eq!(heard.load(Ordering::Relaxed), 1);
    }
}
