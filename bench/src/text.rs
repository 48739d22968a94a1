//! Looking at bytes without parsing them: find a needle, read digits that stand at a known place.
//! The load clients share the processor with the server they measure, so nothing here allocates.

/// Where `needle` first stands in `hay`.
pub(crate) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let step = hay.get(from..)?.iter().position(|&byte| byte == first)?;
        let at = from + step;
        if hay.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Where `needle` last stands in `hay`.
pub(crate) fn find_last(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).rposition(|window| window == needle)
}

/// The number whose digits begin at `at`, up to the first byte that is no digit.
pub(crate) fn digits(hay: &[u8], at: usize) -> Option<u64> {
    let tail = hay.get(at..)?;
    tail.first().filter(|byte| byte.is_ascii_digit())?;
    let number = tail
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_u64, |sum, byte| sum.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')));
    Some(number)
}

/// Writes `number` in decimal, right-aligned with leading zeros, over `place`.
pub(crate) fn put_digits(place: &mut [u8], mut number: u64) {
    for byte in place.iter_mut().rev() {
        *byte = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

/// The first 200 bytes as text, for error messages.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_first_and_last() {
        let hay = br#"{"offset":1,"data":{"offset":2},"offset":37}"#;
        assert_eq!(find(hay, b"\"offset\":"), Some(1));
        let last = find_last(hay, b"\"offset\":").unwrap();
        assert_eq!(digits(hay, last + 9), Some(37));
        assert_eq!(find(hay, b"nothing"), None);
        assert_eq!(find_last(b"ab", b"abc"), None);
    }

    #[test]
    fn digits_are_written_at_a_fixed_width() {
        let mut place = *b"xxxx";
        put_digits(&mut place, 42);
        assert_eq!(&place, b"0042");
    }
}
