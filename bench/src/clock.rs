//! One clock for sending and receiving. Its readings always have 16 digits, so that one fits the
//! fixed-width place in a payload and no patch ever changes a frame's length.

use std::time::Instant;

const BASE: u64 = 1_000_000_000_000_000;

/// A monotonic clock that starts at 10^15 ns.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Nanoseconds, 16 digits for the next hundred days.
    pub(crate) fn now_ns(self) -> u64 {
        BASE + u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(0)
    }
}
