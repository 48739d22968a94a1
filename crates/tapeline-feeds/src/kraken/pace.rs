//! How fast requests leave: a bucket of permissions that fills with time. When the venue complains it fills at half the
//! rate, and by and by as before. It does not know what is asked.

use tapeline_core::Now;

/// A permission in parts, so that slow filling is exact.
const ONE: u64 = 1_000_000;
/// So long without a complaint, the rate doubles again.
const FORGIVEN_US: u64 = 60_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    full_rate: u64,
    rate: u64,
    burst: u64,
    held: u64,
    filled_us: u64,
    complained_us: u64,
}

impl Pace {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let (rate, burst) = (u64::from(per_second.max(1)), u64::from(burst.max(1)) * ONE);
        Pace { full_rate: rate, rate, burst, held: burst, filled_us: 0, complained_us: 0 }
    }

    fn fill(&mut self, now: Now) {
        if self.rate < self.full_rate && now.mono_us.saturating_sub(self.complained_us) >= FORGIVEN_US {
            self.rate = (self.rate * 2).min(self.full_rate);
            self.complained_us = now.mono_us;
        }
        let passed = now.mono_us.saturating_sub(self.filled_us);
        // A rate is in permissions a second, which is parts a microsecond.
        self.held = self.held.saturating_add(passed.saturating_mul(self.rate)).min(self.burst);
        self.filled_us = now.mono_us;
    }

    /// Takes a permission, or says when there will be one.
    pub(super) fn take(&mut self, now: Now) -> Result<(), u64> {
        self.fill(now);
        if self.held >= ONE {
            self.held -= ONE;
            return Ok(());
        }
        Err(now.mono_us.saturating_add((ONE - self.held).div_ceil(self.rate)))
    }

    /// What may not wait leaves anyway; the next ones wait for it.
    pub(super) fn take_anyway(&mut self, now: Now) {
        self.fill(now);
        self.held = self.held.saturating_sub(ONE);
    }

    /// The venue says that it was too much.
    pub(super) fn slow_down(&mut self, now: Now) {
        self.fill(now);
        self.held = 0;
        self.rate = (self.rate / 2).max(1);
        self.complained_us = now.mono_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_us: u64) -> Now {
        Now { mono_us, wall_us: 0 }
    }

    #[test]
    fn a_burst_leaves_at_once_and_then_twenty_a_second() {
        let mut pace = Pace::new(20, 10);
        let mut now = at(1);
        for _ in 0..10 {
            assert_eq!(pace.take(now), Ok(()));
        }
        for _ in 0..20 {
            let next = pace.take(now).unwrap_err();
            assert_eq!(next, now.mono_us + 50_000);
            now = at(next);
            assert_eq!(pace.take(now), Ok(()));
        }
    }

    #[test]
    fn a_complaint_halves_the_rate_down_to_one_a_second_and_time_brings_it_back() {
        let mut pace = Pace::new(20, 10);
        pace.slow_down(at(1));
        assert_eq!(pace.take(at(1)), Err(100_001));
        for _ in 0..10 {
            pace.slow_down(at(1));
        }
        assert_eq!(pace.take(at(1)), Err(1_000_001));
        for minute in 1..=5 {
            let _ = pace.take(at(1 + minute * FORGIVEN_US));
        }
        assert_eq!(pace.rate, 20);
    }
}
