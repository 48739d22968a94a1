//! What a shard does about a broker that was away: its sessions are told that it is out of reach and that it is back,
//! and a channel that it says to stand elsewhere than the shard has seen is read, as by anybody who fell behind.
//! It refuses to guess what was lost: the pages say.

use crate::broker::Head;
use crate::channel::Channel;
use crate::clock::Now;
use crate::incidents::{IncidentKind, Trouble};
use crate::message::Epoch;
use crate::reply::{GapReason, Reply};
use crate::shard::Shard;
use crate::target::{Cursor, Mode, Target};

impl Shard {
    /// The broker says unasked where a channel stands. What it says may be older than what the shard has heard since, so of
    /// another epoch the broker is asked.
    pub(crate) fn on_head(&mut self, channel: &Channel, head: &Head, now: Now) {
        let channel = channel.current();
        if channel.has_ended() || head.epoch.is_empty() {
            return;
        }
        let Some(id) = self.entry_if_heard(channel, now) else { return };
        let differs = |known: &Epoch| *known != head.epoch;
        let known = self.router.entry(id).and_then(|entry| entry.epoch.as_ref());
        if known.is_some_and(differs) || self.is_ended(id, &head.epoch) {
            return self.ask_epoch(id, &head.epoch);
        }
        self.learn_epoch(id, &head.epoch);
        self.read_lacking(id, head);
    }

    /// Whoever hears the channel and stands elsewhere than the broker says reads what is lacking.
    pub(crate) fn read_lacking(&mut self, id: u32, head: &Head) {
        let Some(entry) = self.router.entry(id) else { return };
        // Messages that are on their way to this shard may have to be read: they are passed over when they come.
        entry.last = entry.last.max(head.top);
        let (last, family) = (entry.last, entry.channel.family());
        let mut behind = Vec::new();
        let mut rates = Vec::new();
        let lacks = |target: &&mut Target| target.cursor == Cursor::Live && target.sent < last;
        for target in entry.targets.iter_mut().filter(lacks) {
            if target.rate > 0 {
                rates.push(target.rate);
            } else {
                target.cursor = Cursor::Behind;
                behind.push(target.session);
            }
        }
        rates.sort_unstable();
        rates.dedup();
        for rate in rates {
            self.read_in_turn(id, rate);
        }
        self.stats.families.of(family).catch_ups.bump(behind.len() as u64);
        for slot in behind {
            if let Some(session) = self.sessions.get_mut(slot as usize) {
                session.behind.push(id);
            }
            self.pump(slot);
        }
    }

    /// Messages of a channel may have been lost before they were counted: told as a gap whose end nobody knows, in the
    /// roll-ups that count for themselves too.
    pub(crate) fn on_lost(&mut self, channel: &Channel) {
        let channel = channel.current();
        let roll_ups = channel.roll_ups().iter().map(Channel::current).filter(|one| one.counts_for_itself());
        for heard in std::iter::once(channel).chain(roll_ups) {
            self.tell_lost(heard);
        }
    }

    fn tell_lost(&mut self, channel: &Channel) {
        let Some(entry) = self.router.find(channel).and_then(|id| self.router.entry(id)) else { return };
        let (channel, lane, from) = (entry.channel.clone(), entry.lane, entry.last + 1);
        let hears_each = |target: &&Target| target.mode == Mode::Every && target.cursor != Cursor::Joining;
        let slots: Vec<u32> = entry.targets.iter().filter(hears_each).map(|target| target.session).collect();
        let reason = GapReason::Broker;
        for slot in slots {
            let gap = Reply::Gap { channel: channel.clone(), from, to: None, reason };
            self.report(slot, IncidentKind::Gap, reason.name(), channel.name(), reason.why());
            self.reply_in_lane(slot, lane, &gap);
        }
    }

    /// What the broker rests on is out of reach, or back.
    pub(crate) fn on_degraded(&mut self, degraded: bool, now: Now) {
        if std::mem::replace(&mut self.degraded, degraded) == degraded {
            return;
        }
        if degraded && self.watch.is_some() {
            let message =
                "the message broker is out of reach; publishes are refused or held until it is back";
            let kind = IncidentKind::BrokerLost;
            let trouble = Trouble { kind, code: "degraded", channel: "", client: "", message };
            self.hub.incidents().report(trouble, now);
        }
        let slots: Vec<u32> = self.sessions.iter().filter_map(|(slot, _)| u32::try_from(slot).ok()).collect();
        for slot in slots {
            self.tell_degraded(slot);
        }
    }

    /// Tells a session how the broker is.
    pub(crate) fn tell_degraded(&mut self, slot: u32) {
        let degraded = self.degraded;
        if self.sessions.get(slot as usize).is_some_and(|session| session.notices) {
            self.reply_in_lane(slot, 0, &Reply::Degraded(degraded));
        }
    }
}
