//! Hostile input, through every way into a hub: JSON that is none, names that break programs, requests that are half one and
//! half another. Each is taken as it came or refused with a reason; nobody else notices, memory stays flat, and the hub
//! ends as it should. Where the input comes from is in `support::collections`; the page `docs/hostile-input.md` says more.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "hostile/bystander.rs"]
mod bystander;
#[path = "hostile/commands.rs"]
mod commands;
#[path = "hostile/http.rs"]
mod http;
#[path = "hostile/json.rs"]
mod json;
#[path = "hostile/names.rs"]
mod names;
#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;
