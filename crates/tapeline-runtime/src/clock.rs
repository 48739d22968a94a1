//! The operating system's clocks, as the core's [`Clock`].

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tapeline_core::clock::{Clock, Now, micros};

/// One start for the whole process, so that a reading of one clock can be compared with another's: a feed stamps what
/// it receives, and a pipeline says how long ago that was.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Reads the machine's clocks. All of a process agree.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { start: *START }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // One more than elapsed: a monotonic reading is never 0, which marks "not yet" in the core.
        Now { mono_us: micros(self.start.elapsed()) + 1, wall_us: micros(wall) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_of_two_clocks_can_be_compared() {
        let early = SystemClock::default();
        let between = Instant::now();
        while between.elapsed().as_millis() < 2 {}
        let late = SystemClock::default();
        let (first, second, third) = (early.now(), late.now(), early.now());
        assert!(2_000 < first.mono_us && first.mono_us <= second.mono_us && second.mono_us <= third.mono_us);
    }
}
