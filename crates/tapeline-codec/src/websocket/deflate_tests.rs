//! Deflated messages: the RFC's own, hostile ones, and that one message never sees another.

use super::*;

/// The raw deflate of the example in RFC 7692, 7.2.3.1.
const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn text(bytes: &[u8]) -> Result<String, ProtocolError> {
    inflate(bytes, 1_000).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn the_vectors_of_the_rfc_inflate() {
    assert_eq!(text(HELLO).as_deref(), Ok("Hello"));
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    assert_eq!(text(&stored).as_deref(), Ok("Hello"), "7.2.3.3: a block without compression");
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    assert_eq!(text(&last).as_deref(), Ok("Hello"), "7.2.3.4: a block with BFINAL");
    let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(text(&two).as_deref(), Ok("Hello"), "7.2.3.5: two blocks");
    assert_eq!(text(&[0x00]).as_deref(), Ok(""), "7.2.3.6: an empty message");
    assert_eq!(text(&[]).as_deref(), Ok(""));
}

#[test]
fn a_reference_to_the_message_before_is_refused() {
    // RFC 7692, 7.2.3.2: the second Hello of a client that keeps its window.
    assert_eq!(text(HELLO).as_deref(), Ok("Hello"));
    assert_eq!(text(&[0xf2, 0x00, 0x11, 0x00, 0x00]), Err(ProtocolError::NotDeflate));
    assert_eq!(text(HELLO).as_deref(), Ok("Hello"), "an error leaves nothing behind");
}

#[test]
fn data_that_is_cut_or_goes_on_after_its_end_is_refused() {
    for cut in 1..HELLO.len() - 1 {
        assert_eq!(text(&HELLO[..cut]), Err(ProtocolError::NotDeflate), "cut at {cut}");
    }
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let more = [&last[..], HELLO].concat();
    assert_eq!(text(&more), Err(ProtocolError::NotDeflate));
    assert_eq!(text(&[0xff; 40]), Err(ProtocolError::NotDeflate));
}

#[test]
fn the_limit_is_for_what_is_inflated_and_no_more_than_that_is_held() {
    let zeros = deflate(&[0; 100_000]).unwrap();
    assert!(zeros.len() < 1_000, "{}", zeros.len());
    for limit in [0, 1, 255, 256, 257, 99_999] {
        assert_eq!(inflate(&zeros, limit), Err(ProtocolError::InflatesTooBig { limit }));
    }
    let whole = inflate(&zeros, 100_000).unwrap();
    assert_eq!(whole.len(), 100_000);
    assert!(whole.capacity() <= 100_001, "{}", whole.capacity());
}

#[test]
fn what_gets_no_shorter_is_not_deflated() {
    let mut number = 1_u64;
    let noise: Vec<u8> = (0..3_000)
        .map(|_| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (number >> 56) as u8
        })
        .collect();
    assert_eq!(deflate(&noise), None);
    assert_eq!(deflate(b""), None);
    assert_eq!(deflate(b"abc"), None);
}

#[test]
fn each_message_is_deflated_by_itself() {
    let book = br#"{"bids":[[66787.1,0.5],[66787.0,1.5]],"asks":[[66787.2,0.5],[66787.3,1.5]]}"#.repeat(20);
    let first = deflate(&book).unwrap();
    assert_eq!(deflate(&book).unwrap(), first);
    assert_eq!(inflate(&first, book.len()).unwrap(), book);
}
