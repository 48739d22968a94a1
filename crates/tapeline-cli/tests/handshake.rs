//! The opening handshake and the WebSocket below the native protocol, byte by byte against the real binary.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::{Value, json};
use support::raw::{ACCEPT, handshake, masked, unmasked};
use support::{Client, Hub, Raw, eventually};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The status that answers a request for `/ws`; the hub must still be well after it.
fn status_of(hub: &Hub, request: impl AsRef<[u8]>) -> u16 {
    let status = Raw::send_to(hub, request).head().status;
    assert_eq!(hub.get("/health").status(), 200);
    status
}

/// A sound request with one line replaced; an empty `to` leaves it out.
fn altered(hub: &Hub, from: &str, to: &str) -> String {
    let request = handshake(hub, "/ws", "");
    let line = request.lines().find(|line| line.starts_with(from)).expect("the line is there");
    let to = if to.is_empty() { String::new() } else { format!("{to}\r\n") };
    request.replacen(&format!("{line}\r\n"), &to, 1)
}

fn connections(hub: &Hub) -> u64 {
    hub.stats()["connections"].as_u64().expect("connections is a number")
}

#[test]
fn a_sound_handshake_is_answered_with_the_accept_key_of_the_standard() {
    let hub = Hub::start();
    let head = Raw::send_to(&hub, handshake(&hub, "/ws", "")).head();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("sec-websocket-accept"), Some(ACCEPT));
    assert!(head.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")));
    assert!(head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
}

#[test]
fn a_handshake_without_a_sound_key_is_refused() {
    let hub = Hub::start();
    assert_eq!(status_of(&hub, altered(&hub, "Sec-WebSocket-Key", "")), 400, "no key");
    for key in ["", "c2hvcnQ=", "dGhlIHNhbXBsZSBub25jZSBpcyB0b28gbG9uZw==", "not base64 at all!!!!!!"] {
        let request = altered(&hub, "Sec-WebSocket-Key", &format!("Sec-WebSocket-Key: {key}"));
        assert_eq!(status_of(&hub, request), 400, "key {key:?}");
    }
    let two = handshake(&hub, "/ws", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    assert_eq!(status_of(&hub, two), 400, "two keys");
}

#[test]
fn another_websocket_version_is_told_which_one_is_spoken() {
    let hub = Hub::start();
    for line in ["Sec-WebSocket-Version: 12", "Sec-WebSocket-Version: thirteen", ""] {
        let head = Raw::send_to(&hub, altered(&hub, "Sec-WebSocket-Version", line)).head();
        assert_eq!(head.status, 426, "{line:?}");
        assert_eq!(head.header("sec-websocket-version"), Some("13"), "{line:?}");
    }
}

#[test]
fn requests_that_are_no_upgrade_are_refused() {
    let hub = Hub::start();
    let sound = handshake(&hub, "/ws", "");
    assert_eq!(status_of(&hub, sound.replacen("GET", "POST", 1)), 405, "POST");
    assert_eq!(status_of(&hub, sound.replacen("HTTP/1.1", "HTTP/1.0", 1)), 400, "HTTP/1.0");
    assert_eq!(status_of(&hub, altered(&hub, "Upgrade", "")), 400, "no Upgrade");
    assert_eq!(status_of(&hub, altered(&hub, "Upgrade", "Upgrade: h2c")), 400, "another Upgrade");
    assert_eq!(
        status_of(&hub, altered(&hub, "Connection", "Connection: keep-alive")),
        400,
        "no Connection: Upgrade"
    );
}

#[test]
fn tokens_in_lists_and_in_any_case_are_understood() {
    let hub = Hub::start();
    let lines = [("Connection", "Connection: keep-alive, UPGRADE"), ("Upgrade", "upgrade: foo, WebSocket")];
    for (name, line) in lines {
        assert_eq!(status_of(&hub, altered(&hub, name, line)), 101, "{line}");
    }
}

#[test]
fn header_garbage_is_refused_and_hurts_nobody() {
    let hub = Hub::start();
    let mut bytes = handshake(&hub, "/ws", "X-Garbage: ").into_bytes();
    let end = bytes.len() - 2;
    bytes.splice(end..end, [0xff, 0x00, 0x01, b'\r', b'\n']);
    assert_eq!(status_of(&hub, bytes), 400, "a control character in a value");
    let bad_name = handshake(&hub, "/ws", "Bad Name\u{7f}: x\r\n");
    assert_eq!(status_of(&hub, bad_name), 400, "a space in a name");
    assert!(eventually(|| connections(&hub) == 0));
}

#[test]
fn the_size_of_a_head_decides_and_not_the_number_of_its_headers() {
    let hub = Hub::start();
    let headers = |count: usize, len: usize| -> String {
        (0..count).map(|n| format!("X-{n}: {}\r\n", "x".repeat(len))).collect()
    };
    for fits in [headers(1, 15 << 10), headers(500, 1), headers(900, 1)] {
        assert_eq!(status_of(&hub, handshake(&hub, "/ws", &fits)), 101);
    }
    for over in [headers(1, 17 << 10), headers(500, 40), headers(900, 14)] {
        let request = handshake(&hub, "/ws", &format!("Connection: close\r\n{over}"));
        let mut raw = Raw::send_to(&hub, request);
        assert_eq!(raw.head().status, 431);
        let told = String::from_utf8(raw.rest()).expect("an answer is text");
        assert!(told.contains("the limit is 16384 (limits.header_bytes)"), "{told}");
    }
    for without_a_word in [headers(1, 40 << 10), headers(1_100, 1)] {
        let mut raw = Raw::send_to(&hub, handshake(&hub, "/ws", &without_a_word));
        assert_eq!(raw.head().status, 431);
    }
    assert_eq!(hub.get("/health").status(), 200);
}

#[test]
fn an_unknown_subprotocol_does_not_stop_the_connection_and_is_not_selected() {
    let hub = Hub::start();
    let mut raw = Raw::send_to(&hub, handshake(&hub, "/ws", "Sec-WebSocket-Protocol: mqtt, chat\r\n"));
    let head = raw.head();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("sec-websocket-protocol"), None);
    raw.send(masked(PING, b"alive"));
    assert_eq!(raw.frame().payload, b"alive");
}

#[test]
fn an_extension_offer_is_not_answered_with_more_than_was_offered() {
    let hub = Hub::start();
    let offer = "Sec-WebSocket-Extensions: permessage-unheard-of; x=1\r\n";
    let head = Raw::send_to(&hub, handshake(&hub, "/ws", offer)).head();
    assert_eq!((head.status, head.header("sec-websocket-extensions")), (101, None));
}

#[test]
fn foreign_origins_and_their_lookalikes_are_refused_before_the_upgrade() {
    let hub = Hub::start();
    let port = hub.port();
    let same_host = format!("http://127.0.0.1.evil.example:{port}");
    let foreign = [
        "https://evil.example",
        "null",
        "",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example#localhost",
        "http://localhost@evil.example",
        "http://evil.example/localhost",
        "file://localhost",
        "http://localhosts",
        "http://127.0.0.1, https://evil.example",
        "http://2130706433.evil.example",
        same_host.as_str(),
    ];
    for origin in foreign {
        let request = handshake(&hub, "/ws", &format!("Origin: {origin}\r\n"));
        assert_eq!(status_of(&hub, request), 403, "{origin:?}");
    }
    assert_eq!(connections(&hub), 0);
}

#[test]
fn own_loopback_and_absent_origins_are_let_in() {
    let hub = Hub::start();
    let own = format!("http://{}", hub.address());
    for origin in
        [own.as_str(), "http://localhost:3000", "https://localhost", "http://[::1]:5173", "http://127.0.0.2"]
    {
        let request = handshake(&hub, "/ws", &format!("Origin: {origin}\r\n"));
        assert_eq!(status_of(&hub, request), 101, "{origin}");
    }
    let named = altered(&hub, "Host", "Host: desk.localhost:8000");
    let named = named.replacen("\r\n\r\n", "\r\nOrigin: http://desk.localhost:8000\r\n\r\n", 1);
    assert_eq!(status_of(&hub, named), 101, "the name it was asked by");
}

#[test]
fn a_foreign_name_that_is_pointed_at_this_machine_is_refused_unless_it_is_on_the_list() {
    let hub = Hub::with_config("[http]\nallowed_origins = [\"https://desk.example\"]\n");
    let ask = |path: &str, host: &str| {
        let mut raw = Raw::send_to(&hub, format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n"));
        let status = raw.head().status;
        (status, String::from_utf8_lossy(&raw.rest()).into_owned())
    };
    for path in ["/", "/stats", "/channels", "/history/trades:a", "/asyncapi.json", "/ws"] {
        let (status, told) = ask(path, "Host: evil.example:8000\r\n");
        assert_eq!(status, 403, "{path}");
        assert!(told.contains("foreign_origin") && told.contains("http.allowed_origins"), "{told}");
        let (status, _) = ask(path, "Host: localhost\r\nHost: evil.example\r\n");
        assert!(matches!(status, 400 | 403), "two names: {status}");
    }
    let rebound = altered(&hub, "Host", "Host: evil.example:8000");
    let rebound = rebound.replacen("\r\n\r\n", "\r\nOrigin: http://evil.example:8000\r\n\r\n", 1);
    assert_eq!(status_of(&hub, rebound), 403, "its Origin is its Host");
    let body = "Content-Length: 24\r\n\r\n{\"channel\":\"c\",\"data\":1}";
    let post = format!("POST /publish HTTP/1.1\r\nHost: evil.example\r\n{body}");
    assert_eq!(status_of(&hub, post), 403);
    assert_eq!(status_of(&hub, altered(&hub, "Host", "Host: desk.example")), 101, "it is on the list");
    assert_eq!(status_of(&hub, "GET /stats HTTP/1.0\r\n\r\n"), 200, "no browser leaves the name out");
    assert_eq!(ask("/stats", "Host: 0.0.0.0:8000\r\n").0, 200, "what a hub says that listens everywhere");
}

#[test]
fn an_origin_on_the_list_is_let_in_and_its_neighbours_are_not() {
    let hub = Hub::with_config("[http]\nallowed_origins = [\"https://desk.example\"]\n");
    let status = |origin: &str| status_of(&hub, handshake(&hub, "/ws", &format!("Origin: {origin}\r\n")));
    assert_eq!(status("https://desk.example"), 101);
    for origin in [
        "http://desk.example",
        "https://desk.example:444",
        "https://desk.example.evil.net",
        "https://a.desk.example",
    ] {
        assert_eq!(status(origin), 403, "{origin}");
    }
}

#[test]
fn a_subscribe_glued_to_the_handshake_is_answered() {
    let hub = Hub::start();
    hub.publish("orderbook:AAPL", r#"{"bids":[],"asks":[]}"#);
    let mut bytes = handshake(&hub, "/ws/early", "").into_bytes();
    bytes.extend(masked(TEXT, br#"{"action":"subscribe","symbol":"AAPL","req":1}"#));
    let mut raw = Raw::send_to(&hub, bytes);
    assert_eq!(raw.head().status, 101);
    let confirmed: Value = serde_json::from_slice(&raw.frame().payload).expect("JSON");
    assert_eq!((&confirmed["type"], &confirmed["req"]), (&json!("subscription_confirmed"), &json!(1)));
    let message: Value = serde_json::from_slice(&raw.frame().payload).expect("JSON");
    assert_eq!(message["type"], "orderbook_update");
}

#[test]
fn a_slash_in_a_client_id_may_be_written_either_way() {
    let hub = Hub::with_config("[limits]\nconnections_per_client = 1\n");
    let mut first = Client::connect_to(&hub, "/ws/chart-BTC/USD");
    first.subscribe("orderbook:BTC/USD");
    let mut second = Client::connect_to(&hub, "/ws/chart-BTC%2FUSD");
    assert_eq!(second.next().json["code"], "limit_connections", "it is the same client id");
    let mut other = Client::connect_to(&hub, "/ws/chart-BTC");
    other.subscribe("orderbook:BTC/USD");
}

#[test]
fn a_frame_without_a_mask_is_closed_with_1002() {
    let hub = Hub::start();
    let mut raw = Raw::open(&hub, "/ws");
    raw.send(unmasked(TEXT, br#"{"action":"ping"}"#));
    let frame = raw.frame();
    assert_eq!(frame.close_code(), Some(1002), "{frame:?}");
    assert!(raw.is_at_end());
}

#[test]
fn frames_that_break_the_protocol_are_closed_with_1002() {
    let hub = Hub::start();
    let broken = [
        ("a reserved bit", vec![0xc1, 0x80, 0, 0, 0, 0]),
        ("a reserved opcode", vec![0x83, 0x80, 0, 0, 0, 0]),
        ("a continuation of nothing", vec![0x80, 0x80, 0, 0, 0, 0]),
        ("a ping in parts", vec![0x09, 0x80, 0, 0, 0, 0]),
        ("a close of one byte", vec![0x88, 0x81, 0, 0, 0, 0, 3]),
        ("a close with a forbidden code", masked(CLOSE, 1005_u16.to_be_bytes())),
    ];
    for (what, bytes) in broken {
        let mut raw = Raw::open(&hub, "/ws");
        raw.send(bytes);
        assert_eq!(raw.frame().close_code(), Some(1002), "{what}");
    }
}

#[test]
fn an_oversized_frame_is_closed_with_1009_before_it_is_read() {
    let hub = Hub::start();
    let mut raw = Raw::open(&hub, "/ws");
    let mut header = vec![0x81, 0xff];
    header.extend_from_slice(&(2_u64 << 20).to_be_bytes());
    header.extend_from_slice(&[1, 2, 3, 4]);
    raw.send(header);
    assert_eq!(raw.frame().close_code(), Some(1009));
    assert!(raw.is_at_end());
}

#[test]
fn a_binary_frame_is_closed_with_1003() {
    let hub = Hub::start();
    let mut raw = Raw::open(&hub, "/ws");
    raw.send(masked(BINARY, b"\x00\x01"));
    assert_eq!(raw.frame().close_code(), Some(1003));
}

#[test]
fn text_that_is_not_utf_8_is_closed_with_1007() {
    let hub = Hub::start();
    let mut raw = Raw::open(&hub, "/ws");
    raw.send(masked(TEXT, b"{\"action\":\"\xff\"}"));
    assert_eq!(raw.frame().close_code(), Some(1007));
}

#[test]
fn a_request_in_fragments_with_a_ping_between_is_one_request() {
    let hub = Hub::start();
    let mut raw = Raw::open(&hub, "/ws");
    let mut first = masked(TEXT, br#"{"action":"ping","#);
    first[0] &= 0x7f;
    let last = masked(0, br#""req":"whole"}"#);
    raw.send([first, masked(PING, b"between"), last].concat());
    let pong = raw.frame();
    assert_eq!((pong.opcode, pong.payload.as_slice()), (PONG, b"between".as_slice()));
    let answer: Value = serde_json::from_slice(&raw.frame().payload).expect("JSON");
    assert_eq!(answer["req"], "whole");
}

#[test]
fn a_ping_is_answered_with_its_own_payload() {
    let hub = Hub::start();
    let mut raw = Raw::open(&hub, "/ws");
    for payload in [b"".as_slice(), b"x", &[0xfe; 125]] {
        raw.send(masked(PING, payload));
        let frame = raw.frame();
        assert_eq!((frame.opcode, frame.payload.as_slice()), (PONG, payload));
    }
}

#[test]
fn a_close_is_echoed_and_then_the_hub_ends_the_connection() {
    let hub = Hub::start();
    for code in [Some(1000_u16), Some(4321), None] {
        let mut raw = Raw::open(&hub, "/ws");
        let payload = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
        raw.send(masked(CLOSE, &payload));
        let frame = raw.frame();
        assert_eq!((frame.opcode, frame.close_code()), (CLOSE, code));
        assert!(raw.is_at_end(), "the hub closes first (RFC 6455, 7.1.1)");
    }
    assert!(eventually(|| connections(&hub) == 0));
}

#[test]
fn nothing_follows_a_close_frame() {
    let hub = Hub::start();
    let mut raw = Raw::open(&hub, "/ws");
    let mut bytes = Vec::new();
    for n in 0..100_u8 {
        bytes.extend(masked(PING, [n]));
    }
    bytes.extend(masked(CLOSE, 1000_u16.to_be_bytes()));
    raw.send(bytes);
    for n in 0..100_u8 {
        let frame = raw.frame();
        assert_eq!((frame.opcode, frame.payload.as_slice()), (PONG, [n].as_slice()), "the close comes last");
    }
    assert_eq!(raw.frame().close_code(), Some(1000));
    assert!(raw.is_at_end());
}

#[test]
fn half_closed_and_reset_connections_free_their_sessions() {
    let hub = Hub::start();
    let subscribe = masked(TEXT, br#"{"action":"subscribe","channel":"market_data:AAPL"}"#);
    let mut half = Raw::open(&hub, "/ws/half");
    let mut reset = Raw::open(&hub, "/ws/reset");
    let kept = Raw::open(&hub, "/ws/kept");
    half.send(&subscribe);
    reset.send(&subscribe);
    half.frame();
    reset.frame();
    assert!(eventually(|| connections(&hub) == 3));
    assert_eq!(hub.stats()["subscriptions"], 2);
    half.shut_down_sending();
    reset.send(masked(PING, b"unread"));
    reset.reset();
    assert!(eventually(|| connections(&hub) == 1), "{}", hub.stats());
    assert_eq!(hub.stats()["subscriptions"], 0);
    assert!(half.is_at_end());
    drop(kept);
    assert!(eventually(|| connections(&hub) == 0));
    assert_eq!(
        hub.publish("market_data:AAPL", r#"{"symbol":"AAPL","price":1,"change":0,"volume":1}"#)["subscribers"],
        0
    );
}

#[test]
fn a_connection_that_never_ends_its_request_hurts_nobody() {
    let hub = Hub::start();
    let silent = Raw::send_to(&hub, "GET /ws HTTP/1.1\r\nHost: x\r\n");
    let mut client = Client::connect(&hub);
    client.subscribe("orderbook:AAPL");
    hub.publish("orderbook:AAPL", "{}");
    client.message(1);
    drop(silent);
}
