//! The rotating XOR that every client frame is masked with (RFC 6455, 5.3).
//!
//! Owns doing it a word at a time in safe code. Refuses to know what a frame is.

/// Applies `key` to `data`, whose first byte meets the key's first byte. Twice is the identity.
///
/// Whole words let the compiler use the widest registers of the target.
pub(super) fn apply(data: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let twice = [a, b, c, d, a, b, c, d];
    let word = u64::from_ne_bytes(twice);
    let (words, rest) = data.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(twice) {
        *byte ^= key;
    }
}

/// The key for the bytes that follow the first `len` ones of a payload.
pub(super) fn rotated(mut key: [u8; 4], len: usize) -> [u8; 4] {
    key.rotate_left(len % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_masked_hello_of_the_rfc_becomes_hello() {
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(&payload, b"Hello");
    }

    #[test]
    fn words_and_bytes_agree_at_every_length_and_every_split() {
        let key = [1, 2, 0x40, 0xff];
        for len in 0..70_usize {
            let plain: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let slow: Vec<u8> = plain.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            for split in 0..=len {
                let mut fast = plain.clone();
                let (head, tail) = fast.split_at_mut(split);
                apply(head, key);
                apply(tail, rotated(key, split));
                assert_eq!(fast, slow, "length {len}, split at {split}");
            }
        }
    }
}
