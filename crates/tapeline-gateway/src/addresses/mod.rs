//! What is remembered of addresses: how fast each comes and how many connections it has open. A client of version 6 has
//! a whole /64 to itself, so that is what counts as one address. Bounded: see [`Crowd`]. It answers nobody: refusals are
//! [`Refusal`]s, and whose address a request has is `peer`'s to say.

mod forwarded;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tapeline_core::crowd::{Crowd, Kept};
use tapeline_core::network::sender;
use tapeline_core::rates::{Bucket, too_fast};
use tapeline_core::settings::Rate;
use tapeline_core::stats::Count;
use tapeline_core::{Now, Refusal, Settings};
use tapeline_schema::ErrorCode;

use crate::peer::Rates;

pub use forwarded::ClientHeader;
pub(crate) use forwarded::{Unknown, client};

/// Addresses that are remembered beside those with open connections.
const REMEMBERED: usize = 65_536;

/// What is remembered of one.
#[derive(Debug, Default)]
struct Address {
    handshakes: Bucket,
    open: u32,
    /// The rates of its requests, where they come through a proxy.
    rates: Option<Arc<Rates>>,
}

impl Kept for Address {
    fn is_needed(&self) -> bool {
        self.open > 0
    }
}

/// Who was not let in, by cause.
#[derive(Debug, Default)]
pub(crate) struct TurnedAway {
    pub handshakes: Count,
    pub handshakes_total: Count,
    pub connections_per_address: Count,
    pub bodies: Count,
    pub memory: Count,
}

impl TurnedAway {
    /// Each cause with its count.
    pub(crate) fn list(&self) -> [(&'static str, u64); 5] {
        [
            ("handshakes", self.handshakes.read()),
            ("handshakes_total", self.handshakes_total.read()),
            ("connections_per_address", self.connections_per_address.read()),
            ("bodies", self.bodies.read()),
            ("memory", self.memory.read()),
        ]
    }
}

/// See the module.
pub(crate) struct Addresses {
    crowd: Crowd<IpAddr, Address>,
    all: Mutex<Bucket>,
    pub turned_away: TurnedAway,
    /// Requests of trusted proxies that did not say for whom.
    pub forwarded_missing: Count,
    /// The same where what they said is no address.
    pub forwarded_malformed: Count,
}

/// An open connection of an address, counted until it is dropped.
pub(crate) struct Here {
    addresses: Arc<Addresses>,
    sender: IpAddr,
}

impl Drop for Here {
    fn drop(&mut self) {
        self.addresses.crowd.find(&self.sender, |address| address.open = address.open.saturating_sub(1));
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Addresses {
            crowd: Crowd::new(REMEMBERED),
            all: Mutex::default(),
            turned_away: TurnedAway::default(),
            forwarded_missing: Count::new(),
            forwarded_malformed: Count::new(),
        }
    }
}

impl Addresses {
    /// Lets a connection in, or says why not. What is refused for its own address costs others nothing.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        address: IpAddr,
        settings: &Settings,
        now: Now,
    ) -> Result<Here, Refusal> {
        let here = self.arrive_alone(address, settings, now)?;
        self.take_of_all(settings.handshakes_total, now).map(|()| here)
    }

    /// The same, whatever comes from other addresses.
    pub(crate) fn arrive_alone(
        self: &Arc<Self>,
        address: IpAddr,
        settings: &Settings,
        now: Now,
    ) -> Result<Here, Refusal> {
        let sender = sender(address);
        let limit = settings.connections_per_address;
        self.crowd.with(&sender, now, |known| {
            if limit > 0 && known.open as usize >= limit {
                self.turned_away.connections_per_address.add(1);
                return Err(too_many(limit));
            }
            if !known.handshakes.take(1, settings.handshakes, now) {
                self.turned_away.handshakes.add(1);
                let wait = known.handshakes.wait(1, settings.handshakes, now);
                return Err(too_fast("handshakes", settings.handshakes, Some(wait)));
            }
            known.open += 1;
            Ok(())
        })?;
        Ok(Here { addresses: self.clone(), sender })
    }

    fn take_of_all(&self, rate: Rate, now: Now) -> Result<(), Refusal> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.take(1, rate, now) {
            return Ok(());
        }
        self.turned_away.handshakes_total.add(1);
        let Rate { per_second, burst } = rate;
        let message = format!(
            "too many new connections, the limit is {per_second} a second (limits.handshakes_per_second_total), \
             {burst} at once (limits.handshakes_burst_total)"
        );
        Err(Refusal::new(ErrorCode::Overloaded, message).retry_after(all.wait(1, rate, now)))
    }

    /// The rates of requests that come through a proxy: those of a connection would be everybody's.
    pub(crate) fn rates(&self, address: IpAddr, now: Now) -> Arc<Rates> {
        self.crowd.with(&sender(address), now, |known| known.rates.get_or_insert_default().clone())
    }

    /// How many addresses are remembered.
    pub(crate) fn len(&self) -> usize {
        self.crowd.len()
    }
}

fn too_many(limit: usize) -> Refusal {
    let message = format!(
        "{} connections of one address, the limit is {limit} (limits.connections_per_address)",
        limit + 1
    );
    Refusal::new(ErrorCode::LimitConnections, message)
}

#[cfg(test)]
mod tests;
