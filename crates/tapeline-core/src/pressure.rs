//! How short memory is, as a step that everybody reads and one who watches the memory sets. It decides what is refused
//! on which step; it asks no operating system how much memory there is.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tapeline_schema::{ErrorCode, Priority};

use crate::error::Refusal;

/// A step stands for this part of the limit: the second one begins so much above it, and each ends so much below where it
/// began.
const STEP: u64 = 16;
/// Memory is looked at once a second, so it makes no sense to come back sooner.
const COME_BACK: Duration = Duration::from_secs(5);

/// The step: 0 where there is memory enough; 1, 2, 3 while publishes of low, medium, high families are refused too.
#[derive(Debug, Default)]
pub struct Pressure(AtomicU8);

impl Pressure {
    /// The highest step; critical families are never refused.
    pub const MOST: u8 = 3;

    /// The step now.
    pub fn step(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes a new reading; answers the step before and the step now. A limit of 0 is none.
    pub fn read(&self, bytes: u64, limit: u64) -> (u8, u8) {
        let before = self.step();
        let now = if limit == 0 { 0 } else { next(before, bytes, limit) };
        self.0.store(now, Ordering::Relaxed);
        (before, now)
    }

    /// Whether a publish of this priority is refused now.
    pub fn refuses(&self, priority: Priority) -> bool {
        let step = usize::from(self.step());
        step > 0 && priority.lane() + step > usize::from(Self::MOST)
    }

    /// What is told to who is refused.
    pub fn refusal(&self, what: &str) -> Refusal {
        let message = format!("{what}: the hub is short of memory (limits.memory_bytes)");
        Refusal::new(ErrorCode::Overloaded, message).retry_after(COME_BACK)
    }
}

fn next(before: u8, bytes: u64, limit: u64) -> u8 {
    let part = limit / STEP;
    let begins = |step: u8| limit.saturating_add(part * u64::from(step - 1));
    let holds = |step: u8| {
        let bound = if step <= before { begins(step) - part } else { begins(step) };
        bytes > bound
    };
    (1..=Pressure::MOST).rev().find(|step| holds(*step)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_urgent_is_refused_first_and_the_critical_never() {
        let pressure = Pressure::default();
        let refused = |bytes| {
            pressure.read(bytes, 1_600);
            Priority::ALL.map(|priority| pressure.refuses(priority))
        };
        assert_eq!(refused(1_600), [false, false, false, false]);
        assert_eq!(refused(1_601), [false, false, false, true]);
        assert_eq!(refused(1_701), [false, false, true, true]);
        assert_eq!(refused(1_801), [false, true, true, true]);
        assert_eq!(refused(u64::MAX), [false, true, true, true]);
    }

    #[test]
    fn a_step_ends_only_well_below_where_it_began() {
        let pressure = Pressure::default();
        assert_eq!(pressure.read(1_750, 1_600), (0, 2));
        assert_eq!(pressure.read(1_650, 1_600), (2, 2), "it began above 1,700");
        assert_eq!(pressure.read(1_600, 1_600), (2, 1));
        assert_eq!(pressure.read(1_650, 1_600), (1, 1));
        assert_eq!(pressure.read(1_501, 1_600), (1, 1));
        assert_eq!(pressure.read(1_500, 1_600), (1, 0));
        assert_eq!(pressure.read(1_600, 1_600), (0, 0), "it begins above the limit");
    }

    #[test]
    fn without_a_limit_nothing_is_refused() {
        let pressure = Pressure::default();
        assert_eq!(pressure.read(u64::MAX, 0), (0, 0));
    }
}
