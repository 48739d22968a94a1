//! A client that does not read: it slows nobody, costs a bounded amount of memory, and gets what it is owed when it
//! reads again: everything in order, urgent things first, the newest of what conflates, and a count of what is lost.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use support::client::Frame;
use support::{Client, Hub, Raw, eventually};

/// Messages of a flood. With [`message`] they are several times what the kernel's buffers take from a client that
/// does not read.
const FLOOD: u64 = 12_000;

const FAMILIES: &str = r#"
[[channel]]
template = "fills:{account}"
type = "fill"
priority = "critical"
delivery = "every"
keep = { count = 40000 }

[[channel]]
template = "tape:{symbol}"
type = "tape"
priority = "medium"
delivery = "every"
keep = { count = 50 }

[[channel]]
template = "deal:{desk}"
type = "deal"
priority = "critical"
delivery = "every"
keep = { count = 40000 }
rolls_up_to = ["deals"]

[[channel]]
template = "tick:{symbol}"
type = "tick"
priority = "high"
delivery = "latest"
"#;

/// About a kilobyte.
fn message(n: u64) -> String {
    format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(1_000))
}

fn flood(hub: &Hub, channel: &str) {
    hub.publish_all(channel, (1..=FLOOD).map(message));
}

/// Everything until `last` of these channels is there, with the hub's own words in between.
fn read_until(client: &mut Client, last: &BTreeMap<String, u64>) -> Vec<Frame> {
    let mut missing = last.clone();
    let mut frames = Vec::new();
    while !missing.is_empty() {
        let frame = client.next();
        if frame.is_message() && missing.get(frame.channel()) == Some(&frame.offset()) {
            missing.remove(frame.channel());
        }
        frames.push(frame);
    }
    frames
}

fn until(channel: &str, last: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(channel.to_string(), last)])
}

#[test]
fn a_client_that_does_not_read_slows_nobody_and_still_gets_everything() {
    let hub = Hub::with_config(FAMILIES);
    let mut slow = Client::connect(&hub);
    slow.subscribe("fills:a");
    let mut fast: Vec<Client> = (0..3).map(|_| Client::connect(&hub)).collect();
    fast.iter_mut().for_each(|client| drop(client.subscribe("fills:a")));
    let before = hub.memory_bytes();
    std::thread::scope(|scope| {
        for client in &mut fast {
            scope.spawn(|| assert_eq!(client.offsets_until(FLOOD), (1..=FLOOD).collect::<Vec<_>>()));
        }
        flood(&hub, "fills:a");
    });
    // The slow one has read nothing yet, and is neither closed nor rid of anything: who hears now has not waited for it.
    hub.publish("fills:a", &message(FLOOD + 1));
    fast.iter_mut().for_each(|client| drop(client.message(FLOOD + 1)));
    assert_eq!(hub.stats()["connections"], 4);
    assert!(hub.stats()["catch_ups"].as_u64() > Some(0), "the slow one did not fall behind");
    let grown = hub.memory_bytes().saturating_sub(before);
    // 12 MB are kept for everybody, with their frames 24 MB; one outbox is 1 MB.
    assert!(grown < 80 << 20, "the hub grew by {grown} bytes");
    assert_eq!(slow.offsets_until(FLOOD + 1), (1..=FLOOD + 1).collect::<Vec<_>>());
    hub.publish("fills:a", &message(FLOOD + 2));
    slow.message(FLOOD + 2);
    slow.expect_silence();
    assert_eq!(hub.stats()["dropped"], json!({"trimmed": 0, "overflow": 0, "epoch": 0}));
}

#[test]
fn many_clients_that_do_not_read_cost_one_outbox_each() {
    let hub = Hub::with_config(FAMILIES);
    let mut slow: Vec<Client> = (0..20).map(|_| Client::connect(&hub)).collect();
    slow.iter_mut().for_each(|client| drop(client.subscribe("fills:a")));
    let before = hub.memory_bytes();
    flood(&hub, "fills:a");
    assert!(eventually(|| hub.stats()["catch_ups"] == 20), "{}", hub.stats());
    let grown = hub.memory_bytes().saturating_sub(before);
    assert!(grown < 120 << 20, "the hub grew by {grown} bytes");
    assert!(hub.stats()["waiting_bytes"].as_u64() < Some(30 << 20));
}

#[test]
fn on_latest_a_slow_client_gets_the_newest_and_is_told_how_many_were_conflated() {
    let hub = Hub::with_config(FAMILIES);
    let (mut slow, mut deaf) = (Client::connect(&hub), Client::connect_to(&hub, "/ws?notices=0"));
    let mut fast = Client::connect(&hub);
    for client in [&mut slow, &mut deaf, &mut fast] {
        client.subscribe("tick:A");
        client.subscribe("tick:B");
    }
    let last = BTreeMap::from([("tick:A".to_string(), FLOOD), ("tick:B".to_string(), FLOOD)]);
    std::thread::scope(|scope| {
        scope.spawn(|| read_until(&mut fast, &last));
        hub.publish_each(
            (1..=FLOOD).flat_map(|n| ["A", "B"].map(|symbol| (format!("tick:{symbol}"), message(n)))),
        );
    });
    for (client, notices) in [(&mut slow, true), (&mut deaf, false)] {
        let mut frames = read_until(client, &last);
        let told = |frames: &[Frame], symbol: &str| {
            frames.iter().any(|frame| frame.kind() == "notice" && frame.channel() == symbol)
        };
        while notices && !last.keys().all(|symbol| told(&frames, symbol)) {
            frames.push(client.next_of("notice"));
        }
        for symbol in last.keys() {
            let messages = frames.iter().filter(|frame| frame.is_message() && frame.channel() == symbol);
            let offsets: Vec<u64> = messages.map(Frame::offset).collect();
            assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
            assert!((offsets.len() as u64) < FLOOD, "nothing was conflated");
        }
        let told: Vec<&Frame> = frames.iter().filter(|frame| frame.kind() == "notice").collect();
        assert_eq!(!told.is_empty(), notices);
        for notice in told {
            assert_eq!(notice.json["notice"], "conflated");
            assert!(notice.json["count"].as_u64() > Some(0), "{}", notice.text);
        }
        client.expect_silence();
    }
    assert!(hub.stats()["conflated_by"]["pressure"].as_u64() > Some(0));
}

#[test]
fn urgent_messages_leave_before_the_tickers_that_wait() {
    let hub = Hub::with_config(FAMILIES);
    let mut slow = Client::connect(&hub);
    slow.subscribe("fills:a");
    slow.send(&json!({"action": "subscribe", "pattern": "tick:*"}));
    slow.next_of("subscription_confirmed");
    flood(&hub, "tick:flood");
    assert!(eventually(|| hub.stats()["conflated_by"]["pressure"].as_u64() > Some(0)), "{}", hub.stats());
    let tickers: Vec<String> = (0..100).map(|n| format!("tick:late-{n}")).collect();
    for ticker in &tickers {
        hub.publish(ticker, &message(1));
    }
    for n in 1..=10 {
        hub.publish("fills:a", &message(n));
    }
    let mut last: BTreeMap<String, u64> = tickers.iter().map(|ticker| (ticker.clone(), 1)).collect();
    last.insert("fills:a".to_string(), 10);
    last.insert("tick:flood".to_string(), FLOOD);
    let frames = read_until(&mut slow, &last);
    let fills: Vec<u64> =
        frames.iter().filter(|frame| frame.channel() == "fills:a").map(Frame::offset).collect();
    assert_eq!(fills, (1..=10).collect::<Vec<_>>());
    let end = frames.iter().rposition(|frame| frame.channel() == "fills:a").expect("fills came");
    let before = frames[..end].iter().filter(|frame| frame.channel().starts_with("tick:late")).count();
    assert!(before <= 5, "{before} tickers that waited left before the last fill");
}

#[test]
fn what_a_slow_client_lost_is_told_exactly_and_counted() {
    let hub = Hub::with_config(FAMILIES);
    let mut slow = Client::connect(&hub);
    slow.subscribe("tape:X");
    flood(&hub, "tape:X");
    let mut due = 1;
    let mut lost = 0;
    for frame in read_until(&mut slow, &until("tape:X", FLOOD)) {
        if frame.kind() == "gap" {
            assert_eq!(
                (&frame.json["from"], &frame.json["reason"]),
                (&json!(due), &json!("trimmed")),
                "{}",
                frame.text
            );
            let to = frame.json["to"].as_u64().expect("a gap ends somewhere");
            lost += to + 1 - due;
            due = to + 1;
        } else {
            assert_eq!(frame.offset(), due, "{}", &frame.text[..200]);
            due += 1;
        }
    }
    assert!(lost > 0, "the kernel's buffers took the whole flood");
    assert_eq!(hub.stats()["dropped"]["trimmed"], lost);
    slow.expect_silence();
}

#[test]
fn every_on_a_latest_family_counts_what_did_not_fit() {
    let hub = Hub::with_config(FAMILIES);
    let mut slow = Client::connect(&hub);
    slow.subscribe_with("tick:X", json!({"delivery": "every"}));
    flood(&hub, "tick:X");
    let mut due = 1;
    let mut lost = 0;
    for frame in read_until(&mut slow, &until("tick:X", FLOOD)) {
        if frame.kind() == "gap" {
            assert_eq!(
                (&frame.json["from"], &frame.json["reason"]),
                (&json!(due), &json!("overflow")),
                "{}",
                frame.text
            );
            let to = frame.json["to"].as_u64().expect("a gap ends somewhere");
            lost += to + 1 - due;
            due = to;
        } else {
            assert_eq!(frame.offset(), due, "{}", &frame.text[..200]);
        }
        due += 1;
    }
    assert!(lost > 0, "the kernel's buffers took the whole flood");
    assert_eq!(hub.stats()["dropped"]["overflow"], lost);
}

#[test]
fn a_connection_that_takes_no_byte_for_too_long_is_closed_and_resumes() {
    let hub = Hub::with_config(&format!("[limits]\nslow_close_s = 1\n{FAMILIES}"));
    let (mut slow, mut fast) = (Client::connect(&hub), Client::connect(&hub));
    slow.subscribe("fills:a");
    fast.subscribe("fills:a");
    std::thread::scope(|scope| {
        scope.spawn(|| fast.offsets_until(FLOOD));
        flood(&hub, "fills:a");
    });
    assert!(eventually(|| hub.stats()["closed"]["slow"] == 1), "{}", hub.stats());
    assert!(eventually(|| hub.stats()["connections"] == 1), "{}", hub.stats());
    let mut due = 1;
    let mut place = json!({"offset": 0});
    let closed = loop {
        match slow.read() {
            Ok(frame) => {
                assert_eq!(frame.offset(), due);
                place = frame.place();
                due += 1;
            }
            Err(closed) => break closed,
        }
    };
    assert!(matches!(closed.code, 4002 | 1006), "{closed:?}");
    assert!(due < FLOOD, "the kernel's buffers took the whole flood");
    let mut again = Client::connect(&hub);
    let confirmed = again.subscribe_with("fills:a", json!({"since": place}));
    assert_eq!(confirmed.json["recovered"], true);
    assert_eq!(again.offsets_until(FLOOD), (due..=FLOOD).collect::<Vec<_>>());
    fast.expect_silence();
}

#[test]
fn an_answer_over_http_that_nobody_reads_is_let_go_and_its_connection_closed() {
    let hub = Hub::with_config(&format!("[limits]\nslow_close_s = 1\n{FAMILIES}"));
    let pad = "x".repeat(100_000);
    hub.publish_all("fills:a", (0..300).map(|n| format!(r#"{{"n":{n},"pad":"{pad}"}}"#)));
    let ask = format!("GET /history/fills:a?limit=300 HTTP/1.1\r\nHost: {}\r\n\r\n", hub.address());
    let mut idle = Raw::send_to(&hub, &ask);
    let start = Instant::now();
    assert!(eventually(|| hub.stats()["closed"]["slow"] == 1), "{}", hub.stats());
    assert!(start.elapsed() > Duration::from_millis(900), "{:?}", start.elapsed());
    let got = idle.rest().len();
    assert!(got < 30_000_000, "{got}: the kernel's buffers took the whole answer");
    let mut reading = Raw::send_to(&hub, &ask);
    let len = reading.head().header("content-length").and_then(|len| len.parse().ok()).expect("a length");
    reading.body(len);
    assert_eq!(hub.stats()["closed"]["slow"], 1, "who reads is not slow");
}

#[test]
fn a_slow_client_that_is_covered_twice_gets_each_message_once_and_in_order() {
    let hub = Hub::with_config(FAMILIES);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&hub)).collect();
    let covers = [["deal:a", "deals"], ["deals", "deal:a"], ["deals", "deal:b"]];
    for (client, names) in clients.iter_mut().zip(covers) {
        names.iter().for_each(|name| drop(client.subscribe(name)));
    }
    let half = FLOOD / 2;
    hub.publish_each((1..=half).flat_map(|n| ["a", "b"].map(|desk| (format!("deal:{desk}"), message(n)))));
    assert!(eventually(|| hub.stats()["catch_ups"].as_u64() >= Some(3)), "{}", hub.stats());
    let last = BTreeMap::from([("deal:a".to_string(), half), ("deal:b".to_string(), half)]);
    for client in &mut clients {
        let frames = read_until(client, &last);
        for desk in last.keys() {
            let offsets: Vec<u64> =
                frames.iter().filter(|f| f.channel() == desk).map(Frame::offset).collect();
            assert_eq!(offsets, (1..=half).collect::<Vec<_>>(), "{desk}");
        }
        client.expect_silence();
    }
    assert_eq!(hub.stats()["dropped"], json!({"trimmed": 0, "overflow": 0, "epoch": 0}));
}
