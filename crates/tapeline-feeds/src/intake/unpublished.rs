//! Tables that lack a message of a feed: it was dropped, or refused, perhaps later and on another thread. Whoever makes the
//! tables asks for them, to publish them whole.

use std::sync::{Arc, Mutex, PoisonError};

use tapeline_core::Channel;
use tapeline_schema::Delivery;

/// See the module. A channel stands in it once, so it has no more than there are channels.
#[derive(Clone, Default)]
pub(super) struct Unpublished(Arc<Mutex<Vec<Channel>>>);

impl Unpublished {
    /// A message of this channel did not arrive; of no concern where each stands for itself.
    pub(super) fn add(&self, channel: &Channel) {
        if channel.spec().delivery != Delivery::Table {
            return;
        }
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !channels.contains(channel) {
            channels.push(channel.clone());
        }
    }

    /// Those since it was last asked.
    pub(super) fn take(&self) -> Vec<Channel> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
