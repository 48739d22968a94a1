//! The WebSocket decoder beside tungstenite: the same messages up to the same first offence.
//!
//! An even first byte takes the rest as a script of mostly well-formed frames, an odd one as the stream itself.
//! `cargo fuzz run websocket_differential`

#![no_main]

#[expect(dead_code, reason = "the other target uses the rest")]
#[path = "../../crates/tapeline-codec/tests/websocket/checks.rs"]
mod checks;
#[expect(dead_code, reason = "only the property test needs whole messages")]
#[path = "../../crates/tapeline-codec/tests/websocket/script.rs"]
mod script;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((&how, rest)) = input.split_first() else { return };
    if how % 2 == 0 {
        checks::tungstenite_agrees(&script::stream(rest));
    } else {
        checks::tungstenite_agrees(rest);
    }
});
