//! Large messages are encoded before they are delivered, by whoever publishes them, where a session's wire takes long
//! for them: a shard that did so at its first write would keep its other sessions waiting.
//! It knows which such wires are in use, not who hears a message.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tapeline_core::message::{Message, WIRES, Wire};

/// About the bytes of a message's frame; smaller ones are encoded at their first write.
const LARGE_BYTES: usize = 16 << 10;

/// The slow wires, by slot, each with the number of its sessions.
#[derive(Default)]
pub(crate) struct Ahead([Slot; WIRES]);

#[derive(Default)]
struct Slot {
    wire: OnceLock<&'static dyn Wire>,
    sessions: AtomicUsize,
}

impl Ahead {
    /// A session has come.
    pub(crate) fn open(&self, wire: &'static dyn Wire) {
        if let Some(slot) = self.0.get(wire.slot()).filter(|_| wire.is_slow()) {
            slot.wire.get_or_init(|| wire);
            slot.sessions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A session has gone.
    pub(crate) fn close(&self, wire: &'static dyn Wire) {
        if let Some(slot) = self.0.get(wire.slot()).filter(|_| wire.is_slow()) {
            slot.sessions.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Encodes what is large among these.
    pub(crate) fn encode<'a>(&self, messages: impl Iterator<Item = &'a Message> + Clone) {
        for slot in &self.0 {
            let Some(wire) = slot.wire.get().filter(|_| slot.sessions.load(Ordering::Relaxed) > 0) else {
                continue;
            };
            for message in messages.clone().filter(|message| message.weight() > LARGE_BYTES) {
                message.encoded(*wire);
            }
        }
    }
}
