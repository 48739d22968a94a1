//! How a shard's thread ends: first its sessions are let go one by one, then those that are left are closed, then the
//! thread is over. Both begin only once everything acknowledged before has been routed.

use std::time::Duration;

use tapeline_core::Now;
use tapeline_schema::CloseCode;

use super::ShardThread;

/// A thread that is told to stop gives its sockets this long.
const STOP_GRACE_US: u64 = 2_000_000;
/// Under a flood the inbox may never be empty; then sessions are told all the same after this.
const ROUTE_GRACE_US: u64 = 500_000;

/// The sessions are to leave.
struct Drain {
    window: Duration,
    by_us: u64,
    told: bool,
    /// Dropped when they have gone.
    held: Option<Box<dyn Send>>,
}

/// The thread is to end.
struct Stop {
    code: CloseCode,
    reason: &'static str,
    by_us: u64,
    told: bool,
}

/// What has been said about the end.
#[derive(Default)]
pub(super) struct Ending {
    drain: Option<Drain>,
    stop: Option<Stop>,
}

impl Ending {
    pub(super) fn drain(&mut self, window: Duration, held: Box<dyn Send>, now: Now) {
        let by_us = now.mono_us + ROUTE_GRACE_US;
        self.drain = Some(Drain { window, by_us, told: false, held: Some(held) });
    }

    pub(super) fn stop(&mut self, code: CloseCode, reason: &'static str, now: Now) {
        self.stop = Some(Stop { code, reason, by_us: now.mono_us + STOP_GRACE_US, told: false });
    }
}

impl ShardThread {
    /// Sessions are told that the hub stops.
    pub(super) fn say_goodbye(&mut self, now: Now) {
        let routed = self.messages.is_empty();
        if let Some(drain) = &mut self.ending.drain
            && !drain.told
            && (routed || now.mono_us > drain.by_us)
        {
            drain.told = true;
            self.shard.drain(drain.window, now);
        }
        if let Some(stop) = &mut self.ending.stop
            && routed
        {
            stop.told = true;
            self.shard.close_all(stop.code, stop.reason);
        }
    }

    /// Lets go who is due and has everything; answers whether there is something to flush.
    pub(super) fn let_leave(&mut self, now: Now) -> bool {
        if let Some(drain) = &mut self.ending.drain
            && drain.told
            && self.shard.is_empty()
        {
            drain.held = None;
        }
        let all_taken = self.messages.is_empty() && self.readable.is_empty() && self.busy.is_empty();
        self.shard.let_leave(all_taken, now)
    }

    /// Whether the thread has nothing left to do.
    pub(super) fn is_over(&self, now: Now) -> bool {
        let stop = self.ending.stop.as_ref();
        stop.is_some_and(|stop| (stop.told && self.shard.is_empty()) || now.mono_us > stop.by_us)
    }
}
