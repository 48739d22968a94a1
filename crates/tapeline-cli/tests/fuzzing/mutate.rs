//! Small damage to bytes, the same for the same seed.

use tapeline_core::testkit::Rng;

/// What breaks readers of text.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"*",
    b"?",
    b"1e999",
    b"-0",
    b"null",
    b"\xef\xbb\xbf",
    b"\x1b[2J",
    "\u{202e}".as_bytes(),
    b"%2F",
    b"'''",
    b"\"\"\"",
    b"\r",
];

/// The input with one to four changes, some of them taken from another input.
pub(crate) fn mutated(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    bytes.truncate(4 << 10);
    for _ in 0..rng.between(1, 4) {
        let at = rng.below(bytes.len() + 1);
        let end = (at + rng.between(1, 8)).min(bytes.len());
        match rng.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes
                .splice(at..at, rng.pick(PIECES).copied().unwrap_or_default().iter().copied())
                .for_each(drop),
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes.truncate(at),
            _ => {
                let from = rng.below(other.len() + 1);
                let to = (from + rng.between(1, 40)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    bytes
}
