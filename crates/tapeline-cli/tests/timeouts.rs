//! Connections that take their time: half a request, a body that trickles, a peer that is gone without a word. None is
//! kept for longer than its setting says, and each is told which one.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use support::raw::{handshake, masked};
use support::{Client, Hub, Raw, eventually};

const PING: u8 = 9;
const PONG: u8 = 10;

fn hub(setting: &str) -> Hub {
    Hub::with_config(&format!("[limits]\n{setting} = 1\n"))
}

/// Writes a byte now and then until the hub has had enough.
fn trickle(mut stream: TcpStream, byte: u8) {
    let pace = Duration::from_millis(50);
    while let Ok(()) = stream.write_all(&[byte]) {
        let mut seen = [0];
        stream.set_read_timeout(Some(pace)).expect("a time-out can be set");
        match stream.peek(&mut seen) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            _ => return,
        }
    }
}

/// What the hub says before it ends the connection, which it must in about a second.
fn last_words(mut raw: Raw, start: Instant) -> String {
    let said = String::from_utf8(raw.rest()).expect("an answer is text");
    let took = start.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(8)).contains(&took), "it took {took:?}");
    said
}

#[test]
fn a_connection_that_asks_nothing_is_told_so_and_closed() {
    let hub = hub("handshake_timeout_s");
    let start = Instant::now();
    let said = last_words(Raw::send_to(&hub, ""), start);
    assert!(said.starts_with("HTTP/1.1 408 timeout\r\n"), "{said}");
    assert!(said.contains("limits.handshake_timeout_s"), "{said}");
}

#[test]
fn a_fraction_of_a_second_is_told_as_it_was_set() {
    let hub = Hub::with_config("[limits]\nhandshake_timeout_s = 0.25\nbody_timeout_s = 0.25\n");
    let said = Raw::send_to(&hub, "").rest();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("the head took longer than 0.25 s"), "{said}");
    let head = format!("POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Length: 9\r\n\r\n", hub.address());
    let said = Raw::send_to(&hub, head).rest();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("the body took longer than 0.25 s"), "{said}");
}

#[test]
fn a_head_that_trickles_is_cut_off_though_bytes_keep_coming() {
    let hub = hub("handshake_timeout_s");
    let start = Instant::now();
    let (stream, _) = Raw::send_to(&hub, "GET /ws HTTP/1.1\r\nX-Slow: ").into_parts();
    trickle(stream.try_clone().expect("a socket can be shared"), b'x');
    let took = start.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(8)).contains(&took), "it took {took:?}");
}

#[test]
fn half_a_handshake_holds_up_nobody() {
    let hub = hub("handshake_timeout_s");
    let start = Instant::now();
    let slow: Vec<Raw> = (0..100).map(|_| Raw::send_to(&hub, "GET /ws HTTP/1.1\r\nUpgr")).collect();
    let mut client = Client::connect(&hub);
    client.subscribe("orderbook:A");
    hub.publish("orderbook:A", "{}");
    client.message(1);
    for raw in slow {
        let said = last_words(raw, start);
        assert!(said.contains("limits.handshake_timeout_s"), "{said}");
    }
}

#[test]
fn a_body_that_trickles_is_refused_though_bytes_keep_coming() {
    let hub = hub("body_timeout_s");
    let start = Instant::now();
    let head = format!("POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Length: 9000\r\n\r\n", hub.address());
    let (stream, _) = Raw::send_to(&hub, head).into_parts();
    trickle(stream.try_clone().expect("a socket can be shared"), b' ');
    let said = last_words(Raw::of(stream), start);
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(said.contains("the body took longer than 1 s (limits.body_timeout_s)"), "{said}");
}

#[test]
fn a_body_that_comes_too_slowly_is_refused_long_before_its_time() {
    let hub = Hub::with_config("[limits]\nhandshake_timeout_s = 1\nbody_bytes_per_second = 1000\n");
    let start = Instant::now();
    let head = format!("POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Length: 9000\r\n\r\n", hub.address());
    let (stream, _) = Raw::send_to(&hub, head).into_parts();
    trickle(stream.try_clone().expect("a socket can be shared"), b' ');
    let said = last_words(Raw::of(stream), start);
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(said.contains("slower than 1000 bytes a second (limits.body_bytes_per_second)"), "{said}");
}

/// Asserts that the hub gives the client up for a message that did not end.
fn is_given_up(hub: &Hub, mut client: Raw, start: Instant) {
    let last = client.frame();
    assert_eq!(last.close_code(), Some(4002), "{last:?}");
    let reason = String::from_utf8_lossy(&last.payload[2..]).into_owned();
    assert!(reason.contains("limits.message_timeout_s"), "{reason}");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(eventually(|| hub.stats()["connections"] == 0));
}

#[test]
fn a_message_that_is_begun_and_never_ended_is_given_up() {
    let hub = hub("message_timeout_s");
    let (mut begun, start) = (Raw::open(&hub, "/ws?heartbeat=0"), Instant::now());
    let frame = masked(1, br#"{"action":"ping"}"#);
    begun.send(&frame[..frame.len() - 1]);
    is_given_up(&hub, begun, start);
    assert_eq!(hub.stats()["closed"]["unfinished"], 1);
}

#[test]
fn pieces_and_pings_do_not_keep_an_unended_message_alive() {
    let hub = Hub::with_config("[limits]\nmessage_timeout_s = 3\n");
    let (mut begun, start) = (Raw::open(&hub, "/ws?heartbeat=0"), Instant::now());
    let mut piece = masked(1, "\"");
    piece[0] &= 0x7f;
    begun.send(&piece);
    piece[0] = 0;
    while start.elapsed() < Duration::from_millis(700) {
        begun.send(&piece);
        begun.send(masked(PING, ""));
        assert_eq!(begun.frame().opcode, PONG);
        std::thread::sleep(Duration::from_millis(50));
    }
    is_given_up(&hub, begun, start);
}

#[test]
fn many_messages_may_take_longer_than_one() {
    let hub = hub("message_timeout_s");
    let (mut client, start) = (Raw::open(&hub, "/ws?heartbeat=0"), Instant::now());
    let frame = masked(1, br#"{"action":"ping"}"#);
    // The end of each comes with the begin of the next.
    client.send(&frame[..9]);
    while start.elapsed() < Duration::from_millis(2_500) {
        client.send([&frame[9..], &frame[..9]].concat());
        assert_eq!(client.frame().opcode, 1, "a pong of the protocol");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(hub.stats()["closed"]["unfinished"], 0);
}

#[test]
fn a_peer_that_answers_no_ping_is_closed_and_told_why() {
    let hub = hub("idle_timeout_s");
    let mut dead = Raw::open(&hub, "/ws?heartbeat=0");
    assert_eq!(dead.frame().opcode, PING);
    let last = dead.frame();
    assert_eq!(last.close_code(), Some(4002));
    let reason = String::from_utf8_lossy(&last.payload[2..]).into_owned();
    assert!(reason.contains("limits.idle_timeout_s"), "{reason}");
    assert_eq!(hub.stats()["closed"]["idle"], 1);
    drop(dead);
    assert!(eventually(|| hub.stats()["connections"] == 0));
}

#[test]
fn a_client_that_takes_compressed_frames_is_asked_whether_it_lives_too() {
    let hub = hub("idle_timeout_s");
    let mut quiet = Raw::send_to(
        &hub,
        handshake(&hub, "/ws?heartbeat=0", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
    );
    assert!(quiet.head().header("sec-websocket-extensions").is_some(), "it is compressed");
    answers_pings(&hub, quiet);
}

#[test]
fn a_quiet_client_that_answers_pings_stays() {
    let hub = hub("idle_timeout_s");
    let quiet = Raw::open(&hub, "/ws?heartbeat=0");
    answers_pings(&hub, quiet);
}

fn answers_pings(hub: &Hub, mut quiet: Raw) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        let frame = quiet.frame();
        assert_eq!(frame.opcode, PING, "{frame:?}");
        quiet.send(masked(PONG, &frame.payload));
    }
    quiet.send(masked(1, br#"{"action":"ping"}"#));
    assert_eq!(quiet.frame().opcode, 1);
    assert_eq!(hub.stats()["closed"]["idle"], 0);
}

#[test]
fn a_client_that_speaks_is_not_asked_whether_it_lives() {
    let hub = Hub::with_config("[limits]\nidle_timeout_s = 2\n");
    let mut client = Raw::open(&hub, "/ws?heartbeat=0");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        client.send(masked(1, json!({"action": "ping"}).to_string()));
        assert_eq!(client.frame().opcode, 1, "a pong of the protocol, no ping");
        std::thread::sleep(Duration::from_millis(100));
    }
}
