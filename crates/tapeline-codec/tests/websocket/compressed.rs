//! Conversations with permessage-deflate: what is compressed, what may be, and what is refused.
//!
//! The client is flate2 with its own settings, so that another compressor than ours is read. Random ones are below.

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;
use tapeline_codec::websocket::{Decoder, Event, Limits, ProtocolError, encoder};

use crate::checks::{Said, hear_in_pieces};
use crate::script::push_raw_frame;

const KEY: [u8; 4] = [9, 0, 0xff, 0x5a];

/// The message's payload as a client makes it.
#[expect(clippy::expect_used, reason = "a test may fail loudly")]
pub(crate) fn deflated(payload: &[u8], level: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() * 2 + 100);
    let mut zlib = Compress::new(Compression::new(level), false);
    zlib.compress_vec(payload, &mut out, FlushCompress::Sync).expect("there is room");
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

/// One client frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_raw_frame(&mut out, first, payload, KEY);
    out
}

fn heard(stream: &[u8]) -> (Vec<Said>, Option<ProtocolError>) {
    let whole = hear_in_pieces(stream, &[255], true);
    assert_eq!(hear_in_pieces(stream, &[1], true), whole);
    whole
}

fn texts(texts: &[&str]) -> (Vec<Said>, Option<ProtocolError>) {
    (texts.iter().map(|text| Said::Text((*text).to_owned())).collect(), None)
}

fn refused(stream: &[u8]) -> Option<ProtocolError> {
    let (said, error) = heard(stream);
    assert!(said.is_empty(), "{said:?}");
    error
}

#[test]
fn compressed_and_plain_messages_alternate() {
    let stream = [
        frame(0xc1, &deflated("grüße".as_bytes(), 6)),
        frame(0x81, b"plain"),
        frame(0xc1, &deflated(b"", 6)),
        frame(0xc1, &[0]),
        frame(0xc1, &deflated("grüße".as_bytes(), 0)),
    ]
    .concat();
    assert_eq!(heard(&stream), texts(&["grüße", "plain", "", "", "grüße"]));
}

#[test]
fn fragments_of_a_compressed_message_take_control_frames_between_them() {
    let bytes = deflated(b"one two three", 6);
    let (head, tail) = bytes.split_at(3);
    let stream = [
        frame(0x41, head),
        frame(0x89, b"there?"),
        frame(0x00, b""),
        frame(0x8a, b""),
        frame(0x80, tail),
        frame(0x81, b"next"),
    ]
    .concat();
    let expected = [
        Said::Ping(b"there?".to_vec()),
        Said::Pong(Vec::new()),
        Said::Text("one two three".to_owned()),
        Said::Text("next".to_owned()),
    ];
    assert_eq!(heard(&stream), (expected.to_vec(), None));
}

#[test]
fn the_bit_stands_on_the_first_frame_of_a_message_and_nowhere_else() {
    let reserved = Some(ProtocolError::ReservedBits(0b100));
    let bytes = deflated(b"text", 6);
    for first in [0xc0, 0x40, 0xc8, 0xc9, 0xca, 0xc3] {
        assert_eq!(refused(&frame(first, &bytes)), reserved, "{first:x}");
    }
    assert_eq!(refused(&[frame(0x41, &bytes), frame(0xc0, b"")].concat()), reserved);
    assert_eq!(refused(&frame(0xe1, &bytes)), Some(ProtocolError::ReservedBits(0b110)));
    let (said, error) = hear_in_pieces(&frame(0xc1, &bytes), &[255], false);
    assert_eq!((said, error), (Vec::new(), reserved), "not negotiated");
}

#[test]
fn text_is_judged_when_it_is_inflated() {
    assert_eq!(refused(&frame(0xc1, &deflated(b"bad \xff", 6))), Some(ProtocolError::TextNotUtf8));
    let binary = heard(&frame(0xc2, &deflated(b"bad \xff", 6)));
    assert_eq!(binary, (vec![Said::Binary(b"bad \xff".to_vec())], None));
    assert_eq!(refused(&frame(0xc1, b"\xff\xff\xff\xff\xff")), Some(ProtocolError::NotDeflate));
    assert_eq!(refused(&frame(0xc1, b"{\"not\":\"compressed\"}")), Some(ProtocolError::NotDeflate));
}

#[test]
fn a_bomb_is_refused_at_the_limit_and_nothing_of_it_is_kept() {
    let bomb = deflated(&vec![b'0'; 50 << 20], 9);
    assert!(bomb.len() < 64 << 10, "{}", bomb.len());
    let limits = Limits { message_bytes: 64 << 10, fragments: 10 };
    let mut decoder = Decoder::new(limits).with_deflate(true);
    let mut input = frame(0xc1, &bomb);
    let error = decoder.feed(&mut input).next().expect_err("it is refused");
    assert_eq!((error, error.close_code()), (ProtocolError::InflatesTooBig { limit: 64 << 10 }, 1009));
    assert!(decoder.is_ended() && decoder.held_bytes() == 0);
}

#[test]
fn a_message_of_just_the_limit_passes_also_where_deflate_makes_it_longer() {
    let limits = Limits { message_bytes: 10_000, fragments: 10 };
    for (len, fits) in [(10_000, true), (10_001, false)] {
        let mut input = frame(0xc2, &deflated(&vec![7; len], 0));
        assert!(input.len() > len);
        let mut decoder = Decoder::new(limits).with_deflate(true);
        assert_eq!(matches!(decoder.feed(&mut input).next(), Ok(Some(Event::Binary(_)))), fits);
    }
    let mut decoder = Decoder::new(limits).with_deflate(true);
    let mut input = frame(0xc2, &vec![0; 12_000]);
    input.truncate(8);
    let error = decoder.feed(&mut input).next().expect_err("told from the header");
    assert_eq!(error, ProtocolError::MessageTooBig { bytes: 12_000, limit: 10_000 });
}

#[test]
fn between_messages_a_connection_holds_nothing_for_deflate() {
    let mut decoder = Decoder::new(Limits { message_bytes: 1 << 20, fragments: 10 }).with_deflate(true);
    let mut input = frame(0xc1, &deflated(&[b'x'; 10_000], 6));
    for _ in 0..2 {
        assert!(matches!(decoder.feed(&mut input.clone()).next(), Ok(Some(Event::Text(_)))));
    }
    assert_eq!(decoder.held_bytes(), 0);
    input.truncate(20);
    assert!(matches!(decoder.feed(&mut input).next(), Ok(None)));
    assert!(decoder.held_bytes() < 100 && size_of::<Decoder>() <= 64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_client_deflates_is_heard_whatever_the_fragments_and_cuts(
        messages in prop::collection::vec(("(\\PC{0,20}|[ab]{0,400}){0,6}", 0_u32..10, 1_usize..6), 1..6),
        cuts in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        let mut stream = Vec::new();
        for (text, level, fragments) in &messages {
            let bytes = deflated(text.as_bytes(), *level);
            let size = bytes.len().div_ceil(*fragments).max(1);
            let last = bytes.chunks(size).count() - 1;
            for (n, piece) in bytes.chunks(size).enumerate() {
                let first = if n == 0 { 0x41 } else { 0x00 };
                let fin = if n == last { 0x80 } else { 0 };
                stream.extend(frame(first | fin, piece));
            }
        }
        let expected: Vec<_> = messages.iter().map(|(text, ..)| Said::Text(text.clone())).collect();
        prop_assert_eq!(hear_in_pieces(&stream, &cuts, true), (expected, None));
    }

    #[test]
    fn what_we_deflate_comes_back_as_it_was(text in "(\\PC{0,20}|[ab]{0,900}){0,9}") {
        if let Some(ours) = encoder::deflated_frame(tapeline_codec::websocket::Opcode::Text, text.as_bytes()) {
            prop_assert!(ours.len() < encoder::text_frame(text.as_bytes()).len());
            let stream = frame(0xc1, encoder::payload_of(&ours));
            prop_assert_eq!(heard(&stream), texts(&[&text]));
        }
    }

    #[test]
    fn deflate_data_with_bytes_changed_never_panics_and_cut_anywhere_says_the_same(
        text in "[a-d]{0,300}",
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        cuts in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        let mut bytes = deflated(text.as_bytes(), 6);
        for (at, byte) in changes {
            let len = bytes.len();
            bytes[at % len] = byte;
        }
        let stream = frame(0xc2, &bytes);
        prop_assert_eq!(hear_in_pieces(&stream, &cuts, true), hear_in_pieces(&stream, &[255], true));
    }
}
