//! How fast one connection, one user or one address may go: a bucket that runs full at a steady rate and holds a burst,
//! the same for all of them. Publishes have a bucket of their own, because what holds them back by default is room in
//! the inboxes, not their number. Bytes have come when they are counted: who brings too many is not refused but not
//! read from until what it owes has run in again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapeline_schema::{CloseCode, ErrorCode};

use crate::clock::{Now, micros};
use crate::command::{Command, Req};
use crate::crowd::Kept;
use crate::error::Refusal;
use crate::hub::Hub;
use crate::incidents::IncidentKind;
use crate::settings::{Rate, Settings};
use crate::shard::Shard;

/// Nobody owes more than runs in in this time: a rate may have been much lower when it came.
const DEBT_NS: u64 = 60_000_000_000;
/// So many refusals that did not wait as long as they were told end a connection, within [`IMPATIENCE_US`].
const IMPATIENT: u32 = 1_000;
const IMPATIENCE_US: u64 = 10_000_000;

/// What is left of a rate.
#[derive(Debug, Default)]
pub struct Bucket {
    /// When it will be full, nanoseconds.
    full_ns: u64,
}

/// What so many take out of a bucket: the time after which they have run in again.
fn cost_ns(count: u64, rate: Rate) -> u64 {
    count.min(u64::from(u32::MAX)) * 1_000_000_000 / u64::from(rate.per_second.max(1))
}

fn now_ns(now: Now) -> u64 {
    now.mono_us.saturating_mul(1_000)
}

impl Bucket {
    /// Takes so many out of it; `false` where fewer are left, and then none are taken.
    pub fn take(&mut self, count: u64, rate: Rate, now: Now) -> bool {
        if rate.per_second == 0 {
            return true;
        }
        let (full_ns, empty_ns) = self.after(count, rate, now);
        let fits = full_ns <= empty_ns;
        self.full_ns = if fits { full_ns } else { self.full_ns.min(empty_ns) };
        fits
    }

    /// How long until so many can be taken.
    pub fn wait(&self, count: u64, rate: Rate, now: Now) -> Duration {
        if rate.per_second == 0 {
            return Duration::ZERO;
        }
        let (full_ns, empty_ns) = self.after(count, rate, now);
        Duration::from_nanos(full_ns.saturating_sub(empty_ns))
    }

    /// When it would be full without so many, and when it would be if it were empty now.
    fn after(&self, count: u64, rate: Rate, now: Now) -> (u64, u64) {
        let burst = u64::from(rate.burst.max(1));
        let empty_ns = now_ns(now).saturating_add(cost_ns(burst, rate));
        // No emptier than empty: the rate may have been a lower one when it was last taken from. And what is more than
        // ever fits may have a full bucket.
        let full_ns = self.full_ns.clamp(now_ns(now), empty_ns);
        (full_ns.saturating_add(cost_ns(count.min(burst), rate)), empty_ns)
    }

    /// Takes so many, though fewer may be left: what is missing is owed.
    pub fn spend(&mut self, count: u64, rate: Rate, now: Now) {
        if rate.per_second > 0 {
            let most = now_ns(now).saturating_add(cost_ns(u64::from(rate.burst.max(1)), rate) + DEBT_NS);
            let full_ns = self.full_ns.max(now_ns(now)).saturating_add(cost_ns(count, rate));
            self.full_ns = full_ns.min(most);
        }
    }

    /// How long until nothing is owed.
    pub fn debt(&self, rate: Rate, now: Now) -> Duration {
        if rate.per_second == 0 {
            return Duration::ZERO;
        }
        let empty_ns = now_ns(now).saturating_add(cost_ns(u64::from(rate.burst.max(1)), rate));
        Duration::from_nanos(self.full_ns.saturating_sub(empty_ns).min(DEBT_NS))
    }
}

/// What is told to who asks faster than a rate allows; `what` is `publishes` or `requests`, as in the settings' names.
/// Without a wait there is no use in coming back with the same.
pub fn too_fast(what: &str, rate: Rate, wait: Option<Duration>) -> Refusal {
    let Rate { per_second, burst } = rate;
    let message = format!(
        "too many {}, the limit is {per_second} a second (limits.{what}_per_second), \
         {burst} at once (limits.{what}_burst)",
        what.replace('_', " ")
    );
    let refusal = Refusal::new(ErrorCode::RateLimited, message);
    match wait {
        Some(wait) => refusal.retry_after(wait),
        None => refusal,
    }
}

/// What one principal has left of its rates, over all its connections and requests.
#[derive(Debug, Default)]
pub struct User {
    messages: Mutex<Bucket>,
    bytes: Mutex<Bucket>,
}

fn lock(bucket: &Mutex<Bucket>) -> MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

impl User {
    /// Takes so many messages, all or none.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn take_messages(&self, count: u64, settings: &Settings, now: Now) -> Result<(), Refusal> {
        let rate = settings.user_messages;
        if rate.per_second > 0 && count > u64::from(rate.burst.max(1)) {
            return Err(too_fast("user_messages", rate, None));
        }
        let mut messages = lock(&self.messages);
        if messages.take(count, rate, now) {
            return Ok(());
        }
        Err(too_fast("user_messages", rate, Some(messages.wait(count, rate, now))))
    }

    /// Takes so many bytes that have come.
    pub fn spend_bytes(&self, count: u64, settings: &Settings, now: Now) {
        lock(&self.bytes).spend(count, settings.user_bytes, now);
    }

    /// How long until it may bring bytes again.
    pub fn bytes_debt(&self, settings: &Settings, now: Now) -> Duration {
        lock(&self.bytes).debt(settings.user_bytes, now)
    }
}

impl Kept for Arc<User> {
    fn is_needed(&self) -> bool {
        Arc::strong_count(self) > 1
    }
}

/// Whether any rate of users is limited.
fn counts_users(settings: &Settings) -> bool {
    settings.user_messages.per_second > 0 || settings.user_bytes.per_second > 0
}

impl Hub {
    /// Takes so many messages of a principal, all or none.
    ///
    /// # Errors
    /// It has fewer left.
    pub fn take_messages(&self, principal: &Arc<str>, count: u64, now: Now) -> Result<(), Refusal> {
        self.user(principal, now).map_or(Ok(()), |user| user.take_messages(count, &self.settings(), now))
    }

    /// The rates of a principal, where they are limited.
    pub fn user(&self, principal: &Arc<str>, now: Now) -> Option<Arc<User>> {
        counts_users(&self.settings()).then(|| self.users().with(principal, now, |user| user.clone()))
    }
}

/// How a session takes it that it is told to wait.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    told_until_us: u64,
    since_us: u64,
    ignored: u32,
}

impl Patience {
    /// It was told to wait so long; answers whether it has ignored that too often.
    fn is_over(&mut self, wait: Duration, now: Now) -> bool {
        if now.mono_us > self.since_us.saturating_add(IMPATIENCE_US) {
            (self.since_us, self.ignored) = (now.mono_us, 0);
        }
        self.ignored += u32::from(now.mono_us < self.told_until_us);
        self.told_until_us = now.after(wait);
        self.ignored >= IMPATIENT
    }
}

impl Shard {
    /// Whether a session may give this command now. Each channel of a subscribe counts, but for the user as one message.
    pub(crate) fn admit(&mut self, slot: u32, command: &Command, now: Now) -> Result<(), Refusal> {
        let settings = self.hub.settings();
        let (rate, what, count) = match command {
            Command::Publish { .. } => (settings.publishes, "publishes", 1),
            Command::Subscribe { wanted, .. } | Command::Unsubscribe { wanted, .. } => {
                (settings.requests, "requests", wanted.len() as u64)
            }
            _ => (settings.requests, "requests", 1),
        };
        let Some(session) = self.sessions.get_mut(slot as usize) else { return Ok(()) };
        let bucket = match command {
            Command::Publish { .. } => &mut session.publishes,
            _ => &mut session.requests,
        };
        if !bucket.take(count, rate, now) {
            return Err(too_fast(what, rate, Some(bucket.wait(count, rate, now))));
        }
        if settings.user_messages.per_second == 0 {
            return Ok(());
        }
        let user = session.user(&self.hub, now);
        user.map_or(Ok(()), |user| user.take_messages(1, &settings, now))
    }

    /// Says that what a session sent is no command. That counts as a request too: it was read and is answered.
    pub fn refuse(&mut self, slot: u32, refusal: Refusal, about: Option<Box<str>>, req: &Req, now: Now) {
        match self.admit(slot, &Command::Ping { req: None }, now) {
            Ok(()) => self.reply_error(slot, refusal, about, req),
            Err(too_fast) => {
                let told = too_fast.clone();
                self.reply_error(slot, too_fast, None, req);
                self.on_too_fast(slot, &told, now);
            }
        }
    }

    /// A session was told that it goes too fast. Who does not wait again and again is closed.
    pub(crate) fn on_too_fast(&mut self, slot: u32, refusal: &Refusal, now: Now) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let wait = Duration::from_millis(refusal.retry_after_ms.unwrap_or_default().into());
        if session.patience.get_or_insert_default().is_over(wait, now) {
            self.stats.closed_impatient.bump(1);
            let reason = "1,000 times in 10 s it did not wait as told (retry_after_ms)";
            self.report(slot, IncidentKind::Closed, "rate_limited", "", reason);
            self.close(slot, CloseCode::Policy, reason);
        }
    }

    /// When the session may be read from, if that is not now.
    pub fn may_read_at(&mut self, slot: u32, now: Now) -> Option<u64> {
        let settings = self.hub.settings();
        if settings.bytes.per_second == 0 && settings.user_bytes.per_second == 0 {
            return None;
        }
        let session = self.sessions.get_mut(slot as usize)?;
        let own = session.bytes.debt(settings.bytes, now);
        let user =
            session.user(&self.hub, now).map_or(Duration::ZERO, |user| user.bytes_debt(&settings, now));
        let wait = micros(own.max(user));
        if wait == 0 {
            return None;
        }
        let at = now.mono_us.saturating_add(wait);
        // Nobody is silent, or slow with a message, who is not listened to.
        session.heard_us = at;
        if session.unfinished_us > 0 {
            session.unfinished_us = at;
        }
        Some(at)
    }

    /// So many bytes came from the session.
    pub fn on_bytes(&mut self, slot: u32, count: usize, now: Now) {
        let settings = self.hub.settings();
        if settings.bytes.per_second == 0 && settings.user_bytes.per_second == 0 {
            return;
        }
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        session.bytes.spend(count as u64, settings.bytes, now);
        if let Some(user) = session.user(&self.hub, now) {
            user.spend_bytes(count as u64, &settings, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 100, burst: 10 };

    fn at(mono_us: u64) -> Now {
        Now { mono_us, wall_us: 0 }
    }

    #[test]
    fn a_burst_goes_through_and_then_one_each_interval() {
        let mut bucket = Bucket::default();
        let taken = (0..20).filter(|_| bucket.take(1, RATE, at(1_000_000))).count();
        assert_eq!(taken, 10);
        assert!(!bucket.take(1, RATE, at(1_009_999)));
        assert!(bucket.take(1, RATE, at(1_010_000)));
        assert!(!bucket.take(1, RATE, at(1_010_000)));
        let later = (0..20).filter(|_| bucket.take(1, RATE, at(9_000_000))).count();
        assert_eq!(later, 10, "it holds no more than a burst");
    }

    #[test]
    fn what_is_refused_costs_nothing_and_what_never_fits_waits_for_a_full_bucket() {
        let mut bucket = Bucket::default();
        assert!(bucket.take(6, RATE, at(1_000_000)));
        assert!(!bucket.take(5, RATE, at(1_000_000)));
        assert!(bucket.take(4, RATE, at(1_000_000)));
        assert!(!bucket.take(500, RATE, at(1_099_999)));
        assert!(bucket.take(500, RATE, at(1_100_000)));
    }

    #[test]
    fn a_higher_rate_counts_at_once() {
        let mut bucket = Bucket::default();
        let slow = Rate { per_second: 1, burst: 1_000 };
        assert!(bucket.take(1_000, slow, at(1_000_000)));
        assert!(!bucket.take(1, RATE, at(1_000_000)));
        assert!(bucket.take(1, RATE, at(1_010_000)), "not after the 1,000 s of before");
    }

    #[test]
    fn who_is_refused_is_told_when_it_would_not_be() {
        let mut bucket = Bucket::default();
        assert!(bucket.take(10, RATE, at(1_000_000)));
        assert_eq!(bucket.wait(1, RATE, at(1_000_000)), Duration::from_millis(10));
        assert_eq!(bucket.wait(3, RATE, at(1_010_000)), Duration::from_millis(20));
        assert_eq!(
            bucket.wait(500, RATE, at(1_000_000)),
            Duration::from_millis(100),
            "as if it were a burst"
        );
        assert!(bucket.take(3, RATE, at(1_030_000)));
    }

    #[test]
    fn what_is_spent_beyond_the_burst_is_owed_and_runs_in_at_the_rate() {
        let mut bucket = Bucket::default();
        bucket.spend(10, RATE, at(1_000_000));
        assert_eq!(bucket.debt(RATE, at(1_000_000)), Duration::ZERO);
        bucket.spend(100, RATE, at(1_000_000));
        assert_eq!(bucket.debt(RATE, at(1_000_000)), Duration::from_secs(1));
        assert_eq!(bucket.debt(RATE, at(1_600_000)), Duration::from_millis(400));
        bucket.spend(u64::MAX, RATE, at(1_600_000));
        assert_eq!(bucket.debt(RATE, at(1_600_000)), Duration::from_secs(60), "and no more");
    }

    #[test]
    fn a_rate_of_gigabytes_is_counted_too() {
        let fast = Rate { per_second: u32::MAX, burst: u32::MAX };
        let mut bucket = Bucket::default();
        assert!(bucket.take(u64::from(u32::MAX), fast, at(1_000_000)));
        assert!(!bucket.take(u64::from(u32::MAX) / 2, fast, at(1_400_000)));
        assert!(bucket.take(u64::from(u32::MAX) / 2, fast, at(1_500_001)));
    }

    #[test]
    fn only_who_comes_back_too_early_a_thousand_times_in_ten_seconds_loses_its_connection() {
        let wait = Duration::from_millis(10);
        let mut patient = Patience::default();
        assert!((0..100_000).all(|n| !patient.is_over(wait, at(1_000_000 + n * 10_000))));
        let mut slow = Patience::default();
        assert!((0..5_000).all(|n| !slow.is_over(Duration::from_secs(60), at(1_000_000 + n * 10_100))));
        let mut hasty = Patience::default();
        let over = (0..2_000).position(|n| hasty.is_over(wait, at(1_000_000 + n * 9_000)));
        assert_eq!(over, Some(1_000));
    }

    #[test]
    fn a_rate_of_nought_is_no_limit() {
        let off = Rate { per_second: 0, burst: 0 };
        let mut bucket = Bucket::default();
        assert!((0..100_000).all(|_| bucket.take(1, off, at(1))));
    }
}
