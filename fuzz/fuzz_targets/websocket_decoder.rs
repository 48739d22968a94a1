//! Raw bytes to the WebSocket decoder: never a panic, and the same events however the stream is cut.
//!
//! The first byte says how many of the next ones are the sizes of the pieces. The check is the property test's own.
//! `cargo fuzz run websocket_decoder`

#![no_main]

#[expect(dead_code, reason = "the other target uses the rest")]
#[path = "../../crates/tapeline-codec/tests/websocket/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((&cuts, rest)) = input.split_first() else { return };
    let (cuts, stream) = rest.split_at(usize::from(cuts % 16).min(rest.len()));
    checks::cuts_change_nothing(stream, if cuts.is_empty() { &[7] } else { cuts });
});
