//! How a shard follows a change of the catalogue. A channel whose row differs only in what may change under way goes
//! on; of one that has ended nothing stays in the router. Its lane, modes and roll-ups were those of the old row, so
//! the sessions that hear it are closed to connect again and resume: a restart for those whom it concerns, and no
//! others.

use tapeline_schema::CloseCode;

use crate::router::Router;
use crate::shard::Shard;

impl Shard {
    /// Call before anything that may meet a channel of the new catalogue.
    pub(crate) fn follow_catalog(&mut self) {
        let changes = self.hub.changes();
        if changes == self.followed {
            return;
        }
        for slot in self.router.go_on() {
            self.close(slot, CloseCode::Restart, "a family of a channel has changed; connect again");
        }
        self.router.forget_ended();
        // Odd: it is under way, so there may be more when it has ended.
        if changes.is_multiple_of(2) {
            self.followed = changes;
        }
    }
}

impl Router {
    /// Entries of channels that go on take the new row; answers the sessions that hear one that has ended.
    fn go_on(&mut self) -> Vec<u32> {
        let mut hearing = Vec::new();
        for (_, entry) in &mut self.entries {
            if entry.channel.has_ended() {
                hearing.extend(entry.targets.iter().map(|target| target.session));
            } else if entry.channel.is_replaced() {
                entry.channel = entry.channel.current().clone();
            }
        }
        hearing.extend(self.of_ended_roll_ups());
        hearing.sort_unstable();
        hearing.dedup();
        hearing
    }
}
