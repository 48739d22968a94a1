//! Any text as frames of two clients, through a whole shard: never a panic, and nothing leaves it that is no JSON.
//! `cargo fuzz run native`

#![no_main]

#[path = "../../crates/tapeline-cli/tests/fuzzing/native.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
