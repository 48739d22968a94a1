//! What a shard looks at once a second: silent, slow and closing sessions, notices that are due, memory in use.

use std::collections::HashSet;
use std::time::Duration;

use tapeline_schema::CloseCode;
use tapeline_schema::events::FreshnessState;

use crate::board::Changed;
use crate::channel::Channel;
use crate::clock::{Now, micros};
use crate::incidents::IncidentKind;
use crate::reply::Reply;
use crate::shard::{SWEEP_US, Shard};

/// Changes of channels that sessions are told in one second; the rest is told in the next.
const CHANGES_TOLD: usize = 1_024;
/// A closing session whose socket takes no byte is given up after this.
const CLOSE_GRACE_US: u64 = 2_000_000;

impl Shard {
    pub(crate) fn sweep(&mut self, now: Now) {
        let slots: Vec<u32> = self.sessions.iter().filter_map(|(slot, _)| u32::try_from(slot).ok()).collect();
        self.router.sweep(now.mono_us.saturating_sub(60 * SWEEP_US));
        self.look_around(now);
        if self.watch.is_some() {
            self.hub.tell_presence(now);
        }
        self.tell_changes();
        let revision = self.hub.authority().revision();
        let revoked = std::mem::replace(&mut self.revision, revision) != revision;
        for slot in slots {
            self.sweep_session(slot, revoked, now);
        }
        self.weigh();
        self.find_slowest(now);
    }

    fn sweep_session(&mut self, slot: u32, revoked: bool, now: Now) {
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
        if self.is_sent_away(slot, revoked, now) {
            return;
        }
        if blocked >= settings.slow_close {
            self.stats.closed_slow.bump(1);
            let waits = format!("no byte accepted for {} s while bytes wait", blocked.as_secs());
            self.report(slot, IncidentKind::Closed, "slow", "", &waits);
            // The socket takes nothing, so the code can only be tried.
            self.close(slot, CloseCode::Slow, "no byte accepted while bytes wait (limits.slow_close_s)");
            self.finished.push(slot);
            return;
        }
        if self.is_lifeless(slot, now) {
            self.stats.closed_idle.bump(1);
            let reason = "no sign of life, not even to a ping (limits.idle_timeout_s)";
            self.report(slot, IncidentKind::Closed, "idle", "", reason);
            return self.close(slot, CloseCode::Slow, reason);
        }
        if self.is_unfinished(slot, now) {
            self.stats.closed_unfinished.bump(1);
            let reason = "a message that was begun did not come to its end (limits.message_timeout_s)";
            self.report(slot, IncidentKind::Closed, "unfinished", "", reason);
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
        let is_asked = session.beat.is_none() && !session.outbox.wire().may_be_silent();
        if limit.is_zero() || !is_asked || now.since(session.heard_us) < limit / 2 {
            return false;
        }
        if session.pinged_us > 0 {
            return now.since(session.pinged_us) >= limit / 2;
        }
        session.pinged_us = now.mono_us;
        let ping = session.outbox.wire().ping();
        self.send_bytes(slot, 0, &ping);
        false
    }

    /// Bytes came from the client.
    pub fn on_heard(&mut self, slot: u32, now: Now) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            session.heard_us = now.mono_us;
            session.pinged_us = 0;
        }
    }

    /// The client has begun a message whose end has not come, or has not.
    pub fn on_unfinished(&mut self, slot: u32, is_unfinished: bool, now: Now) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            session.unfinished_us = match (is_unfinished, session.unfinished_us) {
                (false, _) => 0,
                (true, 0) => now.mono_us,
                (true, since) => since,
            };
        }
    }

    /// Whether the client has been busy with one message for too long.
    fn is_unfinished(&self, slot: u32, now: Now) -> bool {
        let since = self.sessions.get(slot as usize).map_or(0, |session| session.unfinished_us);
        since > 0 && now.since(since) >= self.hub.settings().message_timeout
    }

    /// Tells who hears a channel that it has fallen out of its rhythm, or come back to it, and that its book is fetched anew.
    fn tell_changes(&mut self) {
        let hub = self.hub.clone();
        let mut resynced = HashSet::new();
        for change in hub.board().changes_after(&mut self.changes_told, CHANGES_TOLD) {
            let is_told = match change.what {
                Changed::Freshness { state, was_alarmed, .. } => {
                    state.is_stale() || (was_alarmed && state == FreshnessState::Fresh)
                }
                // At most once a second.
                Changed::BookResync => resynced.insert(change.channel.clone()),
            };
            if !is_told {
                continue;
            }
            let Some(id) = hub.channel(&change.channel).ok().and_then(|channel| self.router.find(&channel))
            else {
                continue;
            };
            let Some(entry) = self.router.entry(id) else { continue };
            let (channel, lane) = (entry.channel.clone(), entry.lane);
            let slots: Vec<u32> = entry.targets.iter().map(|target| target.session).collect();
            let reply = match change.what {
                Changed::Freshness { state, age_ms, .. } => Reply::Freshness { channel, state, age_ms },
                Changed::BookResync => Reply::BookResync { channel },
            };
            for slot in slots {
                self.notify(slot, lane, &reply);
            }
        }
    }

    /// Whoever begins to hear a channel that is stale is told so.
    pub(crate) fn tell_if_stale(&mut self, slot: u32, channel: &Channel) {
        let late = self.hub.board().find_late(channel.name());
        if let Some(late) = late.filter(|late| late.state.is_stale()) {
            let (state, age_ms) = (late.state, late.age_ms);
            self.notify(slot, channel.lane(), &Reply::Freshness { channel: channel.clone(), state, age_ms });
        }
    }

    fn notify(&mut self, slot: u32, lane: usize, reply: &Reply) {
        // A full socket gets none: what waits for it would only grow.
        if self.sessions.get(slot as usize).is_some_and(|session| session.notices && !session.is_blocked()) {
            self.reply_in_lane(slot, lane, reply);
        }
    }

    /// At most once a second a channel, and only when the socket takes bytes.
    fn tell_conflated(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        if !session.untold || session.is_blocked() {
            return;
        }
        session.untold = false;
        if !session.notices {
            return;
        }
        let mut told = Vec::new();
        for place in &session.places {
            let Some(entry) = self.router.entry(place.entry) else { continue };
            let Some(target) = entry.targets.get_mut(place.index as usize) else { continue };
            let count = u64::from(std::mem::take(&mut target.conflated));
            if count > 0 {
                told.push((entry.lane, Reply::Conflated { channel: entry.channel.clone(), count }));
            }
        }
        for (lane, notice) in told {
            self.reply_in_lane(slot, lane, &notice);
        }
    }
}
