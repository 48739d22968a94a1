//! Which of a shard's sessions hear a channel. One entry a source channel, with a target a session: a roll-up or
//! pattern that conflates or counts per source has a target in each of its sources' entries; a roll-up that counts
//! for itself has one entry of its own. No locks: each shard has its own router.

use std::sync::Arc;

use slab::Slab;
use smallvec::SmallVec;
use tapeline_schema::Pattern;

use crate::channel::{Channel, ChannelMap};
use crate::message::{Epoch, Message};
use crate::outbox::NOT_WAITING;
use crate::places::Place;
use crate::reply::Topic;
use crate::session::Session;
use crate::target::{Cursor, Mode, Target};
use crate::ways::Ways;
use crate::weighing::Awaited;
use crate::wishes::{both, wish};

/// Subscribers of one source channel who asked for the same rate.
#[derive(Debug)]
pub(crate) struct RateGroup {
    pub rate: u8,
    pub members: u32,
    /// Before this the next message waits.
    pub due_us: u64,
    /// What waits for its turn: the newest message, or changes of a table in their order.
    pub pending: Vec<Arc<Message>>,
    /// Members lack what did not come by here: instead of being sent what waits, they read in their turn.
    pub lacks: bool,
}

/// Changes of a table that wait unmerged at most, by number and by bytes.
const UNMERGED: usize = 64;
const UNMERGED_BYTES: usize = 256 << 10;

impl RateGroup {
    /// Has a message wait for the group's turn; answers whether others waited already.
    pub(crate) fn hold(&mut self, message: &Arc<Message>) -> bool {
        let waited = !self.pending.is_empty();
        // After a hole, what came before it says nothing of what was lost.
        let follows = self.pending.last().is_some_and(|newest| message.since <= newest.offset);
        if message.is_whole() || !follows {
            self.pending.clear();
        }
        self.pending.push(message.clone());
        let bytes: usize = self.pending.iter().map(|message| message.data.len()).sum();
        if self.pending.len() >= UNMERGED || (bytes > UNMERGED_BYTES && self.pending.len() > 1) {
            self.pending = self.take().into_iter().collect();
        }
        waited
    }

    /// What all that waited says together.
    pub(crate) fn take(&mut self) -> Option<Arc<Message>> {
        Message::merged(&std::mem::take(&mut self.pending))
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Entry {
    pub channel: Channel,
    pub lane: usize,
    pub epoch: Option<Epoch>,
    /// Epochs that are known to be over, the last few.
    pub ended: SmallVec<[Epoch; 1]>,
    /// When the shard learned of the epoch, by its own count.
    pub learned: u64,
    /// The epoch was told by an answer of the broker, which may be ahead of the inbox: what comes next of another may be older.
    pub ahead: bool,
    /// Another epoch, of which the broker is being asked whether it is over.
    pub doubted: Option<Epoch>,
    /// The newest offset routed here.
    pub last: u64,
    pub targets: Vec<Target>,
    pub groups: Vec<RateGroup>,
    /// How many targets have `overlap` set.
    pub overlaps: u32,
    /// The channel whose owner decides who may hear this one. Kept, so that another owner of it is a change of the catalogue
    /// that is heard of, and no new channel of that name.
    pub decides: Option<Channel>,
    /// Nobody knew yet whose that is when it was last asked.
    pub awaits: Option<Awaited>,
    pub touched_us: u64,
    /// When a message was last timed.
    pub timed_us: u64,
}

/// Epochs that an entry remembers to be over.
const ENDED: usize = 4;

impl Entry {
    /// Remembers that an epoch is over.
    pub(crate) fn end(&mut self, epoch: Epoch) {
        if self.ended.contains(&epoch) {
            return;
        }
        if self.ended.len() >= ENDED {
            self.ended.remove(0);
        }
        self.ended.push(epoch);
    }

    /// Serves a target as the subscriptions that cover it ask together.
    pub(crate) fn reshape(&mut self, index: usize, id: u32, session: &mut Session) {
        let Some(target) = self.targets.get_mut(index) else { return };
        target.ways = Ways::of(&self.channel, &target.covers, session);
        let covering = target.covers.iter().filter_map(|id| session.subscriptions.by_id(*id));
        let wishes = covering.map(|known| wish(&self.channel, known));
        let Some((mode, rate)) = wishes.reduce(both) else { return };
        if (target.mode, target.rate) == (mode, rate) {
            return;
        }
        if mode == Mode::Every && target.mode != Mode::Every {
            // Where it stood in the table, the new subscription may not.
            target.whole |= self.channel.is_table() && target.cursor != Cursor::Live;
            target.sent -= u64::from(target.owed.take().is_some() && target.sent > 0);
            if self.channel.counts_for_itself() {
                // Messages of its sources were passed by without a look at their offsets here.
                target.sent = target.sent.max(self.last);
            }
            target.start = target.sent;
            target.base = target.sent;
            if target.cursor != Cursor::Live {
                // It has queued nothing yet: the new subscription's answer says where it begins.
                target.cursor = Cursor::Joining;
                session.behind.retain(|behind| *behind != id);
            }
        }
        if target.mode != mode {
            // Others may have been queued behind what waits since then, so nothing newer takes its place.
            target.waiting = NOT_WAITING;
        }
        target.mode = mode;
        let before = std::mem::replace(&mut target.rate, rate);
        if target.cursor == Cursor::Live && target.sent < self.last {
            // What its old group still held back for it is read.
            target.cursor = Cursor::Behind;
            session.behind.push(id);
        }
        if rate != before {
            group_change(&mut self.groups, before, -1);
            group_change(&mut self.groups, rate, 1);
        }
    }
}

#[derive(Default)]
pub(crate) struct Router {
    index: ChannelMap<u32>,
    pub entries: Slab<Entry>,
    roll_ups: ChannelMap<Vec<(u32, u32)>>,
    patterns: Vec<(Pattern, Vec<(u32, u32)>)>,
}

impl Router {
    pub(crate) fn find(&self, channel: &Channel) -> Option<u32> {
        self.index.get(channel).copied()
    }

    pub(crate) fn entry(&mut self, id: u32) -> Option<&mut Entry> {
        self.entries.get_mut(id as usize)
    }

    /// Whether a channel without an entry may still concern somebody.
    pub(crate) fn expands(&self) -> bool {
        !self.patterns.is_empty() || !self.roll_ups.is_empty()
    }

    /// Makes an entry; the caller adds targets for [`Router::expansions`].
    pub(crate) fn open(&mut self, channel: &Channel, decides: Option<Channel>, now_us: u64) -> u32 {
        let channel = channel.current();
        let awaits = Awaited::of(decides.as_ref());
        let entry = Entry {
            channel: channel.clone(),
            lane: channel.lane(),
            epoch: None,
            ended: SmallVec::new(),
            learned: 0,
            ahead: false,
            doubted: None,
            last: 0,
            targets: Vec::new(),
            groups: Vec::new(),
            overlaps: 0,
            decides,
            awaits,
            touched_us: now_us,
            timed_us: 0,
        };
        let id = u32::try_from(self.entries.insert(entry)).unwrap_or(u32::MAX);
        self.index.insert(channel.clone(), id);
        id
    }

    /// The (session, subscription) pairs whose roll-up or pattern covers the channel.
    pub(crate) fn expansions(&self, channel: &Channel) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        for name in std::iter::once(channel).chain(channel.roll_ups()) {
            found.extend(self.roll_ups.get(name).into_iter().flatten().copied());
        }
        for (pattern, asked) in &self.patterns {
            if pattern.matches(channel.name()) {
                found.extend(asked.iter().copied());
            }
        }
        found
    }

    /// Entries that a roll-up or pattern covers.
    pub(crate) fn covered(&self, topic: &Topic) -> Vec<u32> {
        let ids = self.entries.iter().filter(|(_, entry)| topic.covers(&entry.channel)).map(|(id, _)| id);
        ids.filter_map(|id| u32::try_from(id).ok()).collect()
    }

    pub(crate) fn expand(&mut self, topic: &Topic, session: u32, subscription: u32) {
        let asked = (session, subscription);
        match topic {
            Topic::Channel(channel) => self.roll_ups.entry(channel.clone()).or_default().push(asked),
            Topic::Pattern(pattern) => match self.patterns.iter_mut().find(|(known, _)| known == pattern) {
                Some((_, list)) => list.push(asked),
                None => self.patterns.push((pattern.clone(), vec![asked])),
            },
        }
    }

    /// Whether the subscription hears the topic source by source.
    pub(crate) fn is_expanded(&self, topic: &Topic, session: u32, subscription: u32) -> bool {
        let list = match topic {
            Topic::Channel(channel) => self.roll_ups.get(channel),
            Topic::Pattern(pattern) => {
                self.patterns.iter().find(|(known, _)| known == pattern).map(|(_, list)| list)
            }
        };
        list.is_some_and(|list| list.contains(&(session, subscription)))
    }

    /// Undoes [`Router::expand`]; answers whether there was anything to undo.
    pub(crate) fn contract(&mut self, topic: &Topic, session: u32, subscription: u32) -> bool {
        let drop_from = |list: &mut Vec<(u32, u32)>| {
            let before = list.len();
            list.retain(|asked| *asked != (session, subscription));
            list.len() < before
        };
        match topic {
            Topic::Channel(channel) => {
                let Some(list) = self.roll_ups.get_mut(channel) else { return false };
                let dropped = drop_from(list);
                if list.is_empty() {
                    self.roll_ups.remove(channel);
                }
                dropped
            }
            Topic::Pattern(pattern) => {
                let Some((_, list)) = self.patterns.iter_mut().find(|(known, _)| known == pattern) else {
                    return false;
                };
                let dropped = drop_from(list);
                self.patterns.retain(|(_, list)| !list.is_empty());
                dropped
            }
        }
    }

    /// Adds a target, or adds its subscription to the one that the session has there.
    pub(crate) fn add(&mut self, id: u32, target: Target, sessions: &mut Slab<Session>) {
        let Some(entry) = self.entries.get_mut(id as usize) else { return };
        let Some(session) = sessions.get_mut(target.session as usize) else { return };
        let Some(index) = session.place(id) else {
            let Ok(index) = u32::try_from(entry.targets.len()) else { return };
            group_change(&mut entry.groups, target.rate, 1);
            session.places.push(Place { entry: id, index });
            let ways = Ways::of(&entry.channel, &target.covers, session);
            entry.targets.push(Target { ways, ..target });
            return;
        };
        let Some(known) = entry.targets.get_mut(index) else { return };
        known.not_before_us = 0;
        known.covers.retain(|cover| !target.covers.contains(cover));
        known.covers.extend(target.covers);
        let first = match (known.cursor, target.cursor) {
            // This subscription heard of the channel before there was a message in it.
            (Cursor::Joining | Cursor::Fresh, Cursor::Live) => Some(Cursor::Live),
            // No answer is to come for either.
            (Cursor::Fresh, Cursor::Fresh) => Some(Cursor::Fresh),
            _ => None,
        };
        entry.reshape(index, id, session);
        if let Some((known, cursor)) = entry.targets.get_mut(index).zip(first) {
            known.cursor = cursor;
        }
    }

    /// Whether the session has a table's rows still waiting: more would have to be merged into them, so the next ones are
    /// read when these have left.
    pub(crate) fn has_merged_waiting(&self, id: u32, session: &Session) -> bool {
        let target = self.entries.get(id as usize).zip(session.place(id));
        let target = target.and_then(|(entry, index)| entry.targets.get(index));
        target.is_some_and(|target| target.mode == Mode::Table && session.outbox.waits(target.waiting, id))
    }

    /// A target leaves its newest to another one of its session, if it is still `owed`.
    pub(crate) fn set_owed(&mut self, id: u32, index: usize, owed: Option<(u32, u64)>) {
        if let Some(target) = self.entries.get_mut(id as usize).and_then(|entry| entry.targets.get_mut(index))
        {
            target.owed = owed;
        }
    }

    /// What this target has queued is no longer owed to others of its session.
    pub(crate) fn settle_owed(&mut self, id: u32, index: usize, session: &Session) {
        for place in session.places.iter().filter(|place| place.entry != id) {
            let other = self.entries.get(place.entry as usize);
            let owed = other.and_then(|entry| entry.targets.get(place.index as usize)).and_then(|t| t.owed);
            let Some((_, offset)) = owed.filter(|(by, _)| *by == id) else { continue };
            let bringer = self.entries.get(id as usize).and_then(|entry| entry.targets.get(index));
            if bringer.is_some_and(|target| target.has_queued(offset)) {
                self.set_owed(place.entry, place.index as usize, None);
            }
        }
    }

    /// A target passes what it does not want.
    pub(crate) fn step_over(&mut self, id: u32, index: usize, offset: u64) {
        if let Some(target) = self.entries.get_mut(id as usize).and_then(|entry| entry.targets.get_mut(index))
        {
            target.pass(offset);
        }
    }

    /// A target whose last answer will not come, as its subscription is over, starts with the newest.
    pub(crate) fn start_joining(&mut self, id: u32, index: usize, session: &mut Session) {
        let target = self.entries.get_mut(id as usize).and_then(|entry| entry.targets.get_mut(index));
        if let Some(target) = target.filter(|target| target.cursor == Cursor::Joining) {
            target.start_after(0);
            session.behind.push(id);
        }
    }

    /// Removes a session's target whatever covers it.
    pub(crate) fn remove(&mut self, id: u32, slot: u32, sessions: &mut Slab<Session>) {
        let Some(session) = sessions.get_mut(slot as usize) else { return };
        let Some(place) = session.places.remove(id) else { return };
        session.behind.retain(|behind| *behind != id);
        let Some(entry) = self.entries.get_mut(id as usize) else { return };
        if place.index as usize >= entry.targets.len() {
            return;
        }
        let target = entry.targets.swap_remove(place.index as usize);
        entry.overlaps -= u32::from(target.overlap);
        group_change(&mut entry.groups, target.rate, -1);
        if let Some(moved) = entry.targets.get(place.index as usize)
            && let Some(other) = sessions.get_mut(moved.session as usize)
        {
            other.places.move_to(id, place.index);
        }
    }

    /// Forgets an entry without targets.
    pub(crate) fn close_if_empty(&mut self, id: u32) {
        if self.entries.get(id as usize).is_some_and(|entry| entry.targets.is_empty()) {
            let entry = self.entries.remove(id as usize);
            self.index.remove(&entry.channel);
        }
    }

    /// Sessions that hear a roll-up that has ended.
    pub(crate) fn of_ended_roll_ups(&self) -> impl Iterator<Item = u32> {
        let ended = self.roll_ups.iter().filter(|(channel, _)| channel.has_ended());
        ended.flat_map(|(_, asked)| asked.iter().map(|(session, _)| *session))
    }

    /// Forgets entries of ended channels; nobody hears them any more.
    pub(crate) fn forget_ended(&mut self) {
        let index = &mut self.index;
        self.entries.retain(|_, entry| {
            let forget = entry.targets.is_empty() && entry.channel.has_ended();
            if forget {
                index.remove(&entry.channel);
            }
            !forget
        });
    }

    /// Forgets entries without targets that no message has come to for this long.
    pub(crate) fn sweep(&mut self, before_us: u64) {
        let index = &mut self.index;
        self.entries.retain(|_, entry| {
            let keep = !entry.targets.is_empty() || entry.touched_us >= before_us;
            if !keep {
                index.remove(&entry.channel);
            }
            keep
        });
    }
}

fn group_change(groups: &mut Vec<RateGroup>, rate: u8, change: i32) {
    if rate == 0 {
        return;
    }
    match groups.iter_mut().find(|group| group.rate == rate) {
        Some(group) => group.members = group.members.saturating_add_signed(change),
        None => groups.push(RateGroup { rate, members: 1, due_us: 0, pending: Vec::new(), lacks: false }),
    }
    groups.retain(|group| group.members > 0);
}
