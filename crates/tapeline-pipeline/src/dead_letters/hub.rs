//! Letters that a hub is told of too, on `dead_letters:{component}`, where people look for them. They are kept, listed
//! and taken here; the hub only hears of them.

use std::sync::Arc;

use tapeline_core::dead_letters::{GivenUp, Original};
use tapeline_core::hub::Hub;

use super::{DeadLetters, Filter, Kept, Letter, LetterId, NoRoom};

/// See the module.
pub struct HubLetters {
    kept: Arc<dyn DeadLetters>,
    hub: Arc<Hub>,
}

impl HubLetters {
    /// Keeps letters in `kept`, and tells the hub.
    pub fn new(kept: Arc<dyn DeadLetters>, hub: Arc<Hub>) -> Self {
        HubLetters { kept, hub }
    }

    /// The hub never waits, and counts what it cannot write.
    fn tell(&self, letter: &Letter) {
        let update = &*letter.update;
        self.hub.give_up(GivenUp {
            source: &letter.component,
            reason: letter.reason,
            error: &letter.error,
            attempts: u64::from(letter.attempts),
            first_us: letter.first_us,
            last_us: letter.last_us,
            original: Original { channel: update.channel.name(), data: &update.data, ..Original::default() },
        });
    }
}

impl DeadLetters for HubLetters {
    fn put(&self, letter: Letter) -> Result<LetterId, NoRoom> {
        let told = letter.clone();
        let id = self.kept.put(letter)?;
        self.tell(&told);
        Ok(id)
    }

    fn list(&self, filter: &Filter, most: usize) -> Vec<(LetterId, Arc<Letter>)> {
        self.kept.list(filter, most)
    }

    fn take(&self, id: LetterId) -> Option<Arc<Letter>> {
        self.kept.take(id)
    }

    fn kept(&self) -> Kept {
        self.kept.kept()
    }
}
