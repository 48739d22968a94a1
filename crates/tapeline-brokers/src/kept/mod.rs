//! What is kept of each channel in this process's memory, for the brokers that hold it there: the counter, the messages
//! within retention, tables, the keys of recent publishes.
//!
//! A publish is counted, then settled. The memory broker does both under one hold of the locks; the embedded one writes to
//! its log in between, so that what has been counted but not settled is seen by nobody. It knows no file and no queue.

mod rows;
mod state;
mod stripes;

pub(crate) use state::KEY_LIFE_US;
pub(crate) use stripes::{Counted, Listed, Locked, Place, Stripes};

/// Channels kept at most; then those longest idle without subscribers are forgotten.
pub(crate) const CHANNELS_LIMIT: usize = 1_000_000;
