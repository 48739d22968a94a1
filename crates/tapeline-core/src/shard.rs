//! One thread's share of the hub: its sessions, their router and outboxes. No locks, no waiting.
//!
//! The runtime hands in commands, routed messages, the broker's answers and time; [`Shard::flush`] hands out bytes
//! (hop 8). What a session misses is decided in `routing`, `subscribing` and `catch_up`, and nowhere else.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;

use slab::Slab;
use tapeline_schema::CloseCode;

use crate::beats::Beats;
use crate::broker::Busy;
use crate::clock::Now;
use crate::command::{Command, Req};
use crate::delays::Delays;
use crate::draining::Leaving;
use crate::hub::Hub;
use crate::message::Wire;
use crate::outbox::{FlushEnd, Scratch, Unsent};
use crate::reply::{Reply, Topic};
use crate::router::Router;
use crate::session::{Arrival, Session};
use crate::shedding::Scale;
use crate::stats::{COUNTED, ShardStats};
use crate::turns::{Start, TURNS};
use crate::watch::Watch;

/// Publishes that one session may have unanswered; asking for kept messages counts for all of them.
pub(crate) const IN_FLIGHT: u32 = 256;

/// A session of this shard; outlives the session without naming another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// Its place in the shard.
    pub slot: u32,
    /// Never used again.
    pub serial: u64,
}

/// What a socket did with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It took so many.
    Bytes(usize),
    /// It takes none now.
    Blocked,
    /// It is gone.
    Closed,
}

/// The sockets, as a shard sees them.
pub trait Pipes {
    /// Writes to the session's socket without waiting.
    fn write(&mut self, slot: u32, slices: &[IoSlice<'_>]) -> Written;
}

pub use crate::note::{Mailbox, Note};

/// What became of a command.
pub enum Handled {
    /// It is done, or under way.
    Done,
    /// A publish found no room; offer it again with [`Shard::retry`] when there may be some.
    Busy(Box<Busy>),
}

/// When a rate group's newest message is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RateDue {
    pub due_us: u64,
    pub entry: u32,
    pub rate: u8,
}

/// Sessions with something to write.
#[derive(Default)]
pub(crate) struct Dirty {
    urgent: VecDeque<u32>,
    normal: VecDeque<u32>,
}

impl Dirty {
    pub(crate) fn mark(&mut self, slot: u32, session: &mut Session, lane: usize) {
        if session.is_blocked() {
            return;
        }
        if lane == 0 && !std::mem::replace(&mut session.urgent, true) {
            self.urgent.push_back(slot);
        }
        if lane != 0 && !std::mem::replace(&mut session.dirty, true) {
            self.normal.push_back(slot);
        }
    }
}

/// How often sessions are looked at.
pub(crate) const SWEEP_US: u64 = 1_000_000;

/// See the module.
pub struct Shard {
    pub(crate) hub: Arc<Hub>,
    pub(crate) mailbox: Arc<dyn Mailbox>,
    pub(crate) sessions: Slab<Session>,
    pub(crate) router: Router,
    pub(crate) dirty: Dirty,
    pub(crate) rates: BinaryHeap<Reverse<RateDue>>,
    pub(crate) stats: Arc<ShardStats>,
    delays: Delays,
    /// What has gone by; the first shard watches for all of them.
    pub(crate) watch: Option<Box<Watch>>,
    /// Changes of channels' freshness that sessions were told of.
    pub(crate) changes_told: u64,
    pub(crate) finished: Vec<u32>,
    drained: Vec<u32>,
    scratch: Scratch,
    next_serial: u64,
    serial_step: u64,
    swept_us: u64,
    /// How often a channel's epoch was news.
    pub(crate) learned: u64,
    pub(crate) scale: Scale,
    /// The hub stops.
    pub(crate) leaving: Option<Box<Leaving>>,
    /// The change of the catalogue that the router knows of.
    pub(crate) followed: u64,
    /// What the broker rests on is out of reach.
    pub(crate) degraded: bool,
    /// The authority's, when revocations were last looked at.
    pub(crate) revision: u64,
    pub(crate) beats: Beats,
}

impl Shard {
    /// The shard of this number, of the hub's shards.
    pub fn new(hub: Arc<Hub>, number: usize, mailbox: Arc<dyn Mailbox>) -> Self {
        let stats = hub.shard_stats().get(number).cloned().unwrap_or_default();
        let serial_step = hub.shard_stats().len() as u64;
        let followed = hub.changes();
        let revision = hub.authority().revision();
        Shard {
            hub,
            mailbox,
            sessions: Slab::new(),
            router: Router::default(),
            dirty: Dirty::default(),
            rates: BinaryHeap::new(),
            stats,
            delays: Delays::default(),
            watch: (number == 0).then(Box::default),
            changes_told: 0,
            finished: Vec::new(),
            drained: Vec::new(),
            scratch: Scratch::default(),
            next_serial: number as u64 + 1,
            serial_step,
            swept_us: 0,
            learned: 0,
            scale: Scale::default(),
            leaving: None,
            followed,
            degraded: false,
            revision,
            beats: Beats::default(),
        }
    }

    /// A client has come.
    pub fn open(&mut self, arrival: Arrival, now: Now) -> SessionKey {
        let serial = self.next_serial;
        self.next_serial += self.serial_step;
        let beat = arrival.beat;
        let slot = self.sessions.insert(Session::new(arrival, serial, now.mono_us));
        self.stats.sessions.bump(1);
        self.stats.opened.bump(1);
        let key = SessionKey { slot: u32::try_from(slot).unwrap_or(u32::MAX), serial };
        if self.degraded {
            self.tell_degraded(key.slot);
        }
        self.leave_soon(key, now);
        if let Some(beat) = beat {
            self.begin_beats(key, beat, now);
        }
        key
    }

    /// The client is gone: its socket is closed or about to be.
    pub fn remove(&mut self, slot: u32) {
        if !self.sessions.contains(slot as usize) {
            return;
        }
        self.end_all(slot);
        let left: Vec<u32> = self
            .sessions
            .get(slot as usize)
            .map(|s| s.places.iter().map(|p| p.entry).collect())
            .unwrap_or_default();
        for entry in left {
            self.router.remove(entry, slot, &mut self.sessions);
            self.router.close_if_empty(entry);
        }
        self.sessions.try_remove(slot as usize);
        self.stats.sessions.sub(1);
    }

    /// The byte format of a session.
    pub fn wire(&self, slot: u32) -> Option<&'static dyn Wire> {
        self.sessions.get(slot as usize).map(|session| session.outbox.wire())
    }

    pub(crate) fn live(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(key.slot as usize).filter(|session| session.serial == key.serial)
    }

    /// Whether the session can be handed another command: its answers have room.
    pub fn has_room(&self, slot: u32) -> bool {
        let settings = self.hub.settings();
        self.sessions.get(slot as usize).is_some_and(|session| {
            !session.closing
                && session.in_flight < IN_FLIGHT
                && session
                    .turns
                    .as_ref()
                    .is_none_or(|turns| turns.len() < TURNS && turns.bytes() < settings.outbox_bytes)
                && session.outbox.fits(0, settings.outbox_bytes, settings.outbox_messages)
        })
    }

    /// Whether the session is being closed: nothing more that it says counts.
    pub fn is_closing(&self, slot: u32) -> bool {
        self.sessions.get(slot as usize).is_none_or(|session| session.closing)
    }

    /// Hop 2: does what a client asks for.
    pub fn handle(&mut self, slot: u32, command: Command, now: Now) -> Handled {
        self.follow_catalog();
        if self.is_closing(slot) {
            return Handled::Done;
        }
        if let Err(refusal) =
            self.admit_unknown(slot, &command).and_then(|()| self.admit(slot, &command, now))
        {
            let told = refusal.clone();
            match &command {
                Command::Publish { publication, req } => {
                    let client = self.sessions.get(slot as usize).map(Session::called).unwrap_or_default();
                    self.hub.on_publish_refused(&publication.channel, &client, &refusal, now);
                    self.reply_refusal(slot, refusal, None, req);
                }
                other => self.reply_error(slot, refusal, None, other.req()),
            }
            self.on_too_fast(slot, &told, now);
            return Handled::Done;
        }
        match command {
            Command::Publish { publication, req } => {
                return self.handle_publish(slot, *publication, req, now);
            }
            Command::Subscribe { wanted, options, req } => {
                self.handle_subscribe(slot, wanted, &options, &req, now)
            }
            Command::Unsubscribe { wanted, req } => self.handle_unsubscribe(slot, wanted, &req),
            Command::UnsubscribeAll { req } => self.handle_unsubscribe_all(slot, req),
            Command::History { channel, since, limit, req } => {
                self.handle_history(slot, &channel, since, limit, req);
            }
            Command::Last { channel, req } => self.handle_last(slot, &channel, req),
            Command::List { req } => self.handle_list(slot, req),
            Command::Token { token, req } => self.handle_token(slot, &token, req),
            Command::Ping { req } => {
                self.reply_in_lane(slot, 0, &Reply::Time { pong: true, time_us: now.wall_us, req });
            }
        }
        Handled::Done
    }

    fn handle_list(&mut self, slot: u32, req: Req) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let name = |topic: &Topic| (matches!(topic, Topic::Pattern(_)), Box::from(topic.name()));
        let topics = session.subscriptions.iter().map(|subscription| name(&subscription.topic)).collect();
        self.reply_in_lane(slot, 0, &Reply::Subscriptions { topics, req });
    }

    /// Takes an answer from the mailbox.
    pub fn on_note(&mut self, note: Note, now: Now) {
        self.follow_catalog();
        match note {
            Note::Joined(joined) => self.start_in_turn(Start::Joined(joined), now),
            Note::Sources(sources) => self.start_in_turn(Start::Sources(sources), now),
            Note::Page(page) => {
                let (request, page) = *page;
                self.on_page(&request, page, now);
            }
            Note::Published(published) => {
                let (key, channel, req, result) = *published;
                self.on_published(key, channel, req, result);
            }
            Note::Head(head) => self.on_head(&head.0, &head.1, now),
            Note::Told(told) => self.on_told(&told.0, &told.1, told.2),
            Note::Lost(channel) => self.on_lost(&channel),
            Note::Degraded(degraded) => self.on_degraded(degraded, now),
            Note::Identified(identified) => {
                let (key, req, checked) = *identified;
                self.on_identified(key, req, checked);
            }
            Note::Seated(seated) => {
                let (newcomer, admission) = *seated;
                self.on_seated(newcomer, admission);
            }
            Note::Kept(kept) => {
                let (key, request, page) = *kept;
                self.on_kept(key, request, page);
            }
            Note::Answered(answered) => {
                let (key, turn, bytes) = *answered;
                if self.live(key).is_some() {
                    self.on_answered(key, 1);
                    self.answer(key.slot, turn, &bytes);
                }
            }
        }
    }

    /// Says goodbye: what waits is dropped but for a frame already begun, the close goes out, the socket follows.
    pub fn close(&mut self, slot: u32, code: CloseCode, reason: &str) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let bytes = session.outbox.wire().close(code, reason);
        self.close_with(slot, &bytes);
    }

    /// As [`Shard::close`], with these last bytes.
    pub fn close_with(&mut self, slot: u32, bytes: &[u8]) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        if session.closing {
            return;
        }
        if session.is_blocked() {
            for (lane, unsent) in session.outbox.clear() {
                if let Unsent::Reply(bytes) = unsent {
                    session.outbox.push_reply(lane, bytes);
                }
            }
        }
        session.outbox.end_with(bytes.into());
        session.closing = true;
        session.opened_us = 0;
        self.dirty.mark(slot, session, 0);
        self.end_all(slot);
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            session.seat = None;
        }
    }

    /// Closes every session.
    pub fn close_all(&mut self, code: CloseCode, reason: &str) {
        let slots: Vec<u32> = self.sessions.iter().filter_map(|(slot, _)| u32::try_from(slot).ok()).collect();
        for slot in slots {
            self.close(slot, code, reason);
        }
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The socket takes bytes again.
    pub fn on_writable(&mut self, slot: u32) {
        if let Some(session) = self.sessions.get_mut(slot as usize).filter(|session| session.is_blocked()) {
            // Who takes bytes from a full socket lives, though a ping may stand far back in it.
            session.took_bytes = true;
            session.blocked_us = 0;
            let lane = usize::from(!session.outbox.has_urgent());
            self.dirty.mark(slot, session, lane);
        }
    }

    /// Hop 8: writes for at most `limit` sessions, urgent ones first. Answers whether more wait.
    pub fn flush(&mut self, pipes: &mut impl Pipes, limit: usize, now: Now) -> bool {
        for _ in 0..limit {
            let Some(slot) = self.next_dirty() else { break };
            self.flush_one(slot, pipes, now);
        }
        self.delays.count(&self.stats, || self.hub.now());
        self.has_dirty()
    }

    /// Whether sessions wait to be written for.
    pub fn has_dirty(&self) -> bool {
        !(self.dirty.urgent.is_empty() && self.dirty.normal.is_empty())
    }

    fn next_dirty(&mut self) -> Option<u32> {
        if let Some(slot) = self.dirty.urgent.pop_front() {
            if let Some(session) = self.sessions.get_mut(slot as usize) {
                session.urgent = false;
            }
            return Some(slot);
        }
        let slot = self.dirty.normal.pop_front()?;
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            session.dirty = false;
        }
        Some(slot)
    }

    fn flush_one(&mut self, slot: u32, pipes: &mut impl Pipes, now: Now) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        if session.is_blocked() {
            return;
        }
        let counts = &self.stats.families;
        let flushed = session.outbox.write(&mut self.scratch, counts, |slices| pipes.write(slot, slices));
        if flushed.bytes > 0 {
            session.sent_us = now.mono_us;
        }
        self.stats.bytes.bump(flushed.bytes as u64);
        match flushed.end {
            FlushEnd::Closed => {
                session.closing = true;
                self.finished.push(slot);
            }
            FlushEnd::Drained if session.closing => self.finished.push(slot),
            FlushEnd::Drained if COUNTED && session.oldest > 0 => {
                self.delays.note(std::mem::take(&mut session.oldest));
            }
            FlushEnd::Drained => {}
            FlushEnd::Blocked => session.blocked_us = now.mono_us.max(1),
        }
        if !session.behind.is_empty() {
            session.waits = 0;
            self.pump(slot);
        }
        self.drained.push(slot);
    }

    /// Sessions whose sockets are to be closed now; call [`Shard::remove`] for each.
    pub fn take_finished(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.finished)
    }

    /// A request of the session, which counted for so many, is answered or about to be: its next command may have room,
    /// whether or not the answer is written.
    pub(crate) fn on_answered(&mut self, key: SessionKey, weight: u32) {
        if let Some(session) = self.live(key) {
            session.in_flight = session.in_flight.saturating_sub(weight);
            self.drained.push(key.slot);
        }
    }

    /// Moves the sessions written to or answered since the last call into `slots`: their commands may have room again.
    pub fn take_drained(&mut self, slots: &mut Vec<u32>) {
        slots.append(&mut self.drained);
    }

    /// When [`Shard::tick`] has something to do next, as a monotonic reading.
    pub fn next_tick_us(&self) -> u64 {
        let sweep = self.swept_us + SWEEP_US;
        let leaving = self.leaving.as_ref().map_or(u64::MAX, |leaving| leaving.next_us());
        self.rates
            .peek()
            .map_or(sweep, |Reverse(due)| due.due_us.min(sweep))
            .min(leaving)
            .min(self.beats.next_us())
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now) {
        self.follow_catalog();
        self.send_due_rates(now);
        self.beat(now);
        self.weigh_if_due();
        if now.mono_us >= self.swept_us + SWEEP_US {
            self.swept_us = now.mono_us;
            self.sweep(now);
        }
    }
}
