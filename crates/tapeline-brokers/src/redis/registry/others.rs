//! What other nodes said last: their rows, and how many sessions hear what there, added up for whoever publishes.

use std::time::Instant;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_core::Channel;
use tapeline_schema::Pattern;
use tapeline_schema::ops::NodeStats;

use super::words::{Row, channel_field};

/// By field: `cNAME` or `pPATTERN`.
pub(super) type Counts = HashMap<Box<str>, usize, FixedState>;

/// Another node.
pub(super) struct Other {
    stats: NodeStats,
    /// When it said so.
    said: Instant,
    revision: u64,
    /// The revision that `counts` are of.
    counted: Option<u64>,
    counts: Counts,
}

/// See the module.
#[derive(Default)]
pub(super) struct Others {
    nodes: HashMap<Box<str>, Other, FixedState>,
    /// Of all nodes together.
    names: Counts,
    patterns: Vec<(Pattern, usize)>,
}

impl Others {
    /// Takes in who lives, and answers of whom the counts are out of date, with their revision.
    pub(super) fn take(&mut self, live: Vec<(Box<str>, Row, Instant)>) -> Vec<(Box<str>, u64)> {
        let before = self.nodes.len();
        self.nodes.retain(|name, _| live.iter().any(|(node, ..)| node == name));
        let fewer = self.nodes.len() < before;
        for (node, row, said) in live {
            let Row { revision, stats } = row;
            let known = self.nodes.remove(&node);
            let (counted, counts) = known.map(|known| (known.counted, known.counts)).unwrap_or_default();
            self.nodes.insert(node, Other { stats, said, revision, counted, counts });
        }
        if fewer {
            self.add_up();
        }
        let stale = self.nodes.iter().filter(|(_, other)| other.counted != Some(other.revision));
        stale.map(|(node, other)| (node.clone(), other.revision)).collect()
    }

    /// Takes in what a node counts.
    pub(super) fn take_counts(&mut self, node: &str, revision: u64, counts: Counts) {
        if let Some(other) = self.nodes.get_mut(node) {
            other.counted = Some(revision);
            other.counts = counts;
            self.add_up();
        }
    }

    fn add_up(&mut self) {
        self.names.clear();
        let mut patterns = Counts::default();
        for (field, count) in self.nodes.values().flat_map(|other| &other.counts) {
            match field.strip_prefix('p') {
                Some(pattern) => *patterns.entry(pattern.into()).or_default() += count,
                None => *self.names.entry(field.clone()).or_default() += count,
            }
        }
        let parsed =
            patterns.into_iter().filter_map(|(text, count)| Some((Pattern::parse(&text).ok()?, count)));
        self.patterns = parsed.collect();
    }

    /// Sessions that hear the channel; who hears it in several ways is counted for each.
    pub(super) fn subscribers(&self, channel: &Channel) -> usize {
        if self.names.is_empty() && self.patterns.is_empty() {
            return 0;
        }
        let names = std::iter::once(channel).chain(channel.roll_ups());
        let by_name: usize =
            names.filter_map(|name| self.names.get(channel_field(name.name()).as_str())).sum();
        let matching = self.patterns.iter().filter(|(pattern, _)| pattern.matches(channel.name()));
        by_name + matching.map(|(_, count)| count).sum::<usize>()
    }

    /// The ways in which each node's sessions hear the channel: field, and the name where it is not the channel's own.
    pub(super) fn ways(&self, channel: &Channel) -> Vec<(Box<str>, Vec<Way>)> {
        let names = std::iter::once(channel).chain(channel.roll_ups());
        let by_name = names.map(|name| (channel_field(name.name()), name.name()));
        let matching = self.patterns.iter().filter(|(pattern, _)| pattern.matches(channel.name()));
        let by_pattern = matching.map(|(pattern, _)| (format!("p{}", pattern.as_str()), pattern.as_str()));
        let ways: Vec<(String, &str)> = by_name.chain(by_pattern).collect();
        let at = |other: &Other| -> Vec<Way> {
            let known = ways.iter().filter_map(|(field, name)| {
                let count = *other.counts.get(field.as_str())?;
                let via = (*name != channel.name()).then(|| (*name).to_string());
                Some(Way { field: field.clone(), via, count })
            });
            known.collect()
        };
        let nodes = self.nodes.iter().map(|(node, other)| (node.clone(), at(other)));
        nodes.filter(|(_, ways)| !ways.is_empty()).collect()
    }

    /// What was heard by name at a node.
    pub(super) fn heard_at(&self, node: &str) -> Vec<(Box<str>, usize)> {
        let counts = self.nodes.get(node).map(|other| &other.counts);
        let named = counts
            .into_iter()
            .flatten()
            .filter_map(|(field, count)| Some((field.strip_prefix('c')?.into(), *count)));
        named.collect()
    }

    /// The names of all nodes.
    pub(super) fn names(&self) -> Vec<Box<str>> {
        self.nodes.keys().cloned().collect()
    }

    /// Their rows, the longest-lived first.
    pub(super) fn rows(&self) -> Vec<NodeStats> {
        let row = |other: &Other| {
            let seen_ms = u64::try_from(other.said.elapsed().as_millis()).unwrap_or(u64::MAX);
            NodeStats { seen_ms, ..other.stats.clone() }
        };
        let mut rows: Vec<NodeStats> = self.nodes.values().map(row).collect();
        rows.sort_by(|one, other| {
            other.uptime_s.cmp(&one.uptime_s).then_with(|| one.instance.cmp(&other.instance))
        });
        rows
    }
}

/// A way in which sessions of a node hear a channel.
pub(super) struct Way {
    pub field: String,
    /// The roll-up or pattern; nothing for the channel's own name.
    pub via: Option<String>,
    pub count: usize,
}
