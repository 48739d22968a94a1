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
        for slot in slots {
            self.sweep_session(slot, now);
        }
        self.weigh();
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
            self.close(slot, CloseCode::Slow, "no byte accepted while bytes wait (limits.slow_close_s)");
            self.finished.push(slot);
            return;
        }
        if self.is_lifeless(slot, now) {
            self.stats.closed_idle.add(1);
            let reason = "no sign of life, not even to a ping (limits.idle_timeout_s)";
            return self.close(slot, CloseCode::Slow, reason);
        }
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let silent = now.since(session.sent_us) >= settings.heartbeat;
        if session.heartbeat && silent && session.outbox.is_empty() {
            session.sent_us = now.mono_us;
            self.reply_in_lane(slot, 0, &Reply::Time { pong: false, time_us: now.wall_us, req: None });
        }
        self.tell_conflated(slot);
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let grace_over = now.mono_us > session.opened_us.saturating_add(micros(settings.unsubscribed_grace));
        if let (false, true, Some(seat)) = (session.subscribed_once, grace_over, &mut session.seat) {
            seat.release();
        }
    }

    /// Whether nothing has come from the client for too long; half-way it is sent a ping, whose answer counts.
    fn is_lifeless(&mut self, slot: u32, now: Now) -> bool {
        let limit = self.hub.settings().idle_timeout;
        let Some(session) = self.sessions.get_mut(slot as usize) else { return false };
        if session.is_blocked() || std::mem::take(&mut session.took_bytes) {
            session.heard_us = now.mono_us;
            session.pinged_us = 0;
        }
        if limit.is_zero() || now.since(session.heard_us) < limit / 2 {
            return false;
        }
        if session.pinged_us > 0 {
            return now.since(session.pinged_us) >= limit / 2;
        }
        session.pinged_us = now.mono_us;
        let ping = session.outbox.wire().ping();
        if !ping.is_empty() {
            self.send_bytes(slot, 0, &ping);
        }
        false
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
