//! Any bytes as the body of a publish and of a batch: never a panic, and what is taken are the bytes that came.
//! `cargo fuzz run batch`

#![no_main]

#[path = "../../crates/tapeline-cli/tests/fuzzing/batch.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
