//! Every rule of RFC 6455 that spans a stream, told byte by byte.
//!
//! Owns whole conversations over the decoder. Refuses to know random ones: those are in the crate's `tests/`.

use std::fmt::Write as _;

use super::*;
use crate::websocket::Event;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const LIMITS: Limits = Limits { message_bytes: 65_536, fragments: 100 };

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = header(first, payload.len());
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[start..], KEY);
    out
}

fn header(first: u8, len: usize) -> Vec<u8> {
    let mut out = vec![first];
    match len {
        0..=125 => out.push(0x80 | len as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(KEY);
    out
}

/// Feeds the pieces one after the other and writes down what came out; `!1002` is an error.
fn said(limits: Limits, pieces: &[&[u8]]) -> String {
    let mut decoder = Decoder::new(limits);
    let mut out = String::new();
    for piece in pieces {
        let mut input = piece.to_vec();
        let mut events = decoder.feed(&mut input);
        loop {
            match events.next() {
                Ok(Some(Event::Text(text))) => write!(out, "t:{text} ").unwrap(),
                Ok(Some(Event::Binary(bytes))) => write!(out, "b:{bytes:x?} ").unwrap(),
                Ok(Some(Event::Ping(bytes))) => write!(out, "ping:{bytes:x?} ").unwrap(),
                Ok(Some(Event::Pong(bytes))) => write!(out, "pong:{bytes:x?} ").unwrap(),
                Ok(Some(Event::Close(close))) => {
                    write!(out, "close:{:?}{} ", close.code, close.reason).unwrap()
                }
                Ok(None) => break,
                Err(error) => write!(out, "!{} ", error.close_code()).unwrap(),
            }
        }
        assert_eq!(events.consumed(), piece.len());
    }
    out.trim_end().to_owned()
}

fn whole(bytes: &[u8]) -> String {
    said(LIMITS, &[bytes])
}

fn error(bytes: &[u8]) -> Option<ProtocolError> {
    let mut input = bytes.to_vec();
    let mut decoder = Decoder::new(LIMITS);
    let mut events = decoder.feed(&mut input);
    loop {
        match events.next() {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

#[test]
fn a_connection_costs_64_bytes_and_no_buffer_between_messages() {
    assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());
    let mut decoder = Decoder::new(LIMITS);
    let mut input = frame(0x81, b"hello");
    assert_eq!(decoder.feed(&mut input).next(), Ok(Some(Event::Text("hello"))));
    assert_eq!(decoder.held_bytes(), 0);
    assert!(decoder.is_between_messages());
}

#[test]
fn the_masked_vectors_of_the_rfc_decode() {
    assert_eq!(whole(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "t:Hello");
    assert_eq!(whole(b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "pong:[48, 65, 6c, 6c, 6f]");
    let fragments = [frame(0x01, b"Hel"), frame(0x80, b"lo")].concat();
    assert_eq!(whole(&fragments), "t:Hello");
}

#[test]
fn a_conversation_cut_in_two_anywhere_says_the_same() {
    let conversation = [
        frame(0x81, "grüße 🎺".as_bytes()),
        frame(0x01, b"one \xe2"),
        frame(0x89, b"are you there"),
        frame(0x00, b""),
        frame(0x00, b"\x82"),
        frame(0x8a, b""),
        frame(0x80, b"\xac!"),
        frame(0x82, &[0xff; 130]),
        frame(0x81, b""),
        frame(0x88, b"\x03\xe8bye"),
    ]
    .concat();
    let expected = whole(&conversation);
    assert!(expected.contains("t:one €!") && expected.ends_with("close:Some(1000)bye"), "{expected}");
    for cut in 0..=conversation.len() {
        let (head, tail) = conversation.split_at(cut);
        assert_eq!(said(LIMITS, &[head, tail]), expected, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = conversation.chunks(1).collect();
    assert_eq!(said(LIMITS, &bytes), expected);
}

#[test]
fn every_length_form_decodes_at_its_borders() {
    for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let text = "x".repeat(len);
        let bytes = frame(0x81, text.as_bytes());
        assert_eq!(whole(&bytes), format!("t:{text}").trim_end());
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        assert_eq!(said(LIMITS, &[head, tail]), format!("t:{text}").trim_end());
    }
}

#[test]
fn a_whole_frame_is_lent_from_the_input() {
    let mut input = frame(0x82, b"in place");
    let place = input.as_ptr_range();
    let mut decoder = Decoder::new(LIMITS);
    let mut events = decoder.feed(&mut input);
    let Ok(Some(Event::Binary(bytes))) = events.next() else { panic!("no binary message") };
    assert!(place.contains(&bytes.as_ptr()));
}

#[test]
fn a_caller_who_stops_keeps_the_rest_untouched_and_goes_on_later() {
    let first = frame(0x81, b"first");
    let rest = [frame(0x81, b"second"), frame(0x82, b"third")].concat();
    let mut input = [first.clone(), rest.clone()].concat();
    let mut decoder = Decoder::new(LIMITS);
    let mut events = decoder.feed(&mut input);
    assert_eq!(events.next(), Ok(Some(Event::Text("first"))));
    let consumed = events.consumed();
    assert_eq!(consumed, first.len());
    assert_eq!(&input[consumed..], rest);

    let mut kept = input.split_off(consumed);
    let mut events = decoder.feed(&mut kept);
    assert_eq!(events.next(), Ok(Some(Event::Text("second"))));
    assert_eq!(events.next(), Ok(Some(Event::Binary(b"third"))));
    assert_eq!(events.next(), Ok(None));
    assert_eq!(events.consumed(), rest.len());
}

#[test]
fn what_was_held_is_let_go_with_its_event() {
    let bytes = frame(0x81, &[b'x'; 9000]);
    let mut decoder = Decoder::new(LIMITS);
    let (mut head, mut tail) = (bytes[..5000].to_vec(), bytes[5000..].to_vec());
    assert_eq!(decoder.feed(&mut head).next(), Ok(None));
    assert!(decoder.held_bytes() > 4000 && !decoder.is_between_messages());
    assert!(matches!(decoder.feed(&mut tail).next(), Ok(Some(Event::Text(_)))));
    assert_eq!(decoder.held_bytes(), 0);
    assert!(decoder.is_between_messages());
}

#[test]
fn a_ping_cut_in_a_fragmented_message_leaves_only_the_message_held() {
    let bytes = [frame(0x02, b"abc"), frame(0x89, b"ping!")].concat();
    let (mut head, mut tail) = (bytes[..12].to_vec(), bytes[12..].to_vec());
    let mut decoder = Decoder::new(LIMITS);
    assert_eq!(decoder.feed(&mut head).next(), Ok(None));
    assert_eq!(decoder.feed(&mut tail).next(), Ok(Some(Event::Ping(b"ping!"))));
    assert_eq!(decoder.held, b"abc");
}

#[test]
fn each_broken_rule_of_a_header_is_told_as_soon_as_its_byte_is_there() {
    let cases: [(&[u8], ProtocolError); 16] = [
        (b"\x81\x05", ProtocolError::Unmasked),
        (b"\x88\x00", ProtocolError::Unmasked),
        (b"\xc1", ProtocolError::ReservedBits(0b100)),
        (b"\xa1", ProtocolError::ReservedBits(0b010)),
        (b"\x91", ProtocolError::ReservedBits(0b001)),
        (b"\x83", ProtocolError::UnknownOpcode(3)),
        (b"\x87", ProtocolError::UnknownOpcode(7)),
        (b"\x8b", ProtocolError::UnknownOpcode(11)),
        (b"\x8f", ProtocolError::UnknownOpcode(15)),
        (b"\x09", ProtocolError::ControlFragmented),
        (b"\x89\xfe", ProtocolError::ControlTooLong),
        (b"\x88\xff", ProtocolError::ControlTooLong),
        (b"\x81\xfe\x00\x7d", ProtocolError::LengthNotMinimal(125)),
        (b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff", ProtocolError::LengthNotMinimal(65_535)),
        (b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", ProtocolError::LengthTopBit(1 << 63)),
        (b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x05", ProtocolError::LengthTopBit((1 << 63) + 5)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(error(bytes), Some(expected), "{bytes:x?}");
        assert_eq!(error(&bytes[..bytes.len() - 1]), None, "{bytes:x?} without its last byte");
        assert_eq!(expected.close_code(), 1002);
    }
}

#[test]
fn fragments_follow_a_first_one_and_two_messages_never_mix() {
    assert_eq!(error(&frame(0x80, b"x")), Some(ProtocolError::ContinuationWithoutStart));
    assert_eq!(error(&frame(0x00, b"x")), Some(ProtocolError::ContinuationWithoutStart));
    let after_whole = [frame(0x81, b"x"), frame(0x80, b"y")].concat();
    assert_eq!(error(&after_whole), Some(ProtocolError::ContinuationWithoutStart));
    for second in [0x81, 0x01, 0x82, 0x02] {
        let mixed = [frame(0x01, b"x"), frame(second, b"y")].concat();
        assert_eq!(error(&mixed), Some(ProtocolError::Interleaved));
    }
    assert_eq!(whole(&[frame(0x02, b""), frame(0x80, b"")].concat()), "b:[]");
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header() {
    let limits = Limits { message_bytes: 10, fragments: 100 };
    assert_eq!(said(limits, &[&frame(0x81, b"0123456789")]), "t:0123456789");
    assert_eq!(said(limits, &[&header(0x81, 11)]), "!1009");
    assert_eq!(said(limits, &[&frame(0x01, b"0123456"), &header(0x80, 4)]), "!1009");
    assert!(said(limits, &[&frame(0x89, b"a ping is no message")]).starts_with("ping:"));
    let mut decoder = Decoder::new(limits);
    let mut huge = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00".to_vec();
    let error = ProtocolError::MessageTooBig { bytes: (1 << 63) - 1, limit: 10 };
    assert_eq!(decoder.feed(&mut huge).next(), Err(error));
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn a_flood_of_empty_fragments_ends_at_the_limit_with_1008() {
    let limits = Limits { message_bytes: 10, fragments: 3 };
    let (first, more, last) = (frame(0x01, b""), frame(0x00, b""), frame(0x80, b"."));
    assert_eq!(said(limits, &[&first, &more, &last, &first, &more, &last]), "t:. t:.");
    assert_eq!(said(limits, &[&first, &more, &more, &more, &last]), "!1008");
    let none = Limits { message_bytes: 10, fragments: 0 };
    assert_eq!(said(none, &[&frame(0x81, b"x"), &frame(0x81, b"y")]), "t:x t:y");
}

#[test]
fn a_character_may_be_cut_by_fragments_but_not_by_the_end() {
    let text = "aé€🎺".as_bytes();
    for cut in 0..=text.len() {
        let fragments = [frame(0x01, &text[..cut]), frame(0x80, &text[cut..])].concat();
        assert_eq!(whole(&fragments), "t:aé€🎺", "cut at {cut}");
    }
    for unfinished in [&text[..2], &text[..5], &text[..9]] {
        assert_eq!(error(&frame(0x81, unfinished)), Some(ProtocolError::TextNotUtf8));
        let fragments = [frame(0x01, unfinished), frame(0x80, b"")].concat();
        assert_eq!(error(&fragments), Some(ProtocolError::TextNotUtf8));
    }
    assert_eq!(whole(&frame(0x82, &text[..2])), "b:[61, c3]");
}

#[test]
fn hopeless_text_fails_at_its_first_wrong_byte_even_inside_a_frame() {
    // Autobahn 6.4.*: valid text, then a code point above U+10FFFF, then more.
    let text = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited";
    let bytes = frame(0x81, text);
    for byte in 0..bytes.len() - 1 {
        let expected = (byte > 6 + 12).then_some(ProtocolError::TextNotUtf8);
        assert_eq!(error(&bytes[..byte]), expected, "{byte} bytes");
    }
    let first = frame(0x01, &text[..12]);
    assert_eq!(error(&first), None);
    assert_eq!(error(&[first, frame(0x00, &text[12..13])].concat()), Some(ProtocolError::TextNotUtf8));
}

#[test]
fn a_close_is_checked_and_its_reason_read() {
    assert_eq!(whole(&frame(0x88, b"")), "close:None");
    assert_eq!(whole(&frame(0x88, b"\x0f\xa1bye")), "close:Some(4001)bye");
    assert_eq!(error(&frame(0x88, b"\x03")), Some(ProtocolError::CloseBodyTooShort));
    assert_eq!(error(&frame(0x88, b"\x03\xee")), Some(ProtocolError::CloseCode(1006)));
    assert_eq!(error(&frame(0x88, b"\x03\xe8\xce")), Some(ProtocolError::CloseReasonNotUtf8));
    let longest = [b"\x03\xe8".as_slice(), &[b'r'; 123]].concat();
    assert!(whole(&frame(0x88, &longest)).ends_with('r'));
}

#[test]
fn nothing_is_heard_after_a_close_or_an_error() {
    let text = frame(0x81, b"late");
    assert_eq!(said(LIMITS, &[&[frame(0x88, b""), text.clone()].concat(), &text]), "close:None");
    assert_eq!(said(LIMITS, &[&[frame(0x83, b""), text.clone()].concat(), &text]), "!1002");
    let mut input = [frame(0x88, b""), text].concat();
    let (len, mut decoder) = (input.len(), Decoder::new(LIMITS));
    let mut events = decoder.feed(&mut input);
    assert!(matches!(events.next(), Ok(Some(Event::Close(_)))));
    assert_eq!(events.consumed(), len);
    let mut decoder = Decoder::new(LIMITS);
    let mut input = [frame(0x01, b"held"), frame(0x81, b"mixed")].concat();
    assert_eq!(decoder.feed(&mut input).next(), Err(ProtocolError::Interleaved));
    assert!(decoder.is_ended());
    assert_eq!(decoder.held_bytes(), 0);
}
