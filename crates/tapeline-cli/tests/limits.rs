//! The limits of the contract's section 4: connections and subscriptions per (client id, principal), what is said
//! over them, and how soon they are free again.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::raw::handshake;
use support::{Client, Hub, Raw, eventually};

fn subscribe(client: &mut Client, channel: &str) -> Value {
    client.ask(&json!({"action": "subscribe", "channel": channel, "req": channel})).json
}

/// Connects, and asserts that the hub says the limit and then closes.
fn refused(hub: &Hub, path: &str) -> Value {
    let mut client = Client::connect_to(hub, path);
    let error = client.next_of("error").json;
    assert_eq!(error["code"], "limit_connections");
    let closed = client.closed();
    assert_eq!((closed.code, closed.reason.as_str()), (1008, "Connection limit exceeded"));
    error
}

/// Asserts that this takes less than the second for which who is refused again and again is kept waiting. A machine that
/// stalls takes longer now and then; a hub that waits takes longer each time. It is told the number of the attempt.
fn at_once(mut attempt: impl FnMut(u64) -> Duration) {
    let mut took = Vec::new();
    for number in 1..=5 {
        took.push(attempt(number));
        if took.last() < Some(&Duration::from_millis(900)) {
            return;
        }
    }
    panic!("each attempt was kept waiting: {took:?}");
}

#[test]
fn the_eleventh_connection_is_told_why_and_the_twelfth_waits() {
    let hub = Hub::start();
    let mut clients: Vec<Client> = Vec::new();
    at_once(|desk| {
        let path = format!("/ws/chart-{desk}");
        let all = clients.len()..clients.len() + 10;
        clients.extend((0..10).map(|_| Client::connect_to(&hub, &path)));
        for client in &mut clients[all] {
            client.subscribe("orderbook:AAPL");
        }
        let start = Instant::now();
        let error = refused(&hub, &path);
        let first = start.elapsed();
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains("the limit is 10 (limits.connections_per_client)"), "{message}");
        let start = Instant::now();
        refused(&hub, &path);
        let second = start.elapsed();
        assert!(second >= Duration::from_secs(1), "the second refusal came after {second:?}");
        first
    });
    Client::connect_to(&hub, "/ws/chart-TSLA").subscribe("orderbook:TSLA");
    let heard = hub.publish("orderbook:AAPL", "{}")["subscribers"].clone();
    assert_eq!(heard, clients.len(), "nobody else was hurt");
}

#[test]
fn a_closed_connection_makes_room_however_it_ended() {
    let hub = Hub::with_config("[limits]\nconnections_per_client = 2\n");
    let mut kept = Client::connect_to(&hub, "/ws/c");
    kept.subscribe("orderbook:A");
    let mut closing = Client::connect_to(&hub, "/ws/c");
    closing.subscribe("orderbook:A");
    closing.close();
    let mut dropped = Client::connect_to(&hub, "/ws/c");
    dropped.subscribe("orderbook:A");
    drop(dropped);
    assert!(eventually(|| hub.stats()["connections"] == 1));
    Client::connect_to(&hub, "/ws/c").subscribe("orderbook:A");
}

#[test]
fn connections_without_a_client_id_are_not_counted_together() {
    let hub = Hub::start();
    let mut clients: Vec<Client> = (0..30).map(|_| Client::connect(&hub)).collect();
    for client in &mut clients {
        client.subscribe("orderbook:A");
    }
    assert_eq!(hub.publish("orderbook:A", "{}")["subscribers"], 30);
}

#[test]
fn a_connection_that_never_subscribes_stops_counting() {
    let hub = Hub::with_config("[limits]\nconnections_per_client = 1\nunsubscribed_grace_s = 1\n");
    let mut idle = Client::connect_to(&hub, "/ws/c");
    let admitted = eventually(|| {
        let mut raw = Raw::send_to(&hub, handshake(&hub, "/ws/c", ""));
        raw.head();
        raw.send(support::raw::masked(1, br#"{"action":"subscribe","channel":"orderbook:A"}"#));
        String::from_utf8_lossy(&raw.frame().payload).contains("subscription_confirmed")
    });
    assert!(admitted, "its place is free");
    assert!(eventually(|| hub.stats()["connections"] == 1));
    let mut other = Client::connect_to(&hub, "/ws/c");
    other.subscribe("orderbook:A");
    assert_eq!(subscribe(&mut idle, "orderbook:A")["code"], "limit_connections", "it comes too late");
    assert_eq!(idle.closed().code, 1008);
}

#[test]
fn the_fifty_first_subscription_is_refused_in_these_words() {
    let hub = Hub::start();
    let mut client = Client::connect_to(&hub, "/ws/c");
    for n in 1..=50 {
        assert_eq!(subscribe(&mut client, &format!("orderbook:{n}"))["type"], "subscription_confirmed");
    }
    let error = subscribe(&mut client, "orderbook:51");
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("limit_subscriptions")));
    assert_eq!(error["message"], "51 subscriptions, the limit is 50 (limits.subscriptions_per_client)");
    assert_eq!(error["req"], "orderbook:51");
    assert_eq!(
        subscribe(&mut client, "orderbook:7")["type"],
        "subscription_confirmed",
        "it has that one already"
    );
    client.ask(&json!({"action": "unsubscribe", "channel": "orderbook:7"}));
    assert_eq!(subscribe(&mut client, "orderbook:51")["type"], "subscription_confirmed");
    assert_eq!(subscribe(&mut client, "orderbook:52")["type"], "error");
}

#[test]
fn of_many_channels_in_one_request_what_fits_is_subscribed() {
    let hub = Hub::start();
    let mut client = Client::connect_to(&hub, "/ws/c");
    let channels: Vec<String> = (1..=60).map(|n| format!("orderbook:{n}")).collect();
    client.send(&json!({"action": "subscribe", "channels": channels, "req": 1}));
    let answers: Vec<Value> = channels.iter().map(|_| client.next().json).collect();
    let count = |kind: &str| answers.iter().filter(|answer| answer["type"] == kind).count();
    assert_eq!((count("subscription_confirmed"), count("error")), (50, 10));
    assert!(answers.iter().all(|answer| answer["req"] == 1));
}

#[test]
fn subscriptions_are_counted_over_all_connections_of_the_pair() {
    let hub = Hub::start();
    let mut one = Client::connect_to(&hub, "/ws/c");
    let mut two = Client::connect_to(&hub, "/ws/c");
    let mut other = Client::connect_to(&hub, "/ws/d");
    for n in 1..=25 {
        assert_eq!(subscribe(&mut one, &format!("orderbook:{n}"))["type"], "subscription_confirmed");
        assert_eq!(subscribe(&mut two, &format!("orderbook:{n}"))["type"], "subscription_confirmed");
    }
    assert_eq!(subscribe(&mut one, "orderbook:26")["code"], "limit_subscriptions");
    assert_eq!(subscribe(&mut two, "orderbook:26")["code"], "limit_subscriptions");
    assert_eq!(subscribe(&mut other, "orderbook:26")["type"], "subscription_confirmed");
    drop(one);
    assert!(eventually(|| hub.stats()["connections"] == 2));
    for n in 26..=50 {
        assert_eq!(subscribe(&mut two, &format!("orderbook:{n}"))["type"], "subscription_confirmed");
    }
    assert_eq!(subscribe(&mut two, "orderbook:51")["code"], "limit_subscriptions");
}

#[test]
fn a_connection_without_a_client_id_may_have_many_more_subscriptions() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    for batch in 0..10 {
        let channels: Vec<String> = (0..500).map(|n| format!("orderbook:{batch}-{n}")).collect();
        client.send(&json!({"action": "subscribe", "channels": channels}));
        for _ in 0..500 {
            client.next_of("subscription_confirmed");
        }
    }
    let error = subscribe(&mut client, "orderbook:one-more");
    assert_eq!(error["code"], "limit_subscriptions");
    let message = error["message"].as_str().expect("a message");
    assert!(message.starts_with("5001 subscriptions, the limit is 5000 (limits."), "{message}");
    assert_eq!(hub.stats()["subscriptions"], 5_000);
    client.close();
    assert!(eventually(|| hub.stats()["subscriptions"] == 0));
}

#[test]
fn every_limit_is_a_setting_that_its_message_names() {
    let hub = Hub::with_config(
        "[limits]\nconnections_per_client = 1\nsubscriptions_per_client = 2\nsubscriptions_per_connection = 3\n",
    );
    let mut client = Client::connect_to(&hub, "/ws/c");
    for (n, kind) in [(1, "subscription_confirmed"), (2, "subscription_confirmed"), (3, "error")] {
        assert_eq!(subscribe(&mut client, &format!("orderbook:{n}"))["type"], kind);
    }
    let error = refused(&hub, "/ws/c");
    assert_eq!(error["message"], "2 connections, the limit is 1 (limits.connections_per_client)");
    let mut nameless = Client::connect(&hub);
    for n in 1..=3 {
        assert_eq!(subscribe(&mut nameless, &format!("orderbook:{n}"))["type"], "subscription_confirmed");
    }
    let error = subscribe(&mut nameless, "orderbook:4");
    assert_eq!(error["message"], "4 subscriptions, the limit is 3 (limits.subscriptions_per_connection)");
}

#[test]
fn a_refused_connection_does_not_hold_up_others_while_it_waits() {
    let hub = Hub::with_config("[limits]\nconnections_per_client = 1\n");
    let mut first = Client::connect_to(&hub, "/ws/c");
    first.subscribe("orderbook:A");
    refused(&hub, "/ws/c");
    at_once(|n| {
        let waiting: Vec<Raw> = (0..5).map(|_| Raw::send_to(&hub, handshake(&hub, "/ws/c", ""))).collect();
        let start = Instant::now();
        Client::connect_to(&hub, "/ws/d").subscribe("orderbook:A");
        hub.publish("orderbook:A", "{}");
        first.message(n);
        let took = start.elapsed();
        drop(waiting);
        took
    });
}
