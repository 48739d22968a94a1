//! Who may hear what, asked anew: a session's rights are others, the catalogue is another, or somebody has said whose a
//! channel is. What is no longer allowed ends, what is allowed now is heard from its next message on; from the oldest that is
//! kept where nobody else heard it and it was quiet for so long that the shard has forgotten it.
//!
//! Whether a target may be is decided when it is made and whenever it is weighed here, and for no message in between. What
//! the rules are is the rights'.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::broker::NEWEST;
use crate::channel::Channel;
use crate::clock::Now;
use crate::command::Req;
use crate::concern::Concern;
use crate::error::Refusal;
use crate::reply::Topic;
use crate::rights::Grant;
use crate::session::Subscription;
use crate::shard::Shard;
use crate::target::Cursor;
use tapeline_schema::CloseCode;

/// A broker that may know the owner is asked so often at most.
const ASK_US: u64 = 1_000_000;

/// The channel without whose owner nobody can say who may hear a source: the source itself, or the one that it is about.
#[derive(Debug)]
pub(crate) struct Awaited {
    channel: Channel,
    asked_us: u64,
    /// The broker has not answered yet.
    asking: Arc<AtomicBool>,
}

impl Awaited {
    /// Of the channel that decides, if nobody has said whose it is.
    pub(crate) fn of(decides: Option<&Channel>) -> Option<Self> {
        let channel = decides.filter(|decides| decides.owner().is_none())?.clone();
        Some(Awaited { channel, asked_us: 0, asking: Arc::default() })
    }
}

impl Shard {
    /// The session's rights are others.
    pub(crate) fn weigh_rights(&mut self, slot: u32) {
        self.weigh_topics(slot, &Concern::Everything);
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let standing = session.subscriptions.iter().filter(|known| !known.joining);
        for (id, topic) in standing.map(|known| (known.id, known.topic.clone())).collect::<Vec<_>>() {
            self.weigh_sources(slot, id, &topic);
        }
    }

    /// The catalogue is another in what this concerns.
    pub(crate) fn weigh_catalog(&mut self, concern: &Concern) {
        let slots: Vec<u32> = self.sessions.iter().filter_map(|(slot, _)| u32::try_from(slot).ok()).collect();
        slots.into_iter().for_each(|slot| self.weigh_topics(slot, concern));
        let entries = self.router.entries.iter().filter(|(_, entry)| concern.has(&entry.channel));
        let entries: Vec<u32> = entries.filter_map(|(id, _)| u32::try_from(id).ok()).collect();
        entries.into_iter().for_each(|entry| self.weigh_hearers(entry));
    }

    /// A message has come to a source whose owner was not known when it was last asked who may hear it.
    pub(crate) fn weigh_owner(&mut self, entry: u32, now: Now) {
        let Some(known) = self.router.entry(entry) else { return };
        let Some(awaited) = &mut known.awaits else { return };
        if awaited.channel.owner().is_some() {
            return self.weigh_hearers(entry);
        }
        // Messages of the source itself would have said it. What the source is about may be heard elsewhere only.
        let is_due = awaited.asked_us == 0 || now.mono_us >= awaited.asked_us + ASK_US;
        let broker = self.hub.broker();
        let may_ask =
            awaited.channel != known.channel && !broker.brings_all() && !self.hub.authority().is_off();
        // A broker that is away answers when it is back: it is not asked again before.
        if is_due && may_ask && !awaited.asking.swap(true, Ordering::Relaxed) {
            awaited.asked_us = now.mono_us;
            let asking = awaited.asking.clone();
            broker.read(
                &awaited.channel,
                NEWEST,
                1,
                Box::new(move |_| asking.store(false, Ordering::Relaxed)),
            );
        }
    }

    /// Whoever asked for the source by a pattern or roll-up hears it if that is allowed now, and no longer if it is not.
    fn weigh_hearers(&mut self, entry: u32) {
        let Some(known) = self.router.entry(entry) else { return };
        let channel = known.channel.clone();
        // First: an owner that becomes known meanwhile is seen with the next message.
        let decides = self.hub.deciding(&channel);
        if let Some(known) = self.router.entry(entry) {
            known.awaits = Awaited::of(decides.as_ref());
            known.decides = decides;
        }
        let mut lost = Vec::new();
        for (slot, id) in self.router.expansions(&channel) {
            let session = self.sessions.get_mut(slot as usize);
            let stands = |known: &mut Subscription| !known.joining;
            // What still waits for the broker's answer is weighed then.
            if session.and_then(|session| session.subscription(id)).is_some_and(stands)
                && self.has_lost(entry, slot, id)
            {
                lost.push((slot, id));
            }
        }
        // Last: an entry that nobody hears any more is closed, and who is let in would begin with what is kept.
        lost.into_iter().for_each(|(slot, id)| self.uncover(entry, slot, id));
    }

    /// Ends what the session asked for by name, as far as this concerns it, and may no longer hear.
    fn weigh_topics(&mut self, slot: u32, concern: &Concern) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        if matches!(session.grant, Grant::Anyone) {
            return;
        }
        let mut refused = Vec::new();
        // What still waits for the broker's answer is weighed then.
        for known in session.subscriptions.iter().filter(|known| !known.joining) {
            if let Topic::Channel(channel) = &known.topic
                && concern.has(channel)
                && let Err(refusal) = self.hub.may_read(&session.grant, channel)
            {
                refused.push((known.id, known.topic.clone(), refusal));
            }
        }
        for (id, topic, refusal) in refused {
            self.expel(slot, id, &topic, refusal, &None);
        }
    }

    /// A subscription ends because it is not, or no longer, allowed.
    pub(crate) fn expel(&mut self, slot: u32, id: u32, topic: &Topic, refusal: Refusal, req: &Req) {
        self.end_subscription(slot, id);
        let reason = refusal.message.clone();
        self.reply_error(slot, refusal, Some(topic.name().into()), req);
        let wire = self.wire(slot);
        if req.is_none() && wire.is_some_and(|wire| wire.by_subscription()) {
            // There is no form in which it could be told what it did not ask for. Redis too closes when rights change.
            self.close(slot, CloseCode::Policy, &reason);
        }
    }

    /// Weighs each source of a pattern or roll-up.
    pub(crate) fn weigh_sources(&mut self, slot: u32, id: u32, topic: &Topic) {
        if !self.router.is_expanded(topic, slot, id) {
            return;
        }
        for entry in self.router.covered(topic) {
            if self.has_lost(entry, slot, id) {
                self.uncover(entry, slot, id);
            }
        }
    }

    /// Lets a subscription hear the source if it may now; whether it does and may no longer.
    fn has_lost(&mut self, entry: u32, slot: u32, id: u32) -> bool {
        let Some(session) = self.sessions.get(slot as usize) else { return false };
        if matches!(session.grant, Grant::Anyone) {
            return false;
        }
        let Some(channel) = self.router.entry(entry).map(|entry| entry.channel.clone()) else { return false };
        let allowed = self.hub.may_read(&session.grant, &channel).is_ok();
        let hears = self.hears(entry, slot, id);
        if allowed && !hears {
            self.add_expansion(entry, slot, id, Cursor::Fresh);
        }
        hears && !allowed
    }

    /// Whether a subscription is among those that the session's target in this entry covers.
    fn hears(&mut self, entry: u32, slot: u32, id: u32) -> bool {
        let place = self.sessions.get(slot as usize).and_then(|session| session.place(entry));
        let target = place.zip(self.router.entry(entry)).and_then(|(index, entry)| entry.targets.get(index));
        target.is_some_and(|target| target.covers.contains(&id))
    }
}
