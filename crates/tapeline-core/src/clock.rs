//! Time, handed in: a monotonic reading for deadlines and a wall reading for what users see.
//! Nothing in this crate asks the operating system; `tapeline-runtime` has the clock that does.

use std::time::Duration;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Microseconds since an arbitrary start; never goes back.
    pub mono_us: u64,
    /// Microseconds since 1970-01-01T00:00:00Z; may be set by an operator, so never used for deadlines.
    pub wall_us: u64,
}

impl Now {
    /// The monotonic reading `later` from this one.
    pub fn after(self, later: Duration) -> u64 {
        self.mono_us.saturating_add(micros(later))
    }

    /// How long ago the monotonic reading `earlier_us` was.
    pub fn since(self, earlier_us: u64) -> Duration {
        Duration::from_micros(self.mono_us.saturating_sub(earlier_us))
    }
}

/// Where a reading comes from.
pub trait Clock: Send + Sync {
    /// Reads both clocks.
    fn now(&self) -> Now;
}

/// A duration in whole microseconds, saturating.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// `wall_us` as RFC 3339 in UTC with six digits of fraction: `2026-01-01T12:00:00.000001Z`.
pub fn rfc3339(wall_us: u64) -> String {
    let mut text = Vec::with_capacity(27);
    push_rfc3339(&mut text, wall_us);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends [`rfc3339`] of `wall_us` to `out`.
pub fn push_rfc3339(out: &mut Vec<u8>, wall_us: u64) {
    let micros = i64::try_from(wall_us).unwrap_or(i64::MAX);
    let timestamp = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    let printer = jiff::fmt::temporal::DateTimePrinter::new().precision(Some(6));
    // Printing into a `Vec` cannot fail; a failure would leave the text as it was.
    let _ = printer.print_timestamp(&timestamp, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_always_has_six_digits_of_fraction() {
        assert_eq!(rfc3339(1_767_268_800_000_001), "2026-01-01T12:00:00.000001Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn a_time_beyond_the_calendar_does_not_panic() {
        assert!(rfc3339(u64::MAX).starts_with("9999-"));
    }
}
