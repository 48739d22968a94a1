//! Catch-up: what a target missed is read from the broker page by page, at the session's own pace, until it is
//! live again. Subscribing with `since`, resuming and being slow are this one path.

use std::sync::Arc;

use crate::broker::{NEWEST, Page};
use crate::channel::Channel;
use crate::clock::Now;
use crate::incidents::IncidentKind;
use crate::message::Message;
use crate::outbox::NOT_WAITING;
use crate::reply::{GapReason, Reply, Topic};
use crate::routing::Elsewhere;
use crate::shard::{Note, SessionKey, Shard};
use crate::target::{Cursor, Mode};
use crate::ways::item;

/// Rows of each table that a roll-up begins with.
const BRIEF_ROWS: usize = 2;

/// Which target a page was read for.
pub struct PageRequest {
    pub(crate) key: SessionKey,
    pub(crate) entry: u32,
    pub(crate) channel: Channel,
    /// What the shard had learned when it asked.
    pub(crate) asked: u64,
    /// After which offset, and how many messages at most.
    pub(crate) after: u64,
    pub(crate) limit: usize,
}

impl PageRequest {
    /// Whether nothing that the channel keeps follows the page.
    fn reaches_end(&self, page: &Page) -> bool {
        self.after == NEWEST || page.messages.len() < self.limit
    }
}

impl Shard {
    /// Asks for the session's next page, the most urgent channel first, if it has room and none is on its way.
    pub(crate) fn pump(&mut self, slot: u32) {
        let settings = self.hub.settings();
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let roomy = session.outbox.bytes() <= settings.outbox_bytes / 2
            && session.outbox.count() <= settings.outbox_messages / 2;
        if session.reading || session.closing || !roomy {
            return;
        }
        let lane = |id: &u32| self.router.entries.get(*id as usize).map_or(usize::MAX, |entry| entry.lane);
        let may_read = |id: &u32| !self.router.has_merged_waiting(*id, session);
        let urgency = |at: &usize| session.behind.get(*at).map(lane);
        let is_ready = |at: &usize| session.behind.get(*at).is_some_and(may_read);
        let all = 0..session.behind.len();
        // Whether a channel is ready takes a search in all that the session hears, so that mostly one of them is asked.
        let first = all.clone().min_by_key(urgency).filter(is_ready);
        let Some(at) = first.or_else(|| all.filter(is_ready).min_by_key(urgency)) else { return };
        // Not `swap_remove`: equally urgent channels take turns.
        let id = session.behind.remove(at);
        let index = session.place(id);
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return };
        let Some(target) = index.and_then(|index| entry.targets.get_mut(index)) else { return };
        target.cursor = Cursor::Reading;
        session.reading = true;
        let (after, limit) = match target.mode {
            _ if target.whole => (NEWEST, 1),
            Mode::Latest => (NEWEST, 1),
            Mode::Table => (target.sent, 1),
            Mode::Every => (target.sent, settings.page_messages),
        };
        let key = SessionKey { slot, serial: session.serial };
        let channel = entry.channel.clone();
        let asked = self.learned;
        let request = PageRequest { key, entry: id, channel: channel.clone(), asked, after, limit };
        let mailbox = self.mailbox.clone();
        let answer = Box::new(move |page| mailbox.post(Note::Page(Box::new((request, page)))));
        self.hub.broker().clone().read(&channel, after, limit, answer);
    }

    /// A page has been read.
    pub(crate) fn on_page(&mut self, request: &PageRequest, page: Page, now: Now) {
        for message in &page.messages {
            if !self.router.expands() {
                break;
            }
            // A roll-up's page may be ahead of the inbox: who hears the source otherwise has a place there first.
            for channel in message.roll_ups.iter().map(|mark| &mark.channel).chain([&message.channel]) {
                self.entry_for(channel, now);
            }
        }
        let slot = request.key.slot;
        let Some(session) = self.live(request.key) else { return };
        session.reading = false;
        let index = session.place(request.entry);
        let known = self.router.entry(request.entry).is_some_and(|entry| entry.channel == request.channel);
        if let (true, Some(index)) = (known, index) {
            let pushed = if self.is_overtaken(&request.channel, &page.head, request.asked) {
                self.read_again(request.entry, index, slot);
                Pushed::On
            } else if page.head.epoch.is_empty() {
                self.go_live_on_nothing(request.entry, index);
                Pushed::On
            } else {
                self.learn_epoch(request.entry, &page.head.epoch);
                self.take_page(request, index, page, now)
            };
            if !self.goes_on(slot, &pushed) {
                return;
            }
        }
        self.pump(slot);
    }

    /// The target that others of the session left their newest to will not bring it: they read it themselves.
    pub(crate) fn read_owed(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        for place in &session.places {
            let Some(entry) = self.router.entry(place.entry) else { continue };
            let Some(target) = entry.targets.get_mut(place.index as usize) else { continue };
            if target.owed.take().is_none() || target.mode != Mode::Latest {
                continue;
            }
            target.sent = target.sent.saturating_sub(1);
            if target.cursor == Cursor::Live {
                target.cursor = Cursor::Behind;
                session.behind.push(place.entry);
            }
        }
    }

    /// Whether another page may do better. Without room it would not, nor when each target behind has waited in turn
    /// for one that is not: what that one is sent next is flushed, and flushing asks for a page.
    fn goes_on(&mut self, slot: u32, pushed: &Pushed) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return false };
        session.waits = if *pushed == Pushed::Waits { session.waits + 1 } else { 0 };
        if *pushed == Pushed::Full || session.waits >= session.behind.len().max(1) {
            session.waits = 0;
            return false;
        }
        true
    }

    /// The broker has forgotten the channel, so there is nothing to read.
    fn go_live_on_nothing(&mut self, id: u32, index: usize) {
        if self.router.entry(id).is_some_and(|entry| entry.epoch.is_some()) {
            self.end_epoch(id);
        }
        let target = self.router.entry(id).and_then(|entry| entry.targets.get_mut(index));
        if let Some(target) = target.filter(|target| target.cursor == Cursor::Reading) {
            target.cursor = Cursor::Live;
        }
    }

    /// The page is of an epoch that has ended since it was asked for.
    fn read_again(&mut self, id: u32, index: usize, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let Some(target) = self.router.entry(id).and_then(|entry| entry.targets.get_mut(index)) else {
            return;
        };
        if target.cursor == Cursor::Reading {
            target.cursor = Cursor::Behind;
            session.behind.push(id);
        }
    }

    /// Queues a page; answers what became of its last message.
    fn take_page(&mut self, request: &PageRequest, index: usize, page: Page, now: Now) -> Pushed {
        let (id, slot) = (request.entry, request.key.slot);
        let Some(entry) = self.router.entry(id) else { return Pushed::On };
        // What was routed meanwhile is still to be read, and so is what the broker has beyond this page.
        let (channel, last) = (entry.channel.clone(), entry.last.max(page.head.top));
        let Some(target) = entry.targets.get_mut(index) else { return Pushed::On };
        if target.cursor != Cursor::Reading {
            return Pushed::On;
        }
        let (mode, before) = (target.mode, target.sent);
        if channel.is_table() && self.is_outdated(request, index, &page) {
            self.read_again(id, index, slot);
            return Pushed::On;
        }
        if mode == Mode::Every {
            let at_us = page.messages.first().map(|message| message.timestamp_us);
            self.step_over_missing(request, index, page.head.oldest, at_us);
        }
        let outdated = self.is_outdated(request, index, &page);
        let mut pushed = Pushed::On;
        // A page asked for while each was wanted may hold more than the newest.
        let unwanted = if mode != Mode::Every { page.messages.len().saturating_sub(1) } else { 0 };
        for message in page.messages.iter().skip(unwanted).filter(|_| !outdated) {
            if pushed == Pushed::On {
                if mode == Mode::Every {
                    // Where messages of a roll-up's source were forgotten.
                    let next = message.offset_in(&channel).unwrap_or_default();
                    self.step_over_missing(request, index, next, Some(message.timestamp_us));
                }
                pushed = self.push_from_page(id, index, slot, message, &channel);
            }
        }
        // One that was asked for from further on, before the target went back or its channel began anew, says nothing of
        // what lies between.
        let in_turn = mode == Mode::Every && request.after <= before;
        if in_turn && pushed == Pushed::On && !outdated && request.reaches_end(&page) {
            self.step_over_missing(request, index, page.head.top + 1, None);
        }
        let Some(session) = self.sessions.get_mut(slot as usize) else { return pushed };
        let Some(target) = self.router.entry(id).and_then(|entry| entry.targets.get_mut(index)) else {
            return pushed;
        };
        // A page asked for in another mode may end before the newest that is kept.
        let is_top = |last: &Arc<Message>| last.offset_in(&channel) == Some(page.head.top);
        let ends = request.reaches_end(&page) || page.messages.last().is_none_or(is_top);
        let done = pushed == Pushed::On && (mode == Mode::Every || ends);
        if mode == Mode::Latest && done {
            target.sent = target.sent.max(page.head.top);
        }
        let advanced = target.sent > before;
        if done && !outdated && target.sent >= last {
            target.cursor = Cursor::Live;
            target.not_before_us = 0;
        } else if done && target.rate > 0 {
            // What has come meanwhile is for the rate's next turn.
            target.cursor = Cursor::Live;
            let rate = target.rate;
            self.await_turn(id, rate, now);
        } else {
            target.cursor = Cursor::Behind;
            session.behind.push(id);
        }
        // Whoever waits for this target may go on now.
        if pushed == Pushed::Waits && advanced { Pushed::On } else { pushed }
    }

    /// Whether the page begins after what the target lacks, though that is kept: it was asked for before the target
    /// went back.
    fn is_outdated(&mut self, request: &PageRequest, index: usize, page: &Page) -> bool {
        let Some(target) = self.router.entry(request.entry).and_then(|entry| entry.targets.get(index)) else {
            return true;
        };
        let Some(message) = page.messages.first() else { return false };
        if request.channel.is_table() {
            let wants_whole = target.whole || target.mode == Mode::Latest;
            return message.since > target.sent || (wants_whole && !message.is_whole());
        }
        let first = message.offset_in(&request.channel);
        let skips = target.mode == Mode::Every && first.is_some_and(|first| first > target.sent + 1);
        // What is missing in a page that was asked for from here on was forgotten.
        skips && request.after > target.sent
    }

    /// Offsets before `next` that are no longer kept are said as a gap, once, before what follows them, which came at
    /// `at_us` where that is known.
    fn step_over_missing(&mut self, request: &PageRequest, index: usize, next: u64, at_us: Option<u64>) {
        let (id, slot, channel) = (request.entry, request.key.slot, &request.channel);
        let Some(entry) = self.router.entry(id) else { return };
        let Some(target) = entry.targets.get_mut(index) else { return };
        let from = target.sent + 1;
        if next <= from {
            return;
        }
        let unwanted = target.not_before_us > 0 && at_us.is_some_and(|at_us| at_us < target.not_before_us);
        target.pass(next - 1);
        // If what the page says does not fit, the next one, read after the gap, would not say it all.
        target.whole |= channel.is_table();
        // What it had before it went back is not missing.
        let to = next - 1;
        let missing = target.missing(from, to);
        if unwanted {
            return;
        }
        let (lane, stats) = (entry.lane, self.stats.clone());
        let family = stats.families.of(channel.family());
        let (reason, counter) = match channel.keeps_history() {
            true => (GapReason::Trimmed, &family.dropped_trimmed),
            false => (GapReason::Overflow, &family.dropped_overflow),
        };
        if target.overlap {
            self.read_owed(slot);
        }
        for (from, to) in missing {
            counter.bump(to + 1 - from);
            let message =
                format!("{} messages ({from} to {to}) will not come: {}", to + 1 - from, reason.why());
            self.report(slot, IncidentKind::Gap, reason.name(), channel.name(), &message);
            let gap = Reply::Gap { channel: channel.clone(), from, to: Some(to), reason };
            self.reply_in_lane(slot, lane, &gap);
        }
    }

    /// Queues one message of a page.
    fn push_from_page(
        &mut self,
        id: u32,
        index: usize,
        slot: u32,
        message: &Arc<Message>,
        channel: &Channel,
    ) -> Pushed {
        let Some(offset) = message.offset_in(channel) else { return Pushed::On };
        let Some(target) = self.router.entry(id).and_then(|entry| entry.targets.get(index)) else {
            return Pushed::On;
        };
        let whole = message.is_whole();
        if offset <= target.sent && !(target.whole && whole) {
            return Pushed::On;
        }
        let brief = self.brief(id, index, slot, message);
        let message = brief.as_ref().unwrap_or(message);
        let Some(target) = self.router.entry(id).and_then(|entry| entry.targets.get(index)) else {
            return Pushed::On;
        };
        let had = target.had(offset);
        let unwanted = message.timestamp_us < target.not_before_us;
        let collected = target.mode == Mode::Latest && message.channel != *channel;
        let mode = target.mode;
        let elsewhere = if target.overlap { self.elsewhere(id, slot, message) } else { Elsewhere::No };
        let comes_after = match elsewhere {
            Elsewhere::Later(..) => mode == Mode::Every,
            Elsewhere::Unsettled(_) => true,
            Elsewhere::No | Elsewhere::Queued | Elsewhere::Next(..) => false,
        };
        if comes_after && !(had || unwanted) {
            self.settle(elsewhere, message);
            return Pushed::Waits;
        }
        if elsewhere.serves(mode) {
            self.router.set_owed(id, index, elsewhere.awaited());
        }
        if unwanted && mode == Mode::Every {
            self.router.step_over(id, index, offset);
            return Pushed::On;
        }
        let skipped = had || unwanted || collected || elsewhere.serves(mode);
        let settings = self.hub.settings();
        let Some(session) = self.sessions.get_mut(slot as usize) else { return Pushed::On };
        let Some(entry) = self.router.entries.get_mut(id as usize) else { return Pushed::On };
        let Some(target) = entry.targets.get_mut(index) else { return Pushed::On };
        let collected = message.channel != *channel;
        let deliveries = target.ways.as_ref().map_or(1, |ways| ways.count(collected));
        if !skipped && deliveries > 0 {
            let weight = message.weight() * deliveries;
            if !session.outbox.fits(weight, settings.outbox_bytes, settings.outbox_messages) {
                return Pushed::Full;
            }
            if target.mode != Mode::Every && offset > target.sent + 1 && target.sent > 0 {
                let skipped = offset - target.sent - 1;
                self.stats.families.of(message.family()).conflated_pressure.bump(skipped);
                target.count_conflated(session, skipped);
            }
            let wire = session.outbox.wire();
            let Some(item) = item(message, target.ways.as_ref(), collected, wire) else { return Pushed::On };
            let replaces = target.mode != Mode::Every && !target.overlap;
            if target.whole {
                // It was asked for, so it must not take the place of one that leaves before the confirmation.
                target.waiting = NOT_WAITING;
            }
            if replaces && (channel.is_table() || session.outbox.waits(target.waiting, id)) {
                session.outbox.push_latest(entry.lane, id, &mut target.waiting, item);
            } else {
                session.outbox.push(entry.lane, item);
            }
            self.scale.add(weight);
            self.dirty.mark(slot, session, entry.lane);
            target.owed = None;
            target.whole = false;
            target.hold(offset);
        }
        target.sent = target.sent.max(offset);
        Pushed::On
    }

    /// The last rows of a table that a session begins to hear through roll-ups alone.
    fn brief(&mut self, id: u32, index: usize, slot: u32, message: &Arc<Message>) -> Option<Arc<Message>> {
        let session = self.sessions.get(slot as usize)?;
        let target = self.router.entries.get(id as usize)?.targets.get(index)?;
        if target.mode != Mode::Table || target.sent > 0 || !message.is_whole() {
            return None;
        }
        let mut covering = session.subscriptions.iter().filter(|known| target.covers.contains(&known.id));
        let rolled_up = |topic: &Topic| matches!(topic, Topic::Channel(name) if *name != message.channel);
        let brief = covering.all(|subscription| rolled_up(&subscription.topic));
        brief.then(|| message.last_rows(BRIEF_ROWS).map(Arc::new)).flatten()
    }
}

/// What became of one message of a page.
#[derive(PartialEq, Eq)]
enum Pushed {
    /// It is queued, or need not be.
    On,
    /// The outbox has no room for it.
    Full,
    /// Another target of the session has to come first.
    Waits,
}
