//! A stop that clients understand: all are told when to come back, closed at spread times, owed nothing, and neither
//! a stuck client nor an open browser holds it up.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::raw::handshake;
use support::{Client, Hub, Raw, eventually};

const FILLS: &str = r#"
[[channel]]
template = "fills:{account}"
type = "fill"
priority = "critical"
delivery = "every"
keep = { count = 40000 }
"#;

/// A hub that would take its time, if there were somebody to wait for.
const PATIENT: &str = "[drain]\nwindow_s = 60\nflush_s = 60\n";
/// What is no waiting, on a machine that has other work too.
const SOON: Duration = Duration::from_secs(10);

/// A client that has stopped reading while more waits for it than the kernel takes.
fn stuck(hub: &Hub) -> Client {
    let mut client = Client::connect(hub);
    client.subscribe("orderbook:X");
    let big = format!(r#"{{"pad":"{}"}}"#, "x".repeat(1 << 19));
    (0..30).for_each(|_| drop(hub.publish("orderbook:X", &big)));
    client
}

fn trade() -> Value {
    json!({"portfolio_id": "p", "symbol": "A", "trade_type": "BUY", "quantity": 1, "price": 2})
}

fn until_stopping(hub: &Hub) {
    hub.terminate();
    assert!(eventually(|| hub.get("/ready").status() == 503));
}

#[test]
fn a_hub_with_nobody_connected_stops_at_once() {
    let mut hub = Hub::with_config(PATIENT);
    let silent = Raw::send_to(&hub, "");
    let mut idle = Raw::send_to(&hub, format!("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", hub.address()));
    assert_eq!(idle.head().status, 200);
    let start = Instant::now();
    hub.terminate();
    assert_eq!(hub.wait().code(), Some(0));
    assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
    drop(silent);
}

#[test]
fn a_hub_with_two_browsers_stops_in_a_moment() {
    let mut hub = Hub::with_config(PATIENT);
    let mut clients = [Client::connect(&hub), Client::connect(&hub)];
    clients.iter_mut().for_each(|client| drop(client.subscribe("orderbook:X")));
    let start = Instant::now();
    hub.terminate();
    for client in &mut clients {
        client.next_of("reconnect");
        assert_eq!(client.closed().code, 1001);
    }
    drop(clients);
    assert_eq!(hub.wait().code(), Some(0));
    assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
}

#[test]
fn everybody_is_told_when_to_come_back_and_closed_then_at_spread_times() {
    // Each shard spreads its own.
    let mut hub = Hub::with_config("serve.shards = 1\n[drain]\nwindow_s = 2\n");
    let mut clients: Vec<Client> = (0..100).map(|_| Client::connect(&hub)).collect();
    clients.iter_mut().for_each(|client| drop(client.subscribe("orderbook:X")));
    let start = Instant::now();
    hub.terminate();
    let leave = |mut client: Client| {
        move || {
            let told = client.next_of("reconnect").json["after_ms"].as_u64().expect("a delay");
            let closed = client.closed();
            assert_eq!((closed.code, closed.reason.as_str()), (1001, "the hub is stopping"));
            (told, start.elapsed())
        }
    };
    let mut left: Vec<(u64, Duration)> = std::thread::scope(|scope| {
        let threads: Vec<_> = clients.into_iter().map(|client| scope.spawn(leave(client))).collect();
        threads.into_iter().map(|thread| thread.join().expect("nobody fails")).collect()
    });
    assert_eq!(hub.wait().code(), Some(0));
    left.sort_unstable();
    assert!(left.iter().all(|(told, _)| *told <= 2_000), "{left:?}");
    for ((told, at), turn) in left.iter().zip(0_u64..) {
        assert!((turn * 20..=turn * 20 + 20).contains(told), "the {turn}th was told {told} ms");
        assert!(*at >= Duration::from_millis(*told), "told {told} ms, closed after {at:?}");
    }
    let first = left.iter().map(|(_, at)| *at).min().expect("somebody");
    let last = left.iter().map(|(_, at)| *at).max().expect("somebody");
    assert!(last - first >= Duration::from_millis(500), "all were closed within {:?}", last - first);
}

#[test]
fn a_client_that_is_behind_still_gets_everything_acknowledged_before_it_is_closed() {
    let mut hub = Hub::with_config(&format!("[drain]\nflush_s = 8\n{FILLS}"));
    let mut slow = Client::connect(&hub);
    slow.subscribe("fills:a");
    let fill = |n| format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(1_000));
    hub.publish_all("fills:a", (1..=12_000).map(fill));
    assert!(hub.stats()["catch_ups"].as_u64() > Some(0), "it did not fall behind");
    until_stopping(&hub);
    let mut offsets = Vec::new();
    let closed = loop {
        match slow.read() {
            Ok(frame) if frame.is_message() => offsets.push(frame.offset()),
            Ok(frame) => assert_eq!(frame.kind(), "reconnect"),
            Err(closed) => break closed,
        }
    };
    assert_eq!(offsets, (1..=12_000).collect::<Vec<_>>());
    assert_eq!(closed.code, 1001);
    drop(slow);
    assert_eq!(hub.wait().code(), Some(0));
}

#[test]
fn publishes_that_were_sent_before_the_stop_are_all_answered() {
    let mut hub = Hub::start();
    let mut publisher = Client::connect(&hub);
    let mut reader = Client::connect(&hub);
    reader.subscribe("trades:p");
    for n in 1..=2_000 {
        publisher.send(&json!({"action": "publish", "channel": "trades:p", "data": trade(), "req": n}));
    }
    hub.terminate();
    let mut answered = Vec::new();
    while let Ok(frame) = publisher.read() {
        match frame.kind() {
            "published" => answered.push(frame.json["req"].as_u64().expect("a req")),
            kind => assert_eq!(kind, "reconnect"),
        }
    }
    assert_eq!(answered, (1..=2_000).collect::<Vec<_>>());
    let mut heard = Vec::new();
    while let Ok(frame) = reader.read() {
        heard.extend(frame.is_message().then(|| frame.offset()));
    }
    let count = heard.len() as u64;
    assert_eq!(heard, (1..=count).collect::<Vec<_>>(), "up to its own close nothing is missing");
    assert_eq!(hub.wait().code(), Some(0));
}

#[test]
fn a_request_that_has_begun_is_answered_and_others_are_told_to_come_back() {
    let mut hub = Hub::with_config("[drain]\nflush_s = 8\n");
    let slow = stuck(&hub);
    let body = r#"{"channel":"orderbook:Y","data":{}}"#;
    let head =
        format!("POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", hub.address(), body.len());
    let mut begun = Raw::send_to(&hub, format!("{head}Expect: 100-continue\r\n\r\n"));
    assert_eq!(begun.head().status, 100, "the request has begun");
    until_stopping(&hub);
    assert_eq!(hub.post("/publish", body).refusal(), (503, "overloaded".to_string()));
    assert_eq!(Raw::send_to(&hub, handshake(&hub, "/ws", "")).head().status, 503);
    assert_eq!(hub.get("/ready").refusal(), (503, "overloaded".to_string()));
    assert_eq!(hub.stats()["connections"], 1, "operators can watch it");
    begun.send(body);
    assert_eq!(begun.head().status, 200);
    drop(slow);
    assert_eq!(hub.wait().code(), Some(0));
}

#[test]
fn a_client_that_is_being_refused_slowly_does_not_hold_up_a_stop() {
    let mut took = Vec::new();
    // A machine that stalls holds up a stop now and then; such clients would do so each time.
    while took.last().is_none_or(|took| *took >= Duration::from_millis(1_900)) {
        assert!(took.len() < 5, "each stop was held up: {took:?}");
        let mut hub = Hub::with_config("[limits]\nconnections_per_client = 0\n");
        for _ in 0..4 {
            Raw::send_to(&hub, handshake(&hub, "/ws/c", ""));
        }
        let start = Instant::now();
        hub.terminate();
        assert_eq!(hub.wait().code(), Some(0));
        took.push(start.elapsed());
    }
}

#[test]
fn a_stuck_client_and_a_stuck_request_cost_a_stop_only_its_settings() {
    let mut hub = Hub::with_config("[drain]\nwindow_s = 1\nflush_s = 1\n");
    let slow = stuck(&hub);
    let begun = Raw::send_to(
        &hub,
        format!("POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Length: 9\r\n\r\n{{", hub.address()),
    );
    let start = Instant::now();
    hub.terminate();
    assert_eq!(hub.wait().code(), Some(0));
    let took = start.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(8)).contains(&took), "it took {took:?}");
    drop((slow, begun));
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut hub = Hub::with_config(PATIENT);
    let slow = stuck(&hub);
    until_stopping(&hub);
    let start = Instant::now();
    hub.terminate();
    assert_eq!(hub.wait().code(), Some(1));
    assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
    drop(slow);
}

#[test]
fn who_stays_to_the_end_still_hears_what_is_published() {
    let mut hub = Hub::with_config("[drain]\nwindow_s = 4\n");
    let mut clients: Vec<Client> = (0..200).map(|_| Client::connect(&hub)).collect();
    clients.iter_mut().for_each(|client| drop(client.subscribe("trades:p")));
    hub.terminate();
    let told = |client: &mut Client| client.next_of("reconnect").json["after_ms"].as_u64();
    let delays: Vec<Option<u64>> = clients.iter_mut().map(told).collect();
    let last = (0..clients.len()).max_by_key(|at| delays[*at]).expect("somebody is last");
    let publish = json!({"action": "publish", "channel": "trades:p", "data": trade(), "req": 1});
    let mut last = clients.swap_remove(last);
    last.send(&publish);
    let frames: [Value; 2] = std::array::from_fn(|_| last.next().json);
    assert!(frames.iter().any(|frame| frame["type"] == "published"), "{frames:?}");
    assert!(frames.iter().any(|frame| frame["offset"] == 1 && frame["type"] == "trade"), "{frames:?}");
    assert_eq!(last.closed().code, 1001);
    drop((last, clients));
    assert_eq!(hub.wait().code(), Some(0));
}
