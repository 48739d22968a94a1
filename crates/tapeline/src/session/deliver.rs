//! From a message to the subscribers who want it: each gets its copy, once.

use std::sync::Arc;

use tapeline_schema::Delivery;

use crate::event::{Event, Gap, Notice};
use crate::frame::Fields;
use crate::message::PubSubMessage;

use super::sub::{Behind, Since};
use super::{Session, count};

impl Session {
    pub(super) fn on_message(&mut self, message: &PubSubMessage) {
        let channel = message.shared_channel();
        let (topics, family) = self.covering(channel);
        let mut is_news = self.heard.is_news(channel, message.place());
        for id in topics.iter() {
            is_news |= self.deliver(*id, family, message);
        }
        // A roll-up that the catalogue here does not know is told by its count.
        for (name, _) in message.roll_ups() {
            match self.by_name.get(name) {
                Some(id) if !topics.contains(id) => is_news |= self.deliver(*id, family, message),
                _ => {}
            }
        }
        if !is_news {
            count(&self.counts.repeats, 1);
        }
        self.reach(message);
    }

    /// The topics that cover a channel, and its family's delivery.
    fn covering(&mut self, channel: &Arc<str>) -> (Arc<[u64]>, Delivery) {
        let Session { topics, heard, catalog, .. } = self;
        heard.topics(channel, catalog, || {
            topics.iter().filter(|(_, topic)| topic.covers(channel)).map(|(id, _)| *id).collect()
        })
    }

    /// Answers whether it was news in the topic's own count.
    fn deliver(&mut self, id: u64, family: Delivery, message: &PubSubMessage) -> bool {
        let Some(topic) = self.topics.get(&id) else { return false };
        let (counter, place) = match message.place_in(&topic.name) {
            Some(place) => (&topic.name, place),
            None => (message.shared_channel(), message.place()),
        };
        if !self.heard.is_news(counter, place) {
            return false;
        }
        for id in &topic.subs {
            if let Some(sub) = self.subs.get_mut(id) {
                sub.offer(counter, place, family, message);
            }
        }
        true
    }

    fn reach(&mut self, message: &PubSubMessage) {
        if self.heard.is_news(message.channel(), message.place()) {
            self.heard.reach(message.channel(), message.place());
        }
        for (name, place) in message.roll_ups() {
            let Some(topic) = self.by_name.get(name).and_then(|id| self.topics.get(id)) else { continue };
            let name = topic.name.clone();
            if self.heard.is_news(&name, place) {
                // Makes room for it where it is the first.
                self.covering(&name);
                self.heard.reach(&name, place);
            }
        }
    }

    /// Offsets that will not come, as the hub says.
    pub(super) fn on_gap(&mut self, fields: &Fields<'_>) {
        let text = |name| fields.text(name).unwrap_or_default().into_owned();
        let (channel, from) = (text("channel"), fields.number("from").unwrap_or_default());
        let gap = Gap { channel, from, to: fields.number("to"), reason: text("reason") };
        let counter: Arc<str> = gap.channel.as_str().into();
        let epoch = self.heard.reached(&counter).map(|place| place.epoch.clone());
        let (_, family) = self.covering(&counter);
        self.count_gap(&gap);
        let Session { topics, subs, .. } = self;
        for topic in topics.values().filter(|topic| topic.counts_by(&counter)) {
            for id in &topic.subs {
                let Some(sub) = subs.get_mut(id) else { continue };
                if sub.delivery(family) != Delivery::Every || sub.behind.contains_key(&counter) {
                    // Either nothing is missing for it, or it will find the hole by itself.
                    continue;
                }
                if sub.queue.has_room() || gap.to.is_none() {
                    sub.queue.push_owed(Event::Gap(gap.clone()));
                } else {
                    let after = Since { offset: gap.from.saturating_sub(1), epoch: epoch.clone() };
                    sub.behind.insert(counter.clone(), Behind::Waiting { after });
                }
            }
        }
    }

    pub(super) fn count_gap(&self, gap: &Gap) {
        count(&self.counts.gaps, 1);
        let missed = gap.to.map_or(0, |to| (to + 1).saturating_sub(gap.from));
        count(&self.counts.missed, missed);
        let Gap { channel, from, to, reason } = gap;
        tracing::warn!(%channel, from, ?to, %reason, "messages are missing");
    }

    pub(super) fn on_notice(&mut self, fields: &Fields<'_>) {
        let channel = fields.text("channel").map(|channel| channel.into_owned());
        let notice = fields.text("notice").unwrap_or_default().into_owned();
        let notice = Notice { notice, channel, count: fields.number("count") };
        for topic in self.topics.values() {
            if notice.channel.as_ref().is_some_and(|channel| !topic.covers(channel)) {
                continue;
            }
            for id in &topic.subs {
                // A notice is no promise: whoever has no room does not need another thing to read.
                if let Some(sub) = self.subs.get(id).filter(|sub| sub.queue.has_room()) {
                    sub.queue.push_owed(Event::Notice(notice.clone()));
                }
            }
        }
    }
}
