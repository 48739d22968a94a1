//! A shard with its inbox and its clients' sockets, as one thread of a hub would have them.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::inboxes::{Inbox, lock};
use crate::clock::Now;
use crate::shard::{Note, Pipes, Shard, Written};

/// One client's socket.
#[derive(Default)]
pub(super) struct Pipe {
    pub client: usize,
    /// Bytes it takes before it blocks.
    pub budget: usize,
    pub hung_up: bool,
    /// What has arrived and is not yet read.
    pub arrived: Vec<u8>,
    /// It blocked, and the shard waits to hear that it takes bytes again.
    pub blocked: bool,
}

#[derive(Default)]
pub(super) struct Sockets(pub BTreeMap<u32, Pipe>);

impl Pipes for Sockets {
    fn write(&mut self, slot: u32, slices: &[IoSlice<'_>]) -> Written {
        let Some(pipe) = self.0.get_mut(&slot) else { return Written::Closed };
        if pipe.hung_up {
            return Written::Closed;
        }
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = total.min(pipe.budget);
        if pipe.budget != usize::MAX {
            pipe.budget -= taken;
        }
        pipe.blocked = taken < total;
        if taken == 0 && total > 0 {
            return Written::Blocked;
        }
        pipe.arrived.extend(slices.iter().flat_map(|slice| slice.iter()).take(taken));
        Written::Bytes(taken)
    }
}

/// See the module.
pub(super) struct Host {
    pub shard: Shard,
    pub inbox: Arc<Inbox>,
    pub sockets: Sockets,
    pub bound: usize,
    /// The lowest lane of the inbox that waits, and how many messages of others have gone first.
    pub passed_over: (usize, usize),
}

impl Host {
    /// Routes one message of the inbox; answers whether there was one.
    pub(super) fn route(&mut self, now: Now) -> bool {
        let mut messages = lock(&self.inbox.messages);
        let lowest = messages.lowest_waiting().unwrap_or_default();
        let Some((lane, message)) = messages.take() else { return false };
        drop(messages);
        let before = if self.passed_over.0 == lowest { self.passed_over.1 } else { 0 };
        self.passed_over = (lowest, if lane == lowest { 0 } else { before + 1 });
        let pressured = self.inbox.permitted.load(Ordering::Relaxed) > self.bound / 2;
        self.shard.route(&message, pressured, now);
        self.inbox.permitted.fetch_sub(1, Ordering::Relaxed);
        true
    }

    pub(super) fn next_note(&self) -> Option<Note> {
        lock(&self.inbox.notes).pop_front()
    }

    pub(super) fn flush(&mut self, limit: usize, now: Now) -> bool {
        self.shard.flush(&mut self.sockets, limit, now)
    }

    /// A blocked socket takes so many bytes again.
    pub(super) fn unblock(&mut self, slot: u32, budget: usize) {
        let Some(pipe) = self.sockets.0.get_mut(&slot) else { return };
        pipe.budget = budget;
        if std::mem::take(&mut pipe.blocked) {
            self.shard.on_writable(slot);
        }
    }
}
