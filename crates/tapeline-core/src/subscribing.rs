//! Subscribing and unsubscribing: from a request to targets that catch up from what the broker keeps.
//! The router hears of a subscription before the broker is asked where the channel stands, so that nothing can
//! fall between the two.

use tapeline_schema::{ErrorCode, Pattern};

use crate::broker::Interest;
use crate::channel::Channel;
use crate::clock::Now;
use crate::command::{Req, SubscribeOptions, Wanted};
use crate::error::Refusal;
use crate::reply::Topic;
use crate::rights::learn_owner;
use crate::session::{Session, Subscription};
use crate::shard::{Note, SessionKey, Shard};
use crate::target::{Cursor, Mode, Target};
use crate::wishes::{mode_of, spreads, wish};

/// Patterns of one session that is sent a message once for each of them: a large message would be written as often.
const PATTERNS: usize = 64;

fn admit_pattern(session: &Session, topic: &Topic) -> Result<(), Refusal> {
    if !matches!(topic, Topic::Pattern(_)) || !session.outbox.wire().by_subscription() {
        return Ok(());
    }
    let is_pattern =
        |known: &&Subscription| matches!(known.topic, Topic::Pattern(_)) && known.topic != *topic;
    if session.subscriptions.iter().filter(is_pattern).count() < PATTERNS {
        return Ok(());
    }
    let message =
        format!("{} patterns, the limit is {PATTERNS} for a connection that is told of each", PATTERNS + 1);
    Err(Refusal::new(ErrorCode::LimitSubscriptions, message))
}

/// How many times as many sources are listed for a session that may not hear all of them.
const LOOKED_THROUGH: usize = 16;

/// What the broker's answer to a join must find again.
pub struct JoinRequest {
    pub(crate) key: SessionKey,
    pub(crate) subscription: u32,
    pub(crate) options: SubscribeOptions,
    pub(crate) req: Req,
    /// What the shard had learned when it asked.
    pub(crate) asked: u64,
}

impl Shard {
    pub(crate) fn handle_subscribe(
        &mut self,
        slot: u32,
        wanted: Vec<Wanted>,
        options: &SubscribeOptions,
        req: &Req,
        now: Now,
    ) {
        let limit = self.hub.settings().channels_per_request;
        if wanted.len() > limit {
            let message = format!(
                "{} channels in one request, the limit is {limit} (limits.channels_per_request)",
                wanted.len()
            );
            let refusal = Refusal::new(ErrorCode::InvalidRequest, message);
            return self.reply_error(slot, refusal, None, req);
        }
        for wanted in wanted {
            if let Err(refusal) = self.subscribe_one(slot, &wanted, options, req, now) {
                let (Wanted::Channel(name) | Wanted::Pattern(name)) = wanted;
                let over = refusal.code == ErrorCode::LimitConnections;
                self.reply_error(slot, refusal, Some(name), req);
                if over {
                    return self.close(slot, tapeline_schema::CloseCode::Policy, "Connection limit exceeded");
                }
            }
        }
    }

    pub(crate) fn topic(&self, wanted: &Wanted) -> Result<Topic, Refusal> {
        match wanted {
            Wanted::Channel(name) => self.hub.channel(name).map(Topic::Channel),
            Wanted::Pattern(text) => match Pattern::parse(text) {
                Ok(pattern) => Ok(Topic::Pattern(pattern)),
                Err(error) => Err(Refusal::new(ErrorCode::BadPattern, error.to_string())),
            },
        }
    }

    fn subscribe_one(
        &mut self,
        slot: u32,
        wanted: &Wanted,
        options: &SubscribeOptions,
        req: &Req,
        now: Now,
    ) -> Result<(), Refusal> {
        let topic = self.topic(wanted)?;
        if let Topic::Channel(channel) = &topic {
            mode_of(channel, options.delivery, options.max_rate)?;
        }
        let Some(session) = self.sessions.get_mut(slot as usize) else { return Ok(()) };
        self.hub.may_subscribe(&session.grant, &topic)?;
        admit_pattern(session, &topic)?;
        let serial = session.serial;
        let known = session.find(&topic).map(|known| (known.id, known.delivery == options.delivery));
        if let Some((id, same_delivery)) = known {
            if same_delivery {
                self.subscribe_again(slot, id, &topic, options);
            } else {
                self.end_subscription(slot, id);
            }
        }
        let Some(session) = self.sessions.get_mut(slot as usize) else { return Ok(()) };
        let id = match known {
            Some((id, true)) => id,
            _ => {
                session.admit_subscription(&self.hub.settings())?;
                self.hub.on_joined(&topic, session.hearing(now));
                self.stats.subscriptions.add(1);
                let id = session.next_subscription;
                session.next_subscription += 1;
                let (delivery, max_rate) = (options.delivery, options.max_rate);
                let topic = topic.clone();
                session.subscriptions.push(Subscription {
                    id,
                    topic,
                    delivery,
                    max_rate,
                    tag: options.tag,
                    joining: true,
                    partial: false,
                });
                id
            }
        };
        session.subscribed_once = true;
        let key = SessionKey { slot, serial };
        let request =
            JoinRequest { key, subscription: id, options: options.clone(), req: req.clone(), asked: 0 };
        self.join(&topic, slot, id, request, now);
        Ok(())
    }

    /// A standing subscription is asked for again: it keeps its place, with the new rate.
    fn subscribe_again(&mut self, slot: u32, id: u32, topic: &Topic, options: &SubscribeOptions) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        if let Some(subscription) = session.subscription(id) {
            subscription.max_rate = options.max_rate;
            subscription.tag = options.tag;
        }
        let spread = self.router.contract(topic, slot, id);
        self.stop_hearing(topic, spread);
    }

    /// The broker need no longer bring what a subscription asked for; `spread` says that it heard each source.
    pub(crate) fn stop_hearing(&self, topic: &Topic, spread: bool) {
        match topic {
            Topic::Channel(channel) if !spread => self.hub.broker().leave(channel),
            _ => self.hub.broker().unlisten(&Interest::of(topic)),
        }
    }

    /// Adds targets, then asks the broker where the channel or its sources stand.
    fn join(&mut self, topic: &Topic, slot: u32, id: u32, request: JoinRequest, now: Now) {
        match self.one_source(topic, &request.options) {
            Some((channel, mode, rate)) => {
                let entry = self.entry_for(&channel, now);
                self.add_target(entry, Target::new(slot, id, mode, rate, Cursor::Joining));
            }
            None => {
                self.router.expand(topic, slot, id);
                self.hub.broker().listen(&Interest::of(topic));
                for entry in self.router.covered(topic) {
                    self.add_expansion(entry, slot, id, Cursor::Joining);
                }
            }
        }
        self.ask_where_it_stands(topic, request);
    }

    /// The channel, if it is heard under its own count; `None` where each source is.
    fn one_source(&self, topic: &Topic, options: &SubscribeOptions) -> Option<(Channel, Mode, u8)> {
        let Topic::Channel(channel) = topic else { return None };
        let (mode, rate) = mode_of(channel, options.delivery, options.max_rate).unwrap_or((Mode::Every, 0));
        (!spreads(channel, mode)).then(|| (channel.clone(), mode, rate))
    }

    pub(crate) fn ask_where_it_stands(&mut self, topic: &Topic, mut request: JoinRequest) {
        request.asked = self.learned;
        let mailbox = self.mailbox.clone();
        let broker = self.hub.broker().clone();
        if let Some((channel, _, _)) = self.one_source(topic, &request.options) {
            let session = self.sessions.get(request.key.slot as usize);
            let unknown = session.and_then(|session| self.hub.owner_to_learn(&session.grant, &channel));
            let asked = broker.clone();
            let answer = Box::new(move |head| {
                let next = move || mailbox.post(Note::Joined(Box::new((request, head))));
                learn_owner(&asked, unknown, next);
            });
            return broker.join(&channel, answer);
        }
        let interest = Interest::of(topic);
        // Of those who may not hear everything, more are looked through.
        let is_known = self.live(request.key).is_some_and(|session| session.grant.identity().is_some());
        let limit = self.hub.settings().snapshot_sources * if is_known { LOOKED_THROUGH } else { 1 };
        let answer = Box::new(move |sources| mailbox.post(Note::Sources(Box::new((request, sources)))));
        broker.sources(&interest, limit, answer);
    }

    /// The channel's entry, with targets of all roll-ups and patterns that cover it if it is new.
    pub(crate) fn entry_for(&mut self, channel: &Channel, now: Now) -> u32 {
        match self.router.find(channel) {
            Some(entry) => entry,
            None => self.open_entry(channel, now),
        }
    }

    pub(crate) fn open_entry(&mut self, channel: &Channel, now: Now) -> u32 {
        // The entry is the current channel's, so it is heard through that one's roll-ups.
        let channel = channel.current();
        let decides = self.hub.deciding(channel);
        let entry = self.router.open(channel, decides, now.mono_us);
        for (slot, id) in self.router.expansions(channel) {
            let cursor =
                self.sessions.get_mut(slot as usize).and_then(|s| s.subscription(id)).map(|s| match s {
                    Subscription { joining: true, .. } => Cursor::Joining,
                    Subscription { partial: true, .. } => Cursor::Fresh,
                    // It was not on the complete list, so it is heard from its first message on.
                    _ => Cursor::Live,
                });
            self.add_expansion(entry, slot, id, cursor.unwrap_or(Cursor::Fresh));
        }
        entry
    }

    /// A target for one source of a roll-up or pattern.
    pub(crate) fn add_expansion(&mut self, entry: u32, slot: u32, id: u32, cursor: Cursor) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let Some(subscription) = session.subscription(id) else { return };
        let Some(channel) = self.router.entry(entry).map(|entry| entry.channel.clone()) else { return };
        let (mode, rate) = wish(&channel, subscription);
        if self.hub.may_read(&session.grant, &channel).is_ok() {
            self.add_target(entry, Target::new(slot, id, mode, rate, cursor));
        }
    }

    fn add_target(&mut self, entry: u32, target: Target) {
        let slot = target.session;
        self.router.add(entry, target, &mut self.sessions);
        self.mark_overlaps(entry, slot);
    }

    /// Notes where a session hears the same messages through a channel and through a roll-up of it.
    fn mark_overlaps(&mut self, id: u32, slot: u32) {
        let Some(channel) = self.router.entry(id).map(|entry| entry.channel.clone()) else { return };
        let Some(session) = self.sessions.get(slot as usize) else { return };
        if session.outbox.wire().by_subscription() {
            // It hears a message as often as it has asked for it.
            return;
        }
        let mut overlapping = Vec::new();
        if channel.counts_for_itself() {
            let is_source = |other: &Channel| other.roll_ups().contains(&channel);
            let places = session.places.iter().map(|place| place.entry);
            overlapping.extend(places.filter(|other| {
                self.router.entries.get(*other as usize).is_some_and(|entry| is_source(&entry.channel))
            }));
        } else {
            for roll_up in channel.roll_ups().iter().filter(|roll_up| roll_up.counts_for_itself()) {
                overlapping.extend(self.router.find(roll_up).filter(|other| session.place(*other).is_some()));
            }
        }
        if overlapping.is_empty() {
            return;
        }
        overlapping.push(id);
        for id in overlapping {
            let Some(index) = self.sessions.get(slot as usize).and_then(|session| session.place(id)) else {
                continue;
            };
            let Some(entry) = self.router.entry(id) else { continue };
            if let Some(target) = entry.targets.get_mut(index).filter(|target| !target.overlap) {
                target.overlap = true;
                entry.overlaps += 1;
            }
        }
    }
}
