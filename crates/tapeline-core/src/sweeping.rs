//! What a shard looks at once a second: silent, slow and closing sessions, notices that are due, memory in use.

use std::time::Duration;

use tapeline_schema::CloseCode;

use crate::clock::{Now, micros};
use crate::reply::Reply;
use crate::shard::{SWEEP_US, Shard};

/// A closing session whose socket takes no byte is given up after this.
const CLOSE_GRACE_US: u64 = 2_000_000;

impl Shard {
    pub(crate) fn sweep(&mut self, now: Now) {
        let slots: Vec<u32> = self.sessions.iter().filter_map(|(slot, _)| u32::try_from(slot).ok()).collect();
        self.router.sweep(now.mono_us.saturating_sub(60 * SWEEP_US));
        let mut waiting = 0;
        for slot in slots {
            self.sweep_session(slot, now);
            waiting += self.sessions.get(slot as usize).map_or(0, |session| session.outbox.bytes());
        }
        let before = self.stats.waiting_bytes.read();
        self.stats.waiting_bytes.add((waiting as u64).wrapping_sub(before));
        if waiting > self.hub.settings().outboxes_bytes {
            self.shed(waiting);
        }
    }

    fn sweep_session(&mut self, slot: u32, now: Now) {
        let hub = self.hub.clone();
        let settings = hub.settings();
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let blocked = if session.is_blocked() { now.since(session.blocked_us) } else { Duration::ZERO };
        if session.closing {
            if session.opened_us == 0 {
                session.opened_us = now.mono_us;
            } else if now.mono_us > session.opened_us + CLOSE_GRACE_US {
                self.finished.push(slot);
            }
            return;
        }
        if blocked >= settings.slow_close {
            self.stats.closed_slow.add(1);
            // The socket takes nothing, so the code can only be tried.
            self.close(slot, CloseCode::Slow, "no byte accepted while bytes wait");
            self.finished.push(slot);
            return;
        }
        let silent = now.since(session.sent_us) >= settings.heartbeat;
        if session.heartbeat && silent && session.outbox.is_empty() {
            session.sent_us = now.mono_us;
            self.reply_in_lane(slot, 0, &Reply::Time { pong: false, time_us: now.wall_us, req: None });
        }
        self.tell_conflated(slot);
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let grace_over = now.mono_us > session.opened_us + micros(settings.unsubscribed_grace);
        if let (false, true, Some(seat)) = (session.subscribed_once, grace_over, &mut session.seat) {
            seat.release();
        }
    }

    /// At most once a second a channel, and only when the socket takes bytes.
    fn tell_conflated(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        if session.conflated.is_empty() || session.is_blocked() {
            return;
        }
        for (entry, count) in std::mem::take(&mut session.conflated) {
            let Some((channel, lane)) = self.router.entry(entry).map(|e| (e.channel.clone(), e.lane)) else {
                continue;
            };
            self.reply_in_lane(slot, lane, &Reply::Conflated { channel, count });
        }
    }
}
