//! Close codes, and the body of a close frame.
//!
//! Owns which codes may stand on the wire (RFC 6455, 7.4) and how code and reason lie in the body.
//! Refuses to know who closes and why: the gateway's own 4xxx codes are declared there.

use super::ProtocolError;

/// The purpose was fulfilled.
pub const NORMAL: u16 = 1000;
/// The server shuts down, or the tab was closed.
pub const GOING_AWAY: u16 = 1001;
/// The peer broke the protocol.
pub const PROTOCOL: u16 = 1002;
/// A kind of data this endpoint does not take.
pub const UNSUPPORTED: u16 = 1003;
/// Text that is not UTF-8.
pub const INVALID_PAYLOAD: u16 = 1007;
/// A limit or a policy was broken.
pub const POLICY: u16 = 1008;
/// A message over the limit.
pub const TOO_BIG: u16 = 1009;
/// The server failed.
pub const INTERNAL: u16 = 1011;
/// The server restarts: come back after a random while.
pub const RESTART: u16 = 1012;
/// Overload.
pub const TRY_AGAIN: u16 = 1013;

/// The longest reason: a control frame's 125 bytes less the code.
pub const REASON_BYTES: usize = 123;

/// What a close frame said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close<'a> {
    /// `None`: the body was empty (reported elsewhere as 1005, which never stands on the wire).
    pub code: Option<u16>,
    /// Empty unless there is a code.
    pub reason: &'a str,
}

impl<'a> Close<'a> {
    /// Reads the unmasked body of a close frame.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ProtocolError> {
        match body {
            [] => Ok(Self { code: None, reason: "" }),
            [_] => Err(ProtocolError::CloseBodyTooShort),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !is_allowed(code) {
                    return Err(ProtocolError::CloseCode(code));
                }
                let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::CloseReasonNotUtf8)?;
                Ok(Self { code: Some(code), reason })
            }
        }
    }
}

/// Whether a close frame may carry this code, in either direction.
///
/// 1012–1014 came after the RFC by IANA's registry. 1004 is reserved; 1005, 1006 and 1015 are for local reports;
/// 1016–2999 are unassigned; 3000–3999 are registered by libraries and 4000–4999 are private.
pub fn is_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The longest start of `reason` that fits a close frame, cut between two characters.
pub(super) fn fitting_reason(reason: &str) -> &str {
    let end = reason.floor_char_boundary(REASON_BYTES);
    reason.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_assigned_registered_and_private_codes_are_allowed() {
        let refused = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];
        let allowed =
            [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
        assert!(refused.iter().all(|code| !is_allowed(*code)));
        assert!(allowed.iter().all(|code| is_allowed(*code)));
    }

    #[test]
    fn a_body_is_empty_or_a_code_with_an_optional_reason() {
        assert_eq!(Close::parse(b""), Ok(Close { code: None, reason: "" }));
        assert_eq!(Close::parse(b"\x03\xe8"), Ok(Close { code: Some(1000), reason: "" }));
        assert_eq!(Close::parse(b"\x0f\xa1bye"), Ok(Close { code: Some(4001), reason: "bye" }));
        assert_eq!(Close::parse(b"\x03"), Err(ProtocolError::CloseBodyTooShort));
        assert_eq!(Close::parse(b"\x03\xed"), Err(ProtocolError::CloseCode(1005)));
        assert_eq!(Close::parse(b"\x03\xe8\xff"), Err(ProtocolError::CloseReasonNotUtf8));
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        assert_eq!(fitting_reason("short"), "short");
        assert_eq!(fitting_reason(&"a".repeat(200)).len(), 123);
        assert_eq!(fitting_reason(&format!("{}é", "a".repeat(122))).len(), 122);
        assert_eq!(fitting_reason(&"€".repeat(50)).len(), 123);
        assert_eq!(fitting_reason(&"🎺".repeat(40)).len(), 120);
    }
}
