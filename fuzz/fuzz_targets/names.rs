//! Any text as a channel's name and as a pattern: what is taken and matched is what the model says.
//! `cargo fuzz run names`

#![no_main]

#[path = "../../crates/tapeline-cli/tests/fuzzing/names.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
