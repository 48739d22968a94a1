//! What a subscriber missed is read from the hub page by page, when it has room: because it was slow, because it
//! began at a place of its own, or because it came after a last value had been sent. One path for all three.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use serde_json::value::RawValue;
use tapeline_schema::{Delivery, Retry};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::Error;
use crate::event::{Event, Gap};
use crate::frame::Fields;
use crate::message::{Place, PubSubMessage};

use super::Session;
use super::requests::Answer;
use super::sub::{Behind, Since};

/// Messages in one page.
const PAGE: usize = 64;

/// A page that was read, in the terms of the counter it was read for.
struct Page {
    epoch: Arc<str>,
    messages: Vec<(Place, PubSubMessage)>,
    more: bool,
    /// It is the newest message, which stands for all before it.
    is_last: bool,
}

impl Page {
    fn read(text: &Utf8Bytes, counter: &str) -> Option<Self> {
        let fields = Fields::read(text)?;
        let message = |raw: &RawValue| {
            let message = PubSubMessage::read(&Utf8Bytes::from(raw.get().to_string()))?;
            let place = message.place_in(counter).unwrap_or(message.place()).clone();
            Some((place, message))
        };
        if let Some(last) = fields.raw("message") {
            let (place, message) = message(last)?;
            let (epoch, messages) = (place.epoch.clone(), vec![(place, message)]);
            return Some(Page { epoch, messages, more: false, is_last: true });
        }
        let epoch = fields.text("epoch")?.as_ref().into();
        let messages = fields.list("messages").into_iter().filter_map(message).collect();
        Some(Page { epoch, messages, more: fields.number("next").is_some(), is_last: false })
    }
}

impl Session {
    /// Some queue has room again.
    pub(crate) fn on_room(&mut self) {
        let behind: Vec<u64> =
            self.subs.iter().filter(|(_, sub)| !sub.behind.is_empty()).map(|(id, _)| *id).collect();
        for id in behind {
            self.pump(id);
        }
    }

    /// Asks for the subscriber's next page, if it wants one, has room, and none is on its way.
    pub(super) fn pump(&mut self, id: u64) {
        let Some(sub) = self.subs.get_mut(&id) else { return };
        let stands = self.topics.get(&sub.topic).is_some_and(|topic| topic.stands);
        let waiting = |(name, behind): (&Arc<str>, &Behind)| match behind {
            Behind::Waiting { after } => Some((name.clone(), after.clone())),
            _ => None,
        };
        let Some((counter, after)) = sub.behind.iter().find_map(waiting) else { return };
        if !stands || sub.reading || !sub.queue.has_room() {
            return;
        }
        let family = self.catalog.resolve(&counter).spec.delivery;
        let body = if sub.delivery(family) == Delivery::Every {
            let since = match &after.epoch {
                Some(epoch) => json!({ "offset": after.offset, "epoch": &**epoch }),
                None => json!({ "offset": after.offset }),
            };
            let limit = PAGE.min(self.settings.queue_messages / 2);
            json!({ "action": "history", "channel": &*counter, "since": since, "limit": limit })
        } else {
            json!({ "action": "last", "channel": &*counter })
        };
        let known = self.heard.reached(&counter).cloned();
        sub.behind.insert(counter.clone(), Behind::Reading { after, known });
        sub.reading = true;
        self.request(&body.to_string(), Answer::CatchUp { sub: id, counter });
    }

    /// A page has come.
    pub(super) fn on_page(
        &mut self,
        id: u64,
        counter: &Arc<str>,
        result: Result<&Utf8Bytes, Error>,
        now: Instant,
    ) {
        let Some(sub) = self.subs.get_mut(&id) else { return };
        sub.reading = false;
        let Some(Behind::Reading { after, known }) = sub.behind.remove(counter) else { return };
        match result {
            Err(error) if error.retry() == Retry::Later => {
                sub.behind.insert(counter.clone(), Behind::Waiting { after });
                return self.ask_again_soon(now);
            }
            Err(error) => {
                tracing::warn!(%error, "what a subscriber missed cannot be read");
                self.give_up(id, counter, &after, known);
            }
            Ok(text) => {
                // Without a page there is no last value, and nothing to catch up with.
                if let Some(page) = Page::read(text, counter) {
                    self.take_page(id, counter, &after, known, page);
                }
            }
        }
        self.pump(id);
    }

    fn take_page(&mut self, id: u64, counter: &Arc<str>, after: &Since, known: Option<Place>, page: Page) {
        let mut at = after.offset;
        if !page.is_last && after.epoch.as_ref().is_some_and(|epoch| *epoch != page.epoch) {
            self.tell(id, counter, at + 1, None, "epoch");
            at = 0;
        }
        let is_empty = page.messages.is_empty();
        for (place, message) in page.messages {
            if !page.is_last && place.offset > at + 1 {
                self.tell(id, counter, at + 1, Some(place.offset - 1), "trimmed");
            }
            at = place.offset;
            if let Some(sub) = self.subs.get(&id) {
                sub.queue.push_owed(Event::Message(message));
            }
        }
        let to = Place { offset: at, epoch: page.epoch };
        let beyond = |place: &&Place| place.epoch == to.epoch && place.offset > at;
        // What was known when the page was asked for and is not on it is not kept.
        let lost = known.as_ref().filter(|_| is_empty).filter(beyond);
        let to = lost.cloned().unwrap_or(to.clone());
        if lost.is_some() {
            self.tell(id, counter, at + 1, Some(to.offset), "trimmed");
        }
        let reached = self.heard.reached(counter).filter(|reached| reached.epoch == to.epoch);
        let next = match reached {
            _ if page.more => Behind::Waiting { after: Since::from(&to) },
            Some(reached) if reached.offset > to.offset => Behind::Waiting { after: Since::from(&to) },
            Some(reached) if reached.offset == to.offset => return,
            _ => Behind::Ahead { to },
        };
        if let Some(sub) = self.subs.get_mut(&id) {
            sub.behind.insert(counter.clone(), next);
        }
    }

    /// Nothing can be read: what is known to be missing is said, and the subscriber goes on with what comes.
    fn give_up(&mut self, id: u64, counter: &Arc<str>, after: &Since, known: Option<Place>) {
        let reached = self.heard.reached(counter).cloned().or(known);
        if let Some(to) = reached.filter(|reached| reached.offset > after.offset) {
            self.tell(id, counter, after.offset + 1, Some(to.offset), "overflow");
        }
    }

    fn tell(&self, id: u64, counter: &Arc<str>, from: u64, to: Option<u64>, reason: &str) {
        let gap = Gap { channel: counter.to_string(), from, to, reason: reason.to_string() };
        self.count_gap(&gap);
        if let Some(sub) = self.subs.get(&id) {
            sub.queue.push_owed(Event::Gap(gap));
        }
    }
}
