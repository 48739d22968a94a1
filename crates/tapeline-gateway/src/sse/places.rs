//! Where a listener stands. Of one channel an event's id says it all: `EPOCH:OFFSET`. Of more, each event's id has to say
//! where the listener stands in all of them, `NAME=EPOCH:OFFSET,…,@TIME`, since a browser brings back only the last one. The time is when it came:
//! what has no place in the id is resumed from there.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tapeline_core::clock::push_rfc3339;
use tapeline_core::{Channel, Refusal};
use tapeline_schema::{ErrorCode, name};

/// No id is longer. What it has no room for is resumed from its time, and some messages are heard again.
const ID_BYTES: usize = 4 << 10;
/// The longest epoch there is, see [`tapeline_core::Epoch`].
const EPOCH_BYTES: usize = 15;
/// What a place takes beside its name: `=EPOCH:OFFSET,`.
const PLACE_BYTES: usize = EPOCH_BYTES + 20 + 3;
/// What the time takes, with its mark.
const TIME_BYTES: usize = 21;
/// So long before the listener came a message may have got its time and not yet its offset.
const MARGIN_US: u64 = 1_000_000;
/// How a confirmation begins that says no place of its own.
const CONFIRMED: &str = "event: subscription_confirmed\n";

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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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
    has_roll_ups: bool,
    of: BTreeMap<String, Place>,
    /// What an id of all of them takes at most.
    bytes: usize,
    /// When it came for the first time, microseconds since 1970: what has come since then is wanted.
    since_us: u64,
    /// It has come before.
    resumes: bool,
    /// Heartbeats are comments, which nobody but the connection notices.
    pub hushes: bool,
}

/// What an event's data says of its place, beside the event's id.
#[derive(Deserialize)]
struct Told {
    channel: String,
    #[serde(default)]
    rollup: BTreeMap<String, Place>,
}

impl Places {
    /// Of a listener that comes for the first time.
    pub(super) fn new(topics: &Topics, channels: &[Channel], now_us: u64) -> Self {
        let only = match channels {
            [only] if topics.patterns.is_empty() && !only.is_roll_up() => Some(only.name().to_string()),
            _ => None,
        };
        Places {
            only,
            channels: topics.channels.clone(),
            has_patterns: !topics.patterns.is_empty(),
            has_roll_ups: channels.iter().any(Channel::is_roll_up),
            of: BTreeMap::new(),
            bytes: TIME_BYTES,
            since_us: now_us.saturating_sub(MARGIN_US),
            resumes: false,
            hushes: false,
        }
    }

    /// What an id says. Where it says no time, what it does not name is wanted from the first message that is kept.
    ///
    /// # Errors
    /// `invalid_request` where it is none that these topics' events have.
    pub(super) fn read(id: &str, topics: &Topics, channels: &[Channel]) -> Result<Self, Refusal> {
        let wrong = || {
            let shown: String = id.chars().take(64).collect();
            let message = format!(
                "Last-Event-ID is {shown:?}, which is not EPOCH:OFFSET, nor NAME=EPOCH:OFFSET,…,@TIME"
            );
            Refusal::new(ErrorCode::InvalidRequest, message)
        };
        let mut places = Places { only: None, resumes: true, ..Places::new(topics, channels, 0) };
        let is_place = !id.contains('=') && !id.starts_with('@');
        if let ([only], true, true) = (&*topics.channels, topics.patterns.is_empty(), is_place) {
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
            let at = place(at).ok_or_else(wrong)?;
            if places.counts(name) || places.has_roll_ups {
                places.keep(name.to_string(), at);
            }
        }
        Ok(places)
    }

    /// What to resume a channel from.
    pub(super) fn since(&self, name: &str) -> Option<Value> {
        self.of.get(name).map(Place::json)
    }

    /// What to resume all else from; nothing for who comes for the first time.
    pub(super) fn since_each(&self) -> Option<Value> {
        if !self.resumes {
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
        let has_place = |event: &&str| event.starts_with("id: ") || event.starts_with(CONFIRMED);
        let mut left = text.split_inclusive("\n\n").filter(has_place).count();
        let mut since_id = 0;
        for event in text.split_inclusive("\n\n") {
            if self.hushes && event.starts_with("event: heartbeat\n") {
                out.push_str(":\n\n");
                continue;
            }
            let placed = event.strip_prefix("id: ").and_then(|event| event.split_once('\n'));
            let rest = match placed.filter(|_| self.only.is_none()) {
                Some((id, rest)) => {
                    self.note(id, rest);
                    rest
                }
                // Its topic is resumed from the time.
                None if self.only.is_none() && event.starts_with(CONFIRMED) => event,
                None => {
                    out.push_str(event);
                    continue;
                }
            };
            left = left.saturating_sub(1);
            since_id += rest.len();
            // A long id does not stand in front of each short event. Who is cut off in between is told some of them again.
            if left == 0 || since_id >= self.bytes {
                since_id = 0;
                out.push_str("id: ");
                out.push_str(&self.id());
                out.push('\n');
            }
            out.push_str(rest);
        }
        out.into()
    }

    /// Remembers where an event stands.
    fn note(&mut self, id: &str, event: &str) {
        let data: String = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let Ok(told) = serde_json::from_str::<Told>(&data) else { return };
        let mut is_collected = false;
        for (name, counted) in told.rollup {
            if self.channels.contains(&name) {
                is_collected = true;
                self.keep(name, counted);
            }
        }
        let is_source = self.has_roll_ups && !is_collected;
        if let Some(place) = place(id).filter(|_| is_source || self.counts(&told.channel)) {
            self.keep(told.channel, place);
        }
    }

    /// Whether a channel's own place is what it is resumed from.
    fn counts(&self, name: &str) -> bool {
        self.has_patterns || self.channels.iter().any(|channel| channel == name)
    }

    fn keep(&mut self, name: String, place: Place) {
        if let Some(known) = self.of.get_mut(&name) {
            *known = place;
            return;
        }
        let bytes = self.bytes + name.len() + PLACE_BYTES;
        if bytes <= ID_BYTES {
            self.bytes = bytes;
            self.of.insert(name, place);
        }
    }

    fn id(&self) -> String {
        let each = self.of.iter().map(|(name, place)| format!("{name}={}:{},", place.epoch, place.offset));
        each.chain([format!("@{}", self.since_us)]).collect()
    }
}

impl Place {
    fn json(&self) -> Value {
        json!({ "offset": self.offset, "epoch": self.epoch })
    }
}

/// What stands in an id goes back into the stream, so nothing but an epoch passes for one.
fn place(text: &str) -> Option<Place> {
    let (epoch, offset) = text.rsplit_once(':')?;
    let is_epoch =
        (1..=EPOCH_BYTES).contains(&epoch.len()) && epoch.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_offset = offset.bytes().all(|byte| byte.is_ascii_digit());
    let offset = offset.parse().ok()?;
    (is_epoch && is_offset).then(|| Place { epoch: epoch.to_string(), offset })
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
        let places = Places::read("k3:42", &topics(&["a:b"], &[]), &[]).unwrap();
        assert_eq!(places.since("a:b").unwrap(), json!({ "offset": 42, "epoch": "k3" }));
        for wrong in ["42", "k3:", ":42", "k3:x", "k3:-1", "k3:99999999999999999999"] {
            let error = Places::read(wrong, &topics(&["a:b"], &[]), &[]).unwrap_err();
            assert!(error.message.contains("Last-Event-ID"), "{wrong}: {}", error.message);
        }
    }

    #[test]
    fn of_several_channels_each_id_says_where_the_listener_stands_in_all_of_them() {
        let asked = topics(&["a", "trades"], &["x*"]);
        let mut places = Places::new(&asked, &[], 1_000_007);
        let first = places.follow(event("a", 1, ""));
        assert!(first.starts_with(b"id: a=k:1,@7\nevent: t\n"), "{first:?}");
        let counted = ",\"rollup\":{\"trades\":{\"offset\":9,\"epoch\":\"r\"}}";
        let both = [event("trades:p", 2, counted), Bytes::from("event: heartbeat\ndata: {}\n\n")].concat();
        let both = places.follow(both.into());
        let text = String::from_utf8(both.to_vec()).unwrap();
        assert!(text.starts_with("id: a=k:1,trades=r:9,trades:p=k:2,@7\n"), "{text}");
        assert!(text.ends_with("event: heartbeat\ndata: {}\n\n"), "{text}");

        let again = Places::read("a=k:1,trades=r:9,trades:p=k:2,@7", &asked, &[]).unwrap();
        assert_eq!(again.of, places.of);
        assert_eq!(again.since("trades").unwrap(), json!({ "offset": 9, "epoch": "r" }));
        assert_eq!(again.since_each().unwrap()["time"], "1970-01-01T00:00:00.000007Z");
    }

    #[test]
    fn what_an_id_has_no_room_for_is_resumed_from_its_time() {
        let asked = topics(&[], &["*"]);
        let mut places = Places::read("b=k:1,@7", &asked, &[]).unwrap();
        let name = |n| format!("some:channel:{n:030}");
        let last = (0..200).map(|n| places.follow(event(&name(n), u64::MAX, ""))).last().unwrap();
        let id = std::str::from_utf8(&last).unwrap().strip_prefix("id: ").unwrap().lines().next().unwrap();
        assert!(id.len() <= ID_BYTES && id.ends_with(",@7"), "{id}");
        let again = Places::read(id, &asked, &[]).unwrap();
        assert!(again.of.len() > 40 && again.of == places.of);
        assert!(again.since("b").is_some() && again.since(&name(199)).is_none());
        // What has a place keeps being told.
        assert!(
            places
                .follow(event(&name(0), 8, ""))
                .starts_with(format!("id: b=k:1,{}=k:8,", name(0)).as_bytes())
        );
    }

    #[test]
    fn who_has_heard_nothing_yet_is_told_since_when_it_listens() {
        let asked = topics(&["a"], &["x*"]);
        let mut places = Places::new(&asked, &[], 1_000_007);
        assert!(places.since_each().is_none(), "it is new");
        let confirmed = Bytes::from("event: subscription_confirmed\ndata: {}\n\n");
        let told = places.follow(confirmed.clone());
        assert_eq!(told, [b"id: @7\n", &*confirmed].concat());
        let again = Places::read("@7", &asked, &[]).unwrap();
        assert_eq!(again.since_each().unwrap(), json!({ "time": "1970-01-01T00:00:00.000007Z" }));
        // A confirmation may say less than its data: the id counts.
        let less = b"id: k:3\nevent: subscription_confirmed\ndata: {\"channel\":\"a\",\"offset\":5,\"epoch\":\"k\"}\n\n";
        assert!(places.follow(Bytes::from_static(less)).starts_with(b"id: a=k:3,@7\n"));
    }

    #[test]
    fn nothing_but_an_epoch_stands_for_one() {
        for forged in [
            "a=x\nevent: forged\n:5",
            "a=x\r:5",
            "a=\0:5",
            "a=0123456789abcdef:5",
            "a=é:5",
            "a=k:+5",
            "a=:5",
            "a\t=k:5",
        ] {
            assert!(Places::read(forged, &topics(&["a", "b"], &[]), &[]).is_err(), "{forged:?}");
        }
        assert!(Places::read("x\ny:5", &topics(&["a"], &[]), &[]).is_err());
    }

    #[test]
    fn a_channel_may_be_named_like_a_time() {
        let places = Places::read("@ticker=k:1,b=k:2,@7", &topics(&["@ticker", "b"], &["x*"]), &[]).unwrap();
        assert_eq!((places.since("@ticker").is_some(), places.since_us), (true, 7));
    }

    #[test]
    fn a_hushed_heartbeat_is_a_comment() {
        let mut places = Places::read("k:1", &topics(&["a"], &[]), &[]).unwrap();
        places.hushes = true;
        let events = [event("a", 2, ""), Bytes::from("event: heartbeat\ndata: {}\n\n")].concat();
        let told = places.follow(events.into());
        assert!(told.starts_with(b"id: k:2\n") && told.ends_with(b"\n\n:\n\n"), "{told:?}");
    }
}
