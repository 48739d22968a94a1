//! A clock that stands still until it is told to go on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Now, micros};

/// 2026-01-01T00:00:00Z, where every manual clock starts.
const START_WALL_US: u64 = 1_767_225_600_000_000;

/// Both readings go on together.
#[derive(Debug)]
pub struct ManualClock {
    mono_us: AtomicU64,
}

impl Default for ManualClock {
    fn default() -> Self {
        // Not zero: code may take a reading of zero for "never".
        ManualClock { mono_us: AtomicU64::new(1_000_000) }
    }
}

impl ManualClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.mono_us.fetch_add(micros(by), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        let mono_us = self.mono_us.load(Ordering::Relaxed);
        Now { mono_us, wall_us: START_WALL_US + mono_us }
    }
}
