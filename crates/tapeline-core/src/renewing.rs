//! How a shard follows a change of the catalogue. A channel whose row differs only in what may change under way goes
//! on; of one that has ended nothing stays in the router. Its lane, modes and roll-ups were those of the old row, so
//! the sessions that hear it are closed to connect again and resume: a restart for those whom it concerns, and no
//! others.

use tapeline_schema::CloseCode;

use crate::reply::Topic;
use crate::router::Router;
use crate::session::Session;
use crate::shard::Shard;

impl Shard {
    /// Call before anything that may meet a channel of the new catalogue.
    pub(crate) fn follow_catalog(&mut self) {
        let changes = self.hub.changes();
        if changes == self.followed {
            return;
        }
        let mut hearing = self.router.go_on();
        // A name may have been looked up before the change and subscribed to after it.
        let asked_for_ended = |session: &Session| {
            let mut topics = session.subscriptions.iter().map(|subscription| &subscription.topic);
            topics.any(|topic| matches!(topic, Topic::Channel(channel) if channel.has_ended()))
        };
        let of_names = self.sessions.iter().filter(|(_, session)| asked_for_ended(session));
        hearing.extend(of_names.filter_map(|(slot, _)| u32::try_from(slot).ok()));
        hearing.sort_unstable();
        hearing.dedup();
        for slot in hearing {
            self.close(slot, CloseCode::Restart, "a family of a channel has changed; connect again");
        }
        self.router.forget_ended();
        // Odd: it is under way, so there may be more when it has ended.
        if changes.is_multiple_of(2) {
            let concern = self.hub.concern(self.followed, changes);
            self.followed = changes;
            // Who may read a family may have changed with it.
            self.weigh_catalog(&concern);
        }
    }
}

impl Router {
    /// Entries of channels that go on take the new row; answers the sessions that hear one that has ended, some twice.
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
        hearing
    }
}
