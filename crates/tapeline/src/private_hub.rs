//! A hub inside of this process: the same hub, brokers and shards as behind a port, and the same protocol. What it keeps
//! is in this process's memory, or in a Redis or a directory that others use too. Each connection is a pair of sockets of which the shard gets one end; nothing listens once the pair is made.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::Duration;

use tapeline_brokers::{OpenParts, Opened};
use tapeline_core::broker::Condition;
use tapeline_core::hub::{Hub, HubParts};
use tapeline_core::store::Store;
use tapeline_core::{Directory, Settings};
use tapeline_runtime::{Shards, SystemClock};
use tapeline_schema::{Catalog, CloseCode};
use tokio::net::TcpStream;

use crate::address::Place;
use crate::error::Error;

/// How often unused channels are forgotten.
const SWEEP: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct PrivateHub {
    hub: Arc<Hub>,
    shards: Arc<Shards>,
    /// Its thread ends with this.
    _sweeping: mpsc::SyncSender<()>,
}

/// The hubs of this process, by URL, as long as somebody is connected.
static HUBS: Mutex<Option<HashMap<String, Weak<PrivateHub>>>> = Mutex::new(None);

impl PrivateHub {
    /// The hub of this URL; started if there is none. May take the time of connecting to what the URL leads to.
    pub(crate) fn at(place: &Place) -> Result<Arc<Self>, Error> {
        let mut hubs = HUBS.lock().unwrap_or_else(PoisonError::into_inner);
        let hubs = hubs.get_or_insert_default();
        hubs.retain(|_, hub| hub.strong_count() > 0);
        if let Some(hub) = hubs.get(&place.url).and_then(Weak::upgrade) {
            return Ok(hub);
        }
        let started = Self::start(&place.broker);
        let hub = Arc::new(started.map_err(|reason| Error::NoAnswer { url: place.shown.clone(), reason })?);
        match place.url.starts_with("memory:") {
            true => tracing::info!("{} is private to this process", place.shown),
            false => tracing::info!("a hub of this process keeps its messages at {}", place.shown),
        }
        hubs.insert(place.url.clone(), Arc::downgrade(&hub));
        Ok(hub)
    }

    fn start(url: &str) -> Result<Self, String> {
        let clock = Arc::new(SystemClock::default());
        let seed = RandomState::new().hash_one(std::process::id());
        let directory = Arc::new(Directory::new(Catalog::built_in()));
        let parts = OpenParts::new(url, clock.clone(), seed, directory.clone());
        let Opened { broker, store, registry, .. } =
            tapeline_brokers::open(parts).map_err(|error| error.to_string())?;
        let hub = Arc::new(Hub::new(HubParts {
            directory,
            settings: Settings::default(),
            clock,
            broker,
            registry,
            store,
            authority: Arc::new(tapeline_core::rights::Off),
            seed,
            shards: 1,
        }));
        let (sweeping, ended) = mpsc::sync_channel(1);
        let swept = hub.clone();
        let thread = std::thread::Builder::new().name("hub-sweep".to_string());
        thread.spawn(move || sweep(&swept, &ended, SWEEP)).map_err(|error| error.to_string())?;
        let shards = Shards::start(&hub).map_err(|error| error.to_string())?;
        Ok(PrivateHub { hub, shards: Arc::new(shards), _sweeping: sweeping })
    }

    /// Its store.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        self.hub.store()
    }

    /// Whether its broker does its work.
    pub(crate) fn is_well(&self) -> bool {
        self.hub.broker().health().condition == Condition::Ok
    }

    /// A connection, after the handshake.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        let (ours, theirs) = pair()?;
        tapeline_gateway::native::open(&self.hub, &self.shards, theirs);
        ours.set_nonblocking(true)?;
        TcpStream::from_std(ours)
    }
}

impl Drop for PrivateHub {
    fn drop(&mut self) {
        let (hub, shards) = (self.hub.clone(), self.shards.clone());
        // A shard waits a moment for its clients to hang up, and whoever drops a bus may be one of their threads.
        let stop = move || {
            shards.stop(CloseCode::GoingAway, "the hub is stopping");
            hub.broker().close();
        };
        if let Err(error) = std::thread::Builder::new().name("hub-stop".to_string()).spawn(stop) {
            tracing::warn!(%error, "the hub of this process could not be stopped");
        }
    }
}

/// Two ends of one connection inside of this machine; the listener is gone before anything is said.
fn pair() -> io::Result<(std::net::TcpStream, std::net::TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let ours = std::net::TcpStream::connect(listener.local_addr()?)?;
    loop {
        let (theirs, peer) = listener.accept()?;
        // Somebody else may have found the port in this moment.
        if peer == ours.local_addr()? {
            ours.set_nodelay(true)?;
            theirs.set_nodelay(true)?;
            theirs.set_nonblocking(true)?;
            return Ok((ours, theirs));
        }
    }
}

/// Sweeps until the hub has ended. Not on a caller's runtime, which may end while others still use the hub.
fn sweep(hub: &Hub, ended: &mpsc::Receiver<()>, pause: Duration) {
    while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(pause) {
        hub.sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_needs_no_runtime_that_could_end_before_it() {
        let place = Place::memory("without a runtime");
        let hub = PrivateHub::at(&place).unwrap();
        assert!(Arc::ptr_eq(&hub, &PrivateHub::at(&place).unwrap()));
    }

    #[test]
    fn sweeping_goes_on_until_its_hub_ends() {
        let private = PrivateHub::start("memory://").unwrap();
        let (alive, ended) = mpsc::sync_channel(1);
        let hub = private.hub.clone();
        let thread = std::thread::spawn(move || sweep(&hub, &ended, Duration::from_millis(1)));
        drop(alive);
        thread.join().unwrap();
    }
}
