//! Networks of addresses as operators write them, `10.0.0.0/8`, `2001:db8::/32` or one address; and which addresses count
//! as one sender. Pure; it knows nothing of what a network may do.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many leading bits count.
    bits: u32,
}

/// It is no address and no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no address and no network such as 10.0.0.0/8, whose bits behind the first 8 are 0")]
pub struct NoNetwork;

/// Who sends from there: one address of version 4, or a /64 of version 6, in which a client has what address it likes.
pub fn sender(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// An address's bits, the leading ones in front, and how many there are.
fn bits_of(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// What is left of some bits when so many of the first are taken away.
fn tail(bits: u128, leading: u32) -> u128 {
    bits.checked_shl(leading).unwrap_or(0)
}

impl Network {
    /// Whether an address is in it; one of version 4 in the form of version 6 counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((own, own_len), (other, len)) = (bits_of(self.address), bits_of(address.to_canonical()));
        let differ = own ^ other;
        own_len == len && (differ == 0 || differ.leading_zeros() >= self.bits)
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let (value, most) = bits_of(address);
        let bits = match bits {
            // `+8` is a number to the standard library.
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| NoNetwork)?
            }
            Some(_) => return Err(NoNetwork),
            None => most,
        };
        let is_whole = bits <= most && tail(value, bits) == 0;
        let is_canonical = address.to_canonical() == address;
        if is_whole && is_canonical { Ok(Network { address, bits }) } else { Err(NoNetwork) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Network { address, bits } = self;
        if *bits == bits_of(*address).1 { write!(f, "{address}") } else { write!(f, "{address}/{bits}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|_| panic!("{text} is a network"))
    }

    #[test]
    fn an_address_is_in_the_networks_whose_leading_bits_it_has() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
            ("::/0", "2001:db8::1", "1.2.3.4"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
        ] {
            let network = network(text);
            assert!(network.contains(inside.parse().unwrap()), "{inside} in {text}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside} not in {text}");
            assert_eq!(network.to_string(), text);
        }
    }

    #[test]
    fn a_sender_is_an_address_or_a_small_network() {
        let of = |text: &str| sender(text.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    #[test]
    fn what_says_two_things_is_no_network() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::1/129",
            "host",
            "10.0.0",
            "::ffff:10.0.0.1",
            "2001:db8::1/32",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NoNetwork), "{text}");
        }
    }
}
