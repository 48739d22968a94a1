//! Numbers as text, and the checksum over them, written plainly from the venue's guide and from nothing of ours: who
//! tests a feed against this has two that must agree.

/// Places that prices are compared at; no pair has more.
const PLACES: usize = 12;

/// What orders prices: the number in units of its twelfth place.
pub(super) fn rank(text: &str) -> u128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction:0<PLACES$}");
    digits.parse().unwrap_or_else(|_| panic!("{text:?} is no price"))
}

/// Whether it is nothing.
pub(super) fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

/// So many units of the last of so many places.
pub(super) fn written(units: u64, places: usize) -> String {
    let digits = format!("{units:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
}

/// The number in units of its last place, and how many places it has.
pub(super) fn units(text: &str) -> (u64, usize) {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number = format!("{whole}{fraction}").parse().unwrap_or_else(|_| panic!("{text:?} is no number"));
    (number, fraction.len())
}

/// The CRC-32 of zlib, a bit at a time.
pub(super) fn crc32(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let one = |crc: u32, byte: u8| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    };
    !bytes.into_iter().fold(u32::MAX, one)
}

/// The checksum of a book: of the ten best (price, quantity) of each side, best first, as text at the pair's precision.
pub fn checksum<'a>(
    asks: impl IntoIterator<Item = (&'a str, &'a str)>,
    bids: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> u32 {
    let levels = asks.into_iter().take(10).chain(bids.into_iter().take(10));
    let mut text = String::new();
    for number in levels.flat_map(|(price, qty)| [price, qty]) {
        text.push_str(number.replace('.', "").trim_start_matches('0'));
    }
    crc32(text.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_venues_own_examples() {
        assert_eq!(crc32(*b"123456789"), 0xCBF4_3926);
        let bids = [("1.09", "0.00500000"), ("1.08", "10.00000000")];
        assert_eq!(checksum([("1.10", "2.50000000")], bids), 3_165_301_530);
        assert_eq!(checksum([], [("1.09", "0.00500000")]), 3_208_398_389);
    }

    #[test]
    fn prices_are_ordered_as_numbers_and_written_with_their_places() {
        assert!(rank("9.9") < rank("10.0") && rank("0.00002289") < rank("0.0000229"));
        assert_eq!(rank("66787.7"), rank("66787.70"));
        assert_eq!(
            (written(5, 8), written(1_234, 2), written(7, 0)),
            ("0.00000005".into(), "12.34".into(), "7".into())
        );
        assert_eq!(units("12.34"), (1_234, 2));
        assert!(is_zero("0.00000000") && !is_zero("0.00000001"));
    }
}
