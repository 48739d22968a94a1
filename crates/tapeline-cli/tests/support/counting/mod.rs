//! Counting what becomes of every message while something breaks: publishers that write down how each publish ended,
//! subscribers that write down all they hear and resume where they were, and a judge over both.
//! `judge` decides from the two lists alone; `publisher` and `subscriber` make them.

pub(crate) mod judge;
pub(crate) mod publisher;
pub(crate) mod subscriber;

use std::time::{Duration, Instant};

/// An offset and what it counts under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) epoch: String,
}

impl Place {
    /// This offset of this epoch.
    pub(crate) fn new(offset: u64, epoch: &str) -> Place {
        Place { offset, epoch: epoch.to_string() }
    }
}

/// How a publish ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// 200.
    Acknowledged(Place),
    /// 202: held until the broker is back.
    Held,
    /// An error; it was not published.
    Refused(String),
    /// No answer, or one that says that nobody knows.
    Unknown,
}

/// One publish.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    /// What it says; no two say the same.
    pub(crate) number: u64,
    pub(crate) channel: String,
    pub(crate) fate: Fate,
    /// The answer's status; 0 where none came.
    pub(crate) status: u16,
    pub(crate) begun: Instant,
    pub(crate) took: Duration,
}

/// One thing that a subscriber was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The subscription stands, for the first time or again.
    Confirmed { head: Option<Place>, recovered: Option<bool> },
    /// Somebody's message; `channel` is what the place counts in: the roll-up where that counts for itself.
    Message { channel: String, number: u64, place: Place },
    /// What will not come.
    Gap { channel: String, from: u64, to: Option<u64>, reason: String },
    /// `degraded`, `restored`, …
    Notice(String),
    /// The connection ended.
    Ended(u16),
}

impl Heard {
    /// Whether it is the message that says this.
    pub(crate) fn is(&self, wanted: u64) -> bool {
        matches!(self, Heard::Message { number, .. } if *number == wanted)
    }

    /// Whether it is this notice.
    pub(crate) fn is_notice(&self, wanted: &str) -> bool {
        matches!(self, Heard::Notice(notice) if notice == wanted)
    }

    /// Whether it is a gap for this reason.
    pub(crate) fn is_gap(&self, wanted: &str) -> bool {
        matches!(self, Heard::Gap { reason, .. } if reason == wanted)
    }
}
