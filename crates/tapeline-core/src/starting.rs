//! Where a subscription begins: the broker has said where the channel or its sources stand, so each target gets its
//! place and the client its confirmation.

use crate::broker::{Head, Sources};
use crate::channel::{Channel, ChannelMap};
use crate::clock::Now;
use crate::command::{Since, SubscribeOptions};
use crate::incidents::IncidentKind;
use crate::outbox::NOT_WAITING;
use crate::reply::{Confirmation, GapReason, Reply, Topic};
use crate::session::Subscription;
use crate::shard::Shard;
use crate::subscribing::JoinRequest;
use crate::target::{Cursor, Mode, Target};
use crate::turns::Start;
use crate::ways::Ways;
use crate::wishes::wish;

impl Shard {
    /// The broker has said where a subscription begins. Where answers have an order, it begins when all that was asked
    /// before it has been answered: no message of it may come before its confirmation, which waits for those.
    pub(crate) fn start_in_turn(&mut self, start: Start, now: Now) {
        let JoinRequest { key, req, .. } = start.request();
        let (key, req) = (*key, req.clone());
        let Some(session) = self.live(key) else { return };
        let turn = req.as_deref().and_then(|req| session.outbox.wire().turn(req));
        match turn.zip(session.turns.as_mut()) {
            Some((turn, turns)) => {
                turns.hold(turn, start);
                self.take_turns(key.slot);
            }
            None => self.start(start, now),
        }
    }

    /// Its turn has come, or there is no order.
    pub(crate) fn start(&mut self, start: Start, now: Now) {
        let JoinRequest { key, req, .. } = start.request();
        let Some(topic) = self.joined_topic(start.request()) else {
            // It has ended before it began. What comes after it in the order of answers must not wait for it.
            let wire = self.wire(key.slot).zip(req.as_deref());
            if let Some(turn) = wire.and_then(|(wire, req)| wire.turn(req)) {
                self.answer(key.slot, turn, &[]);
                self.on_answered(*key, 0);
            }
            return;
        };
        match start {
            Start::Joined(joined) => self.on_joined(joined.0, topic, &joined.1, now),
            Start::Sources(sources) => self.on_sources(sources.0, topic, sources.1, now),
            Start::Ask(request) => self.ask_where_it_stands(&topic, *request),
        }
    }

    /// The broker says where a channel stands.
    fn on_joined(&mut self, request: JoinRequest, topic: Topic, head: &Head, now: Now) {
        let slot = request.key.slot;
        let Topic::Channel(channel) = &topic else { return };
        let Some(id) = self.router.find(channel) else { return };
        if self.is_overtaken(channel, head, request.asked) {
            self.ask_where_it_stands(&topic, request);
            // The first time had joined already.
            return self.hub.broker().leave(channel);
        }
        // Whose the channel is may only be known now.
        let allowed = self.live(request.key).map(|session| session.grant.clone());
        if let Some(Err(refusal)) = allowed.map(|grant| self.hub.may_read(&grant, channel)) {
            return self.expel(slot, request.subscription, &topic, refusal, &request.req);
        }
        self.learn_epoch(id, &head.epoch);
        let options = &request.options;
        let each = options.since_each.iter().find(|(name, _)| **name == *channel.name());
        let place = options.since.as_ref().or(each.map(|(_, since)| since));
        let (since, not_before) = resumes_from(options, place);
        let started = self.start_target(id, &request, since, head, not_before);
        self.end_joining(&request, false);
        self.find_ways(id, slot);
        let confirmation = Confirmation {
            head: Some((head.top, head.epoch.clone())),
            stands: self.stands(id, slot, head),
            recovered: place.map(|_| started.recovered),
            covers: covers(&self.hub, channel),
            ..self.confirmation(topic.clone(), &request, now)
        };
        self.reply_in_lane(slot, channel.lane(), &Reply::Confirmed(Box::new(confirmation)));
        self.tell_start(slot, channel, &started);
        self.count_recovery(slot, channel, place, &started, head);
        self.tell_if_stale(slot, channel);
        self.pump(slot);
    }

    /// The broker lists the sources of a roll-up or pattern.
    fn on_sources(&mut self, request: JoinRequest, topic: Topic, sources: Sources, now: Now) {
        let slot = request.key.slot;
        if sources.heads.iter().any(|(channel, head)| self.is_overtaken(channel, head, request.asked)) {
            return self.ask_where_it_stands(&topic, request);
        }
        // Who it is may have changed since it asked.
        let Some(grant) = self.live(request.key).map(|session| session.grant.clone()) else { return };
        if let Err(refusal) = self.hub.may_subscribe(&grant, &topic) {
            return self.expel(slot, request.subscription, &topic, refusal, &request.req);
        }
        if grant.identity().is_some() {
            self.weigh_sources(slot, request.subscription, &topic);
        }
        let mut starts = Vec::new();
        let mut names = Vec::new();
        let options = &request.options;
        let is_open = |channel: &Channel| self.hub.may_read(&grant, channel).is_ok();
        let limit = self.hub.settings().snapshot_sources;
        let mut open: Vec<_> = sources.heads.iter().filter(|(channel, _)| is_open(channel)).collect();
        let partial = sources.partial || open.len() > limit;
        open.truncate(limit);
        for (channel, head) in open {
            let id = self.entry_for(channel, now);
            self.learn_epoch(id, &head.epoch);
            let listed =
                options.since_each.iter().find(|(name, _)| **name == *channel.name()).map(|(_, since)| since);
            let (since, not_before) = resumes_from(options, listed);
            let started = self.start_target(id, &request, since, head, not_before);
            self.count_recovery(slot, channel, listed, &started, head);
            starts.push((channel.clone(), started));
            names.push(Box::from(channel.name()));
        }
        let listed: ChannelMap<()> = sources.heads.iter().map(|(channel, _)| (channel.clone(), ())).collect();
        if !partial {
            starts.extend(self.forgotten(&topic, &request, &listed));
        }
        self.start_unlisted(&topic, slot, &listed, partial);
        self.end_joining(&request, partial);
        self.router.covered(&topic).into_iter().for_each(|id| self.find_ways(id, slot));
        let resumes = !options.since_each.is_empty() || options.since_time_us.is_some();
        let all = starts.iter().all(|(_, started)| started.recovered);
        names.truncate(100);
        let covers = match &topic {
            Topic::Channel(channel) => covers(&self.hub, channel),
            Topic::Pattern(_) => Some(names),
        };
        let confirmation = Confirmation {
            recovered: resumes.then_some(all && !partial),
            partial,
            covers,
            ..self.confirmation(topic, &request, now)
        };
        self.reply_in_lane(slot, 0, &Reply::Confirmed(Box::new(confirmation)));
        for (channel, started) in &starts {
            self.tell_start(slot, channel, started);
            self.tell_if_stale(slot, channel);
        }
        self.pump(slot);
    }

    /// Sources that the client has a place in and the broker has forgotten: what came after that place is void.
    fn forgotten(
        &mut self,
        topic: &Topic,
        request: &JoinRequest,
        listed: &ChannelMap<()>,
    ) -> Vec<(Channel, Started)> {
        let mut forgotten = Vec::new();
        let hub = self.hub.clone();
        let Some(session) = self.live(request.key) else { return forgotten };
        let grant = session.grant.clone();
        let Some(subscription) = session.subscription(request.subscription) else { return forgotten };
        for (name, since) in request.options.since_each.iter().filter(|(_, since)| since.offset > 0) {
            let Ok(channel) = hub.channel(name) else { continue };
            if hub.may_read(&grant, &channel).is_err() {
                continue;
            }
            if listed.contains_key(&channel) || !topic.covers(&channel) {
                continue;
            }
            let (mode, _) = wish(&channel, subscription);
            let void_from = (mode == Mode::Every).then(|| since.offset.saturating_add(1));
            forgotten.push((channel, Started { after: 0, recovered: false, void_from }));
        }
        forgotten
    }

    /// Targets of sources that appeared after the list was made start at their beginning.
    fn start_unlisted(&mut self, topic: &Topic, slot: u32, listed: &ChannelMap<()>, partial: bool) {
        for id in self.router.covered(topic) {
            let Some(session) = self.sessions.get_mut(slot as usize) else { return };
            let Some(index) = session.place(id) else { continue };
            let Some(entry) = self.router.entry(id) else { continue };
            let is_listed = listed.contains_key(&entry.channel);
            let Some(target) = entry.targets.get_mut(index) else { continue };
            match target.cursor {
                Cursor::Joining if partial && target.covers.len() > 1 => target.start_after(target.sent),
                Cursor::Joining if partial => {
                    target.cursor = Cursor::Fresh;
                    continue;
                }
                Cursor::Joining => target.start_after(0),
                Cursor::Fresh if !partial => target.start_after(0),
                // Another subscription has begun later in it.
                _ if !is_listed && !partial && target.mode == Mode::Every && target.start > 0 => {
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

    /// One more of the subscriptions that cover a target has begun.
    fn find_ways(&mut self, id: u32, slot: u32) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let Some(index) = session.place(id).filter(|_| session.outbox.wire().by_subscription()) else {
            return;
        };
        let Some(entry) = self.router.entry(id) else { return };
        if let Some(target) = entry.targets.get_mut(index) {
            target.ways = Ways::of(&entry.channel, &target.covers, session);
            // What is named by one more subscription must not take the place of what waits before its confirmation.
            target.waiting = NOT_WAITING;
        }
    }

    fn confirmation(&self, topic: Topic, request: &JoinRequest, now: Now) -> Confirmation {
        // It is looked for among all families. Who is spoken to by subscription has no word for it.
        let wire = self.wire(request.key.slot);
        let may_hint = wire.is_some_and(|wire| !wire.by_subscription());
        let hint = match &topic {
            Topic::Channel(channel) if !channel.declared() && may_hint => {
                self.hub.catalog().suggest(channel.name())
            }
            _ => None,
        };
        Confirmation {
            topic,
            head: None,
            stands: None,
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
        if entry.channel.is_table() {
            if begin_in_table(target, since, &mut started, head) && !session.behind.contains(&id) {
                session.behind.push(id);
            }
            return started;
        }
        let covering = target.covers.iter().filter_map(|id| session.subscriptions.by_id(*id));
        let wants_newest = |s: &Subscription| wish(&entry.channel, s).0 == Mode::Latest;
        // Who asks for the newest gets it, also where another subscription makes the target one of every message.
        // Who has never heard of the newest has use for it however old it is.
        let not_before = if target.mode == Mode::Every { not_before } else { 0 };
        let replay = (entry.channel.spec().replay_on_subscribe as u64)
            .max(u64::from(covering.clone().any(wants_newest)));
        let newest = covering.filter(|s| s.id == request.subscription).any(wants_newest);
        if target.mode == Mode::Latest {
            // What was missed is superseded by the newest, which follows.
            started.recovered = started.void_from.take().is_none();
        }
        if matches!(target.cursor, Cursor::Joining | Cursor::Fresh) {
            target.start_after(match (target.mode, since) {
                (Mode::Latest | Mode::Table, Some(_)) if started.recovered => started.after,
                (Mode::Latest | Mode::Table, _) => 0,
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
            let (after, reached) = match target.mode {
                Mode::Every => (started.after.min(from_newest), target.start),
                Mode::Latest | Mode::Table => (from_newest, target.sent),
            };
            if after >= reached {
                return started;
            }
            target.rewind(after);
        }
        if !session.behind.contains(&id) {
            session.behind.push(id);
        }
        started
    }

    /// Where a session stands in a channel that it now begins to hear, see [`Confirmation::stands`].
    fn stands(&self, id: u32, slot: u32, head: &Head) -> Option<u64> {
        if head.top == 0 {
            return Some(0);
        }
        let index = self.sessions.get(slot as usize)?.place(id)?;
        let target = self.router.entries.get(id as usize)?.targets.get(index)?;
        (target.mode == Mode::Every && !target.whole).then_some(target.start)
    }

    /// A client came back with its place: whether it lacks nothing is counted, and remembered if it does.
    fn count_recovery(
        &self,
        slot: u32,
        channel: &Channel,
        since: Option<&Since>,
        started: &Started,
        head: &Head,
    ) {
        let Some(since) = since else { return };
        if started.recovered {
            return self.stats.recovered.bump(1);
        }
        self.stats.not_recovered.bump(1);
        let (reason, message) = match since.epoch.as_deref().filter(|epoch| **epoch != *head.epoch) {
            Some(epoch) => {
                let message = format!(
                    "it came back with offset {} of epoch {epoch}; the channel counts under {} now",
                    since.offset, head.epoch
                );
                (GapReason::Epoch, message)
            }
            None if since.offset > head.top => {
                let (asked, top) = (since.offset, head.top);
                (
                    GapReason::Epoch,
                    format!("it came back with offset {asked}; the channel has only come to {top}"),
                )
            }
            None => {
                let message = format!(
                    "it came back after offset {}; what is kept begins at {} (keep of {})",
                    since.offset,
                    head.oldest,
                    channel.spec().family
                );
                (GapReason::Trimmed, message)
            }
        };
        self.report(slot, IncidentKind::NotRecovered, reason.name(), channel.name(), &message);
    }

    fn tell_start(&mut self, slot: u32, channel: &Channel, started: &Started) {
        if let Some(from) = started.void_from {
            let gap = Reply::Gap { channel: channel.clone(), from, to: None, reason: GapReason::Epoch };
            self.reply_in_lane(slot, channel.lane(), &gap);
        }
    }
}

/// Asks for all that is kept.
static ALL_KEPT: Since = Since { offset: 0, epoch: None };

/// What a client that comes back has of a channel: the place that it `listed` for it, else a time.
fn resumes_from<'a>(options: &SubscribeOptions, listed: Option<&'a Since>) -> (Option<&'a Since>, u64) {
    match (listed, options.since_time_us) {
        (Some(since), _) => (Some(since), 0),
        (None, Some(time)) => (Some(&ALL_KEPT), time),
        (None, None) => (None, 0),
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

/// Where a target begins in a table: with the whole of it, or with what changed after what the client has. Answers
/// whether there is something to read.
fn begin_in_table(target: &mut Target, since: Option<&Since>, started: &mut Started, head: &Head) -> bool {
    if target.mode != Mode::Every {
        // What was missed is in what follows.
        started.recovered = started.void_from.take().is_none();
    }
    let begins = matches!(target.cursor, Cursor::Joining | Cursor::Fresh);
    match since {
        None => {
            target.whole = true;
            target.cursor = Cursor::Behind;
            match target.mode {
                Mode::Every if begins => target.start_after(head.top),
                // Answers of one target may overtake each other.
                Mode::Every if head.top < target.start => target.rewind(head.top),
                Mode::Latest | Mode::Table if begins => target.start_after(0),
                _ => {}
            }
        }
        Some(_) if begins => target.start_after(started.after),
        Some(_) if started.after >= target.sent => return false,
        Some(_) if target.mode == Mode::Every => target.rewind(started.after),
        // What is merged was not queued message by message: there is nothing to remember.
        Some(_) => target.start_after(started.after),
    }
    true
}

fn covers(hub: &crate::hub::Hub, channel: &Channel) -> Option<Vec<Box<str>>> {
    let catalog = hub.catalog();
    let families = catalog.rolled_up_by(channel.name());
    channel.is_roll_up().then(|| families.iter().map(|spec| Box::from(spec.template.as_str())).collect())
}
