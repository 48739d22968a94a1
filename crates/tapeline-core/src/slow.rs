//! The sessions that something waits for: found once a second, shown to operators. What is done about them is
//! `sweeping`'s and `shedding`'s.

use crate::clock::Now;
use crate::session::Session;
use crate::shard::Shard;

/// How many of a shard's sessions are named.
const NAMED: usize = 10;

/// A session that did not take all it was sent.
#[derive(Clone, Debug)]
pub struct SlowSession {
    /// Its client id and its address.
    pub client: String,
    /// Bytes that wait for it.
    pub waiting_bytes: usize,
    /// Messages and answers that wait for it.
    pub waiting_messages: usize,
    /// For how long its socket has taken no byte, in microseconds.
    pub blocked_us: u64,
    /// Channels in which it catches up from what is kept.
    pub behind: usize,
    /// Messages that were replaced by newer ones while they waited for it, since it came.
    pub conflated: u64,
}

impl Shard {
    /// Names the slowest, for whoever asks within the next second.
    pub(crate) fn find_slowest(&mut self, now: Now) {
        let is_slow =
            |session: &Session| !session.closing && (session.is_blocked() || !session.behind.is_empty());
        let sessions = self.sessions.iter().map(|(_, session)| session);
        let mut slow: Vec<&Session> = sessions.filter(|session| is_slow(session)).collect();
        slow.sort_unstable_by_key(|session| {
            std::cmp::Reverse((session.outbox.bytes(), session.behind.len()))
        });
        slow.truncate(NAMED);
        let named = slow.into_iter().map(|session| SlowSession {
            client: session.called(),
            waiting_bytes: session.outbox.bytes(),
            waiting_messages: session.outbox.count(),
            blocked_us: if session.is_blocked() { now.mono_us.saturating_sub(session.blocked_us) } else { 0 },
            behind: session.behind.len(),
            conflated: session.conflated,
        });
        self.stats.set_slowest(named.collect());
    }
}
