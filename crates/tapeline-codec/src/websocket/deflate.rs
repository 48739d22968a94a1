//! A message's bytes to and from DEFLATE, each message by itself (RFC 7692, 7.2).
//!
//! Owns the bound on what is inflated while it is inflated, and the state of zlib: one compressor and one inflater a
//! thread, made at the first use and emptied before each message, so that connections keep none and share nothing.
//! Refuses to know frames, and when compressing is worth it.

use std::cell::Cell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::ProtocolError;

/// What ends a flushed block and does not travel.
const TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff];
/// The same, and an empty last block: only data that is whole reaches its end.
const TAIL_AND_END: &[u8] = &[0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// Measured on order books (decision 9): level 1 saves a third less, higher levels cost more and save no more.
const LEVEL: u32 = 2;

thread_local! {
    static COMPRESSOR: Cell<Option<Box<Compress>>> = const { Cell::new(None) };
    static INFLATER: Cell<Option<Box<Decompress>>> = const { Cell::new(None) };
}

/// The message's bytes deflated, ready for a frame with RSV1; `None` if that makes them no shorter.
pub(super) fn deflate(payload: &[u8]) -> Option<Vec<u8>> {
    let mut zlib =
        COMPRESSOR.take().unwrap_or_else(|| Box::new(Compress::new(Compression::new(LEVEL), false)));
    zlib.reset();
    // Only room for what would be shorter: the rest is not even made.
    let mut out = Vec::with_capacity(payload.len() + TAIL.len());
    let done = zlib.compress_vec(payload, &mut out, FlushCompress::Sync);
    let is_whole = done.is_ok() && zlib.total_in() == payload.len() as u64 && out.ends_with(TAIL);
    COMPRESSOR.set(Some(zlib));
    out.truncate(out.len().saturating_sub(TAIL.len()));
    (is_whole && out.len() < payload.len()).then_some(out)
}

/// What the payload of a compressed message stands for, at most `limit` bytes of it.
pub(super) fn inflate(payload: &[u8], limit: usize) -> Result<Vec<u8>, ProtocolError> {
    if payload.is_empty() {
        // Not what the RFC makes of an empty message (one zero byte), but what some zlib wrappers do.
        return Ok(Vec::new());
    }
    let mut zlib = INFLATER.take().unwrap_or_else(|| Box::new(Decompress::new(false)));
    zlib.reset(false);
    let inflated = inflate_with(&mut zlib, payload, limit);
    INFLATER.set(Some(zlib));
    inflated
}

fn inflate_with(zlib: &mut Decompress, payload: &[u8], limit: usize) -> Result<Vec<u8>, ProtocolError> {
    let guess = payload.len().saturating_mul(4).max(256);
    let mut out = Vec::with_capacity(guess.min(limit.saturating_add(1)));
    match inflate_piece(zlib, payload, &mut out, limit)? {
        Piece::All => match inflate_piece(zlib, TAIL_AND_END, &mut out, limit)? {
            Piece::Ended([]) => Ok(out),
            _ => Err(ProtocolError::NotDeflate),
        },
        // The client ended the stream itself. A zero byte follows, which with the tail is an empty block (7.2.3.4).
        Piece::Ended([] | [0]) => Ok(out),
        Piece::Ended(_) => Err(ProtocolError::NotDeflate),
    }
}

enum Piece<'a> {
    /// All of it was taken, and more may follow.
    All,
    /// The last block ended before these bytes.
    Ended(&'a [u8]),
}

fn inflate_piece<'a>(
    zlib: &mut Decompress,
    mut input: &'a [u8],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<Piece<'a>, ProtocolError> {
    loop {
        if out.len() == out.capacity() {
            // Twice as much, but never room for more than the one byte that tells of more.
            let more = out.len().max(256).min(limit.saturating_add(1).saturating_sub(out.len()));
            out.reserve_exact(more.max(1));
        }
        let before = zlib.total_in();
        let status = zlib.decompress_vec(input, out, FlushDecompress::Sync);
        let status = status.map_err(|_| ProtocolError::NotDeflate)?;
        if out.len() > limit {
            return Err(ProtocolError::InflatesTooBig { limit });
        }
        let used = usize::try_from(zlib.total_in() - before).unwrap_or(input.len());
        input = input.get(used..).unwrap_or_default();
        match status {
            Status::StreamEnd => return Ok(Piece::Ended(input)),
            // Where there was room left, nothing is still inside.
            _ if out.len() < out.capacity() && input.is_empty() => return Ok(Piece::All),
            _ if out.len() < out.capacity() && used == 0 => return Err(ProtocolError::NotDeflate),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "deflate_tests.rs"]
mod tests;
