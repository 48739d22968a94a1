//! What is asked of the hub under one name, shared by all subscribers of that name: the wish, what the hub answered,
//! and where to go on after a loss.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tapeline_schema::{Catalog, Delivery, Pattern, check_name};

use crate::error::Error;
use crate::message::Place;

use super::heard::Heard;

/// Bytes of places in one request; a hub takes frames of 64 KiB.
const PLACES_BYTES: usize = 40 << 10;
/// A place in that request beside its names: quotes, braces, two keys and a number of twenty digits.
const PLACE_BYTES: usize = 48;

/// How messages are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) delivery: Option<Delivery>,
    pub(crate) max_rate: Option<u32>,
}

impl Wish {
    /// What satisfies both: every message where one wants every, else the family's own where they differ.
    pub(super) fn with(self, other: Wish) -> Wish {
        let delivery = match (self.delivery, other.delivery) {
            (one, another) if one == another => one,
            (Some(Delivery::Every), _) | (_, Some(Delivery::Every)) => Some(Delivery::Every),
            _ => None,
        };
        let max_rate = match (self.max_rate, other.max_rate) {
            (Some(one), Some(another)) if delivery != Some(Delivery::Every) => Some(one.max(another)),
            _ => None,
        };
        Wish { delivery, max_rate }
    }
}

/// Whether a name asks for every channel that matches.
fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', '\\'])
}

/// See the module.
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pattern: Option<Pattern>,
    /// The families whose channels a roll-up brings.
    families: Vec<Box<str>>,
    pub(super) wish: Wish,
    /// The hub has it on this connection.
    pub(super) stands: bool,
    /// An answer to this request is due.
    pub(super) asked: Option<u64>,
    /// It has a count of its own, not only its sources'.
    pub(super) counts: bool,
    /// Where it began, for a loss before the first message.
    start: Option<Place>,
    /// For what has no count of its own: from this time on, channels that were not heard yet are replayed.
    time: Option<String>,
    pub(super) subs: Vec<u64>,
}

impl Topic {
    pub(super) fn new(name: Arc<str>, wish: Wish, catalog: &Catalog) -> Result<Self, Error> {
        let refused = |error: tapeline_schema::NameError| Error::Refused {
            code: error.code().name().to_string(),
            message: error.to_string(),
        };
        let pattern = if is_pattern(&name) {
            Some(Pattern::parse(&name).map_err(refused)?)
        } else {
            check_name(&name).map_err(refused)?;
            None
        };
        let families = catalog.rolled_up_by(&name).iter().map(|spec| spec.family.as_str().into()).collect();
        Ok(Topic {
            name,
            pattern,
            families,
            wish,
            stands: false,
            asked: None,
            counts: false,
            start: None,
            time: None,
            subs: Vec::new(),
        })
    }

    pub(super) fn is_pattern(&self) -> bool {
        self.pattern.is_some()
    }

    /// Neither standing nor asked for.
    pub(super) fn is_idle(&self) -> bool {
        !self.stands && self.asked.is_none()
    }

    pub(super) fn on_lost(&mut self) {
        self.stands = false;
        self.asked = None;
    }

    /// Whether it brings messages of the channel.
    pub(super) fn covers(&self, channel: &str) -> bool {
        if let Some(pattern) = &self.pattern {
            return pattern.matches(channel);
        }
        let family = channel.split_once(':').map(|(family, _)| family);
        *self.name == *channel || self.families.iter().any(|known| family == Some(known))
    }

    /// Whether the channel's own count is one that this topic goes by.
    pub(super) fn counts_by(&self, counter: &str) -> bool {
        if self.counts { *self.name == *counter } else { self.covers(counter) }
    }

    /// The hub says that it stands: where, since when, and what it covers. Answers whether it covers more now.
    pub(super) fn confirm(&mut self, head: Option<Place>, time: Option<&str>, covers: &[Box<str>]) -> bool {
        self.stands = true;
        self.asked = None;
        self.counts = head.is_some();
        match (head, &self.start) {
            (Some(head), None) => self.start = Some(head),
            // All that is kept under the new epoch is still to come.
            (Some(head), Some(start)) if start.epoch != head.epoch => {
                self.start = Some(Place { offset: 0, epoch: head.epoch });
            }
            (Some(_), Some(_)) => {}
            (None, _) => {
                if self.time.is_none() {
                    self.time = time.map(str::to_string);
                }
            }
        }
        if self.is_pattern() {
            return false;
        }
        let families = covers.iter().filter_map(|template| template.split(':').next()).map(Box::from);
        let new: Vec<Box<str>> = families.filter(|family| !self.families.contains(family)).collect();
        let more = !new.is_empty();
        self.families.extend(new);
        more
    }

    /// The request for it, which goes on from what was heard.
    pub(super) fn request(&self, req: u64, heard: &Heard, catalog: &Catalog) -> String {
        let mut request = Map::new();
        request.insert("action".into(), "subscribe".into());
        request.insert(self.key().into(), (*self.name).into());
        if let Some(delivery) = self.wish.delivery {
            request.insert("delivery".into(), delivery.name().into());
        }
        if let Some(rate) = self.wish.max_rate {
            request.insert("max_rate".into(), rate.into());
        }
        if let Some(time) = &self.time {
            request.insert("since".into(), self.places(heard));
            request.insert("time".into(), time.as_str().into());
        } else if let Some(place) = heard.reached(&self.name).or(self.start_place(catalog)) {
            request.insert("since".into(), json!({ "offset": place.offset, "epoch": &*place.epoch }));
        }
        request.insert("req".into(), req.into());
        Value::Object(request).to_string()
    }

    /// Before the first message only an `every` channel has something to go on from: of others the last value may
    /// still be due.
    fn start_place(&self, catalog: &Catalog) -> Option<&Place> {
        let spec = catalog.resolve(&self.name).spec;
        let delivery = self.wish.delivery.unwrap_or(spec.delivery);
        self.start.as_ref().filter(|_| delivery == Delivery::Every && spec.replay_on_subscribe == 0)
    }

    /// Places by channel, as many as a request can hold. The others are replayed from the time, and then dropped.
    fn places(&self, heard: &Heard) -> Value {
        let mut room = PLACES_BYTES;
        let mut places = Map::new();
        let reached = heard.iter().filter_map(|(name, counter)| Some((name, counter.reached.as_ref()?)));
        for (name, place) in reached.filter(|(name, _)| self.covers(name)) {
            let Some(left) = room.checked_sub(name.len() + place.epoch.len() + PLACE_BYTES) else { break };
            room = left;
            places.insert(name.to_string(), json!({ "offset": place.offset, "epoch": &*place.epoch }));
        }
        Value::Object(places)
    }

    pub(super) fn end_request(&self) -> String {
        json!({ "action": "unsubscribe", self.key(): &*self.name }).to_string()
    }

    fn key(&self) -> &'static str {
        if self.is_pattern() { "pattern" } else { "channel" }
    }
}
