//! Every limit is a setting, and who runs into it is told its name. One test provokes one limit; the last one asks the
//! binary which settings there are, so that none can be added without a test here.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::{Value, json};
use support::raw::{handshake, masked};
use support::{Client, Hub, Raw, eventually, run_to_end};

const CONTINUATION: u8 = 0;

fn hub(limits: &str) -> Hub {
    Hub::with_config(&format!("[limits]\n{limits}\n"))
}

/// Asserts that the message of this error frame names the setting.
fn names(error: &Value, code: &str, setting: &str) {
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{error}");
    let message = error["message"].as_str().expect("an error has a message");
    assert!(message.contains(&format!("limits.{setting}")), "{message}");
}

/// Asserts that this is refused over HTTP in a message that names the setting.
fn refused(hub: &Hub, path: &str, body: &str, expected: (u16, &str), setting: &str) {
    let answer = hub.post(path, body);
    assert_eq!(answer.refusal(), (expected.0, expected.1.to_string()));
    assert!(answer.text().contains(&format!("limits.{setting}")), "{}", answer.text());
}

#[test]
fn channels_per_request() {
    let hub = hub("channels_per_request = 2");
    let mut client = Client::connect(&hub);
    let request = json!({"action": "subscribe", "channels": ["a", "b", "c"], "req": 1});
    let error = client.ask(&request).json;
    names(&error, "invalid_request", "channels_per_request");
    assert_eq!(error["req"], 1);
    client.expect_silence();
}

#[test]
fn frame_bytes() {
    let hub = hub("frame_bytes = 100");
    let mut client = Client::connect(&hub);
    let pad = "x".repeat(100);
    names(&client.ask(&json!({"action": "ping", "pad": pad})).json, "too_large", "frame_bytes");
    let publish = json!({"action": "publish", "channel": "c", "data": pad, "req": 1});
    assert_eq!(client.ask(&publish).kind(), "published", "a publish has a limit of its own");
}

#[test]
fn publish_bytes() {
    let hub = hub("publish_bytes = 1000");
    let big = format!(r#"{{"channel":"c","data":"{}"}}"#, "x".repeat(9_000));
    refused(&hub, "/publish", &big, (413, "too_large"), "publish_bytes");
    refused(&hub, "/broadcast/orderbook?symbol=A", &big, (413, "too_large"), "publish_bytes");
    let mut client = Client::connect(&hub);
    client.send_text(&format!(r#"{{"action":"publish","channel":"c","data":"{}"}}"#, "x".repeat(9_000)));
    let closed = client.closed();
    assert_eq!(closed.code, 1009);
    assert!(closed.reason.contains("limits.publish_bytes"), "{}", closed.reason);
}

#[test]
fn batch_bytes_and_batch_items() {
    let hub = hub("batch_bytes = 1000\nbatch_items = 2");
    let big = format!(r#"[{{"channel":"c","data":"{}"}}]"#, "x".repeat(1_000));
    refused(&hub, "/publish/batch", &big, (413, "too_large"), "batch_bytes");
    let many = format!("[{}]", [r#"{"channel":"c","data":1}"#; 3].join(","));
    refused(&hub, "/publish/batch", &many, (413, "too_large"), "batch_items");
}

#[test]
fn frame_fragments() {
    let hub = hub("frame_fragments = 3");
    let mut raw = Raw::open(&hub, "/ws");
    let begun = |opcode| {
        let mut frame = masked(opcode, "x");
        frame[0] &= 0x7f;
        frame
    };
    raw.send(begun(1));
    (0..3).for_each(|_| raw.send(begun(CONTINUATION)));
    let last = raw.frame();
    assert_eq!(last.close_code(), Some(1008));
    let reason = String::from_utf8_lossy(&last.payload[2..]).into_owned();
    assert!(reason.contains("limits.frame_fragments"), "{reason}");
}

#[test]
fn requests_per_second_and_requests_burst() {
    let hub = hub("requests_per_second = 1\nrequests_burst = 5");
    let mut client = Client::connect(&hub);
    client.send(&json!({"action": "subscribe", "channels": ["a", "b", "c", "d", "e"]}));
    (0..5).for_each(|_| drop(client.next_of("subscription_confirmed")));
    let error = client.ask(&json!({"action": "ping", "req": "p"})).json;
    names(&error, "rate_limited", "requests_per_second");
    names(&error, "rate_limited", "requests_burst");
    assert_eq!(error["req"], "p");
    let published = client.ask(&json!({"action": "publish", "channel": "x", "data": 1, "req": 1}));
    assert_eq!(published.kind(), "published", "publishing has a limit of its own");
    assert!(
        eventually(|| client.ask(&json!({"action": "ping"})).kind() == "pong"),
        "the connection lives on"
    );
    let mut other = Client::connect(&hub);
    assert_eq!(other.ask(&json!({"action": "ping"})).kind(), "pong", "each connection has its own rate");
}

#[test]
fn publishes_per_second_and_publishes_burst() {
    let hub = hub("publishes_per_second = 1\npublishes_burst = 5");
    let mut client = Client::connect(&hub);
    for n in 1..=6 {
        client.send(&json!({"action": "publish", "channel": "c", "data": n, "req": n}));
    }
    let answers: Vec<Value> = (1..=6).map(|_| client.next().json).collect();
    let error = answers.iter().find(|answer| answer["type"] == "error").expect("one was too many");
    names(error, "rate_limited", "publishes_per_second");
    names(error, "rate_limited", "publishes_burst");
    assert_eq!(error["req"], 6);
    assert_eq!(hub.stats()["published"], 5);
    let publish = json!({"action": "publish", "channel": "c", "data": 7, "req": 7});
    assert!(eventually(|| client.ask(&publish).kind() == "published"), "later there is room again");
}

/// Asks on a connection that is kept; `None` is a GET.
fn ask(raw: &mut Raw, hub: &Hub, path: &str, body: Option<&str>) -> (u16, Value) {
    let (method, text) = body.map_or(("GET", ""), |body| ("POST", body));
    let (host, len) = (hub.address(), text.len());
    raw.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len}\r\n\r\n{text}"));
    let head = raw.head();
    let len = head.header("content-length").and_then(|len| len.parse().ok()).expect("a length");
    (head.status, serde_json::from_slice(&raw.body(len)).expect("an answer is JSON"))
}

/// Asserts that it was refused as too fast, in words that name this rate's settings.
fn is_too_fast((status, answer): (u16, Value), what: &str) {
    assert_eq!((status, &answer["error"]["code"]), (429, &json!("rate_limited")), "{answer}");
    let message = answer["error"]["message"].as_str().expect("a message");
    let names = |ending: &str| message.contains(&format!("limits.{what}_{ending}"));
    assert!(names("per_second") && names("burst"), "{message}");
}

#[test]
fn publishes_over_http_have_the_rate_of_a_session() {
    let hub = hub("publishes_per_second = 1\npublishes_burst = 5");
    let one = r#"{"channel":"c","data":1}"#;
    let many = |count: usize| format!("[{}]", vec![one; count].join(","));
    let mut raw = Raw::send_to(&hub, "");
    is_too_fast(ask(&mut raw, &hub, "/publish/batch", Some(&many(6))), "publishes");
    assert_eq!(hub.stats()["published"], 0, "a batch is refused as a whole");
    assert_eq!(hub.stats()["refused"], 6);
    assert_eq!(ask(&mut raw, &hub, "/publish/batch", Some(&many(3))).0, 200);
    is_too_fast(ask(&mut raw, &hub, "/publish/batch", Some(&many(3))), "publishes");
    assert_eq!(ask(&mut raw, &hub, "/publish", Some(one)).0, 200);
    assert_eq!(ask(&mut raw, &hub, "/broadcast/orderbook?symbol=A", Some("{}")).0, 200);
    is_too_fast(ask(&mut raw, &hub, "/publish", Some(one)), "publishes");
    is_too_fast(ask(&mut raw, &hub, "/broadcast/orderbook?symbol=A", Some("{}")), "publishes");
    assert_eq!(ask(&mut raw, &hub, "/history/c", None).0, 200, "asking has a limit of its own");
    assert_eq!(hub.stats()["published"], 5);
    assert!(eventually(|| ask(&mut raw, &hub, "/publish", Some(one)).0 == 200), "later there is room again");
}

#[test]
fn requests_over_http_have_the_rate_of_a_session() {
    let hub = hub("requests_per_second = 1\nrequests_burst = 5");
    let mut raw = Raw::send_to(&hub, "");
    for path in ["/last/c", "/history/c", "/channels", "/stats", "/asyncapi.json"] {
        assert_ne!(ask(&mut raw, &hub, path, None).0, 429, "{path}");
    }
    is_too_fast(ask(&mut raw, &hub, "/openapi.json", None), "requests");
    assert_eq!(hub.stats()["refused"], 0, "that counts publishes");
    assert_eq!(ask(&mut raw, &hub, "/publish", Some(r#"{"channel":"c","data":1}"#)).0, 200);
    assert!(eventually(|| ask(&mut raw, &hub, "/stats", None).0 == 200), "later there is room again");
}

#[test]
fn by_default_publishes_are_not_counted() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    for n in 1..=30_000 {
        client.send(&json!({"action": "publish", "channel": "tape", "data": n}));
    }
    let settled = client.settle();
    assert!(settled.is_empty(), "{settled:?}");
    assert!(eventually(|| hub.stats()["published"] == 30_000));
}

#[test]
fn connections() {
    let hub = hub("connections = 3");
    let mut sessions = [Client::connect(&hub), Client::connect(&hub)];
    let request = format!("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", hub.address());
    let mut kept_alive = Raw::send_to(&hub, &request);
    assert_eq!(kept_alive.head().status, 200);
    for asked in [request, handshake(&hub, "/ws", "")] {
        let said = String::from_utf8(Raw::send_to(&hub, asked).rest()).expect("an answer is text");
        assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
        assert!(said.contains("4 connections, the limit is 3 (limits.connections)"), "{said}");
    }
    sessions.iter_mut().for_each(|client| drop(client.subscribe("orderbook:A")));
    drop(kept_alive);
    let asked = || Raw::send_to(&hub, handshake(&hub, "/ws", "")).head().status;
    assert!(eventually(|| asked() == 101), "a closed one makes room");
}

#[test]
fn header_bytes() {
    let hub = hub("header_bytes = 2000");
    for (path, more) in [
        ("/health".to_string(), format!("X-Pad: {}\r\n", "x".repeat(2_000))),
        (format!("/{}", "x".repeat(2_000)), String::new()),
    ] {
        let answer = hub.request("GET", &path, &more, "");
        assert_eq!(answer.refusal(), (431, "too_large".to_string()));
        assert!(answer.text().contains("limits.header_bytes"), "{}", answer.text());
    }
    assert_eq!(Raw::send_to(&hub, handshake(&hub, "/ws", "")).head().status, 101);
}

#[test]
fn outboxes_bytes() {
    let hub = hub("outboxes_bytes = 200000");
    hub.publish("news", &format!(r#"{{"pad":"{}"}}"#, "x".repeat(900_000)));
    let mut greedy = Client::connect(&hub);
    for _ in 0..20 {
        // Answers are for this client alone, so that nobody could read them again.
        greedy.send(&json!({"action": "last", "channel": "news"}));
    }
    assert!(eventually(|| hub.stats()["closed"]["overloaded"] == 1), "{}", hub.stats());
    let closed = greedy.closed();
    assert_eq!(closed.code, 1013, "{closed:?}");
    assert!(closed.reason.contains("limits.outboxes_bytes"), "{}", closed.reason);
}

/// Settings that refuse nothing, or whose refusal is provoked in another file.
const ELSEWHERE: [(&str, &str); 29] = [
    ("outbox_bytes", "what does not fit is caught up: slow_clients"),
    ("outbox_messages", "likewise"),
    ("inbox_messages", "publishers wait"),
    ("unsubscribed_grace_s", "limits"),
    ("heartbeat_s", "refuses nothing"),
    ("snapshot_sources", "refuses nothing: others' last values come when they change"),
    ("connections_per_client", "limits"),
    ("subscriptions_per_client", "limits"),
    ("subscriptions_per_connection", "limits"),
    ("slow_close_s", "slow_clients"),
    ("handshake_timeout_s", "timeouts"),
    ("body_timeout_s", "timeouts"),
    ("idle_timeout_s", "timeouts"),
    ("message_timeout_s", "timeouts"),
    ("body_bytes_per_second", "timeouts"),
    ("bytes_per_second", "rates: it makes its sender wait"),
    ("bytes_burst", "likewise"),
    ("user_messages_per_second", "rates"),
    ("user_messages_burst", "rates"),
    ("user_bytes_per_second", "rates"),
    ("user_bytes_burst", "rates"),
    ("handshakes_per_second", "addresses"),
    ("handshakes_burst", "addresses"),
    ("handshakes_per_second_total", "addresses"),
    ("handshakes_burst_total", "addresses"),
    ("connections_per_address", "addresses"),
    ("exempt", "addresses"),
    ("bodies_bytes", "memory"),
    ("memory_bytes", "memory"),
];

#[test]
fn no_setting_is_left_out_here() {
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.arg("config");
    let (_, out, _) = run_to_end(command);
    let limits = out.lines().filter_map(|line| line.strip_prefix("limits."));
    let settings: Vec<&str> = limits.filter_map(|line| line.split(' ').next()).collect();
    assert!(settings.len() >= 20, "{settings:?}");
    let here = include_str!("refusals.rs");
    for setting in settings {
        let provoked =
            here.contains(&format!("\"{setting}\"")) || here.contains(&format!("limits.{setting}"));
        let elsewhere = ELSEWHERE.iter().any(|(known, _)| *known == setting);
        assert!(provoked || elsewhere, "no test provokes limits.{setting}");
    }
}
