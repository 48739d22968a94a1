//! permessage-deflate end to end: who gets it, what is compressed, that each message is compressed once, and that
//! nobody can hurt the hub with it.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::{Value, json};
use support::deflate::{Deflating, deflated, offer};
use support::raw::{masked, masked_frame};
use support::{Client, Hub, eventually};

const BARE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// An order book of about so many bytes.
fn book(bytes: usize) -> String {
    let side = |start: usize| -> Vec<Value> {
        (0..bytes / 40)
            .map(|n| json!([66_000 + start + n * 7 % 100, (n * 7_919 % 9_973) as f64 / 8.0]))
            .collect()
    };
    json!({"symbol": "BTC/USD", "bids": side(0), "asks": side(100)}).to_string()
}

/// How many messages, or replies, the hub has compressed.
fn compressed(hub: &Hub, what: &str) -> u64 {
    hub.stats()["compressed"][what].as_u64().expect("it is counted")
}

#[test]
fn only_a_sound_offer_is_answered_and_no_offer_fails_the_handshake() {
    let hub = Hub::start();
    for path in ["/ws", "/ws/a%2Fb"] {
        for sound in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "x-other, permessage-deflate",
        ] {
            let (head, _) = offer(&hub, path, sound);
            assert_eq!(head.header("sec-websocket-extensions"), Some(BARE), "{sound}");
        }
        for unsound in [
            "x-other",
            "permessage-deflate; surprise",
            ";;=,\"",
            "permessage-deflate; server_max_window_bits=99",
        ] {
            let (head, mut client) = offer(&hub, path, unsound);
            assert_eq!(head.header("sec-websocket-extensions"), None, "{unsound}");
            client.subscribe("orderbook:A");
        }
    }
}

#[test]
fn a_frame_over_1_kib_is_compressed_and_says_the_same_as_the_plain_one() {
    let hub = Hub::start();
    let mut plain = Client::connect(&hub);
    plain.subscribe("orderbook:A");
    let mut deflating = Deflating::connect(&hub);
    deflating.subscribe("orderbook:A");
    for (offset, (bytes, is_compressed)) in
        [(200, false), (4 << 10, true), (40 << 10, true), (500 << 10, true), (200, false)]
            .into_iter()
            .enumerate()
    {
        hub.publish("orderbook:A", &book(bytes));
        let expected = plain.message(offset as u64 + 1).text;
        let got = deflating.next();
        assert_eq!(got.compressed, is_compressed, "{} bytes", expected.len());
        assert!(got.text == expected, "{} bytes", expected.len());
        assert!(!is_compressed || got.payload.len() * 2 < expected.len());
    }
    assert_eq!(compressed(&hub, "messages"), 3);
}

#[test]
fn the_border_is_at_1_kib_of_frame() {
    let hub = Hub::start();
    let mut client = Deflating::connect(&hub);
    client.subscribe("news");
    hub.publish("news", r#"{"pad":""}"#);
    let around = client.next().text.len();
    for (frame, is_compressed) in [(1_024, false), (1_025, true)] {
        // The header of a frame this long has four bytes.
        let pad = "x".repeat(frame - 4 - around);
        hub.publish("news", &format!(r#"{{"pad":"{pad}"}}"#));
        let got = client.next();
        assert_eq!((got.text.len() + 4, got.compressed), (frame, is_compressed));
    }
}

#[test]
fn a_message_is_compressed_once_for_fifty_clients() {
    let hub = Hub::start();
    let mut clients: Vec<Deflating> = (0..50).map(|_| Deflating::connect(&hub)).collect();
    for client in &mut clients {
        client.subscribe("market_trades:A");
    }
    for n in 1..=20 {
        let trade = r#""symbol":"A","price":1,"quantity":1,"side":"buy","time":1"#;
        hub.publish("market_trades:A", &format!(r#"{{{trade},"n":{n},"book":{}}}"#, book(4 << 10)));
        let first = clients[0].next();
        assert!(first.compressed && first.json()["offset"] == n, "{}", first.text);
        for client in &mut clients[1..] {
            assert_eq!(client.next().payload, first.payload, "one frame for all");
        }
    }
    assert_eq!(compressed(&hub, "messages"), 20);
}

#[test]
fn a_tables_snapshot_is_compressed_once_for_all_who_subscribe() {
    let hub = Hub::start();
    let rows: Vec<Value> = (0..100).map(|n| json!(["b", 66_000 + n, n * 7_919 % 9_973 + 1])).collect();
    hub.publish("orderbook_rows:A", &json!({"rows": rows, "snapshot": true}).to_string());
    hub.publish("orderbook_rows:A", r#"{"rows":[["a",70000,1]]}"#);
    let snapshots: Vec<(Deflating, Vec<u8>)> = (0..20)
        .map(|_| {
            let mut client = Deflating::connect(&hub);
            client.subscribe("orderbook_rows:A");
            let got = client.next();
            assert_eq!(got.json()["data"]["rows"].as_array().map(Vec::len), Some(101), "{}", got.text);
            assert!(got.compressed);
            (client, got.payload)
        })
        .collect();
    assert!(snapshots.iter().all(|(_, payload)| *payload == snapshots[0].1), "one frame for all");
    assert_eq!(compressed(&hub, "messages"), 1);
}

#[test]
fn nothing_is_compressed_where_nobody_can_take_it() {
    let hub = Hub::start();
    let mut plain = Client::connect(&hub);
    plain.subscribe("orderbook:A");
    hub.publish("orderbook:A", &book(100 << 10));
    plain.message(1);
    assert_eq!(compressed(&hub, "messages"), 0);
}

#[test]
fn a_large_message_is_compressed_before_delivery_while_a_session_takes_compressed_frames() {
    let hub = Hub::start();
    let mut plain = Client::connect(&hub);
    plain.subscribe("orderbook:A");
    let deflating = Deflating::connect(&hub);
    assert!(eventually(|| hub.stats()["connections"] == 2));
    hub.publish("orderbook:A", &book(4 << 10));
    assert_eq!(compressed(&hub, "messages"), 0, "a smaller one waits for its first write");
    hub.publish("orderbook:A", &book(40 << 10));
    assert_eq!(compressed(&hub, "messages"), 1, "before the publish is answered");
    drop(deflating);
    assert!(eventually(|| hub.stats()["connections"] == 1));
    hub.publish("orderbook:A", &book(40 << 10));
    assert_eq!(compressed(&hub, "messages"), 1);
    plain.message(1);
}

#[test]
fn a_family_with_compress_never_stays_plain_in_answers_too() {
    let hub = Hub::with_config(
        "[[channel]]\ntemplate = \"sealed:{key}\"\ntype = \"sealed\"\ncompress = \"never\"\n\
         [[channel]]\ntemplate = \"open:{key}\"\ntype = \"open\"\ncompress = \"auto\"\n",
    );
    for (channel, is_compressed) in [("sealed:A", false), ("open:A", true)] {
        let mut client = Deflating::connect(&hub);
        client.subscribe(channel);
        hub.publish(channel, &book(40 << 10));
        assert_eq!(client.next().compressed, is_compressed, "{channel}");
        for action in ["history", "last"] {
            client.send(&json!({"action": action, "channel": channel}));
            let answer = client.next();
            assert_eq!(answer.json()["type"], action);
            assert_eq!(answer.compressed, is_compressed, "{action} of {channel}");
        }
    }
    assert_eq!((compressed(&hub, "messages"), compressed(&hub, "replies")), (1, 2));
}

#[test]
fn a_smaller_window_is_granted_with_plain_frames_and_may_compress_what_it_sends() {
    let hub = Hub::start();
    let (head, mut client) = offer(&hub, "/ws", "permessage-deflate; server_max_window_bits=10");
    let answer = format!("{BARE}; server_max_window_bits=10");
    assert_eq!(head.header("sec-websocket-extensions"), Some(answer.as_str()));
    client.send_compressed(r#"{"action":"subscribe","channel":"orderbook:A"}"#);
    assert!(client.next().text.contains("subscription_confirmed"));
    let data = book(8 << 10);
    hub.publish("orderbook:A", &data);
    let got = client.next();
    assert!(!got.compressed && got.text.contains(&data));
    assert_eq!(compressed(&hub, "messages"), 0);
}

#[test]
fn a_compressed_publish_in_fragments_arrives_with_its_bytes() {
    let hub = Hub::start();
    let mut hearer = Client::connect(&hub);
    hearer.subscribe("orderbook:A");
    let mut client = Deflating::connect(&hub);
    let data = book(900 << 10);
    let bytes =
        deflated(format!(r#"{{"action":"publish","channel":"orderbook:A","data":{data}}}"#).as_bytes());
    let pieces: Vec<&[u8]> = bytes.chunks(bytes.len().div_ceil(5)).collect();
    for (n, piece) in pieces.iter().enumerate() {
        let first = [0x41, 0x00, 0x00, 0x00, 0x80][n];
        client.send_raw(masked_frame(first, piece));
        client.send_raw(masked(9, b"between"));
    }
    assert!(hearer.message(1).data_text() == data);
}

#[test]
fn the_limit_of_a_frame_counts_what_is_inflated() {
    let hub = Hub::start();
    let mut client = Deflating::connect(&hub);
    let pad = " ".repeat(65 << 10);
    client.send_compressed(&format!(r#"{{"action":"subscribe",{pad}"channel":"orderbook:A"}}"#));
    let error = client.next().json();
    assert_eq!(error["code"], "too_large", "{error}");
    assert!(error["message"].as_str().expect("a message").contains("limits.frame_bytes"), "{error}");
    client.subscribe("orderbook:A");
}

#[test]
fn a_bomb_is_refused_with_1009_and_neither_memory_nor_other_clients_notice() {
    let hub = Hub::start();
    let mut other = Client::connect(&hub);
    other.subscribe("orderbook:A");
    let bomb = masked_frame(0xc1, &deflated(&vec![b' '; 64 << 20]));
    assert!(bomb.len() < 128 << 10, "{}", bomb.len());
    let refused = || {
        let mut client = Deflating::connect(&hub);
        client.send_raw(&bomb);
        assert_eq!(client.close_code(), 1009);
    };
    refused();
    let before = hub.memory_bytes();
    for n in 1..=10 {
        refused();
        hub.publish("orderbook:A", "{}");
        other.message(n);
    }
    let grown = hub.memory_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "ten bombs of 64 MiB cost {grown} bytes");
    assert!(eventually(|| hub.stats()["connections"] == 1));
}

#[test]
fn what_is_no_deflate_data_or_was_not_negotiated_ends_the_connection() {
    let hub = Hub::start();
    let mut client = Deflating::connect(&hub);
    client.send_raw(masked_frame(0xc1, br#"{"action":"list"}"#));
    assert_eq!(client.close_code(), 1007);
    let mut client = Deflating::connect(&hub);
    client.send_raw(masked_frame(0xc9, b"a compressed ping"));
    assert_eq!(client.close_code(), 1002);
    let (_, mut client) = offer(&hub, "/ws", "nothing-of-ours");
    client.send_compressed(r#"{"action":"list"}"#);
    assert_eq!(client.close_code(), 1002);
}

#[test]
fn compression_can_be_turned_off() {
    let hub = Hub::with_config("[http]\ncompression = false\n");
    let (head, mut client) = offer(&hub, "/ws", "permessage-deflate; client_max_window_bits");
    assert_eq!(head.header("sec-websocket-extensions"), None);
    client.subscribe("orderbook:A");
    hub.publish("orderbook:A", &book(40 << 10));
    assert!(!client.next().compressed);
}
