//! What one session has still to be sent, bounded in bytes and messages.
//!
//! It holds references to shared messages, not copies. A `latest` message that waits while the socket is full is
//! replaced by a newer one of the same source channel. It does not know subscriptions: what does not fit is the
//! shard's business, which sends the subscription into catch-up.

use std::io::IoSlice;
use std::sync::Arc;

use slab::Slab;

use crate::families::{ByFamily, FamilyNumber};
use crate::item::{Item, Named};
use crate::lanes::{LANES, Lanes};
use crate::message::{Message, Wire};
use crate::shard::Written;
use crate::stats::{COUNTED, FamilyStats};

/// Frames joined into one write.
const JOINED_FRAMES: usize = 64;
/// Bytes joined into one write, unless one frame is larger.
const JOINED_BYTES: usize = 64 << 10;

/// No place in [`Outbox::waiting`].
pub(crate) const NOT_WAITING: u32 = u32::MAX;

#[derive(Debug)]
struct Waiting {
    entry: u32,
    item: Item,
}

/// Reused by every write of a shard, so that joining frames costs no allocation.
#[derive(Default)]
pub(crate) struct Scratch {
    batch: Vec<(usize, Item)>,
    run: Run,
}

/// Messages that one session was sent in a row. Where the next session is to get exactly the same ones, as in a
/// fan-out, their bytes are joined once and written as one piece.
#[derive(Default)]
struct Run {
    messages: Vec<Arc<Message>>,
    wire: usize,
    bytes: Vec<u8>,
}

impl Run {
    /// The batch's bytes in one piece, if the batch before it was the same.
    fn joined(&mut self, batch: &[(usize, Item)], wire: &'static dyn Wire) -> Option<&[u8]> {
        let is_same = |(known, (_, item)): (&Arc<Message>, &(usize, Item))| matches!(item, Item::Message(message) if Arc::ptr_eq(known, message));
        let same = self.wire == wire.slot() && self.messages.len() == batch.len();
        if same && self.messages.iter().zip(batch).all(is_same) {
            if self.bytes.is_empty() {
                self.bytes.extend(self.messages.iter().flat_map(|message| message.encoded(wire)));
            }
            return Some(&self.bytes);
        }
        self.wire = wire.slot();
        self.bytes.clear();
        self.messages.clear();
        let messages = batch.iter().map_while(|(_, item)| match item {
            Item::Message(message) => Some(message.clone()),
            _ => None,
        });
        self.messages.extend(messages);
        None
    }
}

/// What came of writing an outbox.
#[derive(Debug)]
pub(crate) struct Flushed<'a> {
    /// Where whole messages that left are counted; replies are not.
    counts: &'a ByFamily<FamilyStats>,
    /// Bytes that left.
    pub bytes: usize,
    /// Why it stopped.
    pub end: FlushEnd,
}

/// Why writing stopped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum FlushEnd {
    /// Nothing is left.
    #[default]
    Drained,
    /// The socket takes no more now.
    Blocked,
    /// The socket is gone.
    Closed,
}

/// What an outbox held when it was cleared.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// Shared by all who hear it.
    Message(Arc<Message>),
    /// A message, with bytes for this session alone.
    Named(Box<Named>),
    /// For this session alone.
    Reply(Box<[u8]>),
}

/// See the module.
pub(crate) struct Outbox {
    wire: &'static dyn Wire,
    /// Everything leaves in the order in which it was queued.
    one_line: bool,
    lanes: Lanes<Item>,
    /// A frame of which some bytes have left; nothing may overtake it.
    begun: Option<(Item, usize)>,
    waiting: Slab<Waiting>,
    /// The close: leaves when nothing else is left.
    farewell: Option<Box<[u8]>>,
    bytes: usize,
    count: usize,
}

impl Outbox {
    pub(crate) fn new(wire: &'static dyn Wire) -> Self {
        Outbox {
            wire,
            one_line: wire.by_subscription(),
            lanes: Lanes::default(),
            begun: None,
            waiting: Slab::new(),
            farewell: None,
            bytes: 0,
            count: 0,
        }
    }

    pub(crate) fn wire(&self) -> &'static dyn Wire {
        self.wire
    }

    /// From now on everything that is written is in this format; what waits stays as it is.
    pub(crate) fn speak(&mut self, wire: &'static dyn Wire) {
        let before = std::mem::replace(&mut self.wire, wire);
        self.one_line = wire.by_subscription();
        if before.slot() == wire.slot() {
            return;
        }
        // What was queued before is sent in the format that was spoken then.
        if let Some((item, at)) = self.begun.take() {
            self.begun = Some((self.keep(item, before), at));
        }
        for lane in 0..LANES {
            let items: Vec<Item> = self.lanes.drain_lane(lane).collect();
            for item in items {
                let item = self.keep(item, before);
                self.lanes.push(lane, item);
            }
        }
        let waiting: Vec<usize> = self.waiting.iter().map(|(place, _)| place).collect();
        for place in waiting {
            let item = self
                .waiting
                .get_mut(place)
                .map(|waiting| std::mem::replace(&mut waiting.item, Item::Reply(Box::default())));
            let Some(item) = item else { continue };
            let item = self.keep(item, before);
            if let Some(waiting) = self.waiting.get_mut(place) {
                waiting.item = item;
            }
        }
    }

    /// The item in the bytes of this format, whatever is spoken later.
    fn keep(&mut self, item: Item, wire: &'static dyn Wire) -> Item {
        let Item::Message(message) = item else { return item };
        let bytes: Box<[u8]> = message.encoded(wire).into();
        self.bytes = (self.bytes + bytes.len()).saturating_sub(message.weight());
        let channel = message.channel.clone();
        Item::Named(Box::new(Named { message, channel, bytes, deliveries: 1 }))
    }

    fn lane(&self, lane: usize) -> usize {
        if self.one_line { 0 } else { lane }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.begun.is_none() && self.lanes.is_empty() && self.farewell.is_none()
    }

    pub(crate) fn has_urgent(&self) -> bool {
        self.lanes.has_urgent()
    }

    /// Whether a frame of this length may be added. One frame always fits into an empty outbox.
    pub(crate) fn fits(&self, len: usize, bound_bytes: usize, bound_count: usize) -> bool {
        self.count == 0 || (self.bytes + len <= bound_bytes && self.count < bound_count)
    }

    /// Appends a message that must not be replaced.
    #[inline]
    pub(crate) fn push(&mut self, lane: usize, item: impl Into<Item>) {
        let item = item.into();
        self.bytes += item.weight();
        self.count += 1;
        self.lanes.push(self.lane(lane), item);
    }

    /// Appends bytes before all others: they were written elsewhere, and nobody has read them.
    pub(crate) fn push_first(&mut self, bytes: Box<[u8]>) {
        self.bytes += bytes.len();
        self.count += 1;
        self.begun = Some((Item::Reply(bytes), 0));
    }

    /// Appends bytes for this session alone.
    pub(crate) fn push_reply(&mut self, lane: usize, bytes: Box<[u8]>) {
        self.bytes += bytes.len();
        self.count += 1;
        self.lanes.push(self.lane(lane), Item::Reply(bytes));
    }

    /// Sets the last bytes.
    pub(crate) fn end_with(&mut self, bytes: Box<[u8]>) {
        self.farewell = Some(bytes);
    }

    /// Whether a message of the source channel `entry` waits at `place`. While one does, newer ones must replace it:
    /// queued behind it, they would be overtaken by the next replacement.
    pub(crate) fn waits(&self, place: u32, entry: u32) -> bool {
        self.waiting.get(place as usize).is_some_and(|waiting| waiting.entry == entry)
    }

    /// Replaces what waits for the source channel `entry`, or queues it; `place` remembers where. Answers whether
    /// an older message was replaced.
    pub(crate) fn push_latest(
        &mut self,
        lane: usize,
        entry: u32,
        place: &mut u32,
        item: impl Into<Item>,
    ) -> bool {
        let item = item.into();
        let weight = item.weight();
        if let Some(waiting) = self.waiting.get_mut(*place as usize)
            && waiting.entry == entry
        {
            let old = std::mem::replace(&mut waiting.item, item);
            self.bytes = (self.bytes + weight).saturating_sub(old.weight());
            return true;
        }
        *place = u32::try_from(self.waiting.insert(Waiting { entry, item })).unwrap_or(NOT_WAITING);
        self.bytes += weight;
        self.count += 1;
        self.lanes.push(self.lane(lane), Item::Waiting(*place));
        false
    }

    /// Writes until nothing is left or the socket is full, joining what is ready. It has one caller, which calls it for
    /// every delivery.
    #[inline(always)]
    pub(crate) fn write<'a>(
        &mut self,
        scratch: &mut Scratch,
        counts: &'a ByFamily<FamilyStats>,
        mut send: impl FnMut(&[IoSlice<'_>]) -> Written,
    ) -> Flushed<'a> {
        let mut flushed = Flushed { counts, bytes: 0, end: FlushEnd::Drained };
        while !self.is_empty() {
            if self.begun.is_none()
                && self.lanes.is_empty()
                && let Some(farewell) = self.farewell.take()
            {
                self.push_reply(0, farewell);
            }
            let written = match (self.begun.is_none(), self.lanes.len()) {
                (true, 1) => self.write_one(&mut send, &mut flushed),
                _ => self.write_joined(scratch, &mut send, &mut flushed),
            };
            match written {
                FlushEnd::Drained => {}
                end => {
                    flushed.end = end;
                    return flushed;
                }
            }
        }
        self.lanes.shrink();
        if self.waiting.capacity() > 64 {
            self.waiting = Slab::new();
        }
        flushed
    }

    fn write_one(
        &mut self,
        send: &mut impl FnMut(&[IoSlice<'_>]) -> Written,
        flushed: &mut Flushed<'_>,
    ) -> FlushEnd {
        let Some((lane, item)) = self.lanes.take() else { return FlushEnd::Drained };
        let item = self.resolve(item);
        let bytes = item.bytes(self.wire);
        match send(&[IoSlice::new(bytes)]) {
            Written::Bytes(n) if n == bytes.len() => {
                flushed.bytes += n;
                self.sent(&item, flushed);
                FlushEnd::Drained
            }
            Written::Bytes(n) if n > 0 => {
                flushed.bytes += n;
                self.begun = Some((item, n));
                FlushEnd::Blocked
            }
            Written::Bytes(_) | Written::Blocked => {
                self.lanes.put_back(lane, item);
                FlushEnd::Blocked
            }
            Written::Closed => FlushEnd::Closed,
        }
    }

    fn write_joined(
        &mut self,
        scratch: &mut Scratch,
        send: &mut impl FnMut(&[IoSlice<'_>]) -> Written,
        flushed: &mut Flushed<'_>,
    ) -> FlushEnd {
        let Scratch { batch, run } = scratch;
        let (begun_at, gathered) = self.gather(batch);
        if begun_at == 0
            && gathered <= JOINED_BYTES
            && let Some(bytes) = run.joined(batch, self.wire)
        {
            let written = send(&[IoSlice::new(bytes)]);
            return self.account(batch, 0, bytes.len(), written, flushed);
        }
        let mut slices = [IoSlice::new(&[]); JOINED_FRAMES];
        let mut total = 0;
        for (slice, (n, (_, item))) in slices.iter_mut().zip(batch.iter().enumerate()) {
            let bytes = item.bytes(self.wire);
            let bytes = if n == 0 { bytes.get(begun_at..).unwrap_or_default() } else { bytes };
            total += bytes.len();
            *slice = IoSlice::new(bytes);
        }
        let written = send(slices.get(..batch.len()).unwrap_or_default());
        self.account(batch, begun_at, total, written, flushed)
    }

    /// What became of a batch that was `total` bytes from its first unsent one on.
    fn account(
        &mut self,
        batch: &mut Vec<(usize, Item)>,
        begun_at: usize,
        total: usize,
        written: Written,
        flushed: &mut Flushed<'_>,
    ) -> FlushEnd {
        let written = match written {
            Written::Bytes(n) => n,
            Written::Blocked => 0,
            Written::Closed => return FlushEnd::Closed,
        };
        flushed.bytes += written;
        if written == total {
            for (_, item) in batch.drain(..) {
                self.sent(&item, flushed);
            }
            return FlushEnd::Drained;
        }
        self.return_unwritten(batch, begun_at, written, flushed);
        FlushEnd::Blocked
    }

    /// Moves what one write may join into `batch`; answers how much of its first frame has left already, and the
    /// bytes of all of it.
    fn gather(&mut self, batch: &mut Vec<(usize, Item)>) -> (usize, usize) {
        batch.clear();
        let mut bytes = 0;
        let mut begun_at = 0;
        if let Some((item, at)) = self.begun.take() {
            bytes += item.bytes(self.wire).len();
            begun_at = at;
            batch.push((0, item));
        }
        while batch.len() < JOINED_FRAMES && bytes < JOINED_BYTES {
            let Some((lane, item)) = self.lanes.take() else { break };
            let item = self.resolve(item);
            bytes += item.bytes(self.wire).len();
            batch.push((lane, item));
        }
        (begun_at, bytes)
    }

    /// Accounts for a write that took only some bytes and puts the rest back in its order.
    fn return_unwritten(
        &mut self,
        batch: &mut Vec<(usize, Item)>,
        begun_at: usize,
        written: usize,
        flushed: &mut Flushed<'_>,
    ) {
        let mut left = written + begun_at;
        let mut rest = Vec::new();
        for (lane, item) in batch.drain(..) {
            let len = item.bytes(self.wire).len();
            if rest.is_empty() && self.begun.is_none() && left >= len {
                left -= len;
                self.sent(&item, flushed);
            } else if left > 0 {
                self.begun = Some((item, left));
                left = 0;
            } else {
                rest.push((lane, item));
            }
        }
        for (lane, item) in rest.into_iter().rev() {
            self.lanes.put_back(lane, item);
        }
    }

    fn resolve(&mut self, item: Item) -> Item {
        match item {
            Item::Waiting(place) => match self.waiting.try_remove(place as usize) {
                Some(waiting) => waiting.item,
                None => Item::Reply(Box::default()),
            },
            other => other,
        }
    }

    fn sent(&mut self, item: &Item, flushed: &mut Flushed<'_>) {
        let delivered = match item {
            Item::Message(message) => Some((message, 1)),
            Item::Named(named) => Some((&named.message, named.deliveries)),
            Item::Reply(_) | Item::Waiting(_) => None,
        };
        if let Some((message, deliveries)) = delivered {
            // Without counting by family they are still counted together.
            let family = if COUNTED { message.family() } else { FamilyNumber::default() };
            flushed.counts.of(family).delivered.bump(deliveries);
        }
        self.bytes = self.bytes.saturating_sub(item.weight());
        self.count = self.count.saturating_sub(1);
    }

    /// Empties one lane, but not of a frame that has begun; hands out what has not left, in its order.
    pub(crate) fn clear_lane(&mut self, lane: usize) -> Vec<Unsent> {
        let items: Vec<Item> = self.lanes.drain_lane(lane).collect();
        let mut unsent = Vec::with_capacity(items.len());
        for item in items {
            let item = self.resolve(item);
            self.bytes = self.bytes.saturating_sub(item.weight());
            self.count = self.count.saturating_sub(1);
            match item {
                Item::Message(message) => unsent.push(Unsent::Message(message)),
                Item::Named(named) => unsent.push(Unsent::Named(named)),
                Item::Reply(bytes) => unsent.push(Unsent::Reply(bytes)),
                Item::Waiting(_) => {}
            }
        }
        unsent
    }

    /// Empties the outbox but for a frame that has begun; hands out what has not left, lane by lane, in its order.
    pub(crate) fn clear(&mut self) -> Vec<(usize, Unsent)> {
        let each = |lane| self.clear_lane(lane).into_iter().map(move |unsent| (lane, unsent));
        (0..LANES).flat_map(each).collect()
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
