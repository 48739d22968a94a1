//! Any bytes as the requests of a Redis client: never a panic, and the way they are cut changes nothing.
//! `cargo fuzz run resp`

#![no_main]

#[path = "../../crates/tapeline-codec/tests/resp/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
