//! Who is at the other end of a connection to the HTTP port: the name it goes by, whether it came over loopback, and how
//! fast it may ask. The rates are those of sessions; without them a stranger who is slowed down on WebSocket would only
//! have to post.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tapeline_core::rates::{Bucket, too_fast};
use tapeline_core::settings::Rate;
use tapeline_core::{Hub, Refusal};
use tokio::net::TcpStream;

/// Where paths that publish begin.
const PUBLISHING: [&str; 2] = ["/publish", "/broadcast/"];

/// Which of the hub's interfaces a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Everybody's.
    Public,
    /// Who changes the hub, with a key of their own.
    Admin,
}

/// See the module. Every request of the connection carries it as an extension.
#[derive(Debug)]
pub(crate) struct Peer {
    pub address: SocketAddr,
    /// What limits per client are counted by where nobody says who they are: the address without the port.
    pub principal: Arc<str>,
    /// Whether it reached this machine's loopback address.
    pub on_loopback: bool,
    pub side: Side,
    publishes: Mutex<Bucket>,
    requests: Mutex<Bucket>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, stream: &TcpStream, side: Side) -> Self {
        let own = stream.local_addr();
        Peer {
            address,
            principal: address.ip().to_string().into(),
            side,
            on_loopback: own.is_ok_and(|own| own.ip().to_canonical().is_loopback()),
            publishes: Mutex::default(),
            requests: Mutex::default(),
        }
    }

    /// Takes so many publishes, all or none. More than a burst come never at once.
    pub(crate) fn take_publishes(&self, hub: &Hub, count: usize) -> Result<(), Refusal> {
        let rate = hub.settings().publishes;
        let fits = rate.per_second == 0 || count <= rate.burst.max(1) as usize;
        if fits && take(&self.publishes, count as u64, rate, hub) {
            return Ok(());
        }
        let refusal = too_fast("publishes", rate);
        hub.stats().refuse(refusal.code, count as u64 - 1);
        hub.on_publish_refused("", &self.principal, &refusal, hub.now());
        Err(refusal)
    }

    /// Takes one publish of those that are not refused but put off: that is not counted.
    pub(crate) fn takes_publish(&self, hub: &Hub) -> bool {
        take(&self.publishes, 1, hub.settings().publishes, hub)
    }

    /// Takes a request for this path. What publishes is counted where it is read, since only then is it known how much
    /// it is.
    pub(crate) fn take_request(&self, hub: &Hub, path: &str) -> Result<(), Refusal> {
        let rate = hub.settings().requests;
        let publishes = PUBLISHING.iter().any(|start| path.starts_with(start));
        if publishes || take(&self.requests, 1, rate, hub) {
            return Ok(());
        }
        Err(too_fast("requests", rate))
    }
}

fn take(bucket: &Mutex<Bucket>, count: u64, rate: Rate, hub: &Hub) -> bool {
    bucket.lock().unwrap_or_else(PoisonError::into_inner).take(count, rate, hub.now())
}
