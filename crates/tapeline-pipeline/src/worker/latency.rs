//! How long messages take from their receipt to each stage, by priority: histograms whose buckets grow with the value.
//! It does not know what is too long.

use tapeline_core::clock::Now;
use tapeline_core::lanes::LANES;

use crate::lanes::Item;

/// How many stages there are.
pub const STAGES: usize = 3;
/// Buckets for each doubling.
const PARTS: u64 = 8;
const PART_BITS: u32 = 3;
/// Values from here on share the last bucket: half an hour.
const LONGEST_US: u64 = 1 << 31;
const BUCKETS: usize = 240;

/// How far a message has come. Each is measured from its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In the component's lane.
    Queued,
    /// The component is called; of a message that is tried again, each time.
    Called,
    /// The call has ended, however it did.
    Done,
}

impl Stage {
    /// In their order.
    pub const ALL: [Self; STAGES] = [Self::Queued, Self::Called, Self::Done];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Called => "called",
            Self::Done => "done",
        }
    }

    fn place(self) -> usize {
        match self {
            Self::Queued => 0,
            Self::Called => 1,
            Self::Done => 2,
        }
    }
}

/// Times in microseconds, each counted in a bucket that is at most an eighth wider than its smallest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    buckets: Box<[u64; BUCKETS]>,
    count: u64,
    sum_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: Box::new([0; BUCKETS]), count: 0, sum_us: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub fn add(&mut self, us: u64) {
        if let Some(bucket) = self.buckets.get_mut(place(us)) {
            *bucket += 1;
            self.count += 1;
            self.sum_us = self.sum_us.saturating_add(us);
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// A time that this part of them, of `0.0..=1.0`, did not exceed: the upper end of its bucket. 0 where none was
    /// counted.
    pub fn quantile_us(&self, part: f64) -> u64 {
        let wanted = (self.count as f64 * part.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut passed = 0;
        for (place, count) in self.buckets.iter().enumerate() {
            passed += count;
            if passed >= wanted {
                return upper_us(place);
            }
        }
        0
    }

    /// How many took no longer than this, in whole buckets.
    pub fn within(&self, us: u64) -> u64 {
        let counted = self.buckets.iter().enumerate().take_while(|(place, _)| upper_us(*place) <= us);
        counted.map(|(_, count)| count).sum()
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: &Histogram) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets.iter()) {
            *bucket += more;
        }
        self.count += other.count;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// Those counted since `earlier`, which is this one as it was then.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let mut later = self.clone();
        for (bucket, fewer) in later.buckets.iter_mut().zip(earlier.buckets.iter()) {
            *bucket = bucket.saturating_sub(*fewer);
        }
        later.count = later.count.saturating_sub(earlier.count);
        later.sum_us = later.sum_us.saturating_sub(earlier.sum_us);
        later
    }
}

/// Values below [`PARTS`] have a bucket each; of each doubling from there on there are as many.
fn place(us: u64) -> usize {
    let us = us.min(LONGEST_US - 1);
    if us < PARTS {
        return us as usize;
    }
    let doublings = us.ilog2() - PART_BITS;
    let part = (us >> doublings) - PARTS;
    (PARTS + u64::from(doublings) * PARTS + part) as usize
}

/// The greatest value of a bucket.
fn upper_us(place: usize) -> u64 {
    let place = place as u64;
    if place < PARTS {
        return place;
    }
    let (doublings, part) = ((place - PARTS) / PARTS, (place - PARTS) % PARTS);
    ((PARTS + part + 1) << doublings) - 1
}

/// The times of one component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    stages: [[Histogram; STAGES]; LANES],
}

impl Latencies {
    /// Those of a stage; 0 is the most urgent lane.
    pub fn of(&self, lane: usize, stage: Stage) -> Option<&Histogram> {
        self.stages.get(lane)?.get(stage.place())
    }

    /// Counts one, for tests of what reads it.
    #[cfg(test)]
    pub(crate) fn add(&mut self, lane: usize, stage: Stage, us: u64) {
        self.stages[lane][stage.place()].add(us);
    }

    /// Adds another component's.
    pub fn merge(&mut self, other: &Latencies) {
        for (lane, more) in self.stages.iter_mut().zip(&other.stages) {
            lane.iter_mut().zip(more).for_each(|(histogram, more)| histogram.merge(more));
        }
    }

    /// Those counted since `earlier`, which is this as it was then.
    pub fn since(&self, earlier: &Latencies) -> Latencies {
        let mut later = Latencies::default();
        let lanes = later.stages.iter_mut().zip(self.stages.iter().zip(&earlier.stages));
        for (lane, (now, before)) in lanes {
            for (histogram, (now, before)) in lane.iter_mut().zip(now.iter().zip(before)) {
                *histogram = now.since(before);
            }
        }
        later
    }

    pub(super) fn on_called(&mut self, item: &Item, now: Now) {
        let received_us = item.update.received.mono_us;
        let queued_us = item.queued_us.saturating_sub(received_us);
        let is_first = item.past.as_ref().is_none_or(|past| past.attempts == 0);
        let Some(lane) = self.stages.get_mut(item.lane()) else { return };
        let [queued, called, _] = lane;
        if is_first {
            queued.add(queued_us);
        }
        called.add(now.mono_us.saturating_sub(received_us));
    }

    pub(super) fn on_done(&mut self, item: &Item, now: Now) {
        let Some([_, _, done]) = self.stages.get_mut(item.lane()) else { return };
        done.add(now.mono_us.saturating_sub(item.update.received.mono_us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_falls_into_a_bucket_at_most_an_eighth_wider_than_itself() {
        let mut before = 0;
        for us in (0..100_000).chain([1 << 20, (1 << 31) - 1]) {
            let upper = upper_us(place(us));
            assert!(upper >= us && upper - us <= us / 8, "{us}: {upper}");
            assert!(place(us) >= before, "{us}");
            before = place(us);
        }
        assert!(place(u64::MAX) < BUCKETS, "{}", place(u64::MAX));
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted_and_a_window_is_what_came_since() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|us| histogram.add(us));
        assert_eq!(histogram.quantile_us(0.0), 1);
        assert!((50..=55).contains(&histogram.quantile_us(0.5)));
        assert!((99..=111).contains(&histogram.quantile_us(0.99)));
        let earlier = histogram.clone();
        (0..10).for_each(|_| histogram.add(5_000));
        let window = histogram.since(&earlier);
        assert_eq!((window.count(), window.sum_us()), (10, 50_000));
        assert!((5_000..5_700).contains(&window.quantile_us(0.01)));
        assert_eq!(Histogram::default().quantile_us(0.5), 0);
    }
}
