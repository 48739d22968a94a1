//! One shard's thread: waits for sockets and the inbox, then reads, routes and flushes in bounded slices, so that
//! urgent messages never wait for a long piece of work. Nothing here blocks but the wait itself.

mod conduits;
mod ending;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Poll};
use tapeline_core::broker::Busy;
use tapeline_core::lanes::Lanes;
use tapeline_core::message::Message;
use tapeline_core::session::Arrival;
use tapeline_core::shard::{Handled, Note};
use tapeline_core::{Hub, Now, Pipes, Shard, Written};

use crate::connection::{Handover, Protocol, Taken};
use crate::inbox::{Control, Inbox, Inboxes};
use crate::pipe::{Heard, Pipe};
use crate::port::Port;

use conduits::Next;
use ending::Ending;

/// The token of the inbox's waker.
pub(crate) const WAKER: usize = usize::MAX;

/// Bytes read from one socket before the next one's turn.
const READ_BYTES: usize = 64 << 10;
/// Messages routed before sockets are looked at again.
const ROUTE_SLICE: usize = 256;
/// Sockets written to before the inbox is looked at again.
const FLUSH_SLICE: usize = 256;
/// How soon a publish that found another shard's inbox full is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// A client that stays quiet until there is room again.
struct Stalled {
    busy: Option<Box<Busy>>,
    rest: Vec<u8>,
}

struct Connection {
    pipe: Pipe,
    protocol: Box<dyn Protocol>,
    /// What it speaks when the one before has handled all that came to it.
    next: Option<Box<Next>>,
    stalled: Option<Box<Stalled>>,
    /// It brought more than its rate allows and is not read from until then; 0 if it is.
    held_until_us: u64,
    /// The socket has, or may have, bytes to read.
    readable: bool,
    /// The client has closed its side: read to the end whatever a read returns.
    hung_up: bool,
    /// Our side is closed. What still comes is thrown away until the client closes its own: closing a socket with
    /// unread bytes would reset it and could take our last frame with it.
    lingering: bool,
}

/// The sockets, by session slot.
#[derive(Default)]
struct Sockets(Vec<Option<Connection>>);

impl Sockets {
    fn at(&mut self, slot: u32) -> Option<&mut Connection> {
        self.0.get_mut(slot as usize)?.as_mut()
    }
}

impl Pipes for Sockets {
    fn write(&mut self, slot: u32, slices: &[IoSlice<'_>]) -> Written {
        let Some(connection) = self.at(slot) else { return Written::Closed };
        connection.pipe.write(slices)
    }
}

/// See the module.
pub(crate) struct ShardThread {
    hub: Arc<Hub>,
    shard: Shard,
    inbox: Arc<Inbox>,
    deliver: Arc<Inboxes>,
    poll: Poll,
    sockets: Sockets,
    messages: Lanes<Arc<Message>>,
    readable: VecDeque<u32>,
    /// Sessions whose publish found no room.
    busy: Vec<u32>,
    /// Connections that have had their turn, and have more to say.
    put_off: Vec<u32>,
    /// Sessions that are not read from, by the time when they are again.
    held: BinaryHeap<Reverse<(u64, u32)>>,
    notes: Vec<Note>,
    drained: Vec<u32>,
    buffer: Vec<u8>,
    ending: Ending,
}

impl ShardThread {
    pub(crate) fn new(
        hub: Arc<Hub>,
        shard: Shard,
        inbox: Arc<Inbox>,
        deliver: Arc<Inboxes>,
        poll: Poll,
    ) -> Self {
        ShardThread {
            hub,
            shard,
            inbox,
            deliver,
            poll,
            sockets: Sockets::default(),
            messages: Lanes::default(),
            readable: VecDeque::new(),
            busy: Vec::new(),
            put_off: Vec::new(),
            held: BinaryHeap::new(),
            notes: Vec::new(),
            drained: Vec::new(),
            buffer: vec![0; READ_BYTES],
            ending: Ending::default(),
        }
    }

    /// Runs until the shard is stopped and its sessions are gone.
    pub(crate) fn run(&mut self) {
        let mut events = Events::with_capacity(1_024);
        let mut more = false;
        loop {
            self.wait(&mut events, more);
            let now = self.hub.now();
            self.take_events(&events);
            self.take_controls(now);
            self.let_go(now);
            self.read_some(now);
            self.retry_busy(now);
            self.resume_put_off(now);
            self.take_notes(now);
            self.route_some(now);
            self.say_goodbye(now);
            self.shard.tick(now);
            more = self.shard.flush(&mut self.sockets, FLUSH_SLICE, now);
            self.resume_drained(now);
            more |= self.let_leave(now) | self.close_finished();
            // Whoever was resumed may have been answered at once.
            more |= self.shard.has_dirty() | !self.put_off.is_empty();
            more |= !self.messages.is_empty() | !self.readable.is_empty();
            if self.is_over(now) {
                return;
            }
        }
    }

    fn wait(&mut self, events: &mut Events, more: bool) {
        let may_sleep = !more && self.inbox.may_sleep();
        let timeout = match may_sleep {
            false => Duration::ZERO,
            true if !self.busy.is_empty() => RETRY,
            true => {
                let now = self.hub.now();
                let held = self.held.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
                Duration::from_micros(self.shard.next_tick_us().min(held).saturating_sub(now.mono_us))
            }
        };
        if let Err(error) = self.poll.poll(events, Some(timeout))
            && error.kind() != ErrorKind::Interrupted
        {
            tracing::error!(%error, "waiting for sockets failed");
        }
        self.inbox.awake();
    }

    fn take_events(&mut self, events: &Events) {
        for event in events {
            let Ok(slot) = u32::try_from(event.token().0) else { continue };
            let Some(connection) = self.sockets.at(slot) else { continue };
            connection.hung_up |= event.is_read_closed() || event.is_error();
            if (event.is_readable() || connection.hung_up)
                && !std::mem::replace(&mut connection.readable, true)
            {
                self.readable.push_back(slot);
            }
            if event.is_writable() {
                connection.pipe.on_writable();
                self.shard.on_writable(slot);
            }
        }
    }

    fn take_controls(&mut self, now: Now) {
        for control in self.inbox.take_controls() {
            match control {
                Control::Open(handover) => {
                    let Handover { stream, tls, read, arrival, protocol } = *handover;
                    let pipe = Pipe::new(TcpStream::from_std(stream), tls);
                    self.open(pipe, read, arrival, protocol, now);
                }
                Control::OpenConduit(opened) => {
                    let (near, arrival, protocol) = *opened;
                    self.open(Pipe::Conduit(near), Vec::new(), arrival, protocol, now);
                }
                Control::Stirred(token) => self.on_stirred(token),
                Control::Upgrade(upgrade) => self.upgrade(*upgrade, now),
                Control::Drain(window, held) => self.ending.drain(window, held, now),
                Control::Stop(code, reason) => self.ending.stop(code, reason, now),
            }
        }
    }

    fn open(
        &mut self,
        mut pipe: Pipe,
        read: Vec<u8>,
        arrival: Arrival,
        protocol: Box<dyn Protocol>,
        now: Now,
    ) {
        let wire = arrival.wire;
        self.deliver.ahead.open(wire);
        let slot = self.shard.open(arrival, now).slot;
        if let Err(error) = pipe.register(self.poll.registry(), slot as usize) {
            tracing::warn!(%error, "a connection could not be watched");
            self.deliver.ahead.close(wire);
            self.shard.remove(slot);
            self.inbox.load.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        if self.sockets.0.len() <= slot as usize {
            self.sockets.0.resize_with(slot as usize + 1, || None);
        }
        let readable = pipe.is_ahead();
        let connection = Connection {
            pipe,
            protocol,
            next: None,
            stalled: None,
            readable,
            hung_up: false,
            lingering: false,
            held_until_us: 0,
        };
        if let Some(place) = self.sockets.0.get_mut(slot as usize) {
            *place = Some(connection);
        }
        if let Some(connection) = self.sockets.at(slot) {
            connection.protocol.begin(&mut Port::new(&mut self.shard, slot, now));
        }
        if !read.is_empty() {
            let mut read = read;
            self.hand_in(slot, &mut read, now);
        }
        if readable {
            self.readable.push_back(slot);
        }
    }

    /// Sessions that were not read from are read from again when it is time.
    fn let_go(&mut self, now: Now) {
        while let Some(Reverse((at, slot))) = self.held.peek().copied()
            && at <= now.mono_us
        {
            self.held.pop();
            // Another connection may have the place by now.
            let Some(connection) = self.sockets.at(slot).filter(|held| held.held_until_us == at) else {
                continue;
            };
            connection.held_until_us = 0;
            if connection.readable {
                self.readable.push_back(slot);
            }
        }
    }

    /// Reads once from each readable socket, as many as there are now.
    fn read_some(&mut self, now: Now) {
        for _ in 0..self.readable.len() {
            let Some(slot) = self.readable.pop_front() else { return };
            self.read_one(slot, now);
        }
    }

    fn read_one(&mut self, slot: u32, now: Now) {
        let Some(connection) = self.sockets.at(slot) else { return };
        if connection.stalled.is_some() || connection.held_until_us > 0 {
            // Stays marked as readable; whoever ends the stall queues it again. Something has come all the same: what the
            // hub does not read for reasons of its own is no silence of the client.
            return self.shard.on_heard(slot, now);
        }
        if let Some(at) = self.shard.may_read_at(slot, now) {
            connection.held_until_us = at;
            self.held.push(Reverse((at, slot)));
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let heard = connection.pipe.read(&mut buffer);
        let lingering = connection.lingering;
        match heard {
            Heard::End => self.drop_connection(slot),
            Heard::All(0) => connection.readable = false,
            Heard::All(_) if !connection.hung_up => connection.readable = false,
            Heard::All(_) | Heard::Some(_) => self.readable.push_back(slot),
        }
        if let Heard::All(n @ 1..) | Heard::Some(n @ 1..) = heard {
            self.shard.on_heard(slot, now);
            self.shard.on_bytes(slot, n, now);
            if let Some(input) = buffer.get_mut(..n).filter(|_| !lingering) {
                self.hand_in(slot, input, now);
            }
        }
        self.buffer = buffer;
    }

    /// Hop 1 begins: the connection's protocol handles bytes.
    fn hand_in(&mut self, slot: u32, input: &mut [u8], now: Now) {
        let Some(connection) = self.sockets.at(slot) else { return };
        let mut port = Port::new(&mut self.shard, slot, now);
        let (consumed, busy) = match connection.protocol.handle(input, &mut port) {
            Taken::All => return,
            Taken::Some(consumed) => (consumed, None),
            Taken::Turn(consumed) => {
                self.put_off.push(slot);
                (consumed, None)
            }
            Taken::Busy(consumed, busy) => (consumed, Some(busy)),
        };
        if busy.is_some() {
            self.busy.push(slot);
        }
        let rest = input.get(consumed..).unwrap_or_default().to_vec();
        connection.stalled = Some(Box::new(Stalled { busy, rest }));
    }

    /// Offers publishes again that found no room.
    fn retry_busy(&mut self, now: Now) {
        for slot in std::mem::take(&mut self.busy) {
            let Some(stalled) = self.sockets.at(slot).and_then(|connection| connection.stalled.as_mut())
            else {
                continue;
            };
            if let Some(busy) = stalled.busy.take() {
                match self.shard.retry(*busy) {
                    Handled::Busy(busy) => {
                        stalled.busy = Some(busy);
                        self.busy.push(slot);
                    }
                    Handled::Done => self.resume(slot, now),
                }
            }
        }
    }

    /// Sessions that were written to may have room for the answers of what they still have to say.
    fn resume_drained(&mut self, now: Now) {
        let mut drained = std::mem::take(&mut self.drained);
        self.shard.take_drained(&mut drained);
        for slot in drained.drain(..) {
            // Whoever was put off goes on when it is its turn.
            if !self.put_off.contains(&slot) {
                self.resume_if_room(slot, now);
            }
        }
        self.drained = drained;
    }

    /// Others have had their turn.
    fn resume_put_off(&mut self, now: Now) {
        std::mem::take(&mut self.put_off).into_iter().for_each(|slot| self.resume_if_room(slot, now));
    }

    fn resume_if_room(&mut self, slot: u32, now: Now) {
        let stalled = self.sockets.at(slot).and_then(|connection| connection.stalled.as_ref());
        if stalled.is_some_and(|stalled| stalled.busy.is_none()) && self.shard.has_room(slot) {
            self.resume(slot, now);
        }
    }

    fn resume(&mut self, slot: u32, now: Now) {
        let Some(connection) = self.sockets.at(slot) else { return };
        let Some(mut stalled) = connection.stalled.take() else { return };
        self.hand_in(slot, &mut stalled.rest, now);
        self.go_over(slot, now);
        if let Some(connection) = self.sockets.at(slot)
            && connection.stalled.is_none()
            && connection.readable
        {
            self.readable.push_back(slot);
        }
    }

    fn take_notes(&mut self, now: Now) {
        loop {
            let mut notes = std::mem::take(&mut self.notes);
            self.inbox.take_notes(&mut notes);
            let none = notes.is_empty();
            for note in notes.drain(..) {
                self.shard.on_note(note, now);
            }
            self.notes = notes;
            if none {
                return;
            }
        }
    }

    fn route_some(&mut self, now: Now) {
        self.inbox.take_messages(&mut self.messages);
        let pressured = self.inbox.permitted() > self.hub.settings().inbox_messages / 2;
        let mut routed = 0;
        while routed < ROUTE_SLICE
            && let Some((_, message)) = self.messages.take()
        {
            self.shard.route(&message, pressured, now);
            routed += 1;
        }
        if routed > 0 {
            self.deliver.routed(&self.inbox, routed);
        }
    }

    fn close_finished(&mut self) -> bool {
        let finished = self.shard.take_finished();
        let any = !finished.is_empty();
        for slot in finished {
            self.finish(slot);
        }
        any
    }

    /// Closes our side; the second time, after a grace that the shard counts, the socket itself.
    fn finish(&mut self, slot: u32) {
        let Some(connection) = self.sockets.at(slot) else { return };
        let first = !std::mem::replace(&mut connection.lingering, true);
        if !first || connection.hung_up || connection.pipe.close_write().is_err() {
            return self.drop_connection(slot);
        }
        if connection.stalled.take().is_some() && connection.readable {
            self.readable.push_back(slot);
        }
    }

    fn drop_connection(&mut self, slot: u32) {
        let Some(place) = self.sockets.0.get_mut(slot as usize) else { return };
        if let Some(mut connection) = place.take() {
            connection.pipe.shut(self.poll.registry());
            if let Some(wire) = self.shard.wire(slot) {
                self.deliver.ahead.close(wire);
            }
            self.shard.remove(slot);
            self.inbox.load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
