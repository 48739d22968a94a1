//! What is remembered of addresses, with time as it is handed in.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::*;

fn at(mono_us: u64) -> Now {
    Now { mono_us, wall_us: 0 }
}

fn settings() -> Settings {
    Settings {
        handshakes: Rate { per_second: 1, burst: 3 },
        handshakes_total: Rate::NONE,
        connections_per_address: 5,
        ..Settings::default()
    }
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn v6(text: &str) -> IpAddr {
    text.parse::<Ipv6Addr>().unwrap().into()
}

#[test]
fn an_address_that_comes_too_fast_is_told_when_to_come_back_and_others_are_let_in() {
    let (addresses, settings) = (Arc::<Addresses>::default(), settings());
    let here: Vec<_> = (0..3).map(|_| addresses.arrive(v4(1), &settings, at(1)).unwrap()).collect();
    let refusal = addresses.arrive(v4(1), &settings, at(1)).err().unwrap();
    assert_eq!((refusal.code, refusal.retry_after_ms), (ErrorCode::RateLimited, Some(1_000)));
    assert!(refusal.message.contains("limits.handshakes_per_second"), "{refusal}");
    assert!(addresses.arrive(v4(2), &settings, at(1)).is_ok());
    assert!(addresses.arrive(v4(1), &settings, at(1_000_001)).is_ok());
    drop(here);
    assert_eq!(addresses.turned_away.list()[0], ("handshakes", 1));
}

#[test]
fn connections_of_an_address_count_while_they_are_open() {
    let settings = Settings { handshakes: Rate::NONE, ..settings() };
    let addresses = Arc::<Addresses>::default();
    let mut here: Vec<_> = (0..5).map(|_| addresses.arrive(v4(1), &settings, at(1)).unwrap()).collect();
    let refusal = addresses.arrive(v4(1), &settings, at(1)).err().unwrap();
    assert_eq!(refusal.code, ErrorCode::LimitConnections);
    assert_eq!(
        refusal.message,
        "6 connections of one address, the limit is 5 (limits.connections_per_address)"
    );
    here.pop();
    assert!(addresses.arrive(v4(1), &settings, at(1)).is_ok());
}

#[test]
fn a_network_of_version_6_is_one_address_and_version_4_is_the_same_in_both_forms() {
    let (addresses, settings) = (Arc::<Addresses>::default(), settings());
    for n in 0..3 {
        assert!(addresses.arrive(v6(&format!("2001:db8::{n}:1")), &settings, at(1)).is_ok());
    }
    assert!(addresses.arrive(v6("2001:db8::ffff:ffff:ffff:ffff"), &settings, at(1)).is_err());
    assert!(addresses.arrive(v6("2001:db8:0:1::"), &settings, at(1)).is_ok());
    for _ in 0..3 {
        assert!(addresses.arrive(v6("::ffff:192.0.2.1"), &settings, at(1)).is_ok());
    }
    assert!(addresses.arrive(v4(1), &settings, at(1)).is_err());
}

#[test]
fn the_whole_hub_takes_no_more_than_its_own_rate_and_a_refused_address_takes_none_of_it() {
    let total = Rate { per_second: 10, burst: 5 };
    let settings = Settings { handshakes_total: total, ..settings() };
    let addresses = Arc::<Addresses>::default();
    let greedy = (0..100).filter(|_| addresses.arrive(v4(1), &settings, at(1)).is_ok()).count();
    assert_eq!(greedy, 3);
    assert!(addresses.arrive(v4(2), &settings, at(1)).is_ok());
    assert!(addresses.arrive(v4(3), &settings, at(1)).is_ok());
    let refusal = addresses.arrive(v4(4), &settings, at(1)).err().unwrap();
    assert_eq!((refusal.code, refusal.retry_after_ms), (ErrorCode::Overloaded, Some(100)));
    assert!(refusal.message.contains("limits.handshakes_per_second_total"), "{refusal}");
    let settings = Settings { connections_per_address: 1, handshakes: Rate::NONE, ..settings };
    assert!(
        addresses.arrive(v4(4), &settings, at(100_001)).is_ok(),
        "who was refused is not counted as open"
    );
}

#[test]
fn a_million_addresses_take_no_more_memory_than_the_bound() {
    let (addresses, settings) = (Arc::<Addresses>::default(), settings());
    let stays: Vec<_> =
        (1..=9).map(|last| addresses.arrive(v4(last), &settings, at(0)).ok().unwrap()).collect();
    for n in 0..1_000_000_u32 {
        let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n));
        assert!(addresses.arrive(address, &settings, at(n.into())).is_ok());
        addresses.rates(address, at(n.into()));
    }
    assert!(addresses.len() <= REMEMBERED + stays.len(), "{}", addresses.len());
    // With the key and the time beside it: 6 MiB in all.
    assert!(size_of::<Address>() <= 80, "{}", size_of::<Address>());
    let refused = (0..5).filter(|_| addresses.arrive(v4(1), &settings, at(0)).is_err()).count();
    assert_eq!(refused, 3, "who has a connection open is not forgotten");
}

#[test]
fn the_wait_that_is_told_is_enough() {
    let (addresses, settings) = (Arc::<Addresses>::default(), settings());
    let mut now = 7;
    for _ in 0..20 {
        match addresses.arrive(v4(1), &settings, at(now)) {
            Ok(here) => drop(here),
            Err(refusal) => {
                now += u64::from(refusal.retry_after_ms.unwrap()) * 1_000;
                assert!(addresses.arrive(v4(1), &settings, at(now)).is_ok());
            }
        }
    }
    assert!(now > u64::try_from(Duration::from_secs(8).as_micros()).unwrap());
}
