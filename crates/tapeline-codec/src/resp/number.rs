//! Whole numbers as Redis reads them: no plus sign, no leading zero, no blank, nothing beyond 64 bits.

/// A decimal number of 64 bits; `None` for whatever Redis would not take as one (`string2ll` in its `util.c`).
///
/// ```
/// # use tapeline_codec::resp::parse_integer;
/// assert_eq!(parse_integer(b"-7"), Some(-7));
/// assert_eq!(parse_integer(b"+7"), None);
/// assert_eq!(parse_integer(b"07"), None);
/// ```
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (first, _) = digits.split_first()?;
    if *first == b'0' {
        return (!negative && digits.len() == 1).then_some(0);
    }
    let mut number: i64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        let digit = i64::from(digit - b'0');
        number = number.checked_mul(10)?;
        // Negative numbers reach one further.
        number = if negative { number.checked_sub(digit)? } else { number.checked_add(digit)? };
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_redis_reads_them() {
        let max = i64::MAX.to_string();
        let min = i64::MIN.to_string();
        for (text, number) in [
            ("0", 0),
            ("1", 1),
            ("-1", -1),
            ("1234567890", 1_234_567_890),
            (&max, i64::MAX),
            (&min, i64::MIN),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), Some(number), "{text}");
        }
        for text in
            ["", "-", "-0", "+1", "01", "1 ", " 1", "1a", "9223372036854775808", "-9223372036854775809"]
        {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
    }
}
