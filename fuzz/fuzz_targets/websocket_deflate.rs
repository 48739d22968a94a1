//! Compressed messages to the WebSocket decoder: any bytes as the payload of one, and what we deflate ourselves.
//!
//! The first byte says how many of the next ones are the sizes of the pieces, the second one the first frame's bits.
//! `cargo fuzz run websocket_deflate`

#![no_main]

#[expect(dead_code, reason = "the other targets use the rest")]
#[path = "../../crates/tapeline-codec/tests/websocket/checks.rs"]
mod checks;
#[expect(dead_code, reason = "only single frames are made here")]
#[path = "../../crates/tapeline-codec/tests/websocket/script.rs"]
mod script;

use checks::Said;
use tapeline_codec::websocket::{Opcode, encoder};

const KEY: [u8; 4] = [0, 0x5a, 1, 0xff];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((&[cuts, first], rest)) = input.split_first_chunk::<2>() else { return };
    let (cuts, payload) = rest.split_at(usize::from(cuts % 16).min(rest.len()));
    let cuts = if cuts.is_empty() { &[7] } else { cuts };
    // Text or binary, whole or the first fragment; the rest of the bytes is then a frame of its own.
    let mut stream = Vec::new();
    let (head, tail) = payload.split_at(if first & 0x80 == 0 { payload.len() / 2 } else { payload.len() });
    script::push_raw_frame(&mut stream, 0x41 + (first & 0x81), head, KEY);
    script::push_raw_frame(&mut stream, 0x80, tail, KEY);
    checks::cuts_change_nothing(&stream, cuts);

    if let Some(ours) = encoder::deflated_frame(Opcode::Binary, payload) {
        let mut stream = Vec::new();
        script::push_raw_frame(&mut stream, 0xc2, encoder::payload_of(&ours), KEY);
        assert_eq!(checks::hear_in_pieces(&stream, cuts, true), (vec![Said::Binary(payload.to_vec())], None));
    }
});
