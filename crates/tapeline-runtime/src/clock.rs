//! The operating system's clocks, as the core's [`Clock`].

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tapeline_core::clock::{Clock, Now, micros};

/// Reads the machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // One more than elapsed: a monotonic reading is never 0, which marks "not yet" in the core.
        Now { mono_us: micros(self.start.elapsed()) + 1, wall_us: micros(wall) }
    }
}
