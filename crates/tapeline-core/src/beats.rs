//! Heartbeats that a protocol prescribes: the hub asks at an interval, and a client that is not heard of in time is gone.
//! Wires without one are left to the sweep.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tapeline_schema::CloseCode;

use crate::clock::{Now, micros};
use crate::incidents::IncidentKind;
use crate::shard::{SessionKey, Shard};

/// How a protocol keeps its connections alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// From one ping to the next.
    pub interval: Duration,
    /// How soon after a ping something must be heard.
    pub timeout: Duration,
}

/// When a session is to be looked at: is it to be asked, or should it have answered?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at_us: u64,
    slot: u32,
    serial: u64,
    /// When it was asked; 0 where it is to be asked now.
    asked_us: u64,
}

/// The sessions with heartbeats, the next one first.
#[derive(Default)]
pub(crate) struct Beats(BinaryHeap<Reverse<Due>>);

impl Beats {
    /// When the next session is to be looked at, as a monotonic reading.
    pub(crate) fn next_us(&self) -> u64 {
        self.0.peek().map_or(u64::MAX, |Reverse(due)| due.at_us)
    }
}

impl Shard {
    /// A session with a heartbeat has come.
    pub(crate) fn begin_beats(&mut self, key: SessionKey, beat: Beat, now: Now) {
        let at_us = now.mono_us + micros(beat.interval);
        self.beats.0.push(Reverse(Due { at_us, slot: key.slot, serial: key.serial, asked_us: 0 }));
    }

    /// Asks whom it is time to ask, and lets go of those that have not answered.
    pub(crate) fn beat(&mut self, now: Now) {
        while let Some(Reverse(due)) = self.beats.0.peek().copied()
            && due.at_us <= now.mono_us
        {
            self.beats.0.pop();
            self.beat_one(due, now);
        }
    }

    fn beat_one(&mut self, due: Due, now: Now) {
        let key = SessionKey { slot: due.slot, serial: due.serial };
        let Some(session) = self.live(key).filter(|session| !session.closing) else { return };
        let Some(beat) = session.beat else { return };
        if due.asked_us == 0 {
            let ping = session.outbox.wire().ping();
            self.send_bytes(key.slot, 0, &ping);
            let at_us = now.mono_us + micros(beat.timeout).min(micros(beat.interval));
            self.beats.0.push(Reverse(Due { at_us, asked_us: now.mono_us.max(1), ..due }));
            return;
        }
        if session.is_blocked() {
            // The ping waits behind what a slow client has still to take; how long is another limit's business.
            let at_us = now.mono_us + micros(beat.timeout);
            return self.beats.0.push(Reverse(Due { at_us, asked_us: now.mono_us.max(1), ..due }));
        }
        let by_us = due.asked_us + micros(beat.timeout);
        if session.heard_us < due.asked_us && now.mono_us < by_us {
            // The timeout is longer than the interval: it is looked at once more.
            return self.beats.0.push(Reverse(Due { at_us: by_us, ..due }));
        }
        if session.heard_us < due.asked_us {
            self.stats.closed_idle.bump(1);
            let reason = "no answer to a ping in time";
            self.report(key.slot, IncidentKind::Closed, "idle", "", reason);
            return self.close(key.slot, CloseCode::Slow, reason);
        }
        let at_us = (due.asked_us + micros(beat.interval)).max(now.mono_us);
        self.beats.0.push(Reverse(Due { at_us, asked_us: 0, ..due }));
    }
}
