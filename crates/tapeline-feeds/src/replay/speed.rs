//! How fast recorded time passes.

use std::str::FromStr;
use std::time::Duration;

/// Slower than a thousandth and faster than a million times is a slip of the keyboard.
const TIMES: std::ops::RangeInclusive<f64> = 0.001..=1_000_000.0;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast as recorded; 1 keeps the recorded times.
    Times(f64),
    /// Everything is due at once.
    Max,
}

impl Default for Speed {
    fn default() -> Self {
        Speed::Times(1.0)
    }
}

impl Speed {
    /// When what was recorded `since_start_ns` after the start is due.
    pub(super) fn due(self, since_start_ns: u64) -> Duration {
        match self {
            Speed::Max => Duration::ZERO,
            Speed::Times(times) => {
                let seconds = Duration::from_nanos(since_start_ns).as_secs_f64() / times;
                Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
            }
        }
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        match text.parse::<f64>() {
            Ok(times) if TIMES.contains(&times) => Ok(Speed::Times(times)),
            _ => Err("not `max` and not a number between 0.001 and 1000000".to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_sane_number_or_max() {
        assert_eq!("1".parse(), Ok(Speed::Times(1.0)));
        assert_eq!("0.5".parse(), Ok(Speed::Times(0.5)));
        assert_eq!("max".parse(), Ok(Speed::Max));
        for bad in ["0", "-1", "nan", "inf", "fast", "", "1e9"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn twice_as_fast_is_half_the_time() {
        assert_eq!(Speed::Times(2.0).due(3_000_000_000), Duration::from_millis(1_500));
        assert_eq!(Speed::default().due(3_000_000_000), Duration::from_secs(3));
        assert_eq!(Speed::Max.due(u64::MAX), Duration::ZERO);
    }
}
