//! Names: Redis takes any bytes for a channel or a key, the hub printable ASCII without some characters. What it does not
//! take is written as `%` and two digits here, and read back, so that every name of either side is one of the other.

use std::borrow::Cow;

use tapeline_schema::name::is_name_character;

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
/// A percent sign, written so.
const PERCENT: &[u8] = b"25";

fn is_taken(byte: u8) -> bool {
    is_name_character(char::from(byte))
}

fn digit(byte: u8) -> Option<u8> {
    DIGITS.iter().position(|digit| *digit == byte).and_then(|value| u8::try_from(value).ok())
}

/// The byte that two digits stand for, if it is one that is written so.
fn written(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    let byte = digit(*high)? << 4 | digit(*low)?;
    (!byte.is_ascii() || !is_taken(byte)).then_some(byte)
}

/// Whether a percent sign before this means something: digits of a byte stand there, maybe behind further signs that are
/// written themselves.
fn is_mark(mut behind: &[u8]) -> bool {
    while let Some(rest) = behind.strip_prefix(PERCENT) {
        behind = rest;
    }
    written(behind).is_some()
}

fn push(out: &mut Vec<u8>, byte: u8, behind: &[u8]) {
    if byte == b'%' && is_mark(behind) {
        out.extend_from_slice(b"%25");
    } else if byte.is_ascii() && is_taken(byte) {
        out.push(byte);
    } else {
        let place = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
        out.extend_from_slice(&[b'%', place(byte >> 4), place(byte & 15)]);
    }
}

fn text(out: Vec<u8>) -> String {
    // What was pushed is ASCII.
    String::from_utf8(out).unwrap_or_default()
}

/// The hub's name for these bytes.
pub(super) fn to_hub(bytes: &[u8]) -> Cow<'_, str> {
    let is_same = bytes.iter().all(|byte| byte.is_ascii() && is_taken(*byte) && *byte != b'%');
    if let Some(same) = std::str::from_utf8(bytes).ok().filter(|_| is_same) {
        return Cow::Borrowed(same);
    }
    let mut out = Vec::with_capacity(bytes.len() + 16);
    for (at, byte) in bytes.iter().enumerate() {
        push(&mut out, *byte, bytes.get(at + 1..).unwrap_or_default());
    }
    Cow::Owned(text(out))
}

/// The hub's pattern for a pattern of these bytes. Classes stay as they are: they are of single bytes.
pub(super) fn pattern_to_hub(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let as_it_is = match byte {
            b'*' | b'?' => 1,
            b'[' => rest.iter().position(|byte| *byte == b']').map_or(rest.len(), |end| end + 1),
            // What is escaped is itself. The escape stays before the hub's form of it, so that it is read back.
            b'\\' if rest.len() > 1 => {
                out.push(b'\\');
                push(&mut out, *rest.get(1).unwrap_or(byte), rest.get(2..).unwrap_or_default());
                at += 2;
                continue;
            }
            b'\\' => 1,
            _ => 0,
        };
        out.extend(rest.iter().take(as_it_is));
        if as_it_is == 0 {
            push(&mut out, *byte, rest.get(1..).unwrap_or_default());
        }
        at += as_it_is.max(1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The bytes that the hub's name stands for.
pub(super) fn from_hub(name: &str) -> Cow<'_, [u8]> {
    if !name.contains('%') {
        return Cow::Borrowed(name.as_bytes());
    }
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' || !is_mark(behind) {
            out.push(*byte);
            continue;
        }
        let skipped = behind.strip_prefix(PERCENT);
        out.push(if skipped.is_some() { b'%' } else { written(behind).unwrap_or(b'%') });
        rest = skipped.or_else(|| behind.get(2..)).unwrap_or_default();
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_hub_does_not_take_is_written_in_digits() {
        for (bytes, name) in [
            (&b"market_data:AAPL"[..], "market_data:AAPL"),
            (b"a b,c", "a%20b%2Cc"),
            ("uni\u{1168}code".as_bytes(), "uni%E1%85%A8code"),
            (b"100%", "100%"),
            (b"%41", "%41"),
            (b"%20", "%2520"),
            (b"%2520", "%252520"),
            (b"%25", "%25"),
            (b"%2z", "%2z"),
            (b"a*[]?\\", "a%2A%5B%5D%3F%5C"),
        ] {
            assert_eq!(to_hub(bytes), name);
            assert_eq!(&*from_hub(name), bytes);
        }
    }

    #[test]
    fn patterns_keep_what_means_something_in_them() {
        for (bytes, pattern) in [
            (&b"news.*"[..], "news.*"),
            (b"h[^e]llo ?", "h[^e]llo%20?"),
            (b"a\\*b", "a\\%2Ab"),
            (b"a\\ b*", "a\\%20b*"),
            (b"a\\%20\\x\\", "a\\%2520\\x\\"),
            ("\u{e9}*".as_bytes(), "%C3%A9*"),
            (b"[a b", "[a b"),
            (b"%20*", "%2520*"),
        ] {
            assert_eq!(pattern_to_hub(bytes), pattern);
            assert_eq!(&*from_hub(pattern), bytes);
        }
    }

    proptest! {
        #[test]
        fn every_name_of_either_side_is_one_of_the_other(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..12),
                "[%0-9A-F a-f]{0,12}".prop_map(String::into_bytes),
            ],
            name in "[%0-9A-Fa-f:]{0,12}",
        ) {
            let hub = to_hub(&bytes);
            prop_assert!(hub.chars().all(is_name_character));
            prop_assert_eq!(&*from_hub(&hub), &*bytes);
            let there = from_hub(&name);
            prop_assert_eq!(&*to_hub(&there), &*name);
        }
    }
}
