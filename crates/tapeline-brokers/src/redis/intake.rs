//! What others publish on Redis under the catalogue's plain names comes in as messages: once, however many hubs run,
//! because only the one that holds a lease takes it in. A bare copy that a hub publishes for others (the mirror) follows
//! its own frame on the same connection, so exactly that one is passed over.
//!
//! What may have been published while nobody held the lease is lost, and every hub is told of which channels. It does not
//! know the hub: [`Takes`] is who takes the messages.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::command::Publication;
use tapeline_schema::{Catalog, Pattern};

use super::frame;
use super::link::{ConnectError, Events, Heard, Link, Patience, Server, Topic, Value, lock};
use super::script::Script;
use super::url::Address;

/// How long the lease holds, and how often it is renewed.
const LEASE: Duration = Duration::from_secs(3);
const RENEW: Duration = Duration::from_secs(1);
/// A channel that others published to within this time may be missed by someone.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// How often a channel's last message from others is written down.
const NOTED: Duration = Duration::from_secs(30);
/// Channels whose notes are remembered here; then all are written down anew.
const NOTES: usize = 10_000;
/// Messages handed over at once.
const SLICE: usize = 256;

/// Where every hub hears that messages of a channel may be lost.
const LOST: &str = "tapeline:lost";
const KEYS: [&str; 3] = ["tapeline:{intake}:lease", "tapeline:{intake}:last", "tapeline:{intake}:channels"];

/// KEYS: lease, last holder. ARGV: me, life in ms. Answers 0 held by another, 1 mine, 2 mine after a break.
static HOLD: Script = Script::new(
    "local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
local last = redis.call('GET', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[1])
if holder or not last then return 1 end
return 2",
);
/// KEYS: lease. ARGV: me.
static LET_GO: Script = Script::new(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
);
/// KEYS: channels. ARGV: where to say it, how long ago at most in s.
static TELL_LOST: Script = Script::new(
    "local since = redis.call('TIME')[1] - ARGV[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. since)
local names = redis.call('ZRANGE', KEYS[1], 0, -1)
for _, name in ipairs(names) do redis.call('PUBLISH', ARGV[1], name) end
return #names",
);
/// KEYS: channels. ARGV: names.
static NOTE: Script = Script::new(
    "local now = redis.call('TIME')[1]
for _, name in ipairs(ARGV) do redis.call('ZADD', KEYS[1], now, name) end
return 0",
);

/// What others said.
#[derive(Clone, Debug)]
pub enum Foreign {
    /// JSON, or an envelope of our own form.
    Message(Publication),
    /// Not JSON.
    NotJson {
        /// Where it was published.
        channel: Box<str>,
        /// As it came.
        payload: Bytes,
    },
}

/// Who takes in what others said. Called on the intake's thread; nothing here may wait.
pub trait Takes: Send + Sync {
    /// Whether there is room; what waits is offered once more. Without room nothing more is read.
    fn has_room(&self) -> bool;
    /// Takes messages, in order.
    fn take(&self, messages: Vec<Foreign>);
    /// Messages meant for this channel may be lost.
    fn lost(&self, channel: &str);
    /// The names that are listened to.
    fn catalog(&self) -> Arc<Catalog>;
}

/// What is known of the lease and of what is heard.
#[derive(Default)]
struct State {
    asked: Option<Instant>,
    /// Until when it is surely ours.
    holds_until: Option<Instant>,
    /// Heard since the lease is ours.
    topics: Vec<Topic>,
    /// The catalogue that the topics are of.
    catalog: Option<Arc<Catalog>>,
    /// Something may have been missed while we held it.
    broken: bool,
    /// The bare copy that comes next: its channel and data.
    copy: Option<(Bytes, Bytes)>,
    noted: HashMap<Box<str>, Instant, FixedState>,
    paused: bool,
}

struct Shared {
    me: Weak<Shared>,
    link: Link,
    takes: Arc<dyn Takes>,
    holder: String,
    mirror: Vec<Pattern>,
    /// Whether it ever asks for the lease.
    takes_in: bool,
    state: Mutex<State>,
}

/// See the module. Ends when it is dropped.
pub struct Intake {
    shared: Arc<Shared>,
}

impl Intake {
    /// Starts to take in what others publish, whenever this node holds the lease; where it `takes_in` nothing it only hears
    /// what other hubs may have lost. `holder` is this node's name among hubs; `mirror` are the channels that hubs copy to
    /// their plain names.
    ///
    /// # Errors
    /// Redis does not let us in.
    pub fn start(
        address: Address,
        holder: &str,
        mirror: Vec<Pattern>,
        takes: Arc<dyn Takes>,
        takes_in: bool,
    ) -> Result<Self, ConnectError> {
        let link = Link::new(address, &format!("tapeline-intake-{holder}"));
        let shared = Arc::new_cyclic(|me| Shared {
            me: me.clone(),
            link,
            takes,
            holder: holder.to_owned(),
            mirror,
            takes_in,
            state: Mutex::default(),
        });
        shared.link.listen(Topic::Channel(LOST.into()), Box::new(|| {}));
        let events: Weak<dyn Events> = shared.me.clone();
        shared.link.start(events)?;
        Ok(Intake { shared })
    }

    /// Whether this node takes in what others publish.
    pub fn holds(&self) -> bool {
        self.shared.holds()
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if self.holds() {
            let command = LET_GO.command(&KEYS[..1]).arg(&self.shared.holder);
            self.shared.link.ask(&command, Patience::Now, |_| {});
        }
        self.shared.link.close();
    }
}

impl Shared {
    fn holds(&self) -> bool {
        lock(&self.state).holds_until.is_some_and(|until| Instant::now() < until)
    }

    /// Asks for the lease, or for more of it.
    fn renew(&self) {
        if !self.takes_in {
            return;
        }
        let now = Instant::now();
        {
            let mut state = lock(&self.state);
            if state.asked.is_some_and(|asked| now < asked + RENEW) {
                return;
            }
            state.asked = Some(now);
        }
        let command = HOLD.command(&KEYS[..2]).arg(&self.holder).number(LEASE.as_millis() as u64);
        let me = self.me.clone();
        self.link.ask(&command, Patience::Now, move |answer| {
            let Some(me) = me.upgrade() else { return };
            match answer {
                Ok(Value::Int(0)) => me.let_go(),
                Ok(Value::Int(how)) => me.hold(now + LEASE, how == 2),
                // Until it runs out, what is held is held.
                Ok(_) | Err(_) => {}
            }
        });
    }

    fn hold(&self, until: Instant, after_break: bool) {
        let catalog = self.takes.catalog();
        let (left, come, broken) = {
            let mut state = lock(&self.state);
            let lapsed = state.holds_until.is_none();
            state.holds_until = Some(until);
            let known = state.catalog.as_ref().is_some_and(|known| Arc::ptr_eq(known, &catalog));
            let broken = std::mem::take(&mut state.broken) || after_break;
            if known && !lapsed {
                (Vec::new(), Vec::new(), broken)
            } else {
                let topics = self.topics(&catalog);
                state.catalog = Some(catalog);
                let left = std::mem::replace(&mut state.topics, topics.clone());
                (left, topics, broken)
            }
        };
        if !come.is_empty() {
            tracing::info!("this hub takes in what others publish on {}", self.link.address());
        }
        // What is heard by both stays heard.
        let last = come.len().checked_sub(1);
        for (n, topic) in come.into_iter().enumerate() {
            let me = self.me.clone();
            let tells = broken && Some(n) == last;
            let ready = move || {
                if let Some(me) = me.upgrade().filter(|_| tells) {
                    me.tell_lost();
                }
            };
            self.link.listen(topic, Box::new(ready));
        }
        left.iter().for_each(|topic| self.link.unlisten(topic));
        if broken && last.is_none() {
            self.tell_lost();
        }
    }

    fn let_go(&self) {
        let topics = {
            let mut state = lock(&self.state);
            state.holds_until = None;
            state.copy = None;
            state.catalog = None;
            std::mem::take(&mut state.topics)
        };
        topics.iter().for_each(|topic| self.link.unlisten(topic));
    }

    /// Every name of the catalogue, and the frames of those that are mirrored.
    fn topics(&self, catalog: &Catalog) -> Vec<Topic> {
        let family = |spec: &tapeline_schema::ChannelSpec| match spec.keys.is_empty() {
            true => Topic::Channel(spec.family.as_str().into()),
            false => Topic::Pattern(format!("{}:*", spec.family).into()),
        };
        let mut topics: Vec<Topic> = catalog.specs().map(|spec| family(spec)).collect();
        for roll_up in catalog.roll_ups().map(|name| Topic::Channel(name.into())) {
            if !topics.contains(&roll_up) {
                topics.push(roll_up);
            }
        }
        topics.extend(self.mirror.iter().map(frames_of));
        topics
    }

    /// Every hub is to know of which channels messages may be lost.
    fn tell_lost(&self) {
        let command = TELL_LOST.command(&KEYS[2..]).arg(LOST).number(REMEMBERED.as_secs());
        self.link.ask(&command, Patience::Return, |answer| match answer {
            Ok(Value::Int(0)) => {}
            Ok(_) => tracing::warn!("others may have published what no hub took in; subscribers are told"),
            Err(error) => tracing::warn!(%error, "subscribers could not be told that messages may be lost"),
        });
    }

    /// What a heard message is to the hub; nothing if it is a copy, or about one.
    fn sort(&self, state: &mut State, heard: Heard) -> Option<Foreign> {
        let copy = state.copy.take();
        if heard.topic.starts_with(b"tapeline:") {
            state.copy = frame::copy_after(&heard.payload);
            return None;
        }
        if copy.is_some_and(|(name, data)| name == heard.topic && data == heard.payload) {
            return None;
        }
        let channel: Box<str> = std::str::from_utf8(&heard.topic).ok()?.into();
        Some(read(channel, heard.payload))
    }

    /// Writes down that others publish to these channels, now and then.
    fn note(&self, messages: &[Foreign]) {
        let now = Instant::now();
        let mut command = NOTE.command(&KEYS[2..]);
        let mut news = false;
        {
            let mut state = lock(&self.state);
            for message in messages {
                let (Foreign::Message(Publication { channel, .. }) | Foreign::NotJson { channel, .. }) =
                    message;
                if state.noted.get(channel).is_some_and(|noted| now < *noted + NOTED) {
                    continue;
                }
                if state.noted.len() >= NOTES {
                    state.noted.clear();
                }
                state.noted.insert(channel.clone(), now);
                command.push(channel.as_bytes());
                news = true;
            }
        }
        if news {
            // It is not asked again soon; after a break it stands before what is told to be lost.
            self.link.ask(&command, Patience::Return, |_| {});
        }
    }
}

impl Events for Shared {
    fn on_up(&self, _: &Server) {
        lock(&self.state).asked = None;
        self.renew();
    }

    fn on_down(&self, _: &str) {
        let mut state = lock(&self.state);
        // What is published until the line is back does not reach us.
        state.broken |= state.holds_until.is_some();
        state.copy = None;
    }

    fn on_heard(&self, heard: &mut VecDeque<Heard>) {
        while !heard.is_empty() {
            if !self.takes.has_room() {
                lock(&self.state).paused = true;
                return;
            }
            let holds = self.holds();
            let mut messages = Vec::new();
            {
                let mut state = lock(&self.state);
                while let Some(one) = heard.pop_front_if(|_| messages.len() < SLICE) {
                    if one.topic == LOST.as_bytes() {
                        self.takes.lost(&String::from_utf8_lossy(&one.payload));
                    } else if holds {
                        messages.extend(self.sort(&mut state, one));
                    } else if !one.topic.starts_with(b"tapeline:") {
                        // The lease ran out while this came, and nobody else may have it yet.
                        state.broken |= state.holds_until.is_some();
                    }
                }
            }
            if !messages.is_empty() {
                self.note(&messages);
                self.takes.take(messages);
            }
        }
    }

    fn on_tick(&self) {
        if self.link.is_up() {
            self.renew();
        }
        if lock(&self.state).paused && self.takes.has_room() {
            lock(&self.state).paused = false;
            self.link.resume()();
        }
    }
}

/// Where the frames of mirrored channels are heard.
fn frames_of(pattern: &Pattern) -> Topic {
    let text = pattern.as_str();
    let topic = format!("tapeline:c:{text}").into();
    if text.contains(['*', '?', '[', '\\']) { Topic::Pattern(topic) } else { Topic::Channel(topic) }
}

/// A message in our own form, which names itself.
#[derive(Deserialize)]
struct Envelope<'a> {
    tapeline: u64,
    #[serde(rename = "type")]
    kind: Option<Box<str>>,
    #[serde(borrow)]
    data: &'a RawValue,
    correlation_id: Option<Box<str>>,
    idempotency_key: Option<Box<str>>,
    owner: Option<Box<str>>,
}

/// Any JSON is data whole, whatever its keys; only `"tapeline":1` marks an envelope.
fn read(channel: Box<str>, payload: Bytes) -> Foreign {
    let envelope = serde_json::from_slice::<Envelope<'_>>(&payload).ok().filter(|known| known.tapeline == 1);
    if let Some(Envelope { kind, data, correlation_id, idempotency_key, owner, .. }) = envelope {
        let data = payload.slice_ref(data.get().as_bytes());
        let from_plain_name = true;
        return Foreign::Message(Publication {
            channel,
            kind,
            data,
            correlation_id,
            idempotency_key,
            owner,
            from_plain_name,
            raw: false,
        });
    }
    match serde_json::from_slice::<&RawValue>(&payload) {
        Ok(data) => {
            let data = payload.slice_ref(data.get().as_bytes());
            Foreign::Message(Publication { channel, data, from_plain_name: true, ..Publication::default() })
        }
        Err(_) => Foreign::NotJson { channel, payload },
    }
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
