//! Any text as a configuration file: read, or refused with a place and a reason; what is read can be written and read again.
//! The reader belongs to the binary, so its files are compiled in.
//! `cargo fuzz run config`

#![no_main]

#[path = "../../crates/tapeline-cli/tests/fuzzing/settings.rs"]
mod checks;
#[expect(dead_code, unused_imports, reason = "only what reads a file is used")]
#[path = "../../crates/tapeline-cli/src/config/mod.rs"]
mod config;
#[expect(dead_code, reason = "only the check of a filter is used")]
#[path = "../../crates/tapeline-cli/src/log.rs"]
mod log;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
