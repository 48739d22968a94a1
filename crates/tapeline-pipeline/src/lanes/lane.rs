//! One lane: what came back goes before what was never taken. Where it is told to, it keeps only the newest of what is
//! latest, found by an index that lives only as long as that is needed.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::Item;

/// What gave way to a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// To a newer one of the same channel and symbol.
    pub(crate) conflated: u64,
    /// As there was no room.
    pub(crate) dropped: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    capacity: usize,
    /// Taken before, and not called.
    returned: VecDeque<Item>,
    queue: VecDeque<Item>,
    /// How many have left the queue at its front: the place of its first.
    left: u64,
    /// The places in the queue of the latest of each key, while only the newest is kept.
    newest: Option<HashMap<u64, u64>>,
    /// How many in the queue have a newer one behind them, appended while there was room.
    repeats: usize,
    /// Of this lane, held back elsewhere.
    pub(super) held: usize,
}

impl Lane {
    pub(super) fn new(capacity: usize) -> Self {
        let (returned, queue) = (VecDeque::new(), VecDeque::new());
        Lane { capacity, returned, queue, left: 0, newest: None, repeats: 0, held: 0 }
    }

    pub(super) fn waiting(&self) -> usize {
        self.returned.len() + self.queue.len() + self.held
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting() >= self.capacity
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.queue.is_empty() || !self.returned.is_empty()
    }

    pub(super) fn append(&mut self, item: Item) {
        if let Some(newest) = &mut self.newest
            && item.is_latest()
        {
            let older = newest.insert(item.key, self.left + self.queue.len() as u64);
            self.repeats += usize::from(older.is_some());
        }
        self.queue.push_back(item);
    }

    /// Puts a message in the place of an older one of its key; gives it back where there is none.
    pub(super) fn replace(&mut self, item: Item) -> Option<Item> {
        let place = self.newest.as_ref().and_then(|newest| newest.get(&item.key));
        let index = place.and_then(|place| usize::try_from(place - self.left).ok());
        match index.and_then(|index| self.queue.get_mut(index)) {
            Some(older) => {
                *older = item;
                None
            }
            None => Some(item),
        }
    }

    pub(super) fn take(&mut self) -> Option<Item> {
        self.returned.pop_front().or_else(|| self.take_queued())
    }

    pub(super) fn take_queued(&mut self) -> Option<Item> {
        let item = self.queue.pop_front()?;
        let place = self.left;
        self.left += 1;
        if let Some(newest) = &mut self.newest
            && item.is_latest()
        {
            if newest.get(&item.key) == Some(&place) {
                newest.remove(&item.key);
            } else {
                self.repeats = self.repeats.saturating_sub(1);
            }
        }
        if self.newest.is_some() && self.waiting() < self.capacity / 2 {
            self.newest = None;
        }
        Some(item)
    }

    pub(super) fn drop_returned(&mut self) -> Option<Item> {
        self.returned.pop_front()
    }

    pub(super) fn put_first(&mut self, item: Item) {
        self.returned.push_front(item);
    }

    pub(super) fn put_last(&mut self, item: Item) {
        self.returned.push_back(item);
    }

    /// Keeps only the newest of each key that is latest in the queue, and goes on so until there is room again. What
    /// has been returned stays: others may be waiting for it to have its turn. While the index lives there may be older
    /// ones again, as what comes in is appended while there is room: they are swept too.
    pub(super) fn keep_newest(&mut self) -> u64 {
        if self.newest.is_some() && self.repeats == 0 {
            return 0;
        }
        self.repeats = 0;
        let mut newest = HashMap::new();
        let before = self.queue.len();
        let mut kept = VecDeque::with_capacity(before);
        for item in self.queue.drain(..).rev() {
            if !item.is_latest() || newest.insert(item.key, 0).is_none() {
                kept.push_front(item);
            }
        }
        for (place, item) in (0..).zip(&kept) {
            if let Some(known) = newest.get_mut(&item.key) {
                *known = place;
            }
        }
        let conflated = before - kept.len();
        (self.queue, self.left, self.newest) = (kept, 0, Some(newest));
        conflated as u64
    }

    /// Takes out everything; what is held back elsewhere is taken there.
    pub(super) fn drain(&mut self) -> Vec<Item> {
        (self.newest, self.held) = (None, 0);
        self.returned.drain(..).chain(self.queue.drain(..)).collect()
    }
}
