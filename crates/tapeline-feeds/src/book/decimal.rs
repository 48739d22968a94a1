//! A number with its digits as they were written: `0.10` stays `0.10`. Equal and ordered by value, never through
//! floating point. It does not know signs: nothing in a book is below nothing.

use std::cmp::Ordering;
use std::fmt;

/// Digits at most, those after the point and the zeros before the first one included.
const DIGITS: u8 = 38;

/// So many digits fit into 64 bits whatever they are.
const SHORT: usize = 19;

/// A non-negative decimal; equal and ordered by value, written as it was read.
// Two halves and not a `u128`, whose alignment would make a level of a book a third larger.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    high: u64,
    low: u64,
    places: u8,
}

impl Decimal {
    /// `0`.
    pub const ZERO: Self = Decimal { high: 0, low: 0, places: 0 };

    /// Reads a number as JSON writes it: no sign, no needless zero in front, at most 38 digits. An exponent is
    /// expanded (`1e-8` is `0.00000001`), where that takes no more digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, rest) = Self::take(text.as_bytes())?;
        rest.is_empty().then_some(number)
    }

    /// The number that the bytes begin with, and what follows it.
    pub(crate) fn take(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (whole, rest) = bytes.split_at(digits(bytes));
        let is_number = matches!(whole, [b'0'] | [b'1'..=b'9', ..]);
        is_number.then_some(())?;
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => {
                rest.split_at_checked(digits(rest)).filter(|(digits, _)| !digits.is_empty())?
            }
            _ => (&[][..], rest),
        };
        let places = u8::try_from(fraction.len()).ok().filter(|places| *places <= DIGITS)?;
        let number = if whole.len() + fraction.len() <= SHORT {
            Decimal { high: 0, low: fraction.iter().fold(short(0, whole), push), places }
        } else {
            Self::long(whole, fraction, places)?
        };
        match rest {
            [b'e' | b'E', rest @ ..] => number.shifted(rest),
            _ => Some((number, rest)),
        }
    }

    #[cold]
    fn long(whole: &[u8], fraction: &[u8], places: u8) -> Option<Self> {
        let add = |units: u128, digit: &u8| {
            units.checked_mul(10)?.checked_add(u128::from(digit.wrapping_sub(b'0')))
        };
        let units = whole.iter().chain(fraction).try_fold(0, add)?;
        Self::of(units, places)
    }

    /// With the exponent that the bytes begin with.
    #[cold]
    fn shifted(self, bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (is_negative, rest) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, bytes),
        };
        let (exponent, rest) =
            rest.split_at_checked(digits(rest)).filter(|(digits, _)| !digits.is_empty())?;
        let add = |value: u8, digit: &u8| value.checked_mul(10)?.checked_add(digit.wrapping_sub(b'0'));
        let by = exponent.iter().try_fold(0, add)?;
        let number = if is_negative {
            Self::of(self.units(), self.places.checked_add(by)?)?
        } else {
            let zeros = u32::from(by.saturating_sub(self.places));
            let units = self.units().checked_mul(10_u128.checked_pow(zeros)?)?;
            Self::of(units, self.places.saturating_sub(by))?
        };
        Some((number, rest))
    }

    fn of(units: u128, places: u8) -> Option<Self> {
        let is_short = units < 10_u128.pow(u32::from(DIGITS)) && places <= DIGITS;
        let high = u64::try_from(units >> 64).ok()?;
        let low = u64::try_from(units & u128::from(u64::MAX)).ok()?;
        is_short.then_some(Decimal { high, low, places })
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.high == 0 && self.low == 0
    }

    /// Digits after the point, as written.
    pub fn places(self) -> u8 {
        self.places
    }

    /// How many times it holds 10 to the power of minus [`Decimal::places`].
    pub fn units(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    /// The units, where they fit.
    pub(crate) fn short_units(self) -> Option<u64> {
        (self.high == 0).then_some(self.low)
    }

    /// Of numbers with other places: what does not fit is more than all that does.
    #[cold]
    fn cmp_by_value(self, other: Self) -> Ordering {
        let scaled = |number: Self, places: u8| {
            let more = u32::from(places.saturating_sub(number.places));
            number.units().checked_mul(10_u128.checked_pow(more)?)
        };
        let places = self.places.max(other.places);
        match (scaled(self, places), scaled(other, places)) {
            (Some(own), Some(theirs)) => own.cmp(&theirs),
            (None, _) => Ordering::Greater,
            (_, None) => Ordering::Less,
        }
    }
}

/// How many digits the bytes begin with.
fn digits(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len())
}

fn push(units: u64, digit: &u8) -> u64 {
    units.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')))
}

fn short(units: u64, digits: &[u8]) -> u64 {
    digits.iter().fold(units, push)
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
        if self.places == other.places {
            (self.high, self.low).cmp(&(other.high, other.low))
        } else {
            self.cmp_by_value(*other)
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = usize::from(self.places);
        let digits = format!("{:0>width$}", self.units(), width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        if fraction.is_empty() { f.write_str(whole) } else { write!(f, "{whole}.{fraction}") }
    }
}

#[cfg(test)]
#[path = "decimal/tests.rs"]
mod tests;
