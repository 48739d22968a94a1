//! Any text as a token, a set of keys and a key file: never a panic, and nothing that was not signed is believed.
//! `cargo fuzz run tokens`

#![no_main]

#[path = "../../crates/tapeline-cli/tests/fuzzing/tokens.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
