//! When to connect again: full jitter below a bound that doubles, and never more attempts in ten minutes than the venue
//! bears. It knows time only as it is handed in.

use std::collections::VecDeque;
use std::time::Duration;

use tapeline_core::Now;
use tapeline_core::backoff::Backoff;

/// The bound of the first wait.
const FIRST: Duration = Duration::from_secs(1);
/// The bound of the longest.
const LONGEST: Duration = Duration::from_secs(60);
/// The window in which attempts are counted.
const WINDOW_US: u64 = 600_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Attempts {
    backoff: Backoff,
    limit: usize,
    /// When the last ones were, the oldest first.
    made_us: VecDeque<u64>,
}

impl Attempts {
    pub(super) fn new(limit: usize) -> Self {
        Attempts { backoff: Backoff::new(FIRST, LONGEST), limit: limit.max(1), made_us: VecDeque::new() }
    }

    /// How long to wait for the next one, which counts from then on. The very first does not wait.
    pub(super) fn next(&mut self, now: Now, fraction: f64) -> Duration {
        let wait = if self.made_us.is_empty() { Duration::ZERO } else { self.backoff.next(fraction) };
        let mut at_us = now.after(wait);
        if self.made_us.len() >= self.limit
            && let Some(oldest) = self.made_us.pop_front()
        {
            at_us = at_us.max(oldest.saturating_add(WINDOW_US));
        }
        self.made_us.push_back(at_us);
        Duration::from_micros(at_us.saturating_sub(now.mono_us))
    }

    /// A connection held.
    pub(super) fn reset(&mut self) {
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_us: u64) -> Now {
        Now { mono_us, wall_us: 0 }
    }

    #[test]
    fn the_bound_doubles_from_a_second_to_a_minute_and_begins_anew_after_a_reset() {
        let mut attempts = Attempts::new(1_000);
        let waits: Vec<_> = (0..9).map(|_| attempts.next(at(1), 1.0).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        attempts.reset();
        assert_eq!(attempts.next(at(1), 0.5), Duration::from_millis(500));
    }

    #[test]
    fn no_luck_with_the_dice_makes_more_attempts_in_ten_minutes_than_the_limit() {
        let mut attempts = Attempts::new(120);
        let (mut now_us, mut made) = (1, Vec::new());
        for _ in 0..1_000 {
            // Each fails at once, and the dice always say 0.
            now_us += u64::try_from(attempts.next(at(now_us), 0.0).as_micros()).unwrap();
            made.push(now_us);
        }
        assert!(made.windows(121).all(|window| window[120] - window[0] >= WINDOW_US));
    }
}
