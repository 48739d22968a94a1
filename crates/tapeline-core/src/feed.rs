//! What brings an exchange's data in, seen from the hub: something that makes publications until it is stopped.
//! A feed never waits for the hub; what a full hub does not take, the feed conflates or counts as dropped.

use std::time::Duration;

use crate::command::Publication;

/// A source of publications that is asked, not called.
pub trait Feed: Send {
    /// What is due at `elapsed` since the feed's start, in order; and when to ask again, also as time
    /// elapsed since the start; `None` at its end.
    fn next(&mut self, elapsed: Duration, due: &mut Vec<Publication>) -> Option<Duration>;
}
