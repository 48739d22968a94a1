//! Any bytes as frames of a venue: never a panic, and a book is shown only while it is whole.
//! `cargo fuzz run kraken`

#![no_main]

#[path = "../../crates/tapeline-cli/tests/fuzzing/kraken.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
