//! How sessions leave when the hub stops: each is told when to connect again and is closed then, spread over a window,
//! so that not all come back in one moment. Whoever has not yet been sent everything when it is due gets a while more.
//! It does not know why the hub stops, nor what becomes of the thread.

use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::FixedState;
use tapeline_schema::CloseCode;

use crate::clock::{Now, micros};
use crate::reply::Reply;
use crate::session::Session;
use crate::shard::{SessionKey, Shard};

/// How soon a session that is due is looked at again.
const LOOK_AGAIN_US: u64 = 5_000;

/// Who has still to leave.
pub(crate) struct Leaving {
    /// When each is due, the soonest last.
    due: Vec<(u64, SessionKey)>,
    /// Those that were due, but had something left to be sent.
    late: Vec<(u64, SessionKey)>,
    looked_us: u64,
}

impl Leaving {
    /// When somebody has to be looked at next.
    pub(crate) fn next_us(&self) -> u64 {
        let late = if self.late.is_empty() { u64::MAX } else { self.looked_us + LOOK_AGAIN_US };
        self.due.last().map_or(late, |(due, _)| late.min(*due))
    }
}

impl Shard {
    /// Tells every session when to connect again, and closes it then: at random times, evenly spread over the window.
    pub fn drain(&mut self, window: Duration, now: Now) {
        if self.leaving.is_some() {
            return;
        }
        let random = FixedState::with_seed(now.wall_us);
        let key = |(slot, session): (usize, &Session)| {
            let slot = u32::try_from(slot).unwrap_or(u32::MAX);
            (random.hash_one(session.serial), SessionKey { slot, serial: session.serial })
        };
        let mut drawn: Vec<(u64, SessionKey)> = self.sessions.iter().map(key).collect();
        drawn.sort_unstable_by_key(|(lot, _)| *lot);
        let count = drawn.len().max(1) as u64;
        let step = micros(window) / count;
        let mut due = Vec::with_capacity(drawn.len());
        for (turn, (lot, key)) in (0..).zip(drawn) {
            let after_us = step * turn + lot % step.max(1);
            due.push((now.mono_us + after_us, key));
            self.reply_in_lane(key.slot, 0, &Reply::Reconnect { after_ms: after_us / 1_000 });
        }
        due.reverse();
        self.leaving = Some(Box::new(Leaving { due, late: Vec::new(), looked_us: 0 }));
    }

    /// Closes who is due. `all_taken`: nothing that was acknowledged is still on its way to the outboxes, nothing
    /// that clients have said is unread. Answers whether there is something to flush.
    pub fn let_leave(&mut self, all_taken: bool, now: Now) -> bool {
        let Some(mut leaving) = self.leaving.take_if(|leaving| leaving.next_us() <= now.mono_us) else {
            return false;
        };
        while let Some(due) = leaving.due.pop_if(|(due, _)| *due <= now.mono_us) {
            leaving.late.push(due);
        }
        let flush_us = micros(self.hub.settings().drain_flush);
        let before = leaving.late.len();
        leaving.late.retain(|(due, key)| {
            let Some(session) = self.live(*key).filter(|session| !session.closing) else { return false };
            let leaves = (all_taken && session.is_settled()) || now.mono_us >= due.saturating_add(flush_us);
            if leaves {
                self.close(key.slot, CloseCode::GoingAway, "the hub is stopping");
            }
            !leaves
        });
        leaving.looked_us = now.mono_us;
        let any = leaving.late.len() < before;
        self.leaving = Some(leaving);
        any
    }

    /// A session that comes while others leave has come too late.
    pub(crate) fn leave_soon(&mut self, key: SessionKey, now: Now) {
        if let Some(leaving) = &mut self.leaving {
            leaving.late.push((now.mono_us, key));
        }
    }
}
