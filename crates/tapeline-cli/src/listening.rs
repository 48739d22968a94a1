//! Where the hub listens: which of its addresses are behind TLS, and which are the admin interface's.
//!
//! It decides and binds. What is served there, and who may come in, is the gateway's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tapeline_gateway::tls::Tls;
use tapeline_gateway::{ListenError, Listener, RespListener, Side};

/// Where a demo's Redis door is: beside Redis' own port.
const DEMO_REDIS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6_380);

/// An address, and how it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    address: SocketAddr,
    has_tls: bool,
    side: Side,
}

/// Listens on all addresses: those without TLS, those with it, those of the admin interface, in this order.
pub(crate) fn bind(
    plain: &[SocketAddr],
    tls: Option<&(Arc<Tls>, Vec<SocketAddr>)>,
    admin: &[SocketAddr],
) -> Result<Vec<(Listener, Side)>, ListenError> {
    let open = |Place { address, has_tls, side }: Place| -> Result<_, ListenError> {
        let tls = tls.filter(|_| has_tls).map(|(tls, _)| tls.clone());
        if side == Side::Admin && !has_tls && !is_here(address) {
            tracing::warn!("admin.listen {address} is served without TLS: keys can be read on the way there");
        }
        Ok((Listener::bind(address, side, tls)?, side))
    };
    places(plain, tls.map(|(_, addresses)| &**addresses), admin).into_iter().map(open).collect()
}

/// Listens for Redis' own clients. A demo that names no address has one of its own, if nobody else has it.
pub(crate) fn bind_redis(addresses: &[SocketAddr], is_demo: bool) -> Result<Vec<RespListener>, ListenError> {
    if addresses.is_empty() && is_demo {
        return match RespListener::bind(DEMO_REDIS) {
            Ok(listener) => Ok(vec![listener]),
            Err(error) => {
                tracing::warn!("this demo has no Redis door: {error}");
                Ok(Vec::new())
            }
        };
    }
    let open = |address: &SocketAddr| {
        if !is_here(*address) {
            tracing::warn!(
                "redis.listen {address} is served without TLS: tokens can be read on the way there"
            );
        }
        RespListener::bind(*address)
    };
    addresses.iter().map(open).collect()
}

/// Addresses behind TLS are given where there is a certificate.
fn places(plain: &[SocketAddr], behind_tls: Option<&[SocketAddr]>, admin: &[SocketAddr]) -> Vec<Place> {
    let public =
        |has_tls| move |address: &SocketAddr| Place { address: *address, has_tls, side: Side::Public };
    // A certificate has no name for this machine as it calls itself.
    let has_tls = |address: &SocketAddr| behind_tls.is_some() && !is_here(*address);
    let of_admin =
        |address: &SocketAddr| Place { address: *address, has_tls: has_tls(address), side: Side::Admin };
    let plain = plain.iter().map(public(false));
    let behind_tls = behind_tls.unwrap_or_default().iter().map(public(true));
    plain.chain(behind_tls).chain(admin.iter().map(of_admin)).collect()
}

/// Whether only this machine reaches it.
fn is_here(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The admin interface at this address, with a certificate or without: whether it has TLS.
    fn admin_has_tls(address: &str, behind_tls: Option<&[SocketAddr]>) -> bool {
        let address = address.parse().expect("an address");
        let all = places(&[], behind_tls, &[address]);
        let last = all.last().expect("it is one");
        assert_eq!((last.address, last.side), (address, Side::Admin));
        last.has_tls
    }

    #[test]
    fn the_admin_interface_is_behind_tls_wherever_others_reach_it_and_there_is_a_certificate() {
        for far in ["0.0.0.0:1", "192.0.2.7:1", "[::]:1", "[2001:db8::7]:1", "[::ffff:192.0.2.7]:1"] {
            assert!(admin_has_tls(far, Some(&[])), "{far}");
            assert!(!admin_has_tls(far, None), "{far} cannot be without a certificate");
        }
        for here in ["127.0.0.1:1", "127.0.0.2:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(!admin_has_tls(here, Some(&[])), "{here}");
        }
    }

    #[test]
    fn plain_addresses_come_first_then_those_behind_tls_then_the_admin_interface() {
        let [one, two, three] =
            ["192.0.2.7:1", "127.0.0.1:2", "192.0.2.7:3"].map(|text| text.parse().expect("one"));
        let place = |address, has_tls, side| Place { address, has_tls, side };
        let expected = [
            place(one, false, Side::Public),
            place(two, true, Side::Public),
            place(three, true, Side::Admin),
        ];
        assert_eq!(places(&[one], Some(&[two]), &[three]), expected);
    }
}
