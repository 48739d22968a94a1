//! What a hub counts. Every loss has a cause here. Counters are written by one thread each, read by anyone.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter or gauge.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Zero.
    pub const fn new() -> Self {
        Count(AtomicU64::new(0))
    }

    /// Adds.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Subtracts.
    pub fn sub(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    /// Reads.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One shard's counters.
#[derive(Debug, Default)]
pub struct ShardStats {
    /// Sessions open now.
    pub sessions: Count,
    /// Subscriptions standing now.
    pub subscriptions: Count,
    /// Messages written to sockets, whole.
    pub delivered: Count,
    /// Bytes written to sockets.
    pub bytes: Count,
    /// Replaced by a newer one while a socket was full or the inbox over half.
    pub conflated_pressure: Count,
    /// Replaced by a newer one within a rate's interval.
    pub conflated_rate: Count,
    /// Passed by retention before a session came to them.
    pub dropped_trimmed: Count,
    /// Messages that a subscriber lacked when their epoch ended, as far as this shard knew of them.
    pub dropped_epoch: Count,
    /// Did not fit into an outbox and are not kept.
    pub dropped_overflow: Count,
    /// Times a subscription went from live to catch-up.
    pub catch_ups: Count,
    /// Sessions closed because they took no byte for too long.
    pub closed_slow: Count,
    /// Sessions closed because they gave no sign of life for too long.
    pub closed_idle: Count,
    /// Sessions closed because all outboxes together were over their bound.
    pub closed_overloaded: Count,
    /// Bytes waiting in outboxes, as of the last look: each second, and whenever all of them are weighed.
    pub waiting_bytes: Count,
}

/// The hub's counters.
#[derive(Debug, Default)]
pub struct HubStats {
    /// Publishes that the broker took, repeats and those that it refused late included.
    pub taken: Count,
    /// Repeats that were answered with the first offset.
    pub duplicates: Count,
    /// Publishes that waited and were then refused by the row that their channel had by that time; in `refused` too.
    pub refused_late: Count,
    /// Publishes refused.
    pub refused: Count,
    /// Times a publisher had to wait for room in an inbox.
    pub waited: Count,
}

impl HubStats {
    /// Messages published: taken by the broker, and neither repeats nor refused after all.
    pub fn published(&self) -> u64 {
        self.taken.read().saturating_sub(self.duplicates.read() + self.refused_late.read())
    }
}
