//! Families that come and go, and keep less, under the clients of a simulated world. Whoever hears a channel that ends
//! for it is closed to connect again; what was on its way to it is void. Everybody else must notice nothing.

use tapeline_schema::Catalog;

use super::inboxes::lock;
use super::plan::catalog;
use super::world::World;
use crate::clock::Clock;

/// Families that come and go.
const REMOVABLE: &[&str] = &["tiny", "eight", "fifty", "phase", "quick", "paced", "board", "ladder"];

impl World {
    pub(super) fn redeclare(&mut self) {
        let (removed, less) = self.declared;
        self.declared = match removed {
            Some(_) => (None, less),
            None if self.rng.percent(40) => (None, less + 1),
            None => (self.rng.pick(REMOVABLE).copied(), less),
        };
        let (removed, less) = self.declared;
        let catalog: Catalog = catalog(removed, less);
        let ended = match self.hub.replace_catalog(catalog) {
            Ok(replaced) => replaced.ended,
            Err(refusal) => return lock(&self.model).violated(format!("a change was refused: {refusal:?}")),
        };
        self.say(|| format!("{removed:?} is removed, {less} less is kept, which ends {ended:?}"));
        lock(&self.model).follow_catalog();
        let now = self.clock.now();
        for host in &mut self.hosts {
            // It would do so before anything else.
            host.shard.tick(now);
        }
        for client in &mut self.clients {
            let Some(key) = client.key else { continue };
            if self.hosts.get(client.host).is_some_and(|host| host.shard.is_closing(key.slot)) {
                client.view.void = true;
                self.frames_lost = true;
            }
            for name in &ended {
                client.view.redeclare(name);
            }
        }
    }
}
