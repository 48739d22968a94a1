//! Any text as packets of two Socket.IO clients, through a whole shard: never a panic, and nothing leaves it that is no packet.
//! `cargo fuzz run socketio`

#![no_main]

#[path = "../../crates/tapeline-cli/tests/fuzzing/socketio.rs"]
mod checks;
#[expect(dead_code, reason = "only the shard behind the clients is used")]
#[path = "../../crates/tapeline-cli/tests/fuzzing/native.rs"]
mod native;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
