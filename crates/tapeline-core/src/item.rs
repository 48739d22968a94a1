//! What waits in an outbox: messages that are shared, messages written for one session, answers.

use std::sync::Arc;

use crate::channel::Channel;
use crate::message::{Message, Wire};

/// A message whose bytes say in which ways the session hears it.
#[derive(Debug)]
pub(crate) struct Named {
    pub message: Arc<Message>,
    /// Through whose entry it came: the message's own channel, or a roll-up.
    pub channel: Channel,
    /// For this session alone.
    pub bytes: Box<[u8]>,
    /// How many times the bytes deliver it.
    pub deliveries: u64,
}

/// What waits in an outbox.
#[derive(Debug)]
pub(crate) enum Item {
    Message(Arc<Message>),
    Named(Box<Named>),
    Reply(Box<[u8]>),
    /// The newest of a source channel, in `waiting`.
    Waiting(u32),
}

impl Item {
    /// What it counts for in the outbox's bound.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Item::Message(message) => message.weight(),
            Item::Named(named) => named.bytes.len(),
            Item::Reply(bytes) => bytes.len(),
            Item::Waiting(_) => 0,
        }
    }

    pub(crate) fn bytes<'a>(&'a self, wire: &'static dyn Wire) -> &'a [u8] {
        match self {
            Item::Message(message) => message.encoded(wire),
            Item::Named(named) => &named.bytes,
            Item::Reply(bytes) => bytes,
            Item::Waiting(_) => &[],
        }
    }
}

impl From<Arc<Message>> for Item {
    fn from(message: Arc<Message>) -> Self {
        Item::Message(message)
    }
}
