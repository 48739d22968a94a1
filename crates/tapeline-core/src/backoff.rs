//! How long to stay away from what was lost or fails: a random time (full jitter) below a bound that doubles, so that
//! all clients of a restarted hub do not come back at once. Randomness is handed in.
//!
//! Full jitter as in <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.

use std::time::Duration;

/// Attempts that a wish for a pause counts as.
const SLOW: u32 = 4;

/// See the module.
#[derive(Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempts: u32,
    least: Duration,
}

impl Backoff {
    /// Waits of at most `base` at first and never more than `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Backoff { base, cap, attempts: 0, least: Duration::ZERO }
    }

    /// The next time to stay away, for a random fraction in `0.0..=1.0`.
    pub fn next(&mut self, fraction: f64) -> Duration {
        let factor = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        let bound = self.base.saturating_mul(factor).min(self.cap);
        self.attempts = self.attempts.saturating_add(1);
        std::mem::take(&mut self.least) + bound.mul_f64(fraction.clamp(0.0, 1.0))
    }

    /// What was tried holds: the next loss starts small again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The other side has no room now: no quick first attempts.
    pub fn slow_down(&mut self) {
        self.attempts = self.attempts.max(SLOW);
    }

    /// The other side asks not to be bothered before; kept once, and never beyond the longest wait.
    pub fn at_least(&mut self, least: Duration) {
        self.least = least.min(self.cap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_bound_doubles_from_the_base_to_the_cap() {
        let mut backoff = Backoff::new(100 * MS, 30_000 * MS);
        let bounds: Vec<_> = (0..12).map(|_| backoff.next(1.0).as_millis()).collect();
        let doubled = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000];
        assert_eq!(bounds, doubled);
    }

    #[test]
    fn a_wait_is_the_random_fraction_of_the_bound_down_to_nothing() {
        let wait = |fraction| Backoff::new(100 * MS, 30_000 * MS).next(fraction);
        assert_eq!([wait(0.0), wait(0.25), wait(1.0)], [Duration::ZERO, 25 * MS, 100 * MS]);
        assert_eq!([wait(-1.0), wait(7.0)], [Duration::ZERO, 100 * MS]);
    }

    #[test]
    fn after_many_attempts_the_wait_is_still_the_cap() {
        let mut backoff = Backoff::new(100 * MS, 30_000 * MS);
        let last = (0..200).map(|_| backoff.next(1.0)).last();
        assert_eq!(last, Some(30_000 * MS));
        backoff.reset();
        assert_eq!(backoff.next(1.0), 100 * MS);
    }

    #[test]
    fn a_wish_is_kept_once_and_bounded() {
        let mut backoff = Backoff::new(100 * MS, 30_000 * MS);
        backoff.at_least(9_000 * MS);
        assert_eq!([backoff.next(0.0), backoff.next(0.0)], [9_000 * MS, Duration::ZERO]);
        backoff.at_least(Duration::MAX);
        assert_eq!(backoff.next(0.0), 30_000 * MS);
    }

    #[test]
    fn what_has_no_room_is_not_asked_again_at_once() {
        let mut backoff = Backoff::new(100 * MS, 30_000 * MS);
        backoff.slow_down();
        assert_eq!(backoff.next(1.0), 1_600 * MS);
    }
}
