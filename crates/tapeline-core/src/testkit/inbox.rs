//! A shard's inbox that is never full, for who drives one shard by hand.

use std::sync::{Arc, Mutex, PoisonError};

use crate::broker::{Deliver, Messages, Permits};
use crate::message::Message;
use crate::shard::{Mailbox, Note};

/// See the module.
#[derive(Default)]
pub struct RoomyInbox {
    messages: Mutex<Vec<Arc<Message>>>,
    notes: Mutex<Vec<Note>>,
}

fn taken<T: Default>(from: &Mutex<T>) -> T {
    std::mem::take(&mut *from.lock().unwrap_or_else(PoisonError::into_inner))
}

impl RoomyInbox {
    /// What has been delivered since the last call.
    pub fn take_messages(&self) -> Vec<Arc<Message>> {
        taken(&self.messages)
    }

    /// What has been answered since the last call.
    pub fn take_notes(&self) -> Vec<Note> {
        taken(&self.notes)
    }
}

impl Deliver for RoomyInbox {
    fn permits(self: Arc<Self>, count: usize) -> Option<Permits> {
        Some(Permits::counted(count, self))
    }

    fn deliver(&self, permits: &mut Permits, messages: Messages) {
        assert!(permits.take(messages.len()), "a permit a message");
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).extend(messages);
    }

    fn give_back(&self, _count: usize) {}

    fn when_room(&self, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }
}

impl Mailbox for RoomyInbox {
    fn post(&self, note: Note) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }
}
