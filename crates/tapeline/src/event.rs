//! What a subscriber is told: messages, and everything that is to be known about missing ones.

use crate::error::Error;
use crate::message::PubSubMessage;

/// One thing that a subscription tells.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody published.
    Message(PubSubMessage),
    /// Messages that will not come.
    Gap(Gap),
    /// The hub's word about a channel or itself.
    Notice(Notice),
    /// The subscription is over: the hub refused it after a reconnect, or ended the connection for good. The last
    /// event.
    Ended(Error),
}

/// Messages that will not come: offsets `from` to `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Of this channel, or of a roll-up that counts for itself.
    pub channel: String,
    /// The first missing.
    pub from: u64,
    /// The last missing; unknown where the count began anew.
    pub to: Option<u64>,
    /// `trimmed`, `epoch`, `overflow` or `broker`.
    pub reason: String,
}

/// The hub's word: `conflated`, `degraded`, `restored`, `stale`, `book_resync`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which.
    pub notice: String,
    /// About this channel, or about the hub.
    pub channel: Option<String>,
    /// How many messages it is about.
    pub count: Option<u64>,
}

impl Event {
    /// The message, if it is one.
    pub fn message(&self) -> Option<&PubSubMessage> {
        match self {
            Event::Message(message) => Some(message),
            _ => None,
        }
    }

    pub(crate) fn weight(&self) -> usize {
        match self {
            Event::Message(message) => message.weight(),
            _ => 64,
        }
    }
}
