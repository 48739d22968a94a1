//! What others publish on Redis, taken into this hub: by the way that feeds go, so that what cannot be brought in becomes a
//! dead letter of `redis`. Which hub does it is the intake's to know.

use std::sync::{Arc, Mutex, PoisonError};

use tapeline_brokers::redis::intake::{Foreign, Takes};
use tapeline_core::dead_letters::{GivenUp, Original};
use tapeline_core::{Deliver, Hub};
use tapeline_feeds::intake::Intake;
use tapeline_schema::Catalog;
use tapeline_schema::events::DeadLetterReason;

/// Who they all are to the hub, and the source of their dead letters.
const SOURCE: &str = "redis";

/// See the module.
pub(crate) struct ForeignDoor {
    hub: Arc<Hub>,
    shards: Arc<dyn Deliver>,
    intake: Mutex<Intake>,
}

impl ForeignDoor {
    /// A door of this hub, whose shards hear of what may be lost.
    pub(crate) fn new(hub: Arc<Hub>, shards: Arc<dyn Deliver>) -> Self {
        let intake = Mutex::new(Intake::new(hub.clone(), SOURCE));
        ForeignDoor { hub, shards, intake }
    }

    fn give_up(&self, channel: &str, payload: &[u8]) {
        let now_us = self.hub.now().wall_us;
        self.hub.give_up(GivenUp {
            source: SOURCE,
            reason: DeadLetterReason::NotJson,
            error: &format!("what was published on {channel} in Redis is not JSON"),
            attempts: 1,
            first_us: now_us,
            last_us: now_us,
            original: Original { channel, data: payload, ..Original::default() },
        });
    }
}

impl Takes for ForeignDoor {
    fn has_room(&self) -> bool {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }

    fn take(&self, messages: Vec<Foreign>) {
        let mut publications = Vec::with_capacity(messages.len());
        for message in messages {
            match message {
                Foreign::Message(publication) => publications.push(publication),
                Foreign::NotJson { channel, payload } => self.give_up(&channel, &payload),
            }
        }
        self.intake.lock().unwrap_or_else(PoisonError::into_inner).publish(publications);
    }

    fn lost(&self, channel: &str) {
        if let Ok(channel) = self.hub.channel(channel) {
            self.shards.on_lost(&channel);
        }
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.hub.catalog()
    }
}
