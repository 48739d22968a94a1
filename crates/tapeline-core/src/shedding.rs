//! When all outboxes of a shard together are over their bound: the largest go to catch-up, what is then still too
//! much is closed with 1013. Nothing is lost unsaid: what was queued is read again from the broker, or stays.

use std::sync::Arc;

use tapeline_schema::CloseCode;

use crate::message::Message;
use crate::outbox::Unsent;
use crate::shard::Shard;
use crate::target::{Cursor, Mode};

impl Shard {
    /// `waiting` bytes wait in all outboxes.
    pub(crate) fn shed(&mut self, mut waiting: usize) {
        let bound = self.hub.settings().outboxes_bytes;
        let sizes = self.sessions.iter().map(|(slot, session)| (session.outbox.bytes(), slot));
        let mut largest: Vec<(usize, usize)> = sizes.collect();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        for (bytes, slot) in largest {
            if waiting <= bound {
                return;
            }
            let Ok(slot) = u32::try_from(slot) else { continue };
            self.shed_session(slot);
            let left = self.sessions.get(slot as usize).map_or(0, |session| session.outbox.bytes());
            if left == bytes {
                self.stats.closed_overloaded.add(1);
                self.close(slot, CloseCode::Overloaded, "all outboxes together are over their bound");
            }
            waiting = waiting.saturating_sub(bytes.saturating_sub(left));
        }
    }

    /// Takes back what is queued for a session; its targets catch up from before it. What only this session is told
    /// stays, and what nobody could read again, because its epoch is over.
    fn shed_session(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        for (lane, unsent) in session.outbox.clear() {
            let taken_back = match &unsent {
                Unsent::Message(message) => self.unsend(slot, message),
                Unsent::Reply(_) => false,
            };
            let Some(session) = self.sessions.get_mut(slot as usize) else { return };
            match unsent {
                Unsent::Reply(bytes) => session.outbox.push_reply(lane, bytes),
                Unsent::Message(message) => {
                    let id = self.router.find(&message.channel);
                    if !taken_back && id.is_some_and(|id| session.place(id).is_some()) {
                        session.outbox.push(lane, message);
                    }
                }
            }
        }
    }

    /// Answers whether a target is to queue the message again, after this one or one before.
    fn unsend(&mut self, slot: u32, message: &Arc<Message>) -> bool {
        let mut taken_back = false;
        for (channel, offset, epoch) in message.places() {
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
            match target.mode {
                Mode::Table => target.sent = target.sent.min(message.since),
                Mode::Latest | Mode::Every => target.take_back(offset),
            }
            if target.cursor == Cursor::Live {
                target.cursor = Cursor::Behind;
                session.behind.push(id);
                self.stats.catch_ups.add(1);
            }
        }
        taken_back
    }
}
