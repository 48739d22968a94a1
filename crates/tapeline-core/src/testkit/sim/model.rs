//! The naive model: a plain log of everything published, per channel and roll-up, and the plainest possible rules
//! for what is kept of it. It is told of messages as the broker delivers them, and never asks the core.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tapeline_schema::Keep;

use super::tables::{Said, TableRows};
use super::wire::serial_of;
use crate::broker::{Busy, Head, Interest, NEWEST, Page, Sources};
use crate::channel::Channel;
use crate::clock::micros;
use crate::message::{Draft, Epoch, IdempotencyKey, Message, Receipt};

/// As long a repeat is recognised.
const KEY_LIFE_US: u64 = 300_000_000;

/// One message, as its channel or a roll-up keeps it.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub serial: u64,
    pub at_us: u64,
    pub bytes: usize,
    /// Published to this very name, rather than to a source of it.
    pub own: bool,
    /// The broker was told to forget it, or had trimmed it when it was told to forget another.
    pub gone: bool,
    /// Its channel's table, from this message on.
    pub table: Option<TableRows>,
}

/// A count from 1 on under one epoch; the message of offset `n` is `messages[n - 1]`.
#[derive(Debug)]
pub(super) struct Count {
    pub epoch: Epoch,
    pub messages: Vec<Logged>,
}

impl Count {
    pub(super) fn top(&self) -> u64 {
        self.messages.len() as u64
    }

    pub(super) fn at(&self, offset: u64) -> Option<&Logged> {
        self.messages.get(usize::try_from(offset.checked_sub(1)?).ok()?)
    }
}

/// All that was ever counted under one name.
#[derive(Debug)]
pub(super) struct Space {
    pub channel: Channel,
    pub counts: Vec<Count>,
    pub joined: i64,
    /// When it was last joined or left.
    pub joined_us: u64,
    /// How many of the counts had ended when the broker last listed it as absent.
    pub ended: usize,
    /// How many there were when its family was last declared or removed; the next begins anew.
    pub redeclared: usize,
}

impl Space {
    pub(super) fn current(&self) -> Option<&Count> {
        self.counts.last()
    }

    pub(super) fn count(&self, epoch: &str) -> Option<&Count> {
        self.counts.iter().find(|count| *count.epoch == *epoch)
    }

    /// The oldest offset kept of the current count: the longest tail that every bound allows.
    pub(super) fn oldest(&self, now_us: u64) -> u64 {
        let Some(count) = self.current() else { return 1 };
        let keep = match self.channel.is_table() {
            false => self.channel.spec().keep,
            // What is kept there is rows.
            true => Keep { count: 1, age: None, bytes: None },
        };
        let too_old = keep.age.map_or(0, |age| now_us.saturating_sub(micros(age)));
        let (mut kept, mut bytes, mut oldest) = (0, 0, count.top() + 1);
        for (offset, message) in (1..=count.top()).rev().zip(count.messages.iter().rev()) {
            if message.gone {
                continue;
            }
            let too_large = keep.bytes.is_some_and(|bound| kept > 0 && bytes + message.bytes > bound);
            if kept == keep.count.max(1) || too_large || message.at_us < too_old {
                break;
            }
            kept += 1;
            bytes += message.bytes;
            oldest = offset;
        }
        oldest
    }

    /// The first offset of these that is kept.
    pub(super) fn kept_within(&self, from: u64, to: u64, now_us: u64) -> Option<u64> {
        let count = self.current()?;
        (from.max(self.oldest(now_us))..=to).find(|offset| count.at(*offset).is_some_and(|at| !at.gone))
    }

    /// What is `unwanted` is kept no longer, nor comes back what had been trimmed.
    fn forget(&mut self, now_us: u64, unwanted: impl Fn(u64, &Logged) -> bool) {
        let oldest = self.oldest(now_us);
        let Some(count) = self.counts.last_mut() else { return };
        for (offset, message) in (1..).zip(&mut count.messages) {
            message.gone |= offset < oldest || unwanted(offset, message);
        }
    }
}

#[derive(Default)]
pub(super) struct Model {
    pub spaces: BTreeMap<String, Space>,
    pub violations: Vec<String>,
    pub published: u64,
    keys: HashMap<(String, IdempotencyKey), (u64, Receipt)>,
}

impl Model {
    pub(super) fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(super) fn space(&mut self, channel: &Channel) -> &mut Space {
        // A late request may be of a channel that has been replaced since.
        let channel = channel.current();
        let made = || Space {
            channel: channel.clone(),
            counts: Vec::new(),
            joined: 0,
            joined_us: 0,
            ended: 0,
            redeclared: 0,
        };
        self.spaces.entry(channel.name().to_string()).or_insert_with(made)
    }

    /// The catalogue has changed: each name has its new row.
    pub(super) fn follow_catalog(&mut self) {
        for space in self.spaces.values_mut() {
            if space.channel.has_ended() {
                space.redeclared = space.counts.len();
                space.ended = space.counts.len();
            }
            space.channel = space.channel.current().clone();
        }
    }

    /// The broker has delivered a message to the shards.
    pub(super) fn on_deliver(&mut self, message: &Arc<Message>, serial: u64) {
        self.published += 1;
        let now_us = message.timestamp_us;
        let table = self.table_after(message);
        let logged = |own| Logged {
            serial,
            at_us: now_us,
            bytes: message.data.len(),
            own,
            gone: false,
            table: table.clone(),
        };
        self.log(&message.channel, &message.epoch, message.offset, logged(true));
        let counting: Vec<&Channel> =
            message.channel.roll_ups().iter().filter(|roll_up| roll_up.counts_for_itself()).collect();
        let marked: Vec<&Channel> = message.roll_ups.iter().map(|mark| &mark.channel).collect();
        if counting != marked {
            self.violated(format!("{} is marked for {marked:?}, not {counting:?}", message.channel.name()));
        }
        for mark in &message.roll_ups {
            self.log(&mark.channel, &mark.epoch, mark.offset, logged(false));
        }
    }

    /// The broker was told to forget what a channel keeps up to an offset.
    pub(super) fn on_forget(&mut self, channel: &Channel, through: u64, now_us: u64) {
        if channel.is_table() {
            return;
        }
        let space = self.space(channel);
        let serials: HashSet<u64> = space.current().map_or_else(HashSet::new, |count| {
            let own = |(offset, message): (u64, &Logged)| (offset <= through).then_some(message.serial);
            (1..).zip(&count.messages).filter_map(own).collect()
        });
        space.forget(now_us, |offset, _| offset <= through);
        for roll_up in channel.roll_ups().iter().filter(|roll_up| roll_up.counts_for_itself()) {
            self.space(roll_up).forget(now_us, |_, message| serials.contains(&message.serial));
        }
    }

    fn table_after(&mut self, message: &Arc<Message>) -> Option<TableRows> {
        let spec = message.channel.spec();
        if !message.channel.is_table() {
            return None;
        }
        let name = message.channel.name();
        let count = self.spaces.get(name).and_then(|space| space.count(&message.epoch));
        let mut table = count.and_then(|count| count.messages.last()?.table.clone()).unwrap_or_default();
        let Some(said) = Said::of(&message.data) else {
            self.violated(format!("{name}: no rows in {:?}", message.data));
            return None;
        };
        said.apply(&mut table);
        let bytes: usize = table.values().map(String::len).sum();
        let too_large = spec.keep.bytes.is_some_and(|bound| bytes > bound && table.len() > 1);
        if table.len() > spec.keep.count || too_large {
            self.violated(format!("{name}: a table of {} rows, {bytes} bytes", table.len()));
        }
        Some(table)
    }

    fn log(&mut self, channel: &Channel, epoch: &Epoch, offset: u64, logged: Logged) {
        let now_us = logged.at_us;
        let name = channel.name().to_string();
        let space = self.space(channel);
        let known = space.current().is_some_and(|count| count.epoch == *epoch);
        let mut wrong = None;
        if !known {
            wrong = why_not_forgotten(space, now_us);
            if space.count(epoch).is_some() {
                wrong = Some("an epoch came back".to_string());
            }
            space.counts.push(Count { epoch: epoch.clone(), messages: Vec::new() });
        }
        if let Some(count) = space.counts.last_mut() {
            if count.top() + 1 != offset {
                wrong = Some(format!("offset {offset} follows {}", count.top()));
            }
            count.messages.push(logged);
        }
        if let Some(wrong) = wrong {
            self.violated(format!("broker, {name}: {wrong}"));
        }
    }

    /// What the broker answered to a publish.
    pub(super) fn on_receipt(&mut self, draft: &Draft, receipt: &Receipt) {
        let name = draft.channel.name().to_string();
        let known = draft.idempotency.as_deref().map(|key| (name.clone(), key.clone()));
        let first = known.as_ref().and_then(|key| self.keys.get(key)).cloned();
        let live = first.filter(|(at, receipt)| {
            let same =
                self.spaces.get(&name).and_then(Space::current).is_some_and(|c| c.epoch == receipt.epoch);
            at + KEY_LIFE_US >= draft.timestamp_us && same
        });
        match live {
            Some((_, first)) => {
                let same = receipt.duplicate && first.offset == receipt.offset && first.id == receipt.id;
                if !same {
                    self.violated(format!("{name}: a repeat was answered {receipt:?}, first was {first:?}"));
                }
            }
            None if receipt.duplicate => {
                self.violated(format!("{name}: a first publish was called a duplicate"))
            }
            None => {
                let count = self.spaces.get(&name).and_then(|space| space.count(&receipt.epoch));
                let logged = count.and_then(|count| count.at(receipt.offset)).map(|logged| logged.serial);
                if logged != Some(serial_of(&draft.data)) {
                    self.violated(format!("{name}: receipt {} is of another message", receipt.offset));
                }
                if let Some(key) = known {
                    self.keys.insert(key, (draft.timestamp_us, receipt.clone()));
                }
            }
        }
    }

    /// What the broker answered to a join, or lists of a source.
    pub(super) fn check_head(&mut self, channel: &Channel, head: &Head, now_us: u64) {
        let space = self.space(channel);
        let counted = space.current().map(|count| (count.top(), space.oldest(now_us), count.epoch.clone()));
        let name = channel.name();
        match counted {
            Some((top, oldest, epoch)) if epoch == head.epoch => {
                if (head.top, head.oldest) != (top, oldest) {
                    self.violated(format!("broker, {name}: {head:?}, the model has {oldest}..={top}"));
                }
            }
            _ if head.top != 0 => self.violated(format!("broker, {name}: {head:?} of an unknown epoch")),
            _ => {
                let wrong = why_not_forgotten(space, now_us);
                space.counts.push(Count { epoch: head.epoch.clone(), messages: Vec::new() });
                if let Some(wrong) = wrong {
                    self.violated(format!("broker, {name}: {wrong}"));
                }
            }
        }
    }

    /// What the broker answered to a read.
    pub(super) fn check_page(
        &mut self,
        channel: &Channel,
        (after, limit): (u64, usize),
        page: &Page,
        now_us: u64,
    ) {
        if page.head.epoch.is_empty() {
            let space = self.space(channel);
            space.ended = space.counts.len();
            if let Some(wrong) = why_not_forgotten(space, now_us) {
                self.violated(format!("broker, {}: nothing to read: {wrong}", channel.name()));
            }
            return;
        }
        self.check_head(channel, &page.head, now_us);
        let Head { top, oldest, .. } = page.head;
        let space = self.space(channel);
        let is_kept = |offset: &u64| space.kept_within(*offset, *offset, now_us).is_some();
        let expected: Vec<u64> = match after {
            NEWEST => (oldest..=top).rev().find(is_kept).into_iter().take(limit).collect(),
            after => (oldest.max(after.saturating_add(1))..=top).filter(is_kept).take(limit).collect(),
        };
        let offsets: Vec<u64> =
            page.messages.iter().filter_map(|message| message.offset_in(channel)).collect();
        if offsets != expected {
            let name = channel.name();
            self.violated(format!("broker, {name}: read after {after} gave {offsets:?}, not {expected:?}"));
        }
    }

    /// A whole list of sources says which names the broker has forgotten, or never had.
    pub(super) fn check_list(&mut self, interest: &Interest, sources: &Sources, now_us: u64) {
        for (channel, head) in &sources.heads {
            self.check_head(channel, head, now_us);
        }
        if sources.partial {
            return;
        }
        let mut wrong = Vec::new();
        for (name, space) in &mut self.spaces {
            let covered = match interest {
                Interest::Pattern(pattern) => pattern.matches(name),
                Interest::RollUp(roll_up) => {
                    space.channel == *roll_up || space.channel.roll_ups().contains(roll_up)
                }
            };
            if !covered || sources.heads.iter().any(|(channel, _)| *channel == space.channel) {
                continue;
            }
            space.ended = space.counts.len();
            wrong.extend(why_not_forgotten(space, now_us).map(|why| format!("{name} is not listed: {why}")));
        }
        self.violations.append(&mut wrong);
    }

    /// Drafts that came back must be all of them.
    pub(super) fn check_busy(&mut self, busy: &Busy, offered: usize, before: u64) {
        if busy.drafts.len() != offered || self.published != before {
            self.violated(format!("busy gave back {} of {offered} drafts", busy.drafts.len()));
        }
    }
}

/// A channel begins anew only when nobody is joined and nothing kept or recent could be missed.
fn why_not_forgotten(space: &Space, now_us: u64) -> Option<String> {
    let count = space.current()?;
    if space.counts.len() == space.redeclared {
        return None;
    }
    let spec = space.channel.spec();
    if space.joined > 0 {
        return Some(format!("forgotten while joined {} times", space.joined));
    }
    let newest = count.messages.last().map_or(0, |message| message.at_us);
    let idle = now_us.saturating_sub(newest.max(space.joined_us));
    if newest > 0 && spec.keep.age.is_some_and(|age| now_us - newest <= micros(age)) {
        return Some("forgotten before its newest message's age".to_string());
    }
    (idle <= micros(spec.idle_ttl)).then(|| "forgotten before it was idle for its time".to_string())
}
