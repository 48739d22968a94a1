//! WebSocket framing, the little that a load client and the floor need: headers in both directions,
//! masked frames out. No reassembly of fragments: neither side sends any. A compressed
//! payload is handed on as it stands.

use anyhow::{Result, bail};

/// A text frame.
pub(crate) const TEXT: u8 = 1;
/// A close frame.
pub(crate) const CLOSE: u8 = 8;
/// A ping frame.
pub(crate) const PING: u8 = 9;
/// A pong frame.
pub(crate) const PONG: u8 = 10;

/// The key of every client frame. It is fixed (the peer cannot know) but not zero, so that the
/// server has to unmask as it would for a browser.
pub(crate) const MASK: [u8; 4] = [0x5a, 0xc3, 0x1e, 0x87];

/// The handshake key of every client, and the accept value that belongs to it (RFC 6455, 1.3).
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a frame's first bytes say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) mask: Option<[u8; 4]>,
    /// Where the payload begins.
    pub(crate) at: usize,
    /// How long the payload is.
    pub(crate) len: usize,
}

/// Reads a frame's header; `None` while bytes are missing.
#[inline]
pub(crate) fn header(buf: &[u8]) -> Option<Header> {
    let (&first, &second) = (buf.first()?, buf.get(1)?);
    let (len, mut at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*buf.get(2..)?.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*buf.get(2..)?.first_chunk()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let mask = if second & 0x80 == 0 {
        None
    } else {
        let key = *buf.get(at..)?.first_chunk::<4>()?;
        at += 4;
        Some(key)
    };
    Some(Header { fin: first & 0x80 != 0, opcode: first & 0x0f, mask, at, len })
}

/// The first whole frame of `buf`: its header, its payload as it stands, and its whole length.
#[inline]
pub(crate) fn frame(buf: &[u8]) -> Result<Option<(Header, &[u8], usize)>> {
    let Some(header) = header(buf) else { return Ok(None) };
    if header.opcode & 8 == 0 && !(header.fin && header.opcode == TEXT) {
        bail!(
            "a fragment or a binary frame (opcode {}) came, the bench reads whole text only",
            header.opcode
        );
    }
    let whole = header.at.saturating_add(header.len);
    Ok(buf.get(header.at..whole).map(|payload| (header, payload, whole)))
}

/// Appends a masked frame, client to server.
pub(crate) fn put_masked(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    put_length(out, 0x80, payload.len());
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Appends a plain frame, server to client.
pub(crate) fn put_plain(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    put_length(out, 0, payload.len());
    out.extend_from_slice(payload);
}

fn put_length(out: &mut Vec<u8>, mask_bit: u8, len: usize) {
    if let Some(short) = u8::try_from(len).ok().filter(|&short| short < 126) {
        out.push(mask_bit | short);
    } else if let Ok(medium) = u16::try_from(len) {
        out.push(mask_bit | 126);
        out.extend_from_slice(&medium.to_be_bytes());
    } else {
        out.push(mask_bit | 127);
        out.extend_from_slice(&u64::try_from(len).unwrap_or(u64::MAX).to_be_bytes());
    }
}

/// A masked text frame of its own.
pub(crate) fn text(payload: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    put_masked(&mut out, TEXT, payload.as_bytes());
    out
}

/// Where the native protocol is spoken, without heartbeats and notices.
pub(crate) const NATIVE_PATH: &str = "/ws?heartbeat=0&notices=0";

/// The request that opens a WebSocket, with or without an offer of permessage-deflate.
pub(crate) fn upgrade_request(path: &str, host: &str, deflate: bool) -> Vec<u8> {
    let offer = if deflate { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    )
    .into_bytes()
}

/// How long the answer to the upgrade is, `None` while it is incomplete.
pub(crate) fn upgrade_answer(buf: &[u8]) -> Result<Option<usize>> {
    let Some(end) = crate::text::find(buf, b"\r\n\r\n") else { return Ok(None) };
    let head = buf.get(..end).unwrap_or_default();
    if !head.starts_with(b"HTTP/1.1 101") || crate::text::find(head, ACCEPT).is_none() {
        bail!("the upgrade was refused: {}", crate::text::excerpt(buf));
    }
    Ok(Some(end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_each_length_form_is_read_back() {
        for len in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; len];
            let mut plain = Vec::new();
            put_plain(&mut plain, TEXT, &payload);
            let (_, read, whole) = frame(&plain).unwrap().unwrap();
            assert_eq!((read.len(), whole), (len, plain.len()));
            let cut = plain.get(..plain.len() - 1).unwrap();
            assert!(frame(cut).unwrap().is_none());

            let mut masked = Vec::new();
            put_masked(&mut masked, TEXT, &payload);
            let header = header(&masked).unwrap();
            assert_eq!((header.mask, header.at + header.len), (Some(MASK), masked.len()));
        }
    }

    #[test]
    fn a_fragment_is_refused() {
        assert!(frame(&[0x01, 0x01, b'x']).is_err());
    }
}
