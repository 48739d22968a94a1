//! How far each channel was seen to go, and by which message: a Redis that goes on from before that, as a replica does
//! that takes over without what came last, counts the same offsets for other messages. Whoever publishes tells the script
//! what it has seen, and after Redis has changed what was seen is looked for.
//! It knows names: a channel that was held here would stay in use.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;
use tapeline_core::message::{Epoch, Message};
use uuid::Uuid;

/// Channels of which is remembered how far they were seen; then all are forgotten.
const LIMIT: usize = 65_536;

/// The newest message seen of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) epoch: Epoch,
    pub(super) offset: u64,
    pub(super) id: Uuid,
}

/// How far a channel was seen to go; of one that was not seen, nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) epoch: Epoch,
    pub(super) offset: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Seen(HashMap<Box<str>, Newest, FixedState>);

impl Seen {
    /// Remembers a message, in its roll-ups too.
    pub(super) fn note_message(&mut self, message: &Message) {
        for (channel, offset, epoch) in message.places() {
            self.note(channel.name(), epoch, offset, message.id);
        }
    }

    /// Remembers a place.
    pub(super) fn note(&mut self, name: &str, epoch: &Epoch, offset: u64, id: Uuid) {
        if let Some(known) = self.0.get_mut(name) {
            if known.epoch != *epoch {
                *known = Newest { epoch: epoch.clone(), offset, id };
            } else if known.offset < offset {
                (known.offset, known.id) = (offset, id);
            }
            return;
        }
        if self.0.len() >= LIMIT {
            self.0.clear();
        }
        self.0.insert(name.into(), Newest { epoch: epoch.clone(), offset, id });
    }

    /// How far each of these channels was seen to go.
    pub(super) fn places<'a>(&self, names: impl Iterator<Item = &'a str>) -> SmallVec<[Place; 2]> {
        let place = |newest: &Newest| Place { epoch: newest.epoch.clone(), offset: newest.offset };
        names.map(|name| self.of(name).map(place).unwrap_or_default()).collect()
    }

    /// What was seen of a channel.
    pub(super) fn of(&self, name: &str) -> Option<&Newest> {
        self.0.get(name)
    }
}
