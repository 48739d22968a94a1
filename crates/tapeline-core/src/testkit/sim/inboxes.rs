//! The shards' inboxes of a simulated world: queues that the scheduler empties when it likes, with permits that are
//! counted as in a hub. A lossy world's inboxes drop a message now and then, as a cut connection to a broker does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::model::Model;
use super::wire::serial_of;
use crate::broker::{Deliver, Head, Messages, Permits};
use crate::channel::Channel;
use crate::lanes::Lanes;
use crate::message::Message;
use crate::shard::{Mailbox, Note};
use crate::testkit::Rng;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
pub(super) struct Inbox {
    pub messages: Mutex<Lanes<Arc<Message>>>,
    pub notes: Mutex<VecDeque<Note>>,
    pub permitted: AtomicUsize,
}

impl Mailbox for Inbox {
    fn post(&self, note: Note) {
        lock(&self.notes).push_back(note);
    }
}

pub(super) struct Inboxes {
    pub shards: Vec<Arc<Inbox>>,
    pub bound: usize,
    pub model: Arc<Mutex<Model>>,
    /// In so many of a hundred cases a message does not reach a shard.
    pub loss_percent: AtomicUsize,
    pub rng: Mutex<Rng>,
}

impl Inboxes {
    fn release(&self, count: usize) {
        for shard in &self.shards {
            let before = shard.permitted.fetch_sub(count, Ordering::Relaxed);
            if before < count {
                lock(&self.model).violated(format!("{count} permits given back, {before} were taken"));
            }
        }
    }
}

impl Deliver for Inboxes {
    fn permits(self: Arc<Self>, count: usize) -> Option<Permits> {
        let full = |shard: &Arc<Inbox>| {
            let before = shard.permitted.load(Ordering::Relaxed);
            before > 0 && before + count > self.bound
        };
        if self.shards.iter().any(full) {
            return None;
        }
        for shard in &self.shards {
            shard.permitted.fetch_add(count, Ordering::Relaxed);
        }
        Some(Permits::counted(count, self))
    }

    fn deliver(&self, permits: &mut Permits, messages: Messages) {
        if !permits.take(messages.len()) {
            lock(&self.model).violated(format!("{} messages delivered without permits", messages.len()));
        }
        for message in messages {
            lock(&self.model).on_deliver(&message, serial_of(&message.data));
            for shard in &self.shards {
                if lock(&self.rng).percent(self.loss_percent.load(Ordering::Relaxed)) {
                    shard.permitted.fetch_sub(1, Ordering::Relaxed);
                } else {
                    lock(&shard.messages).push(message.channel.lane(), message.clone());
                }
            }
        }
    }

    fn on_head(&self, channel: &Channel, head: &Head) {
        for shard in &self.shards {
            shard.post(Note::Head(Box::new((channel.clone(), head.clone()))));
        }
    }

    fn give_back(&self, count: usize) {
        self.release(count);
    }

    fn when_room(&self, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }
}
