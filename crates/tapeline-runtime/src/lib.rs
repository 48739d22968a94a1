//! Where the hub runs: shard threads with their inboxes, wake-ups and sockets, plain and with TLS, and the clock they
//! read. Whose certificates are believed is said here too, for all who connect elsewhere.
//! The one place that spawns threads for the hub. It does not know protocols: a connection brings its own.

mod ahead;
mod clock;
mod conduit;
mod connection;
mod inbox;
mod pipe;
mod port;
mod random;
mod shards;
mod thread;
mod trust;

pub use clock::SystemClock;
pub use conduit::{Far, Gone};
pub use connection::{Handover, Protocol, Taken, Upgrade};
pub use inbox::Inboxes;
pub use port::{Later, Port};
pub use random::random_fraction;
pub use shards::{Shards, StartError};
pub use trust::{TrustError, trust, trusted};

/// Starts a thread with a name.
///
/// # Errors
/// The system has none left.
pub fn spawn(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_string()).spawn(run)
}
