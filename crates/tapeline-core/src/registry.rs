//! Who is connected, counted per (client id, principal): the limits' memory. [`LocalRegistry`] counts one node;
//! a registry over several nodes takes its place behind the same trait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Counts of one (client id, principal).
#[derive(Debug, Default)]
pub struct Pair {
    connections: AtomicUsize,
    subscriptions: AtomicUsize,
    refused: AtomicUsize,
}

impl Pair {
    fn add(counter: &AtomicUsize, limit: usize) -> bool {
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < limit).then_some(n + 1)).is_ok()
    }

    /// Counts a subscription unless the limit is reached.
    pub fn add_subscription(&self, limit: usize) -> bool {
        Pair::add(&self.subscriptions, limit)
    }

    /// Counts a subscription's end.
    pub fn drop_subscription(&self) {
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Subscriptions now.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }
}

/// A counted connection; it stops counting when dropped or released.
#[derive(Debug)]
pub struct Seat {
    pair: Arc<Pair>,
    limit: usize,
    counted: bool,
}

impl Seat {
    /// The counts that it shares with its pair's other connections.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Stops counting: the connection never subscribed.
    pub fn release(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.pair.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Counts again, at its first subscription; `false` if the limit is reached meanwhile.
    pub fn regain(&mut self) -> bool {
        self.counted = self.counted || Pair::add(&self.pair.connections, self.limit);
        self.counted
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.release();
    }
}

/// What a registry says to a new connection.
#[derive(Debug)]
pub enum Admission {
    /// It may come in.
    Granted(Seat),
    /// Too many of this pair; answer only after this long, longer each time.
    Refused(Duration),
}

/// Who may connect, by count.
pub trait Registry: Send + Sync {
    /// Asks for a connection of this client id and principal.
    fn admit(&self, client: &str, principal: &str, limit: usize) -> Admission;
    /// Forgets pairs without connections; call now and then.
    fn sweep(&self);
}

/// By client id and principal.
type Pairs = HashMap<(Box<str>, Box<str>), Arc<Pair>, FixedState>;

/// A registry of one node.
#[derive(Debug, Default)]
pub struct LocalRegistry {
    pairs: Mutex<Pairs>,
}

impl Registry for LocalRegistry {
    fn admit(&self, client: &str, principal: &str, limit: usize) -> Admission {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = pairs.entry((client.into(), principal.into())).or_default();
        if Pair::add(&pair.connections, limit) {
            pair.refused.store(0, Ordering::Relaxed);
            return Admission::Granted(Seat { pair: pair.clone(), limit, counted: true });
        }
        let before = pair.refused.fetch_add(1, Ordering::Relaxed);
        let wait = before.checked_sub(1).map_or(0, |doublings| 1_u64 << doublings.min(5)).min(30);
        Admission::Refused(Duration::from_secs(wait))
    }

    fn sweep(&self) {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.retain(|_, pair| Arc::strong_count(pair) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(admission: Admission) -> u64 {
        match admission {
            Admission::Granted(_) => panic!("granted"),
            Admission::Refused(wait) => wait.as_secs(),
        }
    }

    #[test]
    fn the_same_pair_waits_longer_each_time_it_is_refused() {
        let registry = LocalRegistry::default();
        let _seat = registry.admit("chart-AAPL", "1.2.3.4", 1);
        let waits: Vec<_> = (0..8).map(|_| wait(registry.admit("chart-AAPL", "1.2.3.4", 1))).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn another_principal_with_the_same_client_id_is_counted_apart() {
        let registry = LocalRegistry::default();
        let _seat = registry.admit("chart-AAPL", "1.2.3.4", 1);
        assert!(matches!(registry.admit("chart-AAPL", "5.6.7.8", 1), Admission::Granted(_)));
    }

    #[test]
    fn a_dropped_seat_makes_room() {
        let registry = LocalRegistry::default();
        drop(registry.admit("a", "b", 1));
        assert!(matches!(registry.admit("a", "b", 1), Admission::Granted(_)));
    }
}
