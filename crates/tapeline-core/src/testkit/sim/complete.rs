//! What must hold of a client's view once nothing is on its way any more.

use std::collections::HashMap;

use super::asked::{Manner, Standing};
use super::heard::Heard;
use super::model::{Model, Space};
use super::tables::ClientTable;
use super::view::{Checked, View};
use crate::message::Epoch;
use crate::reply::Topic;

impl View {
    /// Nothing is on its way any more: what each subscription promised has come or was said to be missing.
    pub(super) fn check_complete(&mut self, model: &Model, now_us: u64) -> Checked {
        if let Some((name, heard)) = self.heard.iter().find(|(_, heard)| !heard.forgotten.is_empty()) {
            return Err(format!("{name} was forgotten since {:?}, and no gap was said", heard.forgotten));
        }
        for space in model.spaces.values() {
            let Some(current) = space.current() else { continue };
            let name = space.channel.name();
            let heard = self.heard.entry(name.to_string()).or_default();
            let latest = current.epoch.clone();
            let resolved = heard.epoch.clone().unwrap_or(latest);
            heard.tell_epoch(&resolved);
            for standing in self.standing.iter().filter(|standing| standing.covers(&space.channel)) {
                match standing.manner(&space.channel).0 {
                    Manner::Every => check_every(standing, heard, space)?,
                    Manner::Latest => {
                        let claimed = heard.claimed.get(&current.epoch).copied().unwrap_or(0);
                        check_newest(standing, claimed, &self.seen, space, now_us)?;
                        check_whole(standing, self.tables.get(name), space)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Who asked for a table itself, and said not what it has, has been sent all of it.
fn check_whole(standing: &Standing, table: Option<&ClientTable>, space: &Space) -> Checked {
    let name = space.channel.name();
    let Some(count) = space.current().filter(|_| space.ended < space.counts.len()) else { return Ok(()) };
    let start = standing.starts.get(name).filter(|start| start.epoch == count.epoch);
    let named = matches!(&standing.topic, Topic::Channel(channel) if *channel == space.channel);
    let promised = named && start.is_some_and(|start| !start.resumed) && count.top() > 0;
    let held = table.is_some_and(|table| table.counts_under(&count.epoch) && table.whole);
    match promised && space.channel.is_table() && !held {
        true => Err(format!("{name}: only {table:?} came of the table, which was asked for")),
        false => Ok(()),
    }
}

fn check_every(standing: &Standing, heard: &Heard, space: &Space) -> Checked {
    let counts: Vec<Epoch> = space.counts.iter().map(|count| count.epoch.clone()).collect();
    let name = space.channel.name();
    // What counted before the family was declared or removed is void, also what was on its way.
    for count in space.counts.iter().skip(space.redeclared) {
        let Some(after) = standing.after(name, &count.epoch, &counts) else { continue };
        if let Some(lost) = (after + 1..=count.top()).find(|offset| !heard.has(&count.epoch, *offset)) {
            let topic = standing.topic.name();
            return Err(format!("{name} {lost} of {} ({}) never came to {topic}", count.top(), count.epoch));
        }
    }
    Ok(())
}

fn check_newest(
    standing: &Standing,
    claimed: u64,
    seen: &HashMap<u64, u32>,
    space: &Space,
    now_us: u64,
) -> Checked {
    let Some(count) = space.current() else { return Ok(()) };
    // The broker has forgotten the channel, and with it the newest.
    if space.ended >= space.counts.len() {
        return Ok(());
    }
    let name = space.channel.name();
    let Some((offset, newest)) = (1..).zip(&count.messages).filter(|(_, logged)| logged.own).last() else {
        return Ok(());
    };
    let had =
        standing.starts.get(name).is_some_and(|start| start.epoch == count.epoch && start.after >= offset);
    let unlisted = !standing.starts.contains_key(name) && (standing.partial || !standing.listed);
    // What is published to the own name of a roll-up that counts is not promised to who wants the newest of each
    // source: the newest that the roll-up keeps is mostly a source's.
    let had = had || space.channel.counts_for_itself() || claimed >= offset;
    let ended = standing.ended.get(name).is_some_and(|ended| space.counts.len() <= *ended);
    if newest.gone
        || had
        || unlisted
        || ended
        || space.oldest(now_us) > offset
        || seen.contains_key(&newest.serial)
    {
        return Ok(());
    }
    Err(format!("{name} {offset}, the newest, never came to {}", standing.topic.name()))
}
