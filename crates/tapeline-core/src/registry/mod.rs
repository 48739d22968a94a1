//! Who is connected, and what this node knows of others: limits over all connections of a (client id, principal), who
//! hears a channel elsewhere, what other nodes count. [`LocalRegistry`] knows one node; a registry over several takes its
//! place behind the same trait. It refuses nothing itself but connections.

mod pair;

use std::time::Duration;

use tapeline_schema::ops::{NodeStats, PresentSession};

use crate::broker::Health;
use crate::channel::Channel;
use crate::hub::Hub;

pub use pair::{Keeper, Pair, Pairs, Seat};

/// How often [`Registry::beat`] is called; what a node knows of others is no older than this, but for the way.
pub const BEAT: Duration = Duration::from_secs(2);

/// What a registry says to a new connection.
pub enum Admission {
    /// It may come in.
    Granted(Seat),
    /// Too many of this pair; answer only after this long, longer each time.
    Refused(Duration),
}

/// Sessions at other nodes that hear a channel.
#[derive(Debug, Default)]
pub struct HeardElsewhere {
    /// All of them.
    pub count: usize,
    /// Some of them.
    pub sessions: Vec<PresentSession>,
}

/// Who is connected, and what other nodes say.
pub trait Registry: Send + Sync {
    /// Asks for a connection of this client id and principal; answered once, at once or from any thread.
    fn admit(&self, client: &str, principal: &str, limit: usize, answer: Box<dyn FnOnce(Admission) + Send>);
    /// Tells others of this node, and hears of them; called every [`BEAT`], waits for nothing.
    fn beat(&self, _hub: &Hub, _own: NodeStats) {}
    /// Sessions at other nodes that hear the channel, as they said last.
    fn subscribers(&self, _channel: &Channel) -> usize {
        0
    }
    /// The same, with at most `limit` of them named.
    fn hearers(&self, _channel: &Channel, _limit: usize, answer: Box<dyn FnOnce(HeardElsewhere) + Send>) {
        answer(HeardElsewhere::default());
    }
    /// What other nodes counted, as they said last.
    fn nodes(&self) -> Vec<NodeStats> {
        Vec::new()
    }
    /// Whether other nodes are within reach; `None` where there can be none.
    fn health(&self) -> Option<Health> {
        None
    }
    /// Forgets pairs without connections; call now and then.
    fn sweep(&self);
    /// Takes back what this node has said.
    fn close(&self) {}
}

/// A registry of one node.
#[derive(Default)]
pub struct LocalRegistry {
    pairs: Pairs,
}

impl Registry for LocalRegistry {
    fn admit(&self, client: &str, principal: &str, limit: usize, answer: Box<dyn FnOnce(Admission) + Send>) {
        let pair = self.pairs.pair(client, principal);
        answer(match pair.take_seat(limit) {
            Some(seat) => {
                pair.on_admitted();
                Admission::Granted(seat)
            }
            None => Admission::Refused(pair.on_refused()),
        });
    }

    fn sweep(&self) {
        self.pairs.sweep();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn admit(registry: &LocalRegistry, client: &str, principal: &str, limit: usize) -> Result<Seat, u64> {
        let (to, from) = sync_channel(1);
        registry.admit(client, principal, limit, Box::new(move |admission| to.send(admission).unwrap()));
        match from.recv().unwrap() {
            Admission::Granted(seat) => Ok(seat),
            Admission::Refused(wait) => Err(wait.as_secs()),
        }
    }

    #[test]
    fn the_same_pair_waits_longer_each_time_it_is_refused() {
        let registry = LocalRegistry::default();
        let _seat = admit(&registry, "chart-AAPL", "1.2.3.4", 1);
        let waits: Vec<_> =
            (0..8).filter_map(|_| admit(&registry, "chart-AAPL", "1.2.3.4", 1).err()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn another_principal_with_the_same_client_id_is_counted_apart() {
        let registry = LocalRegistry::default();
        let _seat = admit(&registry, "chart-AAPL", "1.2.3.4", 1);
        assert!(admit(&registry, "chart-AAPL", "5.6.7.8", 1).is_ok());
    }

    #[test]
    fn a_dropped_seat_makes_room() {
        let registry = LocalRegistry::default();
        drop(admit(&registry, "a", "b", 1));
        assert!(admit(&registry, "a", "b", 1).is_ok());
    }

    #[test]
    fn what_other_nodes_count_leaves_less_room_here() {
        let registry = LocalRegistry::default();
        let mut seat = admit(&registry, "a", "b", 2).ok().unwrap();
        seat.pair().set_elsewhere(2, 4);
        assert!(seat.pair().add_subscription(5) && !seat.pair().add_subscription(5));
        seat.release();
        assert!(!seat.regain(), "two elsewhere are all that may be");
        seat.pair().set_elsewhere(1, 0);
        assert!(seat.regain());
    }
}
