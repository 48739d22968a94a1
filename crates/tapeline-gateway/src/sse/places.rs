//! Where a listener stands. Of one channel an event's id says it all: `EPOCH:OFFSET`. Of more, each event's id has to say
//! where the listener stands in all of them, `NAME=EPOCH:OFFSET,…,@TIME`, since a browser brings back only the last one.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tapeline_core::clock::push_rfc3339;
use tapeline_core::{Channel, Refusal};
use tapeline_schema::{ErrorCode, name};

/// A longer id is not sent: the listener resumes from the one before, and hears some messages again.
const ID_BYTES: usize = 4 << 10;

/// What a listener asks to hear.
#[derive(Clone, Debug, Default)]
pub(super) struct Topics {
    pub channels: Vec<String>,
    pub patterns: Vec<String>,
}

impl Topics {
    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty()
    }
}

/// An offset and its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    epoch: String,
    offset: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Places {
    /// The one channel, where there is but one, and ids need no names.
    only: Option<String>,
    channels: Vec<String>,
    has_patterns: bool,
    of: BTreeMap<String, Place>,
    /// When the patterns were first heard, microseconds since 1970: what has come since then is wanted.
    since_us: u64,
    /// There are too many for an id.
    full: bool,
    /// Heartbeats are comments, which nobody but the connection notices.
    pub hushes: bool,
}

/// What an event's data says of its place.
#[derive(Deserialize)]
struct Told {
    channel: String,
    offset: u64,
    epoch: String,
    #[serde(default)]
    rollup: BTreeMap<String, Counted>,
}

#[derive(Deserialize)]
struct Counted {
    offset: u64,
    epoch: String,
}

impl Places {
    /// Of a listener that comes for the first time.
    pub(super) fn new(topics: &Topics, channels: &[Channel], now_us: u64) -> Self {
        let is_one = |channel: &&Channel| !channel.is_roll_up();
        let only = match channels {
            [only] if topics.patterns.is_empty() => {
                Some(only).filter(is_one).map(|only| only.name().to_string())
            }
            _ => None,
        };
        Places {
            only,
            channels: topics.channels.clone(),
            has_patterns: !topics.patterns.is_empty(),
            of: BTreeMap::new(),
            since_us: now_us,
            full: false,
            hushes: false,
        }
    }

    /// What an id says.
    ///
    /// # Errors
    /// `invalid_request` where it is none that these topics' events have.
    pub(super) fn read(id: &str, topics: &Topics) -> Result<Self, Refusal> {
        let wrong = || {
            let shown: String = id.chars().take(64).collect();
            let message =
                format!("Last-Event-ID is {shown:?}, which is not EPOCH:OFFSET, nor NAME=EPOCH:OFFSET,…");
            Refusal::new(ErrorCode::InvalidRequest, message)
        };
        let mut places = Places {
            only: None,
            channels: topics.channels.clone(),
            has_patterns: !topics.patterns.is_empty(),
            of: BTreeMap::new(),
            since_us: 0,
            full: false,
            hushes: false,
        };
        if let ([only], true, false) = (&*topics.channels, topics.patterns.is_empty(), id.contains('=')) {
            places.of.insert(only.clone(), place(id).ok_or_else(wrong)?);
            places.only = Some(only.clone());
            return Ok(places);
        }
        for part in id.split(',') {
            // A channel's name may begin so too.
            if let Some(time) = part.strip_prefix('@').filter(|time| !time.contains('=')) {
                places.since_us = time.parse().map_err(|_| wrong())?;
                continue;
            }
            let (name, at) = part.rsplit_once('=').ok_or_else(wrong)?;
            if !name.chars().all(name::is_name_character) {
                return Err(wrong());
            }
            places.of.insert(name.to_string(), place(at).ok_or_else(wrong)?);
        }
        Ok(places)
    }

    /// What to resume a channel from.
    pub(super) fn since(&self, name: &str) -> Option<Value> {
        self.of.get(name).map(Place::json)
    }

    /// What to resume patterns from; nothing for who comes for the first time.
    pub(super) fn since_each(&self) -> Option<Value> {
        if self.of.is_empty() {
            return None;
        }
        let mut time = Vec::new();
        push_rfc3339(&mut time, self.since_us);
        let each = self.of.iter().map(|(name, place)| (name.clone(), place.json()));
        let time = ("time".to_string(), Value::from(String::from_utf8(time).unwrap_or_default()));
        Some(Value::Object(each.chain([time]).collect()))
    }

    /// The events as they leave, with ids from which all of it can be resumed.
    pub(super) fn follow(&mut self, events: Bytes) -> Bytes {
        if self.only.is_some() && !self.hushes {
            return events;
        }
        let Ok(text) = std::str::from_utf8(&events) else { return events };
        let mut out = String::with_capacity(events.len() + 64);
        for event in text.split_inclusive("\n\n") {
            if self.hushes && event.starts_with("event: heartbeat\n") {
                out.push_str(":\n\n");
                continue;
            }
            if self.only.is_some() {
                out.push_str(event);
                continue;
            }
            let Some((_, rest)) = event.strip_prefix("id: ").and_then(|event| event.split_once('\n')) else {
                out.push_str(event);
                continue;
            };
            self.note(rest);
            if let Some(id) = self.id() {
                out.push_str("id: ");
                out.push_str(&id);
                out.push('\n');
            }
            out.push_str(rest);
        }
        out.into()
    }

    /// Remembers where an event stands.
    fn note(&mut self, event: &str) {
        if self.full {
            return;
        }
        let data: String = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let Ok(told) = serde_json::from_str::<Told>(&data) else { return };
        for (name, counted) in told.rollup {
            if self.channels.contains(&name) {
                self.of.insert(name, Place { epoch: counted.epoch, offset: counted.offset });
            }
        }
        if self.has_patterns || self.channels.contains(&told.channel) {
            self.of.insert(told.channel, Place { epoch: told.epoch, offset: told.offset });
        }
        // The map never shrinks, and neither does what is written of it.
        let least = |(name, place): (&String, &Place)| name.len() + place.epoch.len() + 4;
        if self.of.iter().map(least).sum::<usize>() > ID_BYTES {
            self.full = true;
            self.of.clear();
        }
    }

    fn id(&self) -> Option<String> {
        if self.full {
            return None;
        }
        let each = self.of.iter().map(|(name, place)| format!("{name}={}:{}", place.epoch, place.offset));
        let time = self.has_patterns.then(|| format!("@{}", self.since_us));
        let id = each.chain(time).collect::<Vec<_>>().join(",");
        (!id.is_empty() && id.len() <= ID_BYTES).then_some(id)
    }
}

impl Place {
    fn json(&self) -> Value {
        json!({ "offset": self.offset, "epoch": self.epoch })
    }
}

fn place(text: &str) -> Option<Place> {
    let (epoch, offset) = text.rsplit_once(':')?;
    let offset = offset.parse().ok()?;
    (!epoch.is_empty()).then(|| Place { epoch: epoch.to_string(), offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(channels: &[&str], patterns: &[&str]) -> Topics {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Topics { channels: owned(channels), patterns: owned(patterns) }
    }

    fn event(channel: &str, offset: u64, more: &str) -> Bytes {
        let data = format!(
            "{{\"type\":\"t\",\"channel\":\"{channel}\",\"data\":{{\"epoch\":1}},\"offset\":{offset},\"epoch\":\"k\"{more}}}"
        );
        format!("id: k:{offset}\nevent: t\ndata: {data}\n\n").into()
    }

    #[test]
    fn one_channel_resumes_from_its_own_id() {
        let places = Places::read("k3:42", &topics(&["a:b"], &[])).unwrap();
        assert_eq!(places.since("a:b").unwrap(), json!({ "offset": 42, "epoch": "k3" }));
        for wrong in ["42", "k3:", ":42", "k3:x", "k3:-1", "k3:99999999999999999999"] {
            let error = Places::read(wrong, &topics(&["a:b"], &[])).unwrap_err();
            assert!(error.message.contains("Last-Event-ID"), "{wrong}: {}", error.message);
        }
    }

    #[test]
    fn of_several_channels_each_id_says_where_the_listener_stands_in_all_of_them() {
        let asked = topics(&["a", "trades"], &["x*"]);
        let mut places = Places {
            only: None,
            channels: asked.channels.clone(),
            has_patterns: true,
            of: BTreeMap::new(),
            since_us: 7,
            full: false,
            hushes: false,
        };
        let first = places.follow(event("a", 1, ""));
        assert!(first.starts_with(b"id: a=k:1,@7\nevent: t\n"), "{first:?}");
        let counted = ",\"rollup\":{\"trades\":{\"offset\":9,\"epoch\":\"r\"}}";
        let both = [event("trades:p", 2, counted), Bytes::from("event: heartbeat\ndata: {}\n\n")].concat();
        let both = places.follow(both.into());
        let text = String::from_utf8(both.to_vec()).unwrap();
        assert!(text.starts_with("id: a=k:1,trades=r:9,trades:p=k:2,@7\n"), "{text}");
        assert!(text.ends_with("event: heartbeat\ndata: {}\n\n"), "{text}");

        let again = Places::read("a=k:1,trades=r:9,trades:p=k:2,@7", &asked).unwrap();
        assert_eq!(again.of, places.of);
        assert_eq!(again.since("trades").unwrap(), json!({ "offset": 9, "epoch": "r" }));
        assert_eq!(again.since_each().unwrap()["time"], "1970-01-01T00:00:00.000007Z");
    }

    #[test]
    fn an_id_that_grew_too_long_is_left_out() {
        let mut places = Places::read("b=k:1,@7", &topics(&[], &["*"])).unwrap();
        let last = (0..200).map(|n| places.follow(event(&format!("some:channel:{n:030}"), 1, ""))).last();
        assert!(last.unwrap().starts_with(b"event: t\n"));
        assert!(places.of.is_empty(), "what is not told is not kept");
    }

    #[test]
    fn a_channel_may_be_named_like_a_time() {
        let places = Places::read("@ticker=k:1,b=k:2,@7", &topics(&["@ticker", "b"], &["x*"])).unwrap();
        assert_eq!((places.since("@ticker").is_some(), places.since_us), (true, 7));
    }

    #[test]
    fn a_hushed_heartbeat_is_a_comment() {
        let mut places = Places::read("k:1", &topics(&["a"], &[])).unwrap();
        places.hushes = true;
        let events = [event("a", 2, ""), Bytes::from("event: heartbeat\ndata: {}\n\n")].concat();
        let told = places.follow(events.into());
        assert!(told.starts_with(b"id: k:2\n") && told.ends_with(b"\n\n:\n\n"), "{told:?}");
    }
}
