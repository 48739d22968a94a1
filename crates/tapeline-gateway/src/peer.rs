//! Who is at the other end of a connection to the HTTP port, or of a request that a trusted proxy passes on: the address
//! and the name that it goes by, whether it came over loopback, and how fast it may ask. The rates are those of
//! sessions; without them a stranger who is slowed down on WebSocket would only have to post.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, header};
use tapeline_core::network::{Network, sender};
use tapeline_core::rates::{Bucket, too_fast};
use tapeline_core::settings::Rate;
use tapeline_core::{Hub, Refusal};
use tokio::net::TcpStream;

use crate::addresses::{Here, Unknown, client};
use crate::app::App;

/// Paths that publish, beside those of families.
const PUBLISHING: [&str; 2] = ["/publish", "/publish/batch"];
const BROADCAST: &str = "/broadcast/";

/// Which of the hub's interfaces a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Everybody's.
    Public,
    /// Who changes the hub, with a key of their own.
    Admin,
}

/// What is left of the rates of a connection; through a proxy, of an address.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    publishes: Mutex<Bucket>,
    requests: Mutex<Bucket>,
    bytes: Mutex<Bucket>,
}

/// See the module. Every request of the connection carries it as an extension.
pub(crate) struct Peer {
    /// The socket's.
    pub address: SocketAddr,
    /// Whose request it is: the socket's address, or what a trusted proxy says.
    pub client: IpAddr,
    /// What limits per client are counted by where nobody says who they are: that address, of IPv6 its /64.
    pub principal: Arc<str>,
    /// Whether it reached this machine's loopback address.
    pub on_loopback: bool,
    pub side: Side,
    /// That it is counted among its address's connections, unless it is exempt; a session of it keeps this.
    pub here: Option<Arc<Here>>,
    rates: Arc<Rates>,
}

fn is_in(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

/// The name of who sends from there. This machine keeps the one it is known by.
pub(crate) fn principal(client: IpAddr) -> Arc<str> {
    let named = if client.is_loopback() { client } else { sender(client) };
    named.to_string().into()
}

/// Whether a request asks for a WebSocket, as its handshake judges it.
pub(crate) fn stays(request: &Request) -> bool {
    request.headers().get_all(header::UPGRADE).iter().any(|wanted| {
        let mut wanted = wanted.as_bytes().split(|byte| *byte == b',');
        wanted.any(|wanted| wanted.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    })
}

impl App {
    /// Lets a connection of this address in, or says why not. Of who is exempt nothing is counted.
    pub(crate) fn arrive(&self, address: IpAddr) -> Result<Option<Arc<Here>>, Refusal> {
        if is_in(&self.access.now().exempt, address) {
            return Ok(None);
        }
        let here = self.addresses.arrive(address, &self.hub.settings(), self.hub.now())?;
        Ok(Some(Arc::new(here)))
    }

    /// As [`App::arrive`], for a socket of the admin interface: what all others together may take is not asked.
    pub(crate) fn arrive_at_admin(&self, address: IpAddr) -> Result<Option<Arc<Here>>, Refusal> {
        if is_in(&self.access.now().exempt, address) {
            return Ok(None);
        }
        let here = self.addresses.arrive_alone(address, &self.hub.settings(), self.hub.now())?;
        Ok(Some(Arc::new(here)))
    }

    /// As [`App::arrive`], for a socket: those of trusted proxies are many clients', who are counted one by one.
    pub(crate) fn arrive_at_port(&self, address: IpAddr) -> Result<Option<Arc<Here>>, Refusal> {
        if is_in(&self.access.now().trusted_proxies, address) { Ok(None) } else { self.arrive(address) }
    }
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, stream: &TcpStream, side: Side, here: Option<Arc<Here>>) -> Self {
        let own = stream.local_addr();
        let client = address.ip().to_canonical();
        Peer {
            address,
            client,
            principal: principal(client),
            side,
            on_loopback: own.is_ok_and(|own| own.ip().to_canonical().is_loopback()),
            here,
            rates: Arc::default(),
        }
    }

    /// Who asks by this request: this peer, or where it is a trusted proxy the client that it names. Whoever wants to stay
    /// is let in here, or not.
    pub(crate) fn asking(self: &Arc<Self>, app: &App, request: &mut Request) -> Result<Arc<Peer>, Refusal> {
        let stays = stays(request);
        if stays && app.hub.pressure().step() > 0 {
            app.addresses.turned_away.memory.add(1);
            return Err(app.hub.pressure().refusal("new connections are not taken"));
        }
        let access = app.access.now();
        if !is_in(&access.trusted_proxies, self.address.ip()) {
            return Ok(self.clone());
        }
        let found = client(request.headers(), access.client_header, &access.trusted_proxies);
        match found {
            Ok(_) => {}
            Err(Unknown::Missing) => app.addresses.forwarded_missing.add(1),
            Err(Unknown::Malformed) => app.addresses.forwarded_malformed.add(1),
        }
        let client = found.unwrap_or(self.client);
        let peer = Arc::new(Peer {
            address: self.address,
            client,
            principal: principal(client),
            on_loopback: self.on_loopback,
            side: self.side,
            here: if stays { app.arrive(client)? } else { None },
            rates: app.addresses.rates(client, app.hub.now()),
        });
        request.extensions_mut().insert(peer.clone());
        Ok(peer)
    }

    /// Takes so many publishes of this principal, all or none. More than a burst come never at once.
    pub(crate) fn take_publishes(
        &self,
        hub: &Hub,
        principal: &Arc<str>,
        count: usize,
    ) -> Result<(), Refusal> {
        let rate = hub.settings().publishes;
        let taken = match rate.per_second > 0 && count > rate.burst.max(1) as usize {
            // There is no use in coming back with it.
            true => Err(too_fast("publishes", rate, None)),
            false => take(&self.rates.publishes, count as u64, rate, hub)
                .map_err(|wait| too_fast("publishes", rate, Some(wait)))
                .and_then(|()| hub.take_messages(principal, count as u64, hub.now())),
        };
        taken.inspect_err(|refusal| {
            hub.stats().refuse(refusal.code, count as u64 - 1);
            hub.on_publish_refused("", principal, refusal, hub.now());
        })
    }

    /// Takes one publish of those that are not refused but put off: that is not counted.
    pub(crate) fn takes_publish(&self, hub: &Hub) -> bool {
        take(&self.rates.publishes, 1, hub.settings().publishes, hub).is_ok()
    }

    /// Takes a request. What publishes is counted where it is read, since only then is it known how much it is: whoever has
    /// asked too much may still say something.
    pub(crate) fn take_request(&self, hub: &Hub, publishes: bool) -> Result<(), Refusal> {
        let rate = hub.settings().requests;
        if publishes {
            return Ok(());
        }
        take(&self.rates.requests, 1, rate, hub).map_err(|wait| too_fast("requests", rate, Some(wait)))
    }

    /// A publish came to nothing: it was a request, too late to be refused.
    pub(crate) fn spend_request(&self, hub: &Hub) {
        // Where none is left, there is nothing to take.
        let _ = take(&self.rates.requests, 1, hub.settings().requests, hub);
    }

    /// Whether it may bring a body now.
    pub(crate) fn may_bring_bytes(&self, hub: &Hub, principal: &Arc<str>) -> Result<(), Refusal> {
        let (settings, now) = (hub.settings(), hub.now());
        let own = lock(&self.rates.bytes).debt(settings.bytes, now);
        if !own.is_zero() {
            return Err(too_fast("bytes", settings.bytes, Some(own)));
        }
        let user = hub.user(principal, now);
        match user.map(|user| user.bytes_debt(&settings, now)).filter(|debt| !debt.is_zero()) {
            Some(debt) => Err(too_fast("user_bytes", settings.user_bytes, Some(debt))),
            None => Ok(()),
        }
    }

    /// It has brought so many bytes of a body.
    pub(crate) fn spend_bytes(&self, hub: &Hub, principal: &Arc<str>, count: u64) {
        let (settings, now) = (hub.settings(), hub.now());
        lock(&self.rates.bytes).spend(count, settings.bytes, now);
        if let Some(user) = hub.user(principal, now) {
            user.spend_bytes(count, &settings, now);
        }
    }
}

/// Whether a request is one that publishes.
pub(crate) fn publishes(request: &Request) -> bool {
    request.method() == Method::POST && is_publishing(request.uri().path())
}

/// Whether a path is one that publishes.
fn is_publishing(path: &str) -> bool {
    PUBLISHING.contains(&path)
        || path.strip_prefix(BROADCAST).is_some_and(|family| !family.is_empty() && !family.contains('/'))
}

fn lock(bucket: &Mutex<Bucket>) -> std::sync::MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes so many, or says how long they would have to wait.
fn take(bucket: &Mutex<Bucket>, count: u64, rate: Rate, hub: &Hub) -> Result<(), Duration> {
    let (mut bucket, now) = (lock(bucket), hub.now());
    if bucket.take(count, rate, now) { Ok(()) } else { Err(bucket.wait(count, rate, now)) }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_who_asks_for_a_websocket_wants_to_stay() {
        let asks = |wanted: &str| {
            let request = Request::builder().header("upgrade", wanted).body(Body::empty()).unwrap();
            stays(&request)
        };
        assert!(asks("websocket") && asks("h2c , WebSocket"));
        assert!(!asks("h2c") && !asks("websockets") && !asks(""));
        assert!(!stays(&Request::new(Body::empty())));
    }

    #[test]
    fn only_the_routes_that_publish_do() {
        for path in ["/publish", "/publish/batch", "/broadcast/news"] {
            assert!(is_publishing(path), "{path}");
        }
        for path in ["/publishx", "/publish/", "/publish/batches", "/broadcast/", "/broadcast/a/b", "/last"] {
            assert!(!is_publishing(path), "{path}");
        }
    }

    #[test]
    fn all_of_a_64_are_one_principal() {
        let named = |address: &str| principal(address.parse().unwrap());
        assert_eq!(named("2001:db8::7"), named("2001:db8::ffff:1"));
        assert_eq!(&*named("2001:db8:0:1::7"), "2001:db8:0:1::");
        assert_eq!(&*named("192.0.2.7"), "192.0.2.7");
        assert_eq!(&*named("::1"), "::1");
    }
}
