//! When all outboxes of a shard together are over their bound: the largest go to catch-up, the least urgent lane of all
//! of them first and the most urgent one last; what is then still too much is closed with 1013. Nothing is lost unsaid:
//! what was queued is read again from the broker, or stays.
//!
//! Outboxes are not weighed at every delivery. What messages may at most have added is summed up, one addition for all
//! who hear one; only when that would fill what was left at the last weighing are they weighed again.

use std::cmp::Reverse;
use std::sync::Arc;

use tapeline_schema::CloseCode;

use crate::channel::Channel;
use crate::incidents::IncidentKind;
use crate::item::Item;
use crate::lanes::LANES;
use crate::message::{Epoch, Message};
use crate::outbox::Unsent;
use crate::session::Session;
use crate::shard::Shard;
use crate::target::{Cursor, Mode, Target};

/// Outboxes that are nearly full are weighed each time so much of their bound may have been added.
const LEAST_ALLOWANCE: usize = 16;
/// Shedding makes so much of the bound free, so that it is not begun anew by the next message.
const MADE_FREE: usize = 8;

/// When outboxes have to be weighed.
#[derive(Default)]
pub(crate) struct Scale {
    added: usize,
    allowance: usize,
}

impl Scale {
    /// So many bytes may have been queued.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.added = self.added.saturating_add(bytes);
    }
}

impl Shard {
    /// Weighs all outboxes if they may have come over their bound since the last time.
    pub(crate) fn weigh_if_due(&mut self) {
        if self.scale.added > self.scale.allowance {
            self.weigh();
        }
    }

    /// Weighs all outboxes, and sheds what is too much.
    pub(crate) fn weigh(&mut self) {
        // Where memory as a whole is short, what is queued here gives way first.
        let bound = self.hub.settings().outboxes_bytes >> self.hub.pressure().step();
        // Who is being closed is gone in a moment, and what it is still told is told.
        let staying = self.sessions.iter().filter(|(_, session)| !session.closing);
        let mut waiting = staying.map(|(_, session)| session.outbox.bytes()).sum();
        if waiting > bound {
            self.shed(&mut waiting, bound);
        }
        self.scale.added = 0;
        self.scale.allowance = bound.saturating_sub(waiting).max(bound / LEAST_ALLOWANCE);
        self.stats.waiting_bytes.set(waiting as u64);
    }

    fn shed(&mut self, waiting: &mut usize, bound: usize) {
        let largest = self.largest();
        let enough = bound - bound / MADE_FREE;
        for lane in (0..LANES).rev() {
            for (_, slot) in &largest {
                if *waiting <= enough {
                    return;
                }
                let before = self.waiting_for(*slot);
                self.shed_lane(*slot, lane);
                *waiting = waiting.saturating_sub(before.saturating_sub(self.waiting_for(*slot)));
            }
        }
        for (_, slot) in self.largest() {
            if *waiting <= bound {
                return;
            }
            *waiting = waiting.saturating_sub(self.waiting_for(slot));
            self.stats.closed_overloaded.bump(1);
            let reason = "all outboxes together are over their bound (limits.outboxes_bytes)";
            self.report(slot, IncidentKind::Closed, "overloaded", "", reason);
            self.close(slot, CloseCode::Overloaded, reason);
        }
    }

    /// Sessions with something queued, the largest first. Where the socket takes bytes, what waits is about to leave by
    /// itself, so those come last.
    fn largest(&self) -> Vec<(Reverse<(bool, usize)>, u32)> {
        let size = |(slot, session): (usize, &Session)| {
            let bytes = session.outbox.bytes();
            let slot = u32::try_from(slot).unwrap_or(u32::MAX);
            (bytes > 0 && !session.closing).then_some((Reverse((session.is_blocked(), bytes)), slot))
        };
        let mut largest: Vec<_> = self.sessions.iter().filter_map(size).collect();
        largest.sort_unstable();
        largest
    }

    fn waiting_for(&self, slot: u32) -> usize {
        self.sessions.get(slot as usize).map_or(0, |session| session.outbox.bytes())
    }

    /// Takes back what is queued for a session in one lane; its targets catch up from before it. What only this session
    /// is told stays, and what nobody could read again, because its epoch is over.
    fn shed_lane(&mut self, slot: u32, lane: usize) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        session.oldest = 0;
        for unsent in session.outbox.clear_lane(lane) {
            let each_way = self.wire(slot).is_some_and(|wire| wire.by_subscription());
            let taken_back = match &unsent {
                Unsent::Message(message) if each_way => self.unsend(slot, message, Some(&message.channel)),
                Unsent::Message(message) => self.unsend(slot, message, None),
                Unsent::Named(named) => self.unsend(slot, &named.message, Some(&named.channel)),
                Unsent::Reply(_) => false,
            };
            let Some(session) = self.sessions.get_mut(slot as usize) else { return };
            let (channel, item) = match unsent {
                Unsent::Reply(bytes) => {
                    session.outbox.push_reply(lane, bytes);
                    continue;
                }
                Unsent::Message(message) => (message.channel.clone(), Item::Message(message)),
                Unsent::Named(named) => (named.message.channel.clone(), Item::Named(named)),
            };
            let id = self.router.find(&channel);
            if !taken_back && id.is_some_and(|id| session.place(id).is_some()) {
                session.outbox.push(lane, item);
            }
        }
    }

    /// Whether the session has been told where this epoch of a roll-up ended: what is queued of it comes before that, or
    /// never.
    fn was_told_to_end(&self, slot: u32, channel: &Channel, epoch: &Epoch) -> bool {
        let Some(id) = self.router.find(channel).filter(|id| self.is_ended(*id, epoch)) else { return false };
        let index = self.sessions.get(slot as usize).and_then(|session| session.place(id));
        let target = self.router.entries.get(id as usize).zip(index);
        target.and_then(|(entry, index)| entry.targets.get(index)).is_some_and(Target::hears_each)
    }

    /// Answers whether a target is to queue the message again, after this one or one before; `only` the one of this channel,
    /// where the session hears the message through each of its entries.
    fn unsend(&mut self, slot: u32, message: &Arc<Message>, only: Option<&Channel>) -> bool {
        let mut taken_back = false;
        let asked = |(channel, _, _): &(&Channel, u64, _)| only.is_none_or(|only| only == *channel);
        let mut roll_ups =
            message.places().filter(asked).filter(|(channel, ..)| **channel != message.channel);
        if roll_ups.any(|(channel, _, epoch)| self.was_told_to_end(slot, channel, epoch)) {
            // All that was queued under that count stays, so that its order does.
            return false;
        }
        for (channel, offset, epoch) in message.places().filter(asked) {
            let Some(session) = self.sessions.get_mut(slot as usize) else { break };
            let Some(id) = self.router.find(channel) else { continue };
            let Some(index) = session.place(id) else { continue };
            let entry = self.router.entry(id).filter(|entry| entry.epoch.as_ref() == Some(epoch));
            let Some(target) = entry.and_then(|entry| entry.targets.get_mut(index)) else { continue };
            // Who wants the newest of each source has it from the source's own entry.
            let collected = target.mode == Mode::Latest && message.channel != *channel;
            if collected {
                continue;
            }
            taken_back |= target.owns(offset) || offset > target.sent;
            if !target.owns(offset) {
                continue;
            }
            if message.rows.is_some() {
                // What it says cannot be said from just before its own offset.
                target.whole |= target.mode == Mode::Every && message.since + 1 < offset;
            }
            target.take_back(offset);
            if target.mode == Mode::Table {
                target.sent = target.sent.min(message.since);
            }
            if target.cursor == Cursor::Live {
                target.cursor = Cursor::Behind;
                session.behind.push(id);
                self.stats.families.of(message.family()).catch_ups.bump(1);
            }
        }
        taken_back
    }
}
