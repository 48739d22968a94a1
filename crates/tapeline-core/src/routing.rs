//! Hops 6 and 7: a message from the inbox reaches the outboxes of all sessions that hear it.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::channel::Channel;
use crate::clock::Now;
use crate::delays::{received, timed};
use crate::item::Item;
use crate::message::{Epoch, Message};
use crate::router::RateGroup;
use crate::session::Session;
use crate::settings::Settings;
use crate::shard::{RateDue, Shard};
use crate::stats::{COUNTED, FamilyStats};
use crate::target::{Cursor, Mode, Target};
use crate::ways::item;

/// A message on its way into the outboxes of one entry.
struct Offer<'a> {
    message: &'a Arc<Message>,
    /// As the entry's channel counts.
    offset: u64,
    entry: u32,
    lane: usize,
    /// The inbox is over half: what may conflate does.
    pressured: bool,
    /// The entry is a roll-up's, and the message one of its sources'.
    collected: bool,
    settings: &'a Settings,
    stats: &'a FamilyStats,
}

/// Whether another target of the session serves a message too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    No,
    /// It has queued the message.
    Queued,
    /// The message is its next, at this offset of this entry.
    Next(u32, u64),
    /// It will queue the message, after others that it has still to read.
    Later(u32, u64),
    /// It may: the message counts in this entry under another epoch than is known, and nobody knows which is newer.
    Unsettled(u32),
}

impl Elsewhere {
    /// Whether a target in this mode may step over the message.
    pub(crate) fn serves(self, mode: Mode) -> bool {
        match self {
            Elsewhere::Queued => true,
            Elsewhere::Next(..) | Elsewhere::Later(..) => mode == Mode::Latest,
            Elsewhere::No | Elsewhere::Unsettled(_) => false,
        }
    }

    /// Where it has still to be queued.
    pub(crate) fn awaited(self) -> Option<(u32, u64)> {
        match self {
            Elsewhere::Next(entry, offset) | Elsewhere::Later(entry, offset) => Some((entry, offset)),
            Elsewhere::No | Elsewhere::Queued | Elsewhere::Unsettled(_) => None,
        }
    }
}

/// What became of an offer.
#[derive(PartialEq, Eq)]
enum Offered {
    Queued,
    Passed,
    FellBehind,
}

impl Offer<'_> {
    /// Hop 7: append, overwrite, or send the target into catch-up.
    // Called from one loop, once a delivery: a call of its own was 5 % of the instructions of a fan-out.
    #[inline(always)]
    fn to(&self, target: &mut Target, session: &mut Session) -> Offered {
        if self.collected && target.mode == Mode::Latest {
            // Each source's own entry conflates it.
            return Offered::Passed;
        }
        match target.cursor {
            Cursor::Live => {}
            Cursor::Fresh => {
                target.start_after(self.offset - 1);
                target.cursor = Cursor::Live;
                target.whole = self.message.rows.is_some();
            }
            Cursor::Joining | Cursor::Behind | Cursor::Reading => return Offered::Passed,
        }
        if self.offset <= target.sent || session.closing {
            return Offered::Passed;
        }
        let deliveries = target.ways.as_ref().map_or(1, |ways| ways.count(self.collected));
        let weight = self.message.weight() * deliveries;
        let fits = session.outbox.fits(weight, self.settings.outbox_bytes, self.settings.outbox_messages);
        let conflates =
            session.is_blocked() || self.pressured || session.outbox.waits(target.waiting, self.entry);
        // The broker merges what changed in a table while it could not be sent.
        let merges = target.mode == Mode::Table && conflates;
        if !fits || !self.follows(target) || merges {
            target.cursor = Cursor::Behind;
            session.behind.push(self.entry);
            self.stats.catch_ups.bump(1);
            return Offered::FellBehind;
        }
        let Some(item) = item(self.message, target.ways.as_ref(), self.collected, session.outbox.wire())
        else {
            // It comes through another entry.
            target.sent = self.offset;
            return Offered::Passed;
        };
        // What takes an older one's place would leave before what another target of the session has said since.
        if target.mode == Mode::Latest && conflates && !target.overlap {
            self.overwrite(target, session, item);
        } else {
            session.outbox.push(self.lane, item);
        }
        target.sent = self.offset;
        target.owed = None;
        target.whole &= !self.message.is_whole();
        Offered::Queued
    }

    /// Whether the message may follow what the target was sent.
    fn follows(&self, target: &Target) -> bool {
        let whole = self.message.is_whole();
        let in_order = match target.mode {
            Mode::Latest => whole,
            Mode::Table => self.message.since <= target.sent,
            Mode::Every => target.sent + 1 == self.offset,
        };
        in_order && (whole || !target.whole)
    }

    fn overwrite(&self, target: &mut Target, session: &mut Session, item: Item) {
        if session.outbox.push_latest(self.lane, self.entry, &mut target.waiting, item) {
            self.stats.conflated_pressure.bump(1);
            // What it was the time of does not leave.
            session.oldest = 0;
            target.count_conflated(session, 1);
        }
    }
}

impl Shard {
    /// Routes one message. `pressured` says that the inbox is over half.
    pub fn route(&mut self, message: &Arc<Message>, pressured: bool, now: Now) {
        self.follow_catalog();
        if COUNTED && let Some(watch) = &mut self.watch {
            watch.see(message, now);
        }
        let ended = message.channel.has_ended();
        if ended {
            // It counts under offsets that are void; who heard the channel connects again.
            self.stats.families.of(message.family()).dropped_epoch.bump(1);
        }
        // Before the roll-ups are served, so that a session's targets know of one another, and of a new epoch.
        let entry = if ended { None } else { self.entry_if_heard(&message.channel, now) };
        let counted_twice = entry.filter(|_| !message.roll_ups.is_empty());
        if let Some(entry) = counted_twice.filter(|entry| !self.is_ended(*entry, &message.epoch)) {
            self.follow_epoch(entry, &message.epoch);
        }
        for mark in message.roll_ups.iter().filter(|mark| !mark.channel.has_ended()) {
            if let Some(entry) = self.entry_if_heard(&mark.channel, now) {
                self.offer_to_entry(entry, message, (mark.offset, &mark.epoch), pressured, now);
            }
        }
        if let Some(entry) = entry {
            self.offer_to_entry(entry, message, (message.offset, &message.epoch), pressured, now);
        }
        self.weigh_if_due();
    }

    pub(crate) fn entry_if_heard(&mut self, channel: &Channel, now: Now) -> Option<u32> {
        match self.router.find(channel) {
            None if self.router.expands() => Some(self.open_entry(channel, now)),
            known => known,
        }
    }

    fn offer_to_entry(
        &mut self,
        id: u32,
        message: &Arc<Message>,
        (offset, epoch): (u64, &Epoch),
        pressured: bool,
        now: Now,
    ) {
        if self.is_ended(id, epoch) {
            return;
        }
        self.follow_epoch(id, epoch);
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        entry.last = offset;
        entry.touched_us = now.mono_us;
        let (awaits_owner, mut overlaps) = (entry.awaits.is_some(), entry.overlaps > 0);
        if awaits_owner {
            self.weigh_owner(id, now);
            // Who hears it from now on may hear it elsewhere too.
            overlaps = self.router.entry(id).is_some_and(|entry| entry.overlaps > 0);
        }
        if overlaps {
            self.pass_over_overlaps(id, message, offset);
        }
        self.offer_at_rate(id, 0, message, offset, pressured);
        if COUNTED {
            self.time_some(id, message, offset, now);
        }
        self.offer_to_groups(id, message, now);
    }

    /// Leading edge at once; what comes within the interval waits, the newest or, of a table, the changes together.
    fn offer_to_groups(&mut self, id: u32, message: &Arc<Message>, now: Now) {
        let mut ready = Vec::new();
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        for group in &mut entry.groups {
            if now.mono_us >= group.due_us && group.pending.is_empty() {
                group.due_us = now.mono_us + interval_us(group.rate);
                ready.push(group.rate);
            } else if group.hold(message) {
                self.stats.families.of(message.family()).conflated_rate.bump(u64::from(group.members));
            } else {
                self.rates.push(Reverse(RateDue { due_us: group.due_us, entry: id, rate: group.rate }));
            }
        }
        for rate in ready {
            self.offer_to_group(id, rate, message);
        }
    }

    fn offer_to_group(&mut self, id: u32, rate: u8, message: &Arc<Message>) {
        let Some(entry) = self.router.entries.get(id as usize) else { return };
        let Some(offset) = message.offset_in(&entry.channel) else { return };
        if entry.overlaps > 0 {
            // Others of a session may have begun since the message came.
            self.pass_over_overlaps(id, message, offset);
        }
        self.offer_at_rate(id, rate, message, offset, false);
    }

    /// Offers a message to the targets that asked for this rate; 0 is as it comes.
    fn offer_at_rate(&mut self, id: u32, rate: u8, message: &Arc<Message>, offset: u64, pressured: bool) {
        let settings = self.hub.settings();
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        self.scale.add(message.weight().saturating_mul(entry.targets.len()));
        let stats = self.stats.families.of(message.family());
        let collected = message.channel != entry.channel;
        let offer = Offer {
            message,
            offset,
            entry: id,
            lane: entry.lane,
            pressured,
            collected,
            settings: &settings,
            stats,
        };
        for target in entry.targets.iter_mut().filter(|target| target.rate == rate) {
            let Some(session) = self.sessions.get_mut(target.session as usize) else { continue };
            // A target that falls behind is caught up by the flush that this asks for.
            if offer.to(target, session) != Offered::Passed {
                self.dirty.mark(target.session, session, offer.lane);
            }
        }
    }

    /// Remembers for some of those who were just queued a message when it was received. Once a turn is enough, and what
    /// a rate holds back is not late.
    fn time_some(&mut self, id: u32, message: &Message, offset: u64, now: Now) {
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        if std::mem::replace(&mut entry.timed_us, now.mono_us) == now.mono_us {
            return;
        }
        let (first, step) = timed(entry.targets.len(), offset);
        for target in entry.targets.iter().skip(first).step_by(step) {
            if let Some(session) = self.sessions.get_mut(target.session as usize)
                && (target.sent, session.oldest, target.rate) == (offset, 0, 0)
                && !session.outbox.is_empty()
            {
                session.oldest = received(entry.lane, message.timestamp_us);
            }
        }
    }

    /// Trailing edges that are due.
    pub(crate) fn send_due_rates(&mut self, now: Now) {
        while let Some(Reverse(due)) = self.rates.peek().copied() {
            if due.due_us > now.mono_us {
                break;
            }
            self.rates.pop();
            let Some(entry) = self.router.entries.get_mut(due.entry as usize) else { continue };
            // A group that has gone may have left its due time to another of the same entry and rate.
            let is_due = |group: &&mut RateGroup| group.rate == due.rate && group.due_us == due.due_us;
            let Some(group) = entry.groups.iter_mut().find(is_due) else { continue };
            let lacks = std::mem::take(&mut group.lacks);
            let pending = group.take().filter(|_| !lacks);
            group.due_us = now.mono_us + interval_us(group.rate);
            match pending {
                Some(message) => self.offer_to_group(due.entry, due.rate, &message),
                None => self.read_lagging(due.entry, due.rate, lacks),
            }
        }
    }

    /// A target has been sent a message out of its group's turn and lacks a newer one: it waits for the next turn.
    pub(crate) fn await_turn(&mut self, id: u32, rate: u8, now: Now) {
        let groups = self.router.entry(id).map(|entry| &mut entry.groups);
        let Some(group) = groups.and_then(|groups| groups.iter_mut().find(|group| group.rate == rate)) else {
            return;
        };
        if group.pending.is_empty() {
            group.due_us = group.due_us.max(now.mono_us + interval_us(rate));
            self.rates.push(Reverse(RateDue { due_us: group.due_us, entry: id, rate }));
        }
    }

    /// Members of a rate's group lack a message that has not come by: they read it in the group's turn.
    pub(crate) fn read_in_turn(&mut self, id: u32, rate: u8) {
        let groups = self.router.entry(id).map(|entry| &mut entry.groups);
        let Some(group) = groups.and_then(|groups| groups.iter_mut().find(|group| group.rate == rate)) else {
            return;
        };
        group.lacks = true;
        self.rates.push(Reverse(RateDue { due_us: group.due_us, entry: id, rate }));
    }

    /// A rate's turn has come without a message: who lacks the newest reads it; where `lacks`, the entry may not know it.
    fn read_lagging(&mut self, id: u32, rate: u8, lacks: bool) {
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        let last = entry.last;
        let lags = |target: &&mut Target| {
            target.rate == rate && target.cursor == Cursor::Live && (lacks || target.sent < last)
        };
        let mut slots = Vec::new();
        for target in entry.targets.iter_mut().filter(lags) {
            let Some(session) = self.sessions.get_mut(target.session as usize) else { continue };
            target.cursor = Cursor::Behind;
            session.behind.push(id);
            slots.push(target.session);
        }
        for slot in slots {
            self.pump(slot);
        }
    }

    /// Targets whose session has this message already, through another entry, step over it; where another entry has
    /// older ones to read first, they wait with it.
    fn pass_over_overlaps(&mut self, id: u32, message: &Message, offset: u64) {
        let Some(entry) = self.router.entries.get(id as usize) else { return };
        let overlapping: Vec<usize> =
            entry.targets.iter().enumerate().filter(|(_, t)| t.overlap).map(|(index, _)| index).collect();
        for index in overlapping {
            let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
            let Some(target) = entry.targets.get_mut(index) else { continue };
            if target.cursor == Cursor::Fresh {
                target.start_after(offset - 1);
                target.cursor = Cursor::Live;
            }
            let next = target.cursor == Cursor::Live && target.sent < offset;
            let in_order = target.mode == Mode::Latest || target.sent + 1 == offset;
            if !next || !in_order {
                continue;
            }
            let (slot, mode) = (target.session, target.mode);
            let elsewhere = self.elsewhere(id, slot, message);
            self.settle(elsewhere, message);
            let Some(session) = self.sessions.get_mut(slot as usize) else { continue };
            let Some(entry) = self.router.entry(id) else { return };
            let lane = entry.lane;
            let Some(target) = entry.targets.get_mut(index) else { continue };
            if elsewhere.serves(mode) {
                target.sent = offset;
                target.owed = elsewhere.awaited();
                if !session.behind.is_empty() {
                    self.dirty.mark(slot, session, lane);
                }
            } else if matches!(elsewhere, Elsewhere::Later(..) | Elsewhere::Unsettled(_)) {
                target.cursor = Cursor::Behind;
                session.behind.push(id);
                self.stats.families.of(message.family()).catch_ups.bump(1);
                self.dirty.mark(slot, session, lane);
            }
        }
    }

    /// Whether the session is served the message through another entry than this one.
    pub(crate) fn elsewhere(&self, id: u32, slot: u32, message: &Message) -> Elsewhere {
        let Some(session) = self.sessions.get(slot as usize) else { return Elsewhere::No };
        let mut found = Elsewhere::No;
        for (channel, offset, epoch) in message.places() {
            let Some(other) = self.router.find(channel).filter(|other| *other != id) else { continue };
            let Some(index) = session.place(other) else { continue };
            let entry = self.router.entries.get(other as usize);
            let Some((entry, target)) = entry.and_then(|entry| Some((entry, entry.targets.get(index)?)))
            else {
                continue;
            };
            if entry.epoch.as_ref().is_some_and(|known| known != epoch) {
                if !entry.ended.contains(epoch) && target.hears_each() {
                    found = Elsewhere::Unsettled(other);
                }
                continue;
            }
            if target.has_queued(offset) {
                return Elsewhere::Queued;
            }
            if !target.awaits(offset) {
                continue;
            }
            if matches!(found, Elsewhere::Unsettled(_)) {
                continue;
            }
            if target.sent + 1 < offset {
                found = Elsewhere::Later(other, offset);
            } else if found == Elsewhere::No {
                found = Elsewhere::Next(other, offset);
            }
        }
        found
    }
}

impl Shard {
    /// Asks what has to be known before a message can be said to be served elsewhere.
    pub(crate) fn settle(&mut self, elsewhere: Elsewhere, message: &Message) {
        let Elsewhere::Unsettled(other) = elsewhere else { return };
        let Some(channel) = self.router.entry(other).map(|entry| entry.channel.clone()) else { return };
        if let Some((_, _, epoch)) = message.places().find(|(place, ..)| **place == channel) {
            self.ask_epoch(other, epoch);
        }
    }
}

fn interval_us(rate: u8) -> u64 {
    1_000_000 / u64::from(rate.max(1))
}
