//! Hops 6 and 7: a message from the inbox reaches the outboxes of all sessions that hear it.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::channel::Channel;
use crate::clock::Now;
use crate::message::{Epoch, Message};
use crate::reply::{GapReason, Reply};
use crate::session::Session;
use crate::settings::Settings;
use crate::shard::{RateDue, Shard};
use crate::stats::ShardStats;
use crate::target::{Cursor, Mode, Target};

/// A message on its way into the outboxes of one entry.
struct Offer<'a> {
    message: &'a Arc<Message>,
    /// As the entry's channel counts.
    offset: u64,
    entry: u32,
    lane: usize,
    /// The inbox is over half: what may conflate does.
    pressured: bool,
    settings: &'a Settings,
    stats: &'a ShardStats,
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
    fn to(&self, target: &mut Target, session: &mut Session) -> Offered {
        match target.cursor {
            Cursor::Live => {}
            Cursor::Fresh => {
                target.start_after(self.offset - 1);
                target.cursor = Cursor::Live;
            }
            Cursor::Joining | Cursor::Behind | Cursor::Reading => return Offered::Passed,
        }
        if self.offset <= target.sent || session.closing {
            return Offered::Passed;
        }
        let weight = self.message.weight();
        let fits = session.outbox.fits(weight, self.settings.outbox_bytes, self.settings.outbox_messages);
        let in_order = target.mode == Mode::Latest || target.sent + 1 == self.offset;
        if !fits || !in_order {
            target.cursor = Cursor::Behind;
            session.behind.push(self.entry);
            self.stats.catch_ups.add(1);
            return Offered::FellBehind;
        }
        let conflates = session.is_blocked() || self.pressured || session.outbox.waits(target.waiting, self.entry);
        if target.mode == Mode::Latest && conflates {
            self.overwrite(target, session);
        } else {
            session.outbox.push(self.lane, self.message.clone());
        }
        target.sent = self.offset;
        Offered::Queued
    }

    fn overwrite(&self, target: &mut Target, session: &mut Session) {
        let message = self.message.clone();
        if session.outbox.push_latest(self.lane, self.entry, &mut target.waiting, message) {
            self.stats.conflated_pressure.add(1);
            session.count_conflated(self.entry, 1);
        }
    }
}

impl Shard {
    /// Routes one message. `pressured` says that the inbox is over half.
    pub fn route(&mut self, message: &Arc<Message>, pressured: bool, now: Now) {
        for mark in &message.roll_ups {
            if let Some(entry) = self.router.find(&mark.channel) {
                self.offer_to_entry(entry, message, (mark.offset, &mark.epoch), pressured, now);
            }
        }
        let entry = match self.router.find(&message.channel) {
            Some(entry) => entry,
            None if self.router.expands() => self.open_entry(&message.channel, now),
            None => return,
        };
        self.offer_to_entry(entry, message, (message.offset, &message.epoch), pressured, now);
    }

    fn offer_to_entry(
        &mut self,
        id: u32,
        message: &Arc<Message>,
        (offset, epoch): (u64, &Epoch),
        pressured: bool,
        now: Now,
    ) {
        self.note_epoch(id, epoch, offset);
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        entry.last = offset;
        entry.touched_us = now.mono_us;
        if entry.overlaps > 0 {
            self.pass_over_overlaps(id, message, offset);
        }
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        let settings = self.hub.settings();
        let stats = &*self.stats;
        let offer = Offer { message, offset, entry: id, lane: entry.lane, pressured, settings, stats };
        for target in entry.targets.iter_mut().filter(|target| target.rate == 0) {
            let Some(session) = self.sessions.get_mut(target.session as usize) else { continue };
            if offer.to(target, session) == Offered::Queued {
                self.dirty.mark(target.session, session, offer.lane);
            }
        }
        if !entry.groups.is_empty() {
            self.offer_to_groups(id, message, now);
        }
    }

    /// Leading edge at once; within the interval only the newest waits.
    fn offer_to_groups(&mut self, id: u32, message: &Arc<Message>, now: Now) {
        let mut ready = Vec::new();
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        for group in &mut entry.groups {
            if now.mono_us >= group.due_us && group.pending.is_none() {
                group.due_us = now.mono_us + interval_us(group.rate);
                ready.push(group.rate);
            } else if group.pending.replace(message.clone()).is_some() {
                self.stats.conflated_rate.add(u64::from(group.members));
            } else {
                self.rates.push(Reverse(RateDue { due_us: group.due_us, entry: id, rate: group.rate }));
            }
        }
        for rate in ready {
            self.offer_to_group(id, rate, message);
        }
    }

    fn offer_to_group(&mut self, id: u32, rate: u8, message: &Arc<Message>) {
        let settings = self.hub.settings();
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        let Some(offset) = message.offset_in(&entry.channel) else { return };
        let (stats, pressured) = (&*self.stats, false);
        let offer = Offer { message, offset, entry: id, lane: entry.lane, pressured, settings, stats };
        for target in entry.targets.iter_mut().filter(|target| target.rate == rate) {
            let Some(session) = self.sessions.get_mut(target.session as usize) else { continue };
            if offer.to(target, session) == Offered::Queued {
                self.dirty.mark(target.session, session, offer.lane);
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
            let Some(group) = entry.groups.iter_mut().find(|group| group.rate == due.rate) else { continue };
            let Some(message) = group.pending.take() else { continue };
            group.due_us = now.mono_us + interval_us(group.rate);
            self.offer_to_group(due.entry, due.rate, &message);
        }
    }

    /// Targets whose session has this message already, through another entry, step over it.
    fn pass_over_overlaps(&mut self, id: u32, message: &Message, offset: u64) {
        let Some(entry) = self.router.entries.get(id as usize) else { return };
        let overlapping: Vec<usize> =
            entry.targets.iter().enumerate().filter(|(_, t)| t.overlap).map(|(index, _)| index).collect();
        for index in overlapping {
            let Some(entry) = self.router.entries.get(id as usize) else { return };
            let Some(target) = entry.targets.get(index) else { continue };
            let next = target.cursor == Cursor::Live && target.sent < offset;
            let in_order = target.mode == Mode::Latest || target.sent + 1 == offset;
            if next && in_order && self.queued_elsewhere(id, target.session, message) {
                if let Some(target) = self.router.entry(id).and_then(|entry| entry.targets.get_mut(index)) {
                    target.sent = offset;
                }
            }
        }
    }

    /// Whether the session has queued the message through another entry than this one.
    pub(crate) fn queued_elsewhere(&self, id: u32, slot: u32, message: &Message) -> bool {
        let Some(session) = self.sessions.get(slot as usize) else { return false };
        let queued = |channel: &Channel, offset: u64| {
            let Some(other) = self.router.find(channel).filter(|other| *other != id) else { return false };
            let target = session.place(other).and_then(|index| {
                self.router.entries.get(other as usize).and_then(|entry| entry.targets.get(index))
            });
            target.is_some_and(|target| target.has_queued(offset))
        };
        queued(&message.channel, message.offset)
            || message.roll_ups.iter().any(|mark| queued(&mark.channel, mark.offset))
    }

    /// Remembers what an entry's offsets count under; a new epoch voids the old ones and is said to everyone.
    pub(crate) fn note_epoch(&mut self, id: u32, epoch: &Epoch, first: u64) {
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        match &entry.epoch {
            Some(known) if Arc::ptr_eq(known, epoch) => return,
            Some(known) if known == epoch => {}
            None => {}
            Some(_) => return self.begin_epoch(id, epoch, first),
        }
        entry.epoch = Some(epoch.clone());
    }

    fn begin_epoch(&mut self, id: u32, epoch: &Epoch, first: u64) {
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        entry.epoch = Some(epoch.clone());
        entry.last = 0;
        let mut gaps = Vec::new();
        for target in &mut entry.targets {
            target.done = None;
            if target.mode == Mode::Every && matches!(target.cursor, Cursor::Live | Cursor::Behind | Cursor::Reading) {
                gaps.push((target.session, target.sent + 1));
            }
            target.sent = 0;
            target.start = 0;
            if target.cursor == Cursor::Live && first > 1 && target.mode == Mode::Every {
                target.cursor = Cursor::Behind;
                if let Some(session) = self.sessions.get_mut(target.session as usize) {
                    session.behind.push(id);
                }
            }
        }
        let (channel, lane) = (entry.channel.clone(), entry.lane);
        for (slot, from) in gaps {
            let gap = Reply::Gap { channel: channel.clone(), from, to: None, reason: GapReason::Epoch };
            self.reply_in_lane(slot, lane, &gap);
        }
    }
}

fn interval_us(rate: u8) -> u64 {
    1_000_000 / u64::from(rate.max(1))
}
