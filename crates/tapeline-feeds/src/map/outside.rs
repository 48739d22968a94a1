//! What the map asks and tells besides publishing: whether anybody hears a channel, and that a book is not to be trusted
//! until it is whole again. It does not know who hears, nor how they are told.

use std::sync::Arc;

use tapeline_core::Hub;

/// The hub, as far as the map needs it.
pub trait Outside {
    /// Whether anybody hears this channel, here or at other nodes; also through a roll-up or a pattern.
    fn is_heard(&self, channel: &str) -> bool;

    /// The book on this channel is fetched anew; what was published before is old.
    fn on_book_lost(&self, channel: &str);
}

impl Outside for Arc<Hub> {
    fn is_heard(&self, channel: &str) -> bool {
        self.channel(channel).is_ok_and(|channel| self.subscribers(&channel) > 0)
    }

    fn on_book_lost(&self, channel: &str) {
        self.tell_book_resync(channel);
    }
}
