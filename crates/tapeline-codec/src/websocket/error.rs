//! How a client broke the protocol, and the close code that answers it.
//!
//! Owns the wording and the codes of RFC 6455, 7.4.1. Refuses to know where in the stream it happened.

use super::close;

/// A rule of the protocol, or a limit of ours, that a client broke. The connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// RFC 6455, 5.1: every frame of a client is masked.
    #[error("client frame is not masked")]
    Unmasked,
    /// RFC 6455, 5.2: no extension was negotiated that defines this reserved bit here. RFC 7692, 6: RSV1 stands on
    /// the first frame of a message only.
    #[error("reserved bits {0:#05b} are set, nothing negotiated allows them here")]
    ReservedBits(u8),
    /// RFC 6455, 5.2: opcodes 3–7 and 11–15 are reserved.
    #[error("opcode {0} is unknown")]
    UnknownOpcode(u8),
    /// RFC 6455, 5.2: the shortest form of a length must be used.
    #[error("payload length {0} is not in its shortest form")]
    LengthNotMinimal(u64),
    /// RFC 6455, 5.2: the top bit of a 64-bit length is zero.
    #[error("payload length {0} has its top bit set")]
    LengthTopBit(u64),
    /// RFC 6455, 5.5: a control frame carries at most 125 bytes.
    #[error("control frame is longer than 125 bytes")]
    ControlTooLong,
    /// RFC 6455, 5.5: a control frame is never fragmented.
    #[error("control frame is fragmented")]
    ControlFragmented,
    /// RFC 6455, 5.4: a continuation continues something.
    #[error("continuation frame without a message to continue")]
    ContinuationWithoutStart,
    /// RFC 6455, 5.4: the fragments of two messages are not interleaved.
    #[error("new message inside an unfinished fragmented message")]
    Interleaved,
    /// RFC 6455, 8.1: a text message is UTF-8.
    #[error("text message is not valid utf-8")]
    TextNotUtf8,
    /// RFC 6455, 5.5.1: the reason in a close frame is UTF-8.
    #[error("close reason is not valid utf-8")]
    CloseReasonNotUtf8,
    /// RFC 6455, 5.5.1: a close body is empty or starts with two bytes of code.
    #[error("close body is 1 byte, a close code is 2")]
    CloseBodyTooShort,
    /// RFC 6455, 7.4: reserved, unassigned, or never to be seen on the wire.
    #[error("close code {0} is not allowed on the wire")]
    CloseCode(u16),
    /// Decided from the header, before any of the payload is kept.
    #[error("message is {bytes} bytes, the limit is {limit}")]
    MessageTooBig {
        /// The message's bytes up to the end of the frame that broke the limit.
        bytes: u64,
        /// [`Limits::message_bytes`](super::Limits::message_bytes).
        limit: usize,
    },
    /// Told while inflating: no more than the limit is ever held.
    #[error("message inflates to more than the limit of {limit} bytes")]
    InflatesTooBig {
        /// [`Limits::message_bytes`](super::Limits::message_bytes).
        limit: usize,
    },
    /// RFC 7692, 7.2.2: a message with RSV1 is whole DEFLATE data that refers to nothing before the message.
    #[error("compressed message is not valid deflate data")]
    NotDeflate,
    /// A flood of tiny or empty fragments: the message may be small, so it is answered with 1008, not 1009.
    #[error("message has {fragments} fragments, the limit is {limit}")]
    TooManyFragments {
        /// The fragments so far, with the one that broke the limit.
        fragments: u32,
        /// [`Limits::fragments`](super::Limits::fragments).
        limit: u32,
    },
}

impl ProtocolError {
    /// The code to put in the close frame that ends this connection.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::TextNotUtf8 | Self::CloseReasonNotUtf8 | Self::NotDeflate => close::INVALID_PAYLOAD,
            Self::MessageTooBig { .. } | Self::InflatesTooBig { .. } => close::TOO_BIG,
            Self::TooManyFragments { .. } => close::POLICY,
            _ => close::PROTOCOL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_thing_and_the_limit() {
        let error = ProtocolError::MessageTooBig { bytes: 70_000, limit: 65_536 };
        assert_eq!(error.to_string(), "message is 70000 bytes, the limit is 65536");
        assert_eq!(
            ProtocolError::ReservedBits(0b100).to_string(),
            "reserved bits 0b100 are set, nothing negotiated allows them here"
        );
    }

    #[test]
    fn each_kind_of_offence_has_its_close_code() {
        assert_eq!(ProtocolError::Unmasked.close_code(), 1002);
        assert_eq!(ProtocolError::CloseCode(1005).close_code(), 1002);
        assert_eq!(ProtocolError::TextNotUtf8.close_code(), 1007);
        assert_eq!(ProtocolError::CloseReasonNotUtf8.close_code(), 1007);
        assert_eq!(ProtocolError::TooManyFragments { fragments: 2, limit: 1 }.close_code(), 1008);
        assert_eq!(ProtocolError::MessageTooBig { bytes: 2, limit: 1 }.close_code(), 1009);
        assert_eq!(ProtocolError::InflatesTooBig { limit: 1 }.close_code(), 1009);
        assert_eq!(ProtocolError::NotDeflate.close_code(), 1007);
    }
}
