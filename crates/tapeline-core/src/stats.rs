//! What a hub counts. Every loss has a cause here. Shards' counters are written by one thread each, read by anyone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tapeline_schema::ErrorCode;

use crate::families::ByFamily;
use crate::lanes::LANES;
use crate::slow::SlowSession;

/// Whether what is counted a delivery is counted at all: a build without it shows what counting costs.
pub(crate) const COUNTED: bool = !cfg!(feature = "uncounted");

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

    /// Adds, where no other thread writes: without a locked instruction.
    pub fn bump(&self, more: u64) {
        self.0.store(self.read().wrapping_add(more), Ordering::Relaxed);
    }

    /// Subtracts.
    pub fn sub(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    /// Sets.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Reads.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one shard counts of one family; as long as a cache line, so that finding it takes no multiplication.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct FamilyStats {
    /// Messages written to sockets, whole.
    pub delivered: Count,
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
}

/// Upper bounds of [`Histogram`]'s buckets, in microseconds; one more bucket takes what is above.
pub const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    10_000_000,
];

/// How long things took.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Count; BOUNDS_US.len() + 1],
    sum_us: Count,
}

impl Histogram {
    /// So many took so long; for one writing thread.
    pub(crate) fn record(&self, us: u64, times: u64) {
        let at = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.bump(times);
        }
        self.sum_us.bump(us.saturating_mul(times));
    }

    /// One took so long; for any thread.
    pub fn add(&self, us: u64) {
        let at = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.add(1);
        }
        self.sum_us.add(us);
    }

    /// How many fell into each bucket, not added up; the last is without a bound.
    pub fn buckets(&self) -> [u64; BOUNDS_US.len() + 1] {
        std::array::from_fn(|n| self.buckets.get(n).map_or(0, Count::read))
    }

    /// The buckets of several together.
    pub fn added_up<'a>(parts: impl IntoIterator<Item = &'a Histogram>) -> [u64; BOUNDS_US.len() + 1] {
        let mut sums = [0; BOUNDS_US.len() + 1];
        for part in parts {
            sums.iter_mut().zip(part.buckets()).for_each(|(sum, count)| *sum += count);
        }
        sums
    }

    /// All of them together, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us.read()
    }
}

/// One shard's counters.
#[derive(Debug, Default)]
pub struct ShardStats {
    /// Sessions open now.
    pub sessions: Count,
    /// Sessions ever opened.
    pub opened: Count,
    /// Subscriptions standing now.
    pub subscriptions: Count,
    /// What is counted by family.
    pub families: ByFamily<FamilyStats>,
    /// Bytes written to sockets.
    pub bytes: Count,
    /// Places that were resumed from and lack nothing; a roll-up or pattern may have one in each of its sources.
    pub recovered: Count,
    /// Places that were resumed from and whose clients were told that something is missing.
    pub not_recovered: Count,
    /// Sessions closed because they took no byte for too long.
    pub closed_slow: Count,
    /// Sessions closed because they gave no sign of life for too long.
    pub closed_idle: Count,
    /// Sessions closed because they did not say in time, or not truly, who they are.
    pub closed_unidentified: Count,
    /// Sessions closed because their token's time was over.
    pub closed_expired: Count,
    /// Sessions closed because their token or key was revoked.
    pub closed_revoked: Count,
    /// Sessions closed because all outboxes together were over their bound.
    pub closed_overloaded: Count,
    /// Sessions closed because a message of theirs did not come to its end.
    pub closed_unfinished: Count,
    /// Sessions closed because they went too fast and did not wait as they were told.
    pub closed_impatient: Count,
    /// Bytes waiting in outboxes, as of the last look: each second, and whenever all of them are weighed.
    pub waiting_bytes: Count,
    /// From receipt by the hub to the write, of the oldest live message of a write, by lane; of those who hear a
    /// message, one in eight is timed, in turn. What is read again for a client that catches up is not live.
    pub delays: [Histogram; LANES],
    slowest: Mutex<Vec<SlowSession>>,
}

impl ShardStats {
    /// The sum over all families.
    pub fn total(&self, of: impl Fn(&FamilyStats) -> &Count) -> u64 {
        self.families.iter().map(|family| of(family).read()).sum()
    }

    /// A live message has left so long after its receipt; `times` sessions had the same.
    pub(crate) fn count_delay(&self, lane: usize, us: u64, times: u64) {
        if let Some(histogram) = self.delays.get(lane) {
            histogram.record(us, times);
        }
    }

    /// Sessions that something waits for, as of the last look, the slowest first.
    pub fn slowest(&self) -> Vec<SlowSession> {
        self.slowest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_slowest(&self, slowest: Vec<SlowSession>) {
        *self.slowest.lock().unwrap_or_else(PoisonError::into_inner) = slowest;
    }
}

/// What becomes of one family's publishes.
#[derive(Debug, Default)]
pub struct PublishStats {
    /// Publishes that the broker took, repeats and those that it refused late included.
    pub taken: Count,
    /// Repeats that were answered with the first offset.
    pub duplicates: Count,
    /// Publishes that waited and were then refused by the row that their channel had by that time; in `refused` too.
    pub refused_late: Count,
    /// What was last said to be published: the three above are not counted at the same moment.
    said: Count,
}

impl PublishStats {
    /// Messages published: taken by the broker, and neither repeats nor refused after all. Never less than before.
    pub fn published(&self) -> u64 {
        let published = self.taken.read().saturating_sub(self.duplicates.read() + self.refused_late.read());
        self.said.0.fetch_max(published, Ordering::Relaxed).max(published)
    }
}

/// What became of a feed's publications.
#[derive(Debug, Default)]
pub struct FeedStats {
    /// Taken by the hub.
    pub published: Count,
    /// Given way to a newer one of their channel while the hub was busy.
    pub conflated: Count,
    /// Dropped because the hub stayed busy for too long.
    pub dropped: Count,
    /// Refused by the hub: outside its rules, or not kept by its broker.
    pub refused: Count,
    /// Critical ones that found no room for too long and became dead letters; among `dropped`.
    pub spilled: Count,
    /// Critical ones that wait now for the hub or its broker to take them.
    pub critical_waiting: Count,
    venue: OnceLock<VenueStats>,
}

impl FeedStats {
    /// What a feed that is connected to a venue meets there; begins to be counted with the first call.
    pub fn venue(&self) -> &VenueStats {
        self.venue.get_or_init(VenueStats::default)
    }

    /// The same, for feeds that are connected to a venue.
    pub fn find_venue(&self) -> Option<&VenueStats> {
        self.venue.get()
    }
}

/// What a feed meets at its venue, as it says itself.
#[derive(Debug, Default)]
pub struct VenueStats {
    /// 1 while it is connected.
    pub connected: Count,
    /// When a message came last, microseconds since 1970; 0 before the first.
    pub heard_us: Count,
    /// Messages of any kind.
    pub messages: Count,
    /// Messages that are none of the venue's, or could not be understood.
    pub strays: Count,
    /// Data that had come before.
    pub repeated: Count,
    /// Books whose checksum did not hold.
    pub checksum_failures: Count,
    /// Books that were fetched anew.
    pub resyncs: Count,
    /// Holes in what is numbered.
    pub gaps: Count,
    /// Times that the connection was lost or could not be made.
    pub disconnects: Count,
    raised: RaisedRules,
}

impl VenueStats {
    /// The rules whose alerts are on.
    pub fn raised(&self) -> &RaisedRules {
        &self.raised
    }
}

/// Names of rules whose alerts are on.
#[derive(Debug, Default)]
pub struct RaisedRules(Mutex<Vec<&'static str>>);

impl RaisedRules {
    /// An alert has gone on.
    pub fn add(&self, rule: &'static str) {
        let mut raised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !raised.contains(&rule) {
            raised.push(rule);
        }
    }

    /// It is over.
    pub fn remove(&self, rule: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|raised| *raised != rule);
    }

    /// Those that are on.
    pub fn list(&self) -> Vec<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The hub's counters.
#[derive(Debug, Default)]
pub struct HubStats {
    /// Publishes by family.
    pub families: ByFamily<PublishStats>,
    /// Times a publisher had to wait for room in an inbox.
    pub waited: Count,
    refused: [Count; ErrorCode::ALL.len()],
    feeds: Mutex<Vec<(Box<str>, Arc<FeedStats>)>>,
}

impl HubStats {
    /// Messages published.
    pub fn published(&self) -> u64 {
        self.families.iter().map(PublishStats::published).sum()
    }

    /// The counters of the feed of this name.
    pub fn feed(&self, name: &str) -> Arc<FeedStats> {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = feeds.iter().find(|(known, _)| **known == *name) {
            return known.clone();
        }
        let stats = Arc::<FeedStats>::default();
        feeds.push((name.into(), stats.clone()));
        stats
    }

    /// The feeds with their counters.
    pub fn feeds(&self) -> Vec<(Box<str>, Arc<FeedStats>)> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// So many publishes were refused.
    pub fn refuse(&self, code: ErrorCode, count: u64) {
        if let Some(refused) = self.refused.get(code as usize) {
            refused.add(count);
        }
    }

    /// Publishes refused.
    pub fn refused(&self) -> u64 {
        self.refused.iter().map(Count::read).sum()
    }

    /// Publishes refused by code, where there were any.
    pub fn refused_by(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        let counted = ErrorCode::ALL.iter().zip(&self.refused).map(|(code, count)| (*code, count.read()));
        counted.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_bucket_whose_bound_it_does_not_pass() {
        let histogram = Histogram::default();
        for us in [0, 100, 101, 10_000_000, 10_000_001] {
            histogram.record(us, 2);
        }
        let buckets = histogram.buckets();
        assert_eq!((buckets[0], buckets[1], buckets[13], buckets[14]), (4, 2, 2, 2));
        assert_eq!(histogram.sum_us(), 2 * 20_000_202);
    }

    #[test]
    fn every_code_has_a_count() {
        let stats = HubStats::default();
        for code in ErrorCode::ALL {
            stats.refuse(*code, 1);
        }
        assert_eq!(stats.refused_by().map(|(code, _)| code).collect::<Vec<_>>(), ErrorCode::ALL);
        assert_eq!(stats.refused(), ErrorCode::ALL.len() as u64);
    }
}
