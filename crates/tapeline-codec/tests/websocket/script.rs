//! Client streams from random bytes: mostly well-formed frames, some with one rule broken.
//!
//! Owns the grammar; it is total, so a fuzzer and a property test can both drive it.
//! Refuses to know what a decoder makes of the stream.

/// Pieces of text that whole, cut or out of place make valid and invalid UTF-8.
const PALETTE: [&[u8]; 16] = [
    b"a",
    b"{\"k\":1}",
    "é".as_bytes(),
    "€".as_bytes(),
    "🎺".as_bytes(),
    b"",
    b"0123456789abcdef",
    b"\n",
    b"z",
    b"\xc3",
    b"\xa9",
    b"\xe2\x82",
    b"\xac",
    b"\xf0\x9f",
    b"\x8e\xba",
    b"\xed\xa0\x80",
];

const CODES: [u16; 16] =
    [0, 999, 1000, 1001, 1003, 1004, 1005, 1006, 1011, 1012, 1014, 1015, 2000, 3000, 4999, 5000];

/// The stream that `seed` stands for.
pub(crate) fn stream(seed: &[u8]) -> Vec<u8> {
    let mut seed = seed.iter().copied();
    let mut out = Vec::new();
    while let Some(kind) = seed.next() {
        let (first, mut payload) = (first_byte(kind, &mut seed), Vec::new());
        if first == 0x88 {
            push_close_code(&mut payload, &mut seed);
        }
        push_text(&mut payload, &mut seed);
        let flaw = seed.next().unwrap_or(u8::MAX);
        let key = [flaw, 0x5a, kind, 0xff];
        push_frame(&mut out, first, &payload, flaw, key);
    }
    out
}

/// A text message in so many fragments, cut without regard to characters.
pub(crate) fn push_message(out: &mut Vec<u8>, text: &[u8], fragments: usize, key: [u8; 4]) {
    let size = text.len().div_ceil(fragments).max(1);
    let mut pieces = text.chunks(size).peekable();
    let mut opcode = 0x1;
    loop {
        let piece = pieces.next().unwrap_or_default();
        let fin = if pieces.peek().is_none() { 0x80 } else { 0 };
        push_frame(out, fin | opcode, piece, u8::MAX, key);
        opcode = 0;
        if fin != 0 {
            return;
        }
    }
}

/// A frame with these first bits and this payload, without a flaw of its own.
pub(crate) fn push_raw_frame(out: &mut Vec<u8>, first: u8, payload: &[u8], key: [u8; 4]) {
    push_frame(out, first, payload, u8::MAX, key);
}

fn first_byte(kind: u8, seed: &mut impl Iterator<Item = u8>) -> u8 {
    match kind % 32 {
        0..=7 => 0x81,
        8..=12 => 0x01,
        13..=18 => 0x00,
        19..=22 => 0x80,
        23..=24 => 0x82,
        25 => 0x02,
        26..=27 => 0x89,
        28..=29 => 0x8a,
        30 => 0x88,
        _ => seed.next().unwrap_or_default(),
    }
}

fn push_close_code(payload: &mut Vec<u8>, seed: &mut impl Iterator<Item = u8>) {
    match seed.next() {
        Some(0..=7) => payload.push(3),
        Some(byte @ 32..) => {
            let code = CODES.get(usize::from(byte % 16)).copied().unwrap_or_default();
            payload.extend(code.to_be_bytes());
        }
        _ => {}
    }
}

fn push_text(payload: &mut Vec<u8>, seed: &mut impl Iterator<Item = u8>) {
    match seed.next() {
        Some(255) => payload.extend([b'x'; 200]),
        Some(254) => payload.extend([b'y'; 65_536]),
        Some(253) => payload.extend([b'z'; 125]),
        Some(252) => payload.extend([b'z'; 126]),
        Some(pieces) => {
            for byte in seed.take(usize::from(pieces % 12)) {
                // Three in four come from the valid half.
                let at = if byte < 192 { byte % 9 } else { byte % 16 };
                payload.extend(PALETTE.get(usize::from(at)).copied().unwrap_or_default());
            }
        }
        None => {}
    }
}

fn push_frame(out: &mut Vec<u8>, first: u8, payload: &[u8], flaw: u8, key: [u8; 4]) {
    out.push(first);
    let len = payload.len() as u64;
    let mask = if flaw == 0 { 0 } else { 0x80 };
    match (flaw, len) {
        (1, _) => push_len(out, 127, &len.to_be_bytes()),
        (2, 0..=0xffff) => push_len(out, 126, &(len as u16).to_be_bytes()),
        (3, _) => push_len(out, 127, &(len | 1 << 63).to_be_bytes()),
        (4, _) => push_len(out, 127, &(len + (1 << 40)).to_be_bytes()),
        (5, _) => push_len(out, 126, &60_000_u16.to_be_bytes()),
        (_, 0..=125) => out.push(mask | len as u8),
        (_, 126..=0xffff) => push_len(out, 126, &(len as u16).to_be_bytes()),
        _ => push_len(out, 127, &len.to_be_bytes()),
    }
    if flaw != 0 {
        out.extend(key);
    }
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

fn push_len(out: &mut Vec<u8>, short: u8, len: &[u8]) {
    out.push(0x80 | short);
    out.extend_from_slice(len);
}
