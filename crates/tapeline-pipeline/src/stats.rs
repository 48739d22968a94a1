//! What is counted, as it is read: one picture of all numbers at a moment. Every message that a component accepted is in
//! exactly one of them.

use std::collections::BTreeMap;

use serde::Serialize;

/// How a breaker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls go through.
    #[default]
    Closed,
    /// None does.
    Open,
    /// A few do, for a trial.
    HalfOpen,
}

/// What became of a source's updates: `taken_in = invalid + deduplicated + refused + accepted`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceStats {
    /// Handed in.
    pub taken_in: u64,
    /// Left out, as they are not what their channel says.
    pub invalid: u64,
    /// Left out, as they had come before.
    pub deduplicated: u64,
    /// Not taken, as there was no room or the pipeline is stopped; the source was told.
    pub refused: u64,
    /// Given to every component that takes their channel (which may be none).
    pub accepted: u64,
    /// Times that more came within the window of deduplication than it remembers, so that the window was shorter.
    pub dedup_shortened: u64,
}

/// What became of a component's updates:
/// `accepted = delivered + conflated + dropped (all causes) + dead_lettered + queued`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ComponentStats {
    /// Given to it.
    pub accepted: u64,
    /// Its call succeeded.
    pub delivered: u64,
    /// Given way to a newer one of the same channel and symbol.
    pub conflated: u64,
    /// Dropped, by cause: `overflow`, `expired`, `stopped`; and of critical ones alone, `no_room_for_letters`: its lane
    /// is full and so is its share of the store of dead letters.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Given up, and kept as a dead letter, by reason.
    pub dead_lettered: BTreeMap<&'static str, u64>,
    /// Waiting, by lane, most urgent first; what is being called or tried again is among them.
    pub queued: [u64; 4],
    /// Of the channels that it was registered for, it has no method for so many updates; none of them was accepted.
    pub skipped: u64,
    /// Calls.
    pub calls: u64,
    /// Calls that failed, by kind: `transient`, `permanent`, `message`, `timeout`, `panic`.
    pub failed: BTreeMap<&'static str, u64>,
    /// Calls that took longer than `max_processing_time_ms`.
    pub slow: u64,
    /// Calls that were tried again.
    pub retried: u64,
    /// Dead letters that were sent anew; they are accepted once more.
    pub redriven: u64,
    /// Its breaker.
    pub breaker: BreakerState,
    /// It is in a call that has taken longer than it may and does not come back.
    pub hung: bool,
}

impl ComponentStats {
    /// Whether the numbers come to the same on both sides.
    pub fn balances(&self) -> bool {
        let sum = |counts: &BTreeMap<&'static str, u64>| counts.values().sum::<u64>();
        let queued: u64 = self.queued.iter().sum();
        self.accepted
            == self.delivered + self.conflated + sum(&self.dropped) + sum(&self.dead_lettered) + queued
    }
}

/// One picture of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PipelineStats {
    /// Updates whose source got rid of them: `accepted` of all sources.
    pub messages_processed: u64,
    /// By source.
    pub sources: BTreeMap<String, SourceStats>,
    /// By component.
    pub components: BTreeMap<String, ComponentStats>,
}
