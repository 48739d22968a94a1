//! A number with its digits as they were written: `0.10` stays `0.10`.

use std::cmp::Ordering;
use std::fmt;

/// Digits after the point at most.
const PLACES: u8 = 18;

/// A non-negative decimal; equal and ordered by value, written as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    units: u128,
    places: u8,
}

impl Decimal {
    /// `0`.
    pub const ZERO: Self = Decimal { units: 0, places: 0 };

    /// Reads digits with at most one point; no sign, no exponent, at most 38 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let places = u8::try_from(fraction.len()).ok().filter(|places| *places <= PLACES)?;
        let is_number = !whole.is_empty() && (fraction.is_empty() != text.contains('.'));
        let digits = whole.bytes().chain(fraction.bytes());
        let add = |units: u128, digit: u8| {
            let value = digit.is_ascii_digit().then(|| u128::from(digit - b'0'))?;
            units.checked_mul(10)?.checked_add(value)
        };
        is_number.then_some(())?;
        Some(Decimal { units: digits.fold(Some(0), |units, digit| add(units?, digit))?, places })
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.units == 0
    }

    /// Digits after the point, as written.
    pub fn places(self) -> u8 {
        self.places
    }

    fn at_places(self, places: u8) -> u128 {
        let more = u32::from(places.saturating_sub(self.places));
        self.units.saturating_mul(10_u128.saturating_pow(more))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let places = self.places.max(other.places);
        self.at_places(places).cmp(&other.at_places(places))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = usize::from(self.places);
        let digits = format!("{:0>width$}", self.units, width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        if fraction.is_empty() { f.write_str(whole) } else { write!(f, "{whole}.{fraction}") }
    }
}
