//! Frames from the server: unmasked, never fragmented, so one frame serves any number of clients.
//!
//! Owns the bytes before a payload and the three control frames.
//! Refuses to know queues, and does not check that text is UTF-8: what is sent was made here.

use super::{
    Opcode, close, deflate,
    frame::{MAX_CONTROL, RSV1},
};

/// A server frame's header, 2 to 10 bytes, without an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderBuf {
    bytes: [u8; 10],
    len: u8,
}

impl HeaderBuf {
    /// The header's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for HeaderBuf {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// How many bytes stand before a payload of `payload_len` bytes: 2, 4 or 10.
pub fn header_len(payload_len: usize) -> usize {
    match payload_len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// The header of a whole message or a control frame of `payload_len` bytes.
///
/// A control frame carries at most 125 bytes; that is the caller's to keep, or use [`ping_frame`] and its siblings.
pub fn frame_header(opcode: Opcode, payload_len: usize) -> HeaderBuf {
    let first = 0x80 | opcode as u8;
    let [.., b6, b7] = (payload_len as u64).to_be_bytes();
    match header_len(payload_len) {
        2 => HeaderBuf { bytes: [first, b7, 0, 0, 0, 0, 0, 0, 0, 0], len: 2 },
        4 => HeaderBuf { bytes: [first, 126, b6, b7, 0, 0, 0, 0, 0, 0], len: 4 },
        _ => {
            let [b0, b1, b2, b3, b4, b5, b6, b7] = (payload_len as u64).to_be_bytes();
            HeaderBuf { bytes: [first, 127, b0, b1, b2, b3, b4, b5, b6, b7], len: 10 }
        }
    }
}

/// Appends the header that [`frame_header`] makes; the payload is for the caller to append.
pub fn push_header(out: &mut Vec<u8>, opcode: Opcode, payload_len: usize) {
    out.extend_from_slice(frame_header(opcode, payload_len).as_bytes());
}

/// A whole frame in an exactly sized buffer.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header_len(payload.len()) + payload.len());
    push_header(&mut out, opcode, payload.len());
    out.extend_from_slice(payload);
    out
}

/// A text message. The caller answers for `payload` being UTF-8.
pub fn text_frame(payload: &[u8]) -> Vec<u8> {
    frame(Opcode::Text, payload)
}

/// A binary message.
pub fn binary_frame(payload: &[u8]) -> Vec<u8> {
    frame(Opcode::Binary, payload)
}

/// A compressed message, for clients that negotiated it; `None` if that makes the frame no shorter.
///
/// It refers to nothing before it, so it may be sent to any number of clients, between any other frames.
pub fn deflated_frame(opcode: Opcode, payload: &[u8]) -> Option<Vec<u8>> {
    let mut frame = frame(opcode, &deflate::deflate(payload)?);
    if let Some(first) = frame.first_mut() {
        *first |= RSV1 << 4;
    }
    Some(frame)
}

/// The payload of a frame that was made here; empty for anything else.
pub fn payload_of(frame: &[u8]) -> &[u8] {
    let header = match frame.get(1) {
        Some(127) => 10,
        Some(126) => 4,
        _ => 2,
    };
    frame.get(header..).unwrap_or_default()
}

/// A ping with the first 125 bytes of `payload`.
pub fn ping_frame(payload: &[u8]) -> Vec<u8> {
    control_frame(Opcode::Ping, payload)
}

/// A pong with the first 125 bytes of `payload`: a received ping's payload always fits.
pub fn pong_frame(payload: &[u8]) -> Vec<u8> {
    control_frame(Opcode::Pong, payload)
}

/// A close with a code and the start of `reason` that fits 123 bytes, cut between two characters.
///
/// The body is empty without a code, and with one that may not stand on the wire ([`close::is_allowed`]), so the
/// answer to a client's close is `close_frame(close.code, "")`.
pub fn close_frame(code: Option<u16>, reason: &str) -> Vec<u8> {
    let Some(code) = code.filter(|code| close::is_allowed(*code)) else { return frame(Opcode::Close, &[]) };
    let reason = close::fitting_reason(reason);
    let len = 2 + reason.len();
    let mut out = Vec::with_capacity(header_len(len) + len);
    push_header(&mut out, Opcode::Close, len);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
    out
}

fn control_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame(opcode, payload.get(..MAX_CONTROL).unwrap_or(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unmasked_vectors_of_the_rfc_are_reproduced() {
        assert_eq!(text_frame(b"Hello"), b"\x81\x05Hello");
        assert_eq!(ping_frame(b"Hello"), b"\x89\x05Hello");
        assert_eq!(pong_frame(b"Hello"), b"\x8a\x05Hello");
        assert_eq!(binary_frame(&[7; 256])[..4], [0x82, 0x7e, 0x01, 0x00]);
        assert_eq!(binary_frame(&[7; 65536])[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_length_takes_its_shortest_form() {
        for (len, header) in [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)] {
            assert_eq!(header_len(len), header);
            assert_eq!(frame_header(Opcode::Text, len).as_bytes().len(), header);
            let whole = text_frame(&vec![b'x'; len]);
            assert_eq!((whole.len(), whole.capacity()), (header + len, header + len));
        }
    }

    #[test]
    fn a_deflated_frame_has_rsv1_and_is_shorter() {
        for opcode in [Opcode::Text, Opcode::Binary] {
            let frame = deflated_frame(opcode, &[b'x'; 70_000]).unwrap();
            assert_eq!(frame[0], 0xc0 | opcode as u8);
            assert!(frame.len() < 1_000);
            assert_eq!(deflate::inflate(payload_of(&frame), 70_000).unwrap(), [b'x'; 70_000]);
        }
        assert_eq!(deflated_frame(Opcode::Text, b"short"), None);
    }

    #[test]
    fn a_frame_gives_its_payload_back() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; len];
            assert_eq!(payload_of(&text_frame(&payload)), payload, "{len}");
        }
        assert_eq!(payload_of(b""), b"");
    }

    #[test]
    fn a_control_frame_never_carries_more_than_125_bytes() {
        assert_eq!(ping_frame(&[1; 300]).len(), 127);
        assert_eq!(pong_frame(&[1; 125]).len(), 127);
        assert_eq!(close_frame(Some(1008), &"é".repeat(99)).len(), 2 + 2 + 122);
    }

    #[test]
    fn a_close_carries_a_code_only_if_it_may_stand_on_the_wire() {
        assert_eq!(close_frame(Some(1008), "no"), b"\x88\x04\x03\xf0no");
        assert_eq!(close_frame(None, "lost"), b"\x88\x00");
        assert_eq!(close_frame(Some(1006), "lost"), b"\x88\x00");
    }
}
