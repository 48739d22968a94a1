//! Gaps as a client reads them: what one says must be so, and what it says to be missing is no longer waited for.

use super::asked::Standing;
use super::model::{Model, Space};
use super::view::{Checked, View};
use crate::reply::GapReason;

impl View {
    pub(super) fn on_gap(
        &mut self,
        name: &str,
        (from, to): (u64, Option<u64>),
        reason: GapReason,
        model: &Model,
        now_us: u64,
    ) -> Checked {
        let Some(space) = model.spaces.get(name) else {
            return Err(format!("a gap in {name}, which is nothing"));
        };
        let heard = self.heard.entry(name.to_string()).or_default();
        let current = space.current().map(|count| count.epoch.clone());
        if reason == GapReason::Epoch {
            if let Some(at) = heard.expected_voids.iter().position(|void| *void == from) {
                heard.expected_voids.swap_remove(at);
                heard.forgotten.retain(|void| *void != from);
                heard.answered.insert(from);
                // What follows may count under any epoch.
                heard.epoch = None;
                return Ok(());
            }
            let again = heard.answered.remove(&from);
            // The newest count has ended too if the broker has forgotten the channel since.
            let over = space.ended >= space.counts.len();
            let went_on = heard.epoch.is_some() && heard.epoch == current;
            // Also by a subscription that has ended since, of which this may be left.
            let otherwise = heard.ended > 0 || covering(&self.standing, model, space) > 1;
            if !over && !again && (space.counts.len() < 2 || (went_on && !otherwise)) {
                return Err(format!("{name}: the epoch was said to be new at {from} and is not"));
            }
            // It says not which epoch is over: the last frame's, and it may be any but the newest.
            if let Some(epoch) = heard.epoch.take().filter(|_| !went_on) {
                heard.void(epoch, from);
            }
            for count in space.counts.iter().rev().skip(usize::from(!over)) {
                heard.void(count.epoch.clone(), from);
            }
            heard.gapped_next.clear();
            return Ok(());
        }
        let Some(to) = to.filter(|to| from <= *to && from > 0) else {
            return Err(format!("{name}: a gap {from}..{to:?}"));
        };
        self.gap_offsets += to + 1 - from;
        let only = heard.epoch.is_none() && space.counts.len() == 1;
        // Of a count that has ended nothing is kept, and what was, by another row.
        let goes_on = space.ended < space.counts.len() && !heard.strays;
        let is_current = goes_on && (only || (heard.epoch.is_some() && heard.epoch == current));
        if let Some(kept) = space.kept_within(from, to, now_us).filter(|_| is_current) {
            return Err(format!("{name}: gap {from}..{to}, but {kept} is kept"));
        }
        match heard.epoch.clone() {
            Some(epoch) => {
                // What came before by another way may lie within; all of it may not.
                let had = heard.got.get(&epoch).map_or(0, |got| got.range(from..=to).count() as u64);
                let alone = covering(&self.standing, model, space) < 2;
                if had > to - from && heard.ended == 0 && alone {
                    return Err(format!("{name}: gap {from}..{to} though all of it had come"));
                }
                heard.gapped.entry(epoch.clone()).or_default().extend(from..=to);
                // Where there have been several, it may be of another than the last frame's.
                for count in space.counts.iter().filter(|_| space.counts.len() > 1) {
                    heard.guessed.entry(count.epoch.clone()).or_default().extend(from..=to);
                }
                if !space.channel.is_table() {
                    self.reached.insert(name.to_string(), (epoch, to));
                }
            }
            // Nothing has come yet: it may be of any count.
            None => {
                for count in &space.counts {
                    heard.guessed.entry(count.epoch.clone()).or_default().extend(from..=to);
                }
                heard.gapped_next.extend(from..=to);
            }
        }
        Ok(())
    }
}

/// In how many ways messages of this space may come: under its own name, a roll-up's or a source's, for each
/// subscription. What is told to be missing in one of them, another may still bring from what its own name keeps.
pub(super) fn covering(standing: &[Standing], model: &Model, space: &Space) -> usize {
    let sources = model.spaces.values().filter(|source| source.channel.roll_ups().contains(&space.channel));
    let related = space.channel.roll_ups().iter().chain(sources.map(|source| &source.channel));
    let names = std::iter::once(&space.channel).chain(related);
    names.map(|channel| standing.iter().filter(|standing| standing.covers(channel)).count()).sum()
}
