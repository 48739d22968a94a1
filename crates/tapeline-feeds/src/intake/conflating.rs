//! What waits gives way to what is newer: of a `latest` channel the newest message stays, and a table's messages become
//! one that says what all of them said. It does not know how much may wait.

use std::collections::VecDeque;

use tapeline_core::Draft;
use tapeline_core::channel::ChannelMap;
use tapeline_core::table::{Merging, Rows};
use tapeline_schema::Delivery;

/// Rows of one table that wait at most, in bytes. A table that changes more than that meanwhile is better told anew.
const TABLE_BYTES: usize = 512 * 1024;

/// Leaves of each `latest` channel only the newest message; the order of the others stays.
pub(super) fn conflate(waiting: &mut VecDeque<Draft>) {
    keep_last(waiting, |draft| draft.channel.spec().delivery == Delivery::Latest);
}

/// Leaves of each table one message, at the place of its last one; the order of the others stays. Handed out are those
/// that are too long.
pub(super) fn merge_tables(waiting: &mut VecDeque<Draft>) -> Vec<Draft> {
    let mut tables: ChannelMap<Merging<'_>> = ChannelMap::default();
    for draft in &*waiting {
        if let Some(rows) = &draft.rows {
            tables.entry(draft.channel.clone()).or_default().apply(rows, &draft.data);
        }
    }
    let mut merged: ChannelMap<_> =
        tables.into_iter().map(|(channel, merging)| (channel, merging.write())).collect();
    keep_last(waiting, |draft| draft.rows.is_some());
    let mut too_long = Vec::new();
    for mut draft in std::mem::take(waiting) {
        if draft.rows.is_some()
            && let Some((data, rows)) = merged.remove(&draft.channel)
        {
            (draft.data, draft.rows) = (data, Some(Box::<Rows>::new(rows)));
        }
        let fits = draft.rows.is_none() || draft.data.len() <= TABLE_BYTES;
        if fits { waiting.push_back(draft) } else { too_long.push(draft) }
    }
    too_long
}

/// Of those that give way, leaves the last one of each channel.
fn keep_last(waiting: &mut VecDeque<Draft>, gives_way: impl Fn(&Draft) -> bool) {
    let mut left: ChannelMap<usize> = ChannelMap::default();
    for draft in waiting.iter().filter(|draft| gives_way(draft)) {
        *left.entry(draft.channel.clone()).or_default() += 1;
    }
    waiting.retain(|draft| match left.get_mut(&draft.channel) {
        Some(left) => {
            *left -= 1;
            *left == 0
        }
        None => true,
    });
}
