//! Any bytes as messages of a table: never a panic, and what subscribers are told is JSON.
//! `cargo fuzz run rows`

#![no_main]

#[path = "../../crates/tapeline-cli/tests/fuzzing/rows.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
