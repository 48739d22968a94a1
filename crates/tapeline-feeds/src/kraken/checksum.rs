//! Kraken's checksum of a book: CRC-32 over the digits of the ten best levels of each side, asks before bids, without
//! points and zeros in front, but with the zeros at the end (<https://docs.kraken.com/api/docs/guides/spot-ws-book-v2>).
//! It does not know which checksum was expected.

use crate::book::{Book, Decimal, Side};

/// Levels of each side that count, whatever the book's depth.
pub const LEVELS: usize = 10;

/// Digits after the point at most that a precision may ask for.
const PLACES: u8 = 38;

/// Digits after the point that a pair's numbers have. Where a number has fewer, its text lost zeros on the way, and
/// they are put back; where it has more, the number is right and the precision old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Precision {
    price: u8,
    qty: u8,
}

impl Precision {
    /// A pair's `price_precision` and `qty_precision`; nothing where one is beyond all reason.
    pub fn new(price: u32, qty: u32) -> Option<Self> {
        let places = |places: u32| u8::try_from(places).ok().filter(|places| *places <= PLACES);
        Some(Precision { price: places(price)?, qty: places(qty)? })
    }
}

/// Makes checksums; it keeps its memory from one to the next.
#[derive(Clone, Debug, Default)]
pub struct Checksum {
    text: Vec<u8>,
}

impl Checksum {
    /// The checksum of a book. Without a known precision pass the default one: digits then count as they were sent.
    pub fn of(&mut self, book: &Book, precision: Precision) -> u32 {
        self.text.clear();
        for side in [Side::Ask, Side::Bid] {
            for (price, qty) in book.levels(side).take(LEVELS) {
                write(&mut self.text, price, precision.price);
                write(&mut self.text, qty, precision.qty);
            }
        }
        crc32fast::hash(&self.text)
    }
}

/// The number's digits, as many after the point as it has, or as the precision asks for.
fn write(text: &mut Vec<u8>, number: Decimal, precision: u8) {
    if number.is_zero() {
        return;
    }
    let mut digits = itoa::Buffer::new();
    match number.short_units() {
        Some(units) => text.extend_from_slice(digits.format(units).as_bytes()),
        None => text.extend_from_slice(digits.format(number.units()).as_bytes()),
    }
    let zeros = usize::from(precision.saturating_sub(number.places()));
    if zeros > 0 {
        text.resize(text.len() + zeros, b'0');
    }
}

#[cfg(test)]
mod tests;
