//! Letters counted by source and reason, in a table of bounded size, and how fast each source may have more written.

use std::collections::BTreeMap;

use tapeline_schema::events::DeadLetterReason;

use crate::clock::Now;
use crate::rates::Bucket;
use crate::settings::Rate;

/// Sources told apart: so many that the hub gives letters up for, and so many that others name.
const SOURCES: usize = 64;
/// Reasons told apart of each.
const REASONS: usize = 32;
/// A reason longer than this is no word.
const REASON_BYTES: usize = 64;
/// What has no place of its own.
const OTHER: &str = "other";

/// How many letters of a source had this reason, since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterCount {
    /// Who gave up.
    pub source: Box<str>,
    /// Why.
    pub reason: Box<str>,
    /// Letters that the broker took.
    pub taken: u64,
    /// Letters that the hub meant to write and could not.
    pub lost: u64,
}

/// What became of one of the hub's own letters.
#[derive(Clone, Copy)]
pub(super) enum Became {
    Taken,
    Lost,
}

/// Of one source.
type Reasons = BTreeMap<Box<str>, Fates>;

/// What became of letters.
#[derive(Default)]
struct Fates {
    taken: u64,
    lost: u64,
}

/// See the module. What the hub gives up itself is kept apart: whoever publishes letters may name any source and any
/// reason, and must not take its feeds' places or their rate.
#[derive(Default)]
pub(super) struct Counts {
    /// Of the hub's own letters.
    own: BTreeMap<Box<str>, Reasons>,
    /// Of everybody else's.
    others: BTreeMap<Box<str>, Reasons>,
    /// How fast the hub writes its own.
    buckets: BTreeMap<Box<str>, Bucket>,
}

impl Counts {
    /// Whether the hub may write another letter of this source now.
    pub(super) fn admit(&mut self, source: &str, rate: Rate, now: Now) -> bool {
        place(&mut self.buckets, source, SOURCES).take(1, rate, now)
    }

    /// One of the hub's own.
    pub(super) fn add_own(&mut self, source: &str, reason: DeadLetterReason, became: Became) {
        let fates = place(place(&mut self.own, source, SOURCES), reason.name(), REASONS);
        match became {
            Became::Taken => fates.taken += 1,
            Became::Lost => fates.lost += 1,
        }
    }

    /// One that somebody published.
    pub(super) fn add_other(&mut self, source: &str, reason: &str) {
        let reason = if reason.len() <= REASON_BYTES { reason } else { OTHER };
        place(place(&mut self.others, source, SOURCES), reason, REASONS).taken += 1;
    }

    pub(super) fn list(&self) -> Vec<LetterCount> {
        let mut sums: BTreeMap<(&str, &str), Fates> = BTreeMap::new();
        for (source, reasons) in self.own.iter().chain(&self.others) {
            for (reason, Fates { taken, lost }) in reasons {
                let sum = sums.entry((source, reason)).or_default();
                sum.taken += taken;
                sum.lost += lost;
            }
        }
        let count = |((source, reason), Fates { taken, lost }): ((&str, &str), Fates)| LetterCount {
            source: source.into(),
            reason: reason.into(),
            taken,
            lost,
        };
        sums.into_iter().map(count).collect()
    }
}

/// What is kept under a name, or under `other` where so many have a place already.
fn place<'a, V: Default>(kept: &'a mut BTreeMap<Box<str>, V>, name: &str, most: usize) -> &'a mut V {
    let known = kept.contains_key(name) || kept.len() < most;
    kept.entry(if known { name } else { OTHER }.into()).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_counts_is_bounded_and_nothing_goes_uncounted() {
        let mut counts = Counts::default();
        for source in 0..1_000 {
            for reason in 0..100 {
                counts.add_other(&source.to_string(), &reason.to_string());
            }
            counts.add_own(&format!("feed {source}"), DeadLetterReason::Overflow, Became::Lost);
        }
        counts.add_other("0", &"x".repeat(65));
        let list = counts.list();
        assert!(list.len() <= (2 * SOURCES + 1) * (REASONS + 1), "{}", list.len());
        assert_eq!(list.iter().map(|count| count.taken).sum::<u64>(), 100_001);
        assert_eq!(list.iter().map(|count| count.lost).sum::<u64>(), 1_000);
        let other = list.iter().filter(|count| &*count.source == OTHER).map(|count| count.taken).sum::<u64>();
        assert_eq!(other, (1_000 - SOURCES as u64) * 100);
    }

    #[test]
    fn a_source_that_the_hub_and_others_name_is_listed_once() {
        let mut counts = Counts::default();
        for reason in 0..100 {
            counts.add_other("kraken", &reason.to_string());
        }
        counts.add_other("risk", "overflow");
        counts.add_own("kraken", DeadLetterReason::Overflow, Became::Taken);
        counts.add_own("risk", DeadLetterReason::Overflow, Became::Taken);
        let list = counts.list();
        let of = |source, reason| {
            let named = list.iter().filter(|count| (&*count.source, &*count.reason) == (source, reason));
            named.map(|count| count.taken).collect::<Vec<_>>()
        };
        assert_eq!(of("kraken", "overflow"), [1], "others' words take the place of the hub's");
        assert_eq!(of("risk", "overflow"), [2]);
    }
}
