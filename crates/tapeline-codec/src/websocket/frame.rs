//! One client frame's header: opcode, FIN, length, mask (RFC 6455, 5.2).
//!
//! Owns every rule that a header can break by itself. A broken rule is told as soon as its byte is there, in the
//! order of the bytes, so that cutting the stream elsewhere never changes the answer.
//! Refuses to know the message a frame belongs to, and the limits.

use super::ProtocolError;

/// The most bytes a client frame's header has: 2, a 64-bit length, and the key.
pub(super) const MAX_HEADER: usize = 14;
/// The most bytes a control frame carries.
pub(super) const MAX_CONTROL: usize = 125;

/// The reserved bit of a compressed message, among the three.
pub(super) const RSV1: u8 = 0b100;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// The next fragment of the current message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The end of the connection.
    Close = 0x8,
    /// To be answered by a pong.
    Ping = 0x9,
    /// The answer to a ping, or unsolicited.
    Pong = 0xA,
}

impl Opcode {
    fn from_bits(bits: u8) -> Result<Self, ProtocolError> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            other => return Err(ProtocolError::UnknownOpcode(other)),
        })
    }

    /// Whether this is a close, ping or pong.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A whole header that breaks no rule by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    /// RSV1: the message that begins here is compressed.
    pub(super) compressed: bool,
    pub(super) payload_len: u64,
    pub(super) key: [u8; 4],
}

impl Header {
    /// Reads a header from the start of `bytes`: the header and its length, or `None` if more bytes are needed.
    /// With `deflate` negotiated, the first frame of a message may have RSV1.
    pub(super) fn parse(bytes: &[u8], deflate: bool) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let fin = first & 0x80 != 0;
        let reserved = (first >> 4) & 0b111;
        let compressed = deflate && reserved == RSV1 && matches!(first & 0x0f, 0x1 | 0x2);
        if reserved != 0 && !compressed {
            return Err(ProtocolError::ReservedBits(reserved));
        }
        let opcode = Opcode::from_bits(first & 0x0f)?;
        if opcode.is_control() && !fin {
            return Err(ProtocolError::ControlFragmented);
        }

        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(ProtocolError::Unmasked);
        }
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL {
            return Err(ProtocolError::ControlTooLong);
        }
        let Some((payload_len, rest)) = payload_len(short, rest)? else { return Ok(None) };
        let Some((&key, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        Ok(Some((Self { opcode, fin, compressed, payload_len, key }, bytes.len() - rest.len())))
    }
}

/// The payload's length from its 7 bits and what follows them, and the bytes after it.
fn payload_len(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    match short {
        126 => {
            let Some((&bytes, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
            let len = u64::from(u16::from_be_bytes(bytes));
            if len < 126 {
                return Err(ProtocolError::LengthNotMinimal(len));
            }
            Ok(Some((len, rest)))
        }
        127 => {
            let Some((&bytes, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
            let len = u64::from_be_bytes(bytes);
            if len >> 63 != 0 {
                return Err(ProtocolError::LengthTopBit(len));
            }
            if len <= u64::from(u16::MAX) {
                return Err(ProtocolError::LengthNotMinimal(len));
            }
            Ok(Some((len, rest)))
        }
        len => Ok(Some((u64::from(len), rest))),
    }
}
