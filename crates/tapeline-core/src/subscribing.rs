//! Subscribing and unsubscribing: from a request to targets that catch up from what the broker keeps.
//! The router hears of a subscription before the broker is asked where the channel stands, so that nothing can
//! fall between the two.

use tapeline_schema::{ErrorCode, Pattern};

use crate::broker::{Head, Interest, Sources};
use crate::channel::{Channel, ChannelMap};
use crate::clock::Now;
use crate::command::{Req, Since, SubscribeOptions, Wanted};
use crate::error::Refusal;
use crate::reply::{Confirmation, GapReason, Reply, Topic};
use crate::session::Subscription;
use crate::shard::{Note, SessionKey, Shard};
use crate::target::{Cursor, Mode, Target};
use crate::wishes::{mode_of, spreads, wish};

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
        session.grant.may_read(&topic)?;
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
                session.admit_subscription(self.hub.settings())?;
                self.hub.audience().add(&topic, serial);
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
        }
        let spread = self.router.contract(topic, slot, id);
        if let (false, Topic::Channel(channel)) = (spread, topic) {
            self.hub.broker().leave(channel);
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

    fn ask_where_it_stands(&mut self, topic: &Topic, mut request: JoinRequest) {
        request.asked = self.learned;
        let mailbox = self.mailbox.clone();
        let broker = self.hub.broker().clone();
        if let Some((channel, _, _)) = self.one_source(topic, &request.options) {
            let answer = Box::new(move |head| mailbox.post(Note::Joined(Box::new((request, head)))));
            return broker.join(&channel, answer);
        }
        let interest = match topic {
            Topic::Channel(channel) => Interest::RollUp(channel.clone()),
            Topic::Pattern(pattern) => Interest::Pattern(pattern.clone()),
        };
        let limit = self.hub.settings().snapshot_sources;
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
        let entry = self.router.open(channel, now.mono_us);
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
    fn add_expansion(&mut self, entry: u32, slot: u32, id: u32, cursor: Cursor) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let Some(subscription) = session.subscription(id) else { return };
        let (delivery, max_rate) = (subscription.delivery, subscription.max_rate);
        let Some(channel) = self.router.entry(entry).map(|entry| entry.channel.clone()) else { return };
        let mode = mode_of(&channel, delivery, max_rate).or_else(|_| mode_of(&channel, None, None));
        let (mode, rate) = mode.unwrap_or((Mode::Every, 0));
        self.add_target(entry, Target::new(slot, id, mode, rate, cursor));
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

    /// The broker says where a channel stands.
    pub(crate) fn on_joined(&mut self, request: JoinRequest, head: &Head, now: Now) {
        let slot = request.key.slot;
        let Some(topic) = self.joined_topic(&request) else { return };
        let Topic::Channel(channel) = &topic else { return };
        let Some(id) = self.router.find(channel) else { return };
        if self.is_overtaken(channel, head, request.asked) {
            self.ask_where_it_stands(&topic, request);
            // The first time had joined already.
            return self.hub.broker().leave(channel);
        }
        self.note_epoch(id, &head.epoch);
        let started = self.start_target(id, &request, request.options.since.as_ref(), head, 0);
        self.end_joining(&request, false);
        let confirmation = Confirmation {
            head: Some((head.top, head.epoch.clone())),
            recovered: request.options.since.as_ref().map(|_| started.recovered),
            covers: covers(&self.hub, channel),
            ..self.confirmation(topic.clone(), &request, now)
        };
        self.reply_in_lane(slot, channel.lane(), &Reply::Confirmed(Box::new(confirmation)));
        self.tell_start(slot, channel, &started);
        self.pump(slot);
    }

    /// The broker lists the sources of a roll-up or pattern.
    pub(crate) fn on_sources(&mut self, request: JoinRequest, sources: Sources, now: Now) {
        let slot = request.key.slot;
        let Some(topic) = self.joined_topic(&request) else { return };
        if sources.heads.iter().any(|(channel, head)| self.is_overtaken(channel, head, request.asked)) {
            return self.ask_where_it_stands(&topic, request);
        }
        let mut starts = Vec::new();
        let mut names = Vec::new();
        let options = &request.options;
        for (channel, head) in &sources.heads {
            let id = self.entry_for(channel, now);
            self.note_epoch(id, &head.epoch);
            let listed =
                options.since_each.iter().find(|(name, _)| **name == *channel.name()).map(|(_, since)| since);
            let replay = Since::default();
            let (since, not_before) = match (listed, options.since_time_us) {
                (Some(since), _) => (Some(since), 0),
                (None, Some(time)) => (Some(&replay), time),
                (None, None) => (None, 0),
            };
            starts.push((channel.clone(), self.start_target(id, &request, since, head, not_before)));
            names.push(Box::from(channel.name()));
        }
        self.start_unlisted(&topic, slot, &sources);
        self.end_joining(&request, sources.partial);
        let resumes = !options.since_each.is_empty() || options.since_time_us.is_some();
        let all = starts.iter().all(|(_, started)| started.recovered);
        names.truncate(100);
        let covers = match &topic {
            Topic::Channel(channel) => covers(&self.hub, channel),
            Topic::Pattern(_) => Some(names),
        };
        let confirmation = Confirmation {
            recovered: resumes.then_some(all && !sources.partial),
            partial: sources.partial,
            covers,
            ..self.confirmation(topic, &request, now)
        };
        self.reply_in_lane(slot, 0, &Reply::Confirmed(Box::new(confirmation)));
        for (channel, started) in &starts {
            self.tell_start(slot, channel, started);
        }
        self.pump(slot);
    }

    /// Targets of sources that appeared after the list was made start at their beginning.
    fn start_unlisted(&mut self, topic: &Topic, slot: u32, sources: &Sources) {
        let listed: ChannelMap<()> = sources.heads.iter().map(|(channel, _)| (channel.clone(), ())).collect();
        for id in self.router.covered(topic) {
            let Some(session) = self.sessions.get_mut(slot as usize) else { return };
            let Some(index) = session.place(id) else { continue };
            let Some(entry) = self.router.entry(id) else { continue };
            let is_listed = listed.contains_key(&entry.channel);
            let Some(target) = entry.targets.get_mut(index) else { continue };
            match target.cursor {
                Cursor::Joining if sources.partial && target.covers.len() > 1 => {
                    target.start_after(target.sent)
                }
                Cursor::Joining if sources.partial => {
                    target.cursor = Cursor::Fresh;
                    continue;
                }
                Cursor::Joining => target.start_after(0),
                Cursor::Fresh if !sources.partial => target.start_after(0),
                // Another subscription has begun later in it.
                _ if !is_listed && !sources.partial && target.mode == Mode::Every && target.start > 0 => {
                    target.rewind(0);
                }
                _ => continue,
            }
            if !session.behind.contains(&id) {
                session.behind.push(id);
            }
        }
    }

    fn joined_topic(&mut self, request: &JoinRequest) -> Option<Topic> {
        let session = self.live(request.key)?;
        Some(session.subscription(request.subscription)?.topic.clone())
    }

    /// Every target has its place: what comes from now on is live.
    fn end_joining(&mut self, request: &JoinRequest, partial: bool) {
        let session = self.live(request.key);
        if let Some(subscription) = session.and_then(|session| session.subscription(request.subscription)) {
            subscription.joining = false;
            subscription.partial = partial;
        }
    }

    fn confirmation(&self, topic: Topic, request: &JoinRequest, now: Now) -> Confirmation {
        let hint = match &topic {
            Topic::Channel(channel) if !channel.declared() => self.hub.catalog().suggest(channel.name()),
            _ => None,
        };
        Confirmation {
            topic,
            head: None,
            recovered: None,
            partial: false,
            max_rate: request.options.max_rate,
            hint,
            covers: None,
            time_us: now.wall_us,
            req: request.req.clone(),
        }
    }

    /// Decides where a target begins, from what the client has and where the channel stands.
    fn start_target(
        &mut self,
        id: u32,
        request: &JoinRequest,
        since: Option<&Since>,
        head: &Head,
        not_before: u64,
    ) -> Started {
        let mut started = Started::plan(since, head);
        let Some(session) = self.sessions.get_mut(request.key.slot as usize) else { return started };
        let Some(index) = session.place(id) else { return started };
        let Some(entry) = self.router.entry(id) else { return started };
        let Some(target) = entry.targets.get_mut(index) else { return started };
        let covering = session.subscriptions.iter().filter(|s| target.covers.contains(&s.id));
        let wants_newest =
            |s: &Subscription| wish(&entry.channel, s).is_some_and(|(mode, _)| mode == Mode::Latest);
        // Who asks for the newest gets it, also where another subscription makes the target one of every message.
        let replay = (entry.channel.spec().replay_on_subscribe as u64)
            .max(u64::from(covering.clone().any(wants_newest)));
        let newest = covering.filter(|s| s.id == request.subscription).any(wants_newest);
        if target.mode == Mode::Latest {
            // What was missed is superseded by the newest, which follows.
            started.recovered = started.void_from.take().is_none();
        }
        if matches!(target.cursor, Cursor::Joining | Cursor::Fresh) {
            target.start_after(match (target.mode, since) {
                (Mode::Latest, Some(_)) if started.recovered && not_before == 0 => started.after,
                (Mode::Latest, _) => 0,
                (Mode::Every, Some(_)) => started.after,
                (Mode::Every, None) => head.top.saturating_sub(replay).max(head.oldest.saturating_sub(1)),
            });
            // What is too old for this subscription may be news to another.
            target.not_before_us = if target.covers.len() > 1 { 0 } else { not_before };
        } else {
            target.not_before_us = 0;
            let top = target.sent.max(head.top);
            let lacks_newest =
                newest && target.sent == target.start && (since.is_none() || started.after < top);
            let from_newest = if lacks_newest { top.saturating_sub(1) } else { top };
            // Asked for older ones, or told out of turn: answers of one target may overtake each other.
            let goes_back = match target.mode {
                Mode::Every => started.after.min(from_newest) < target.start,
                Mode::Latest => from_newest < target.sent,
            };
            if !goes_back {
                return started;
            }
            target.rewind(if target.mode == Mode::Every {
                started.after.min(from_newest)
            } else {
                from_newest
            });
        }
        if !session.behind.contains(&id) {
            session.behind.push(id);
        }
        started
    }

    fn tell_start(&mut self, slot: u32, channel: &Channel, started: &Started) {
        if let Some(from) = started.void_from {
            let gap = Reply::Gap { channel: channel.clone(), from, to: None, reason: GapReason::Epoch };
            self.reply_in_lane(slot, channel.lane(), &gap);
        }
    }
}

/// Where a subscription begins.
struct Started {
    after: u64,
    recovered: bool,
    /// The client's offsets from here on counted under another epoch.
    void_from: Option<u64>,
}

impl Started {
    fn plan(since: Option<&Since>, head: &Head) -> Self {
        let Some(since) = since else { return Started { after: head.top, recovered: true, void_from: None } };
        let same_epoch = since.epoch.as_deref().is_none_or(|epoch| *epoch == *head.epoch);
        if !same_epoch || since.offset > head.top {
            return Started { after: 0, recovered: false, void_from: Some(since.offset.saturating_add(1)) };
        }
        let recovered = since.offset == head.top || head.oldest <= since.offset + 1;
        Started { after: since.offset, recovered, void_from: None }
    }
}

fn covers(hub: &crate::hub::Hub, channel: &Channel) -> Option<Vec<Box<str>>> {
    let families = hub.catalog().rolled_up_by(channel.name());
    channel.is_roll_up().then(|| families.iter().map(|spec| Box::from(spec.template.as_str())).collect())
}
