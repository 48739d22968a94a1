//! How long live messages took from their receipt to the write that carried them. A flush serves many sessions, most of
//! them with the same message, so what is alike is counted together and the clock is read once.

use crate::clock::Now;
use crate::session::Session;
use crate::stats::ShardStats;

/// Messages of one lane and one time of receipt.
struct Same {
    lane: u8,
    received_us: u64,
    sessions: u64,
}

/// What one flush has written and not yet timed.
#[derive(Default)]
pub(crate) struct Delays(Vec<Same>);

impl Delays {
    /// The session's outbox is empty now.
    pub(crate) fn note(&mut self, session: &mut Session) {
        let (lane, received_us) = (session.oldest_lane, std::mem::take(&mut session.oldest_us));
        if received_us == 0 {
            return;
        }
        match self.0.last_mut() {
            Some(last) if (last.lane, last.received_us) == (lane, received_us) => last.sessions += 1,
            _ => self.0.push(Same { lane, received_us, sessions: 1 }),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Times all of them by the end of the flush: the last written is exact, the others a little too long.
    pub(crate) fn count(&mut self, stats: &ShardStats, now: Now) {
        for Same { lane, received_us, sessions } in self.0.drain(..) {
            stats.count_delay(usize::from(lane), now.wall_us.saturating_sub(received_us), sessions);
        }
    }
}
