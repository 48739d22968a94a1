//! How fast one session, or one HTTP connection, may ask for things: a bucket that runs full at a steady rate and holds a
//! burst. Publishes have a bucket of their own, because what holds them back by default is room in the inboxes, not their
//! number.

use tapeline_schema::ErrorCode;

use crate::clock::Now;
use crate::command::Command;
use crate::error::Refusal;
use crate::settings::Rate;
use crate::shard::Shard;

/// What is left of a rate.
#[derive(Debug, Default)]
pub struct Bucket {
    /// When it will be full, nanoseconds.
    full_ns: u64,
}

impl Bucket {
    /// Takes so many out of it; `false` where fewer are left, and then none are taken.
    pub fn take(&mut self, count: u64, rate: Rate, now: Now) -> bool {
        if rate.per_second == 0 {
            return true;
        }
        let each_ns = 1_000_000_000 / u64::from(rate.per_second);
        let burst = u64::from(rate.burst.max(1));
        let now_ns = now.mono_us.saturating_mul(1_000);
        // What is more than ever fits may have a full bucket.
        let empty_ns = now_ns.saturating_add(burst * each_ns);
        // No emptier than empty: the rate may have been a lower one when it was last taken from.
        self.full_ns = self.full_ns.clamp(now_ns, empty_ns);
        let full_ns = self.full_ns.saturating_add(count.min(burst) * each_ns);
        if full_ns > empty_ns {
            return false;
        }
        self.full_ns = full_ns;
        true
    }
}

/// What is told to who asks faster than a rate allows; `what` is `publishes` or `requests`, as in the settings' names.
pub fn too_fast(what: &str, rate: Rate) -> Refusal {
    let Rate { per_second, burst } = rate;
    let message = format!(
        "too many {what}, the limit is {per_second} a second (limits.{what}_per_second), \
         {burst} at once (limits.{what}_burst)"
    );
    Refusal::new(ErrorCode::RateLimited, message)
}

impl Shard {
    /// Whether a session may give this command now. Each channel of a subscribe counts.
    pub(crate) fn admit(&mut self, slot: u32, command: &Command, now: Now) -> Result<(), Refusal> {
        let settings = self.hub.settings();
        let (rate, what, count) = match command {
            Command::Publish { .. } => (settings.publishes, "publishes", 1),
            Command::Subscribe { wanted, .. } | Command::Unsubscribe { wanted, .. } => {
                (settings.requests, "requests", wanted.len() as u64)
            }
            _ => (settings.requests, "requests", 1),
        };
        if rate.per_second == 0 {
            return Ok(());
        }
        let Some(session) = self.sessions.get_mut(slot as usize) else { return Ok(()) };
        let bucket = match command {
            Command::Publish { .. } => &mut session.publishes,
            _ => &mut session.requests,
        };
        if bucket.take(count, rate, now) {
            return Ok(());
        }
        Err(too_fast(what, rate))
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
    fn a_rate_of_nought_is_no_limit() {
        let off = Rate { per_second: 0, burst: 0 };
        let mut bucket = Bucket::default();
        assert!((0..100_000).all(|_| bucket.take(1, off, at(1))));
    }
}
