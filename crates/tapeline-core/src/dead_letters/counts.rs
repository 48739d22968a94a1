//! Letters counted by source and reason, in a table of bounded size, and how fast each source may have more written.

use std::collections::BTreeMap;

use crate::clock::Now;
use crate::rates::Bucket;
use crate::settings::Rate;

/// Sources told apart.
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

/// What became of a letter.
#[derive(Clone, Copy)]
pub(super) enum Became {
    Taken,
    Lost,
}

#[derive(Default)]
struct Source {
    bucket: Bucket,
    /// Taken and lost.
    reasons: BTreeMap<Box<str>, (u64, u64)>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<Box<str>, Source>);

impl Counts {
    fn source(&mut self, name: &str) -> &mut Source {
        let known = self.0.contains_key(name) || self.0.len() < SOURCES;
        self.0.entry(if known { name } else { OTHER }.into()).or_default()
    }

    /// Whether another letter of this source may be written now.
    pub(super) fn admit(&mut self, source: &str, rate: Rate, now: Now) -> bool {
        self.source(source).bucket.take(1, rate, now)
    }

    pub(super) fn add(&mut self, source: &str, reason: &str, became: Became) {
        let reasons = &mut self.source(source).reasons;
        let known = reasons.contains_key(reason) || reasons.len() < REASONS;
        let name = if known && reason.len() <= REASON_BYTES { reason } else { OTHER };
        let (taken, lost) = reasons.entry(name.into()).or_default();
        match became {
            Became::Taken => *taken += 1,
            Became::Lost => *lost += 1,
        }
    }

    pub(super) fn list(&self) -> Vec<LetterCount> {
        let mut list = Vec::new();
        for (source, known) in &self.0 {
            for (reason, (taken, lost)) in &known.reasons {
                let (source, reason) = (source.clone(), reason.clone());
                list.push(LetterCount { source, reason, taken: *taken, lost: *lost });
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_counts_is_bounded_and_nothing_goes_uncounted() {
        let mut counts = Counts::default();
        for source in 0..1_000 {
            for reason in 0..100 {
                counts.add(&source.to_string(), &reason.to_string(), Became::Taken);
            }
        }
        counts.add("0", &"x".repeat(65), Became::Lost);
        let list = counts.list();
        assert!(list.len() <= (SOURCES + 1) * (REASONS + 1), "{}", list.len());
        assert_eq!(list.iter().map(|count| count.taken).sum::<u64>(), 100_000);
        assert_eq!(list.iter().map(|count| count.lost).sum::<u64>(), 1);
        let other = list.iter().filter(|count| &*count.source == OTHER).map(|count| count.taken).sum::<u64>();
        assert_eq!(other, (1_000 - SOURCES as u64) * 100);
    }
}
