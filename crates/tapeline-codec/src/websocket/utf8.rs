//! Text that may stop in the middle of a character.
//!
//! Owns failing at the first byte that no continuation could make valid (RFC 6455, 8.1 with RFC 3629).
//! Refuses to know frames and messages.

use super::ProtocolError;

/// How many bytes at the end of `bytes` are the start of a character, 0 to 3. `bytes` starts between two characters.
pub(super) fn unfinished_tail(bytes: &[u8]) -> Result<u8, ProtocolError> {
    match simdutf8::compat::from_utf8(bytes) {
        Ok(_) => Ok(0),
        Err(error) if error.error_len().is_none() => Ok((bytes.len() - error.valid_up_to()) as u8),
        Err(_) => Err(ProtocolError::TextNotUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_started_character_is_a_tail_and_a_hopeless_one_is_an_error() {
        for (bytes, tail) in [
            (&b""[..], 0),
            (b"abc", 0),
            (b"abc\xc3", 1),
            (b"\xe2\x82", 2),
            (b"\xe2\x82\xac", 0),
            (b"\xf0\x9f\x8e", 3),
            (b"\xf4\x8f", 2),
        ] {
            assert_eq!(unfinished_tail(bytes), Ok(tail), "{bytes:x?}");
        }
        // Overlong, surrogate, above U+10FFFF, a lone continuation, never a first byte: told without waiting.
        for bytes in
            [&b"\xe0\x80"[..], b"\xc0", b"\xed\xa0", b"\xf4\x90", b"\xf5", b"\x80", b"\xff", b"\xc3a"]
        {
            assert_eq!(unfinished_tail(bytes), Err(ProtocolError::TextNotUtf8), "{bytes:x?}");
        }
    }
}
