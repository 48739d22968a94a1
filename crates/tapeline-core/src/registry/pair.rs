//! What is counted of one (client id, principal), and the seats that its connections hold.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Is told when the connections of a pair are fewer, or more without having been asked for: a registry over several nodes
/// passes it on.
pub trait Keeper: Send + Sync {
    /// They have changed; [`Pair::connections`] says to what.
    fn on_change(&self, pair: &Arc<Pair>);
}

/// Counts of one (client id, principal).
#[derive(Default)]
pub struct Pair {
    client: Box<str>,
    principal: Box<str>,
    connections: AtomicUsize,
    subscriptions: AtomicUsize,
    refused: AtomicUsize,
    /// Connections and subscriptions at other nodes, as they said last.
    connections_elsewhere: AtomicUsize,
    subscriptions_elsewhere: AtomicUsize,
    keeper: Option<Arc<dyn Keeper>>,
}

fn add(counter: &AtomicUsize, limit: usize) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < limit).then_some(n + 1)).is_ok()
}

impl Pair {
    /// The client id.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// Token subject, else remote address.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Counts a subscription unless the limit is reached, those at other nodes included.
    pub fn add_subscription(&self, limit: usize) -> bool {
        let elsewhere = self.subscriptions_elsewhere.load(Ordering::Relaxed);
        add(&self.subscriptions, limit.saturating_sub(elsewhere))
    }

    /// Counts a subscription's end.
    pub fn drop_subscription(&self) {
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Subscriptions at this node now.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    /// Connections at this node that count now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// What other nodes say.
    pub fn set_elsewhere(&self, connections: usize, subscriptions: usize) {
        self.connections_elsewhere.store(connections, Ordering::Relaxed);
        self.subscriptions_elsewhere.store(subscriptions, Ordering::Relaxed);
    }

    /// Takes a seat for a new connection, by this node's own count.
    pub fn take_seat(self: &Arc<Self>, limit: usize) -> Option<Seat> {
        let fits = add(&self.connections, limit);
        fits.then(|| Seat { pair: self.clone(), limit, counted: true })
    }

    /// A connection was let in: whoever is refused next does not wait.
    pub fn on_admitted(&self) {
        self.refused.store(0, Ordering::Relaxed);
    }

    /// A connection is refused: how long it waits for its answer, longer each time.
    pub fn on_refused(&self) -> Duration {
        let before = self.refused.fetch_add(1, Ordering::Relaxed);
        Duration::from_secs(before.checked_sub(1).map_or(0, |doublings| 1_u64 << doublings.min(5)).min(30))
    }

    fn tell(self: &Arc<Self>) {
        if let Some(keeper) = &self.keeper {
            keeper.on_change(self);
        }
    }
}

/// A counted connection; it stops counting when dropped or released.
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
            self.pair.tell();
        }
    }

    /// Counts again, at its first subscription; `false` if the limit is reached meanwhile, as far as this node knows.
    pub fn regain(&mut self) -> bool {
        if !self.counted {
            let elsewhere = self.pair.connections_elsewhere.load(Ordering::Relaxed);
            self.counted = add(&self.pair.connections, self.limit.saturating_sub(elsewhere));
            self.pair.tell();
        }
        self.counted
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.release();
    }
}

/// By client id and principal.
type Known = HashMap<(Box<str>, Box<str>), Arc<Pair>, FixedState>;

/// The pairs of one node.
#[derive(Default)]
pub struct Pairs {
    keeper: Option<Arc<dyn Keeper>>,
    known: Mutex<Known>,
}

impl Pairs {
    /// Pairs whose changes are told.
    pub fn kept_by(keeper: Arc<dyn Keeper>) -> Self {
        Pairs { keeper: Some(keeper), known: Mutex::default() }
    }

    /// The pair of this client id and principal, made if it is new.
    pub fn pair(&self, client: &str, principal: &str) -> Arc<Pair> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let (client, principal, keeper) = (client.into(), principal.into(), self.keeper.clone());
            Arc::new(Pair { client, principal, keeper, ..Pair::default() })
        };
        known.entry((client.into(), principal.into())).or_insert_with(made).clone()
    }

    /// All of them.
    pub fn list(&self) -> Vec<Arc<Pair>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Forgets pairs that nobody holds.
    pub fn sweep(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, pair| Arc::strong_count(pair) > 1);
    }
}
