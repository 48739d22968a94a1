//! What was asked for and how far each got: enough to ask again for exactly what is missing.
//! It knows no sockets: requests go out as text, frames come in read.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::bail;
use serde_json::{Map, Value, json};
use tapeline_schema::{Delivery, ErrorCode, Retry};

use super::frame::{Heard, Place, Said};

/// Bytes of places in one request; a hub takes frames of 64 KiB.
const PLACES_BYTES: usize = 40 << 10;
/// A place in that request beside its names: quotes, braces, two keys and a number of twenty digits.
const PLACE_BYTES: usize = 48;
/// Replays all that is kept.
const LONG_AGO: &str = "1970-01-01T00:00:00Z";

/// `OFFSET` or `OFFSET@EPOCH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    offset: u64,
    epoch: Option<String>,
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (offset, epoch) = match text.split_once('@') {
            Some((_, "")) => return Err("the epoch after the @ is missing".to_string()),
            Some((offset, epoch)) => (offset, Some(epoch.to_string())),
            None => (text, None),
        };
        let offset = offset.parse().map_err(|_| format!("{offset:?} is not an offset"))?;
        Ok(Since { offset, epoch })
    }
}

/// What a frame of the hub's own means for the whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Goes,
    /// Every subscription was refused for good.
    NothingToHear,
}

struct Topic {
    name: String,
    is_pattern: bool,
    /// Where it begins; as wished, later as the hub confirmed it.
    start: Option<Since>,
    /// For what has no counter of its own: from this time on, channels that were not heard yet are replayed.
    time: Option<String>,
    refused: Option<bool>,
}

/// See the module.
pub(super) struct Topics {
    list: Vec<Topic>,
    delivery: Option<Delivery>,
    max_rate: Option<u32>,
    /// The newest place that was printed, by channel and by roll-up.
    printed: BTreeMap<String, Place>,
    /// `printed` when the connection began; what comes again up to there is dropped.
    printed_before: BTreeMap<String, Place>,
}

impl Topics {
    /// Names with glob characters are patterns; no name means everything.
    pub(super) fn new(
        names: &[String],
        since: Option<&Since>,
        delivery: Option<Delivery>,
        max_rate: Option<u32>,
    ) -> anyhow::Result<Self> {
        let everything = ["*".to_string()];
        let mut list: Vec<Topic> = Vec::new();
        for name in if names.is_empty() { &everything } else { names } {
            if list.iter().all(|topic| topic.name != *name) {
                list.push(Topic::new(name, since)?);
            }
        }
        if list.len() > 1 && since.is_some_and(|since| since.epoch.is_some()) {
            bail!("--since with an epoch takes one channel: each channel has its own");
        }
        let (printed, printed_before) = (BTreeMap::new(), BTreeMap::new());
        Ok(Topics { list, delivery, max_rate, printed, printed_before })
    }

    /// One request each, for a connection that begins.
    pub(super) fn requests(&mut self) -> Vec<String> {
        self.printed_before = self.printed.clone();
        for topic in &mut self.list {
            topic.refused = None;
        }
        self.list.iter().enumerate().map(|(at, topic)| self.request(at, topic).to_string()).collect()
    }

    fn request(&self, at: usize, topic: &Topic) -> Value {
        let mut request = Map::new();
        request.insert("action".into(), "subscribe".into());
        request.insert("req".into(), at.into());
        let key = if topic.is_pattern { "pattern" } else { "channel" };
        request.insert(key.into(), topic.name.as_str().into());
        if let Some(delivery) = self.delivery {
            request.insert("delivery".into(), delivery.name().into());
        }
        if let Some(rate) = self.max_rate {
            request.insert("max_rate".into(), rate.into());
        }
        if let Some(time) = &topic.time {
            request.insert("since".into(), self.places());
            request.insert("time".into(), time.as_str().into());
        } else if let Some(place) = self.printed.get(&topic.name) {
            request.insert("since".into(), json!({ "offset": place.offset, "epoch": place.epoch }));
        } else if let Some(Since { offset, epoch }) = &topic.start {
            let since = match epoch {
                Some(epoch) => json!({ "offset": offset, "epoch": epoch }),
                None => json!({ "offset": offset }),
            };
            request.insert("since".into(), since);
        }
        Value::Object(request)
    }

    /// Places by channel, as many as a request can hold. The others are replayed from the time, and then dropped.
    fn places(&self) -> Value {
        let mut room = PLACES_BYTES;
        let mut places = Map::new();
        for (name, place) in &self.printed {
            let Some(left) = room.checked_sub(name.len() + place.epoch.len() + PLACE_BYTES) else { break };
            room = left;
            places.insert(name.clone(), json!({ "offset": place.offset, "epoch": place.epoch }));
        }
        Value::Object(places)
    }

    /// Answers whether it is news; then it counts as printed.
    pub(super) fn note_message(&mut self, message: &Heard<'_>) -> bool {
        let again = |place: &Place| place.epoch == message.epoch && message.offset <= place.offset;
        if self.printed_before.get(&*message.channel).is_some_and(again) {
            return false;
        }
        self.reach(&message.channel, message.offset, &message.epoch);
        for (name, place) in &message.rollup {
            self.reach(name, place.offset, &place.epoch);
        }
        true
    }

    fn reach(&mut self, name: &str, offset: u64, epoch: &str) {
        match self.printed.get_mut(name) {
            Some(place) if place.epoch == epoch => place.offset = place.offset.max(offset),
            Some(place) => *place = Place { offset, epoch: epoch.to_string() },
            None => {
                self.printed.insert(name.to_string(), Place { offset, epoch: epoch.to_string() });
            }
        }
    }

    /// Takes in confirmations and refusals.
    pub(super) fn note_said(&mut self, said: &Said) -> Verdict {
        let at = said.number("req").and_then(|req| usize::try_from(req).ok());
        let Some(topic) = at.and_then(|at| self.list.get_mut(at)) else { return Verdict::Goes };
        match said.kind() {
            "subscription_confirmed" => {
                topic.refused = Some(false);
                match said.place() {
                    Some(head) => {
                        if self.printed.get(&topic.name).is_some_and(|place| place.epoch != head.epoch) {
                            self.printed.remove(&topic.name);
                        }
                        topic.start = Some(confirmed_start(topic.start.take(), head));
                    }
                    None if topic.time.is_none() => topic.time = said.text("time").map(str::to_string),
                    None => {}
                }
            }
            "error" if is_final(said) => topic.refused = Some(true),
            _ => {}
        }
        let all_refused = self.list.iter().all(|topic| topic.refused == Some(true));
        if all_refused { Verdict::NothingToHear } else { Verdict::Goes }
    }

    /// For the moment after a loss.
    pub(super) fn resume_sentence(&self) -> String {
        let one = |topic: &Topic| {
            let start = topic.start.as_ref().map(|start| start.offset);
            let place = self.printed.get(&topic.name).map(|place| place.offset).or(start);
            match place {
                Some(offset) if topic.time.is_none() => format!("{} after offset {offset}", topic.name),
                _ => topic.name.clone(),
            }
        };
        match self.list.as_slice() {
            few if few.len() <= 3 => {
                format!("resuming {}", few.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            many => format!("resuming {} subscriptions", many.len()),
        }
    }
}

impl Topic {
    fn new(name: &str, since: Option<&Since>) -> anyhow::Result<Self> {
        let is_pattern = name.contains(['*', '?', '[', ']', '\\']);
        let all_kept = Since { offset: 0, epoch: None };
        let time = match since {
            Some(since) if is_pattern && *since != all_kept => {
                bail!(
                    "--since takes an offset of a channel, and {name} is a pattern; for one only 0 has a meaning"
                );
            }
            Some(_) if is_pattern => Some(LONG_AGO.to_string()),
            _ => None,
        };
        let start = since.filter(|_| !is_pattern).cloned();
        Ok(Topic { name: name.to_string(), is_pattern, start, time, refused: None })
    }
}

/// From here on a connection that is lost before the first message is taken up again.
fn confirmed_start(wished: Option<Since>, head: Place) -> Since {
    let offset = match wished {
        None => head.offset,
        // The wished place is void: all that is kept is still to come.
        Some(wished)
            if wished.offset > head.offset
                || wished.epoch.as_ref().is_some_and(|epoch| *epoch != head.epoch) =>
        {
            0
        }
        Some(wished) => wished.offset,
    };
    Since { offset, epoch: Some(head.epoch) }
}

/// Codes that this version does not know are taken as final.
fn is_final(said: &Said) -> bool {
    let code = ErrorCode::ALL.iter().find(|code| said.text("code") == Some(code.name()));
    code.is_none_or(|code| code.retry() == Retry::Never)
}

#[cfg(test)]
mod tests;
