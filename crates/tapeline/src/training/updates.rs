//! What is said of runs as typed events, of one namespace or of all.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::outgoing::Kind;
use crate::base_channel::BaseChannel;
use crate::error::Error;
use crate::event::Event;
use crate::message::PubSubMessage;
use crate::subscription::Events;

/// An event and the message that brought it.
#[derive(Clone, Debug)]
pub struct Update<E> {
    /// What was said.
    pub event: E,
    /// How it came.
    pub message: PubSubMessage,
}

/// Events in the order they came. Dropping it ends the subscription.
pub struct Updates<E> {
    base: BaseChannel,
    topic: String,
    events: Events,
    of: PhantomData<fn() -> E>,
}

impl<E: DeserializeOwned> Updates<E> {
    pub(super) async fn begin(base: &BaseChannel, kind: Kind) -> Result<Self, Error> {
        let topic = base.topic(kind.name());
        // A roll-up of last values brings those itself. States are no last values; a pattern brings the last of each run
        // all the same, and matches what is said on the roll-up's own name too.
        let name = if kind == Kind::Status { format!("{topic}*") } else { topic.clone() };
        let events = base.bus().subscribe_stream(name).await?;
        Ok(Updates { base: base.clone(), topic, events, of: PhantomData })
    }

    /// The next event; `None` after the end. Missing messages are logged and counted by the bus; data that is no such
    /// event, which only strangers publish, is logged.
    pub async fn next(&mut self) -> Option<Update<E>> {
        loop {
            let message = match self.events.next().await? {
                Event::Message(message) => message,
                Event::Gap(_) | Event::Notice(_) => continue,
                Event::Ended(error) => {
                    tracing::error!(%error, "the subscription of {} ended", self.events.name());
                    return None;
                }
            };
            if message.topic() != self.topic || !self.base.sees(&message) {
                continue;
            }
            match message.parse() {
                Ok(event) => return Some(Update { event, message }),
                Err(error) => tracing::warn!(%error, "not an event of training"),
            }
        }
    }

    /// Events that were replaced by newer ones while they waited here.
    pub fn conflated(&self) -> u64 {
        self.events.conflated()
    }
}

impl<E> std::fmt::Debug for Updates<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Updates").field("name", &self.events.name()).finish_non_exhaustive()
    }
}
