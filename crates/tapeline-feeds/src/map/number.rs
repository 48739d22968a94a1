//! Sums and differences of numbers as they stand in JSON, exactly. The result has as many digits after the point as the
//! more exact of the two. What has no exact place here (more than 38 digits) is no number here.

use std::fmt;

/// Digits after the point at most.
const PLACES: i64 = 36;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    units: i128,
    places: u32,
}

impl Number {
    /// `0`
    pub(super) fn zero() -> Self {
        Number { units: 0, places: 0 }
    }

    /// Reads a JSON number.
    pub(super) fn parse(json: &str) -> Option<Self> {
        let (mantissa, exponent) = json.split_once(['e', 'E']).unwrap_or((json, "0"));
        let (negative, digits) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let places = i64::try_from(fraction.len()).ok()?.checked_sub(exponent.parse().ok()?)?;
        let is_number = !whole.is_empty() && (fraction.is_empty() != digits.contains('.'));
        let add = |units: i128, digit: u8| {
            let value = digit.is_ascii_digit().then(|| i128::from(digit - b'0'))?;
            units.checked_mul(10)?.checked_add(value)
        };
        let mut digits = whole.bytes().chain(fraction.bytes());
        let units = digits.try_fold(0, add).filter(|_| is_number)?;
        let units = units.checked_mul(if negative { -1 } else { 1 })?;
        if !(-PLACES..=PLACES).contains(&places) {
            return None;
        }
        let more = 10_i128.checked_pow(u32::try_from(-places).unwrap_or_default())?;
        Some(Number { units: units.checked_mul(more)?, places: u32::try_from(places).unwrap_or_default() })
    }

    /// The sum.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let places = self.places.max(other.places);
        let units = self.at_places(places)?.checked_add(other.at_places(places)?)?;
        Some(Number { units, places })
    }

    /// The difference.
    pub(super) fn minus(self, other: Self) -> Option<Self> {
        self.plus(Number { units: other.units.checked_neg()?, places: other.places })
    }

    fn at_places(self, places: u32) -> Option<i128> {
        self.units.checked_mul(10_i128.checked_pow(places.checked_sub(self.places)?)?)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let places = self.places as usize;
        let digits = format!("{:0>width$}", self.units.unsigned_abs(), width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minus(a: &str, b: &str) -> Option<String> {
        Some(Number::parse(a)?.minus(Number::parse(b)?)?.to_string())
    }

    #[test]
    fn differences_are_exact_and_keep_the_digits_after_the_point() {
        for (a, b, is) in [
            ("65972.9", "65972.8", "0.1"),
            ("0.3", "0.10", "0.20"),
            ("1", "1.00000000", "0.00000000"),
            ("0.01", "1", "-0.99"),
            ("-1.5", "-2", "0.5"),
            ("1e-8", "0", "0.00000001"),
            ("1.5E3", "0.5", "1499.5"),
            ("12345678901234567890.12345678", "0.00000001", "12345678901234567890.12345677"),
        ] {
            assert_eq!(minus(a, b).as_deref(), Some(is), "{a} - {b}");
        }
    }

    #[test]
    fn what_is_no_number_or_too_long_is_refused_without_panic() {
        let long = "9".repeat(40);
        let longest = i128::MAX.to_string();
        for text in ["", "-", ".5", "5.", "1e", "1e99", "1e-99", "1e9999999999999999999", "x", "\"1\"", &long]
        {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(minus(&longest, "-1"), None);
        assert_eq!(minus(&longest, "0.1"), None);
    }
}
