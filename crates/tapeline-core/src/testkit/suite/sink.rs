//! The shards' inboxes as the suite sees them: one list of what was delivered, and an account of the permits.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::subject::PATIENCE;
use crate::broker::{Deliver, Messages, Permits};
use crate::channel::Channel;
use crate::message::Message;

/// See the module.
#[derive(Default)]
pub struct Sink {
    record: Mutex<Record>,
    changed: Condvar,
    hesitates: AtomicBool,
    deliveries: AtomicUsize,
}

#[derive(Default)]
struct Record {
    messages: Vec<Arc<Message>>,
    repeats: usize,
    /// Permits that were taken and are neither used nor given back.
    out: usize,
    /// Permits used or given back that nobody had.
    overdrawn: usize,
    full: bool,
    wakes: Vec<Box<dyn FnOnce() + Send>>,
}

impl Record {
    fn settle(&mut self, count: usize) {
        self.overdrawn += count.saturating_sub(self.out);
        self.out = self.out.saturating_sub(count);
    }
}

impl Sink {
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, mut waits: impl FnMut(&Record) -> bool) -> MutexGuard<'_, Record> {
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, |record| waits(record));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// What was delivered, as soon as it is so many messages.
    pub fn delivered(&self, count: usize) -> Vec<Arc<Message>> {
        let record = self.wait_while(|record| record.messages.len() < count);
        assert_eq!(record.messages.len(), count, "messages delivered");
        record.messages.clone()
    }

    /// How many publishes went nowhere as repeats.
    pub fn repeats(&self) -> usize {
        self.lock().repeats
    }

    /// Stops unless all permits come to be used or given back, each once.
    pub fn check_permits(&self) {
        let record = self.wait_while(|record| record.out > 0);
        assert_eq!((record.out, record.overdrawn), (0, 0), "permits kept, permits used that nobody had");
    }

    /// From now on there is no room.
    pub fn fill(&self) {
        self.lock().full = true;
    }

    /// From now on there is room.
    pub fn make_room(&self) {
        let wakes = {
            let mut record = self.lock();
            record.full = false;
            std::mem::take(&mut record.wakes)
        };
        for wake in wakes {
            wake();
        }
    }

    /// From now on some deliveries take their time before they are recorded, so that those which do not hold on to
    /// their channel's turn overtake each other.
    pub fn hesitate(&self) {
        self.hesitates.store(true, Ordering::Relaxed);
    }

    /// What was delivered until now, which is forgotten.
    pub fn take(&self) -> Vec<Arc<Message>> {
        std::mem::take(&mut self.lock().messages)
    }

    /// Forgets what was delivered.
    pub fn clear(&self) {
        self.lock().messages.clear();
    }
}

impl Deliver for Sink {
    fn permits(self: Arc<Self>, count: usize) -> Option<Permits> {
        {
            let mut record = self.lock();
            if record.full {
                return None;
            }
            record.out += count;
        }
        Some(Permits::counted(count, self))
    }

    fn deliver(&self, permits: &mut Permits, messages: Messages) {
        assert!(permits.take(messages.len()), "delivered without permits");
        if self.hesitates.load(Ordering::Relaxed)
            && self.deliveries.fetch_add(1, Ordering::Relaxed).is_multiple_of(3)
        {
            std::thread::yield_now();
        }
        let mut record = self.lock();
        record.settle(messages.len());
        record.messages.extend(messages);
        self.changed.notify_all();
    }

    fn on_repeat(&self, _: &Channel) {
        self.lock().repeats += 1;
    }

    fn give_back(&self, count: usize) {
        self.lock().settle(count);
        self.changed.notify_all();
    }

    fn when_room(&self, wake: Box<dyn FnOnce() + Send>) {
        let mut record = self.lock();
        if record.full {
            record.wakes.push(wake);
        } else {
            drop(record);
            wake();
        }
    }
}
