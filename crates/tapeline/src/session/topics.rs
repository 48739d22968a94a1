//! Subscribers come and go; the hub is asked for each name once and its answer goes to all who wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tapeline_schema::{Delivery, Retry};

use crate::error::Error;
use crate::frame::{Fields, text_of};

use super::sub::{Behind, NewSub, Since, Sub};
use super::topic::Topic;
use super::{Session, ended};

/// Channels whose last value a late subscriber asks for; as many as a hub sends for a roll-up.
const LAST_VALUES: usize = 1_000;

impl Session {
    /// A subscriber comes in; it is told when the hub has answered.
    pub(crate) fn subscribe(&mut self, new: NewSub) {
        let NewSub { id, name, wish, since, queue, confirm } = new;
        let topic_id = match self.by_name.get(&name) {
            Some(known) => *known,
            None => match Topic::new(name.clone(), wish, &self.catalog) {
                Ok(topic) => self.add_topic(id, topic),
                // Who asked may have stopped waiting.
                Err(error) => return drop(confirm.send(Err(error))),
            },
        };
        let resumes = since.is_some();
        let behind: BTreeMap<_, _> =
            since.map(|after| (name, Behind::Waiting { after })).into_iter().collect();
        let confirm = Some(confirm);
        let sub = Sub { topic: topic_id, wish, queue, confirm, behind, reading: false, resumes };
        self.subs.insert(id, sub);
        self.hear_last_values(id);
        let Some(topic) = self.topics.get_mut(&topic_id) else { return };
        topic.subs.push(id);
        let is_new = topic.subs.len() == 1;
        let wish = if is_new { wish } else { topic.wish.with(wish) };
        let changed = std::mem::replace(&mut topic.wish, wish) != wish;
        if self.connected && (is_new || changed) {
            self.ask(topic_id);
        } else if topic.stands && topic.asked.is_none() {
            self.confirm_subs(topic_id);
        }
    }

    fn add_topic(&mut self, id: u64, topic: Topic) -> u64 {
        self.by_name.insert(topic.name.clone(), id);
        self.topics.insert(id, topic);
        self.heard.on_topics();
        id
    }

    /// The hub sends a channel's last value once a session: who comes later has to ask for it.
    fn hear_last_values(&mut self, id: u64) {
        let Some(sub) = self.subs.get_mut(&id) else { return };
        let Some(topic) = self.topics.get(&sub.topic) else { return };
        let has_last = |(name, counter): &(&Arc<str>, &super::heard::Counter)| {
            counter.reached.is_some()
                && sub.delivery(counter.delivery) != Delivery::Every
                && topic.covers(name)
        };
        let names = self.heard.iter().filter(has_last).map(|(name, _)| name.clone()).take(LAST_VALUES);
        let all = Since { offset: 0, epoch: None };
        let behind: Vec<_> = names.map(|name| (name, Behind::Waiting { after: all.clone() })).collect();
        sub.behind.extend(behind);
    }

    /// A subscriber goes; the hub is told when it was the last of its name.
    pub(crate) fn unsubscribe(&mut self, id: u64) {
        let Some(sub) = self.subs.remove(&id) else { return };
        sub.queue.end_and_forget();
        let Some(topic) = self.topics.get_mut(&sub.topic) else { return };
        topic.subs.retain(|known| *known != id);
        if topic.subs.is_empty() {
            self.end_topic(sub.topic);
        }
    }

    fn end_topic(&mut self, id: u64) {
        let Some(topic) = self.topics.remove(&id) else { return };
        self.by_name.remove(&topic.name);
        if self.connected && !topic.is_idle() {
            self.outgoing.push_back(topic.end_request());
        }
        let topics = &self.topics;
        self.heard.retain(|name| !topic.covers(name) || topics.values().any(|other| other.covers(name)));
        self.heard.on_topics();
    }

    pub(super) fn ask(&mut self, id: u64) {
        let req = self.take_req();
        let Some(topic) = self.topics.get_mut(&id) else { return };
        topic.asked = Some(req);
        let request = topic.request(req, &self.heard, &self.catalog);
        self.outgoing.push_back(request);
    }

    fn asked(&self, req: u64) -> Option<u64> {
        self.topics.iter().find(|(_, topic)| topic.asked == Some(req)).map(|(id, _)| *id)
    }

    pub(super) fn on_confirmed(&mut self, fields: &Fields<'_>) {
        let Some(id) = fields.number("req").and_then(|req| self.asked(req)) else { return };
        let Some(topic) = self.topics.get_mut(&id) else { return };
        let covers: Vec<Box<str>> =
            fields.list("covers").into_iter().filter_map(|raw| Some(text_of(raw)?.as_ref().into())).collect();
        if topic.confirm(fields.place(), fields.text("time").as_deref(), &covers) {
            self.heard.on_topics();
        }
        if let (Some(false), Some(hint)) = (fields.flag("declared"), fields.text("hint")) {
            let name = self.topics.get(&id).map(|topic| topic.name.clone()).unwrap_or_default();
            tracing::warn!(%hint, "no family declares {name}");
        }
        self.confirm_subs(id);
    }

    fn confirm_subs(&mut self, id: u64) {
        let Some(topic) = self.topics.get(&id) else { return };
        let counts = topic.counts;
        let name = topic.name.clone();
        for id in topic.subs.clone() {
            let Some(sub) = self.subs.get_mut(&id) else { continue };
            if sub.resumes && !counts {
                let message = format!("{name} has no count of its own, so since has no meaning for it");
                self.refuse(id, &Error::Invalid(message));
                continue;
            }
            let gone = sub.confirm.take().is_some_and(|confirm| confirm.send(Ok(())).is_err());
            if gone { self.unsubscribe(id) } else { self.pump(id) }
        }
    }

    /// The hub refuses a subscription: for those who wait for it, or for all where it stood before.
    pub(super) fn on_refused(&mut self, req: u64, error: &Error, now: Instant) {
        let Some(id) = self.asked(req) else {
            return tracing::debug!(%error, "nobody waits for what the hub refused");
        };
        let Some(topic) = self.topics.get_mut(&id) else { return };
        topic.asked = None;
        let stands = topic.stands;
        let subs = topic.subs.clone();
        let waits = |id: &u64| self.subs.get(id).is_some_and(|sub| sub.confirm.is_some());
        let (new, old): (Vec<u64>, Vec<u64>) = subs.into_iter().partition(waits);
        for id in new {
            self.refuse(id, error);
        }
        if stands || old.is_empty() {
            return self.forget_wishes(id);
        }
        if error.retry() == Retry::Later {
            tracing::warn!(%error, "a subscription is refused for now");
            return self.ask_again_soon(now);
        }
        for id in old {
            self.refuse(id, error);
        }
    }

    /// The wish of who was refused no longer counts.
    fn forget_wishes(&mut self, id: u64) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        let wishes = topic.subs.iter().filter_map(|id| self.subs.get(id)).map(|sub| sub.wish);
        if let Some(wish) = wishes.reduce(super::Wish::with) {
            topic.wish = wish;
        }
    }

    fn refuse(&mut self, id: u64, error: &Error) {
        let Some(sub) = self.subs.get_mut(&id) else { return };
        match sub.confirm.take() {
            // Who asked may have stopped waiting.
            Some(confirm) => drop(confirm.send(Err(error.clone()))),
            None => {
                tracing::error!(%error, "a subscription is over");
                sub.queue.push_owed(ended(error));
                sub.queue.end();
                // What waits in the queue can still be read.
                sub.queue = Arc::new(crate::queue::Queue::new(Arc::default(), 0, 0));
            }
        }
        self.unsubscribe(id);
    }
}
