//! How long to stay away from a hub that was lost: a random time (full jitter) below a bound that doubles, so that
//! all clients of a restarted hub do not come back at once.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Default)]
pub(super) struct Wait {
    attempts: u32,
    /// The hub asks not to be bothered before.
    not_before: Option<Instant>,
    random: RandomState,
}

impl Wait {
    /// The next time to stay away.
    pub(super) fn next(&mut self) -> Duration {
        let bound = FIRST.saturating_mul(1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX)).min(LONGEST);
        let random = self.random.hash_one(self.attempts);
        self.attempts += 1;
        // A fraction of 2^32 is fine enough for seconds.
        let fraction = f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX);
        let asked = self.not_before.take().map(|at| at.saturating_duration_since(Instant::now()));
        asked.unwrap_or_default() + bound.mul_f64(fraction)
    }

    /// The hub has spoken: the next loss starts small again.
    pub(super) fn reset(&mut self) {
        if self.attempts > 0 {
            *self = Wait { not_before: self.not_before, ..Wait::default() };
        }
    }

    /// The hub asks not to be bothered for so long from now.
    pub(super) fn at_least(&mut self, least: Duration) {
        self.not_before = Some(Instant::now() + least.min(LONGEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_random_below_a_bound_that_doubles_to_half_a_minute() {
        let mut sums = [0.0; 8];
        for _ in 0..400 {
            let mut wait = Wait::default();
            for (sum, bound) in sums.iter_mut().zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]) {
                let seconds = wait.next().as_secs_f64();
                assert!((0.0..=bound).contains(&seconds), "{seconds} of {bound}");
                *sum += seconds / bound;
            }
        }
        for sum in sums {
            assert!((0.35..0.65).contains(&(sum / 400.0)), "{sums:?}");
        }
    }

    #[test]
    fn the_hubs_wish_is_kept_once() {
        let mut wait = Wait::default();
        wait.at_least(Duration::from_secs(9));
        assert!(wait.next() >= Duration::from_secs(8));
        wait.reset();
        assert!(wait.next() <= FIRST);
    }
}
