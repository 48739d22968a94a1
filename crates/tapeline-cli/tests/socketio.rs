//! The Socket.IO door as strangers find it: what its protocols forbid, what takes too long or is too much, and how each is
//! told. Official clients are in `tests/doors/`.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::http::Answer;
use support::raw::{handshake, masked};
use support::{Hub, Raw, eventually};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const SOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const HEADS: &str = "Content-Type: text/plain;charset=UTF-8\r\n";

/// A client on a WebSocket.
struct Client(Raw);

impl Client {
    /// That has been told its session.
    fn open(hub: &Hub) -> Client {
        let mut client = Client(Raw::open(hub, SOCKET));
        assert!(client.next().starts_with("0{\"sid\":\""), "a session begins with its name");
        client
    }

    /// That has joined.
    fn join(hub: &Hub) -> Client {
        let mut client = Client::open(hub);
        client.say("40");
        assert!(client.next().starts_with("40{\"sid\":\""), "it has joined");
        client
    }

    fn say(&mut self, packet: &str) {
        self.0.send(masked(TEXT, packet));
    }

    fn attach(&mut self, bytes: &[u8]) {
        self.0.send(masked(BINARY, bytes));
    }

    /// The next packet.
    fn next(&mut self) -> String {
        let frame = self.0.frame();
        assert_eq!(frame.opcode, TEXT, "{:?}", String::from_utf8_lossy(&frame.payload));
        String::from_utf8(frame.payload).expect("a text frame is text")
    }

    /// The answer under a number.
    fn answer(&mut self, number: u32) -> Value {
        let packet = self.next();
        let text = packet.strip_prefix(&format!("43{number}[")).and_then(|text| text.strip_suffix(']'));
        let text = text.unwrap_or_else(|| panic!("{packet} answers {number}"));
        serde_json::from_str(text).expect("an answer is JSON")
    }

    /// The close code and its reason, whatever came before.
    fn closed(mut self) -> (u16, String) {
        loop {
            let frame = self.0.frame();
            if frame.opcode == CLOSE {
                let code = frame.close_code().unwrap_or(1005);
                let reason = frame.payload.get(2..).unwrap_or_default().to_vec();
                return (code, String::from_utf8(reason).expect("a reason is text"));
            }
        }
    }
}

fn refused(answer: &Answer) -> (u16, u64, String) {
    let body = answer.json();
    let message = body["message"].as_str().expect("a refusal has a message").to_string();
    (answer.status(), body["code"].as_u64().expect("a refusal has a code"), message)
}

/// A session that polls; its path.
fn poll(hub: &Hub) -> String {
    let answer = hub.get(POLLING);
    let open: Value = serde_json::from_str(answer.text().strip_prefix('0').expect("it opens")).expect("JSON");
    assert_eq!((answer.status(), &open["upgrades"]), (200, &json!(["websocket"])));
    let sid = open["sid"].as_str().expect("a session has a name");
    assert!(sid.len() * 4 >= 120, "{sid} is hard to guess");
    format!("{POLLING}&sid={sid}")
}

fn post(hub: &Hub, path: &str, body: &str) -> Answer {
    hub.request("POST", path, HEADS, body)
}

#[test]
fn what_is_no_session_is_refused_as_clients_know_it() {
    let hub = Hub::start();
    for (method, path, code) in [
        ("GET", "/socket.io/?EIO=4", 0),
        ("GET", "/socket.io?EIO=4&transport=pigeon", 0),
        ("GET", "/socket.io/?EIO=4&transport=polling&sid=nobody", 1),
        ("POST", "/socket.io/?EIO=4&transport=polling&sid=nobody", 1),
        ("POST", POLLING, 2),
        ("PUT", POLLING, 2),
        ("GET", "/socket.io/?EIO=4&transport=polling&j=0", 3),
        ("GET", "/socket.io/?transport=polling", 5),
        ("GET", "/socket.io/?EIO=3&transport=polling", 5),
        ("GET", "/socket.io/?EIO=3&transport=websocket", 5),
    ] {
        let (status, told, _) = refused(&hub.request(method, path, "", ""));
        assert_eq!((status, told), (400, code), "{method} {path}");
    }
    let answer = hub.request("GET", POLLING, "Origin: https://evil.example\r\n", "");
    let (status, code, message) = refused(&answer);
    assert_eq!((status, code), (403, 4));
    assert!(message.contains("http.allowed_origins"), "{message}");
    let answer = hub.request("GET", POLLING, "Origin: http://localhost:3000\r\n", "");
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
}

#[test]
fn who_breaks_the_protocol_is_told_how_and_closed() {
    let hub = Hub::start();
    for (packet, reason) in [
        ("", "a packet is empty"),
        ("x", "a packet's type"),
        ("2", "a ping from a client"),
        ("4", "a packet's type"),
        ("4abc", "a packet's type"),
        ("40", "is already"),
        ("42{}", "payload"),
        ("42[\"connect\"]", "reserved"),
        ("42abc[\"a\"]", "payload"),
        ("42/admin,[\"a\"]", "not joined"),
        ("41/admin,", "not joined"),
        ("44{\"message\":\"m\"}", "payload"),
        ("4511-[\"a\"]", "more than 10 attachments"),
        ("451-[\"a\",{\"_placeholder\":true,\"num\":1}]", "placeholder"),
        ("4299999999999999999999[\"a\"]", "acknowledgement"),
    ] {
        let mut client = Client::join(&hub);
        client.say(packet);
        let (code, told) = client.closed();
        assert!(code == 1002 && told.contains(reason), "{packet}: {code} {told}");
    }
    let mut early = Client::open(&hub);
    early.say("42[\"subscribe\",\"a\"]");
    assert!(early.closed().1.contains("not joined"));
    let mut odd = Client::join(&hub);
    odd.attach(b"nothing asked for this");
    assert!(odd.closed().1.contains("belongs to nothing"));
    let mut odd = Client::join(&hub);
    odd.say("451-[\"a\",{\"_placeholder\":true,\"num\":0}]");
    odd.say("42[\"a\"]");
    assert!(odd.closed().1.contains("attachment"));
    let mut large = Client::join(&hub);
    large.say(&format!("42[\"publish\",\"{}\"]", "x".repeat(2 << 20)));
    let (code, told) = large.closed();
    assert!(code == 1009 && told.contains("limits.publish_bytes"), "{code} {told}");
}

#[test]
fn what_is_too_large_is_told_so_unread() {
    let hub = Hub::with_config("[limits]\nframe_bytes = 1000\n");
    let mut client = Client::open(&hub);
    let long = "x".repeat(1000);
    client.say(&format!("40{{\"token\":\"{long}\"}}"));
    assert!(client.next().starts_with("44{\"message\":\"packet is "));
    client.say(&format!("40/admin,{long}"));
    assert!(client.next().starts_with("44/admin,{\"message\":\"packet is "));
    client.say("40");
    assert!(client.next().starts_with("40{\"sid\":"));
    // None of it is JSON.
    client.say(&format!("421[\"subscribe\",{long}"));
    let told = client.answer(1);
    assert_eq!(told["code"], "too_large");
    assert!(told["message"].as_str().is_some_and(|text| text.contains("limits.frame_bytes")), "{told}");
    client.say(&format!("431[{long}"));
    client.say(&format!("451-2[\"a\",{long}"));
    client.attach(b"one");
    assert_eq!(client.answer(2)["code"], "invalid_data");
    client.say(&format!("423[ \"publish\",{{\"channel\":\"a\",\"data\":\"{long}\"}}]"));
    assert_eq!(client.answer(3)["type"], "published");
}

#[test]
fn what_is_no_event_counts_as_a_request_too() {
    let hub = Hub::with_config("[limits]\nrequests_per_second = 1\nrequests_burst = 4\n");
    for packet in ["40/admin,", "40{\"token\":7}"] {
        let mut client = Client::open(&hub);
        let is_too_fast = (0..50).any(|_| {
            client.say(packet);
            let told = client.next();
            assert!(told.starts_with("44"), "{told}");
            told.contains("rate_limited")
        });
        assert!(is_too_fast, "{packet}");
    }
    let mut client = Client::join(&hub);
    for _ in 0..50 {
        client.say("431[]");
    }
    let told = client.next();
    assert!(told.starts_with("42[\"error\",") && told.contains("rate_limited"), "{told}");
}

#[test]
fn who_names_no_session_that_there_is_is_asked_as_others_are() {
    let hub = Hub::with_config("[auth]\nmode = \"on\"\njwt.secret = \"7ZdQ1nVvT0x8oK3sWq5LrJmBcHyEfGuA\"\n");
    let answer = hub.get(&format!("{POLLING}&sid=nobody&token=nonsense"));
    assert_eq!(refused(&answer).1, 4, "{}", answer.text());
    let path = poll(&hub);
    assert_eq!(post(&hub, &format!("{path}&token=nonsense"), "3").text(), "ok");
}

#[test]
fn posts_of_a_session_count_as_requests() {
    let hub = Hub::with_config("[limits]\nrequests_per_second = 1\nrequests_burst = 3\n");
    let path = poll(&hub);
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: {}\r\n{HEADS}Content-Length: 1\r\n\r\n3", hub.address());
    let mut raw = Raw::send_to(&hub, &request);
    let is_too_fast = (0..50).any(|_| {
        let head = raw.head();
        let length = head.header("content-length").and_then(|length| length.parse().ok());
        raw.body(length.expect("it has a length"));
        raw.send(&request);
        head.status == 429
    });
    assert!(is_too_fast, "posts are counted");
}

#[test]
fn attachments_are_counted_and_what_they_belong_to_is_refused() {
    let hub = Hub::start();
    let mut client = Client::join(&hub);
    client.say("452-7[\"publish\",{\"channel\":\"a\",\"data\":[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]}]");
    client.attach(b"one");
    client.attach(b"two");
    assert_eq!(client.answer(7)["code"], "invalid_data");
    // An answer that nobody has asked for is nothing.
    client.say("439[1]");
    client.say("428[\"ping\"]");
    assert_eq!(client.answer(8)["type"], "pong");
}

#[test]
fn a_type_that_clients_keep_for_themselves_is_another_event() {
    let hub = Hub::start();
    let mut client = Client::join(&hub);
    client.say("421[\"subscribe\",\"a\"]");
    assert_eq!(client.answer(1)["channel"], "a");
    let body = r#"{"channel":"a","type":"disconnect","data":{"x":1.50}}"#;
    assert_eq!(hub.post("/publish", body).status(), 200);
    assert_eq!(client.next(), r#"42["message",{"x":1.50}]"#);
}

#[test]
fn one_poll_and_one_post_at_a_time() {
    let hub = Hub::start();
    let path = poll(&hub);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", hub.address());
    let mut first = Raw::send_to(&hub, &request);
    // The second comes when the first waits.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(refused(&hub.get(&path)).1, 3);
    let head = first.head();
    let length =
        head.header("content-length").and_then(|length| length.parse().ok()).expect("it has a length");
    assert_eq!((head.status, &first.body(length)[..]), (200, &b"1"[..]));
    assert_eq!(refused(&hub.get(&path)).1, 1);
}

#[test]
fn a_body_that_is_none_ends_the_session_and_one_that_is_too_large_does_not() {
    let hub = Hub::with_config("[limits]\npublish_bytes = 100_000\n");
    let path = poll(&hub);
    assert_eq!(post(&hub, &path, "40").text(), "ok");
    assert!(hub.get(&path).text().starts_with("40{\"sid\":"));
    let large = post(&hub, &path, &"4".repeat(200_000));
    assert_eq!(large.status(), 413);
    assert!(large.text().contains("limits.publish_bytes"), "{}", large.text());
    assert_eq!(post(&hub, &path, "421[\"ping\"]\u{1e}422[\"ping\"]").text(), "ok");
    let heard = hub.get(&path);
    let packets: Vec<&str> = heard.text().split('\u{1e}').collect();
    assert!(packets.len() == 2 && packets[1].starts_with("432[{\"type\":\"pong\""), "{packets:?}");
    let (status, code, message) = refused(&post(&hub, &path, "40\u{1e}abc"));
    assert_eq!((status, code), (400, 3));
    assert!(message.contains("type"), "{message}");
    assert_eq!(refused(&hub.get(&path)).1, 1);
}

#[test]
fn sessions_that_poll_are_bounded_and_make_room_when_they_end() {
    let hub = Hub::with_config("[socketio]\npolling_sessions = 1\n");
    let path = poll(&hub);
    let answer = hub.get(POLLING);
    assert_eq!(answer.refusal(), (503, "overloaded".to_string()));
    assert!(answer.text().contains("socketio.polling_sessions"), "{}", answer.text());
    assert_eq!(post(&hub, &path, "1").text(), "ok");
    assert!(eventually(|| hub.get(POLLING).status() == 200), "there is room again");
}

#[test]
fn who_does_not_answer_pings_or_does_not_join_is_closed() {
    let hub = Hub::with_config(
        "[socketio]\nping_interval_ms = 200\nping_timeout_ms = 150\nconnect_timeout_s = 1\n",
    );
    let start = Instant::now();
    let silent = Client::join(&hub);
    assert!(silent.closed().1.contains("ping"));
    assert!(start.elapsed() >= Duration::from_millis(340), "{:?}", start.elapsed());

    let start = Instant::now();
    let mut idle = Client::open(&hub);
    let (code, reason) = loop {
        let frame = idle.0.frame();
        if frame.opcode == CLOSE {
            break (frame.close_code(), String::from_utf8_lossy(&frame.payload).into_owned());
        }
        idle.say("3");
    };
    assert!(code == Some(1002) && reason.contains("socketio.connect_timeout_s"), "{code:?} {reason}");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_packet_that_is_begun_and_not_ended_is_given_up() {
    let hub = Hub::with_config("[limits]\nmessage_timeout_s = 1\n");
    let mut client = Client::join(&hub);
    client.say("451-[\"a\",{\"_placeholder\":true,\"num\":0}]");
    let start = Instant::now();
    let (_, reason) = client.closed();
    assert!(reason.contains("limits.message_timeout_s"), "{reason}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn who_says_that_it_lives_does_not_put_off_the_end_of_an_event() {
    let hub = Hub::with_config(
        "[limits]\nmessage_timeout_s = 1\n[socketio]\nping_interval_ms = 100\nping_timeout_ms = 5000\n",
    );
    let mut client = Client::join(&hub);
    client.say("451-[\"a\",{\"_placeholder\":true,\"num\":0}]");
    let start = Instant::now();
    loop {
        let frame = client.0.frame();
        if frame.opcode == CLOSE {
            let reason = String::from_utf8_lossy(&frame.payload).into_owned();
            assert!(reason.contains("limits.message_timeout_s"), "{reason}");
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "it is given up");
        client.say("3");
    }
}

#[test]
fn a_websocket_that_does_not_probe_is_let_go_and_the_session_goes_on_polling() {
    let hub = Hub::with_config("[socketio]\nupgrade_timeout_s = 0.5\n");
    let path = poll(&hub);
    let socket = path.replace("polling", "websocket");
    let mut idle = Raw::send_to(&hub, handshake(&hub, &socket, ""));
    assert_eq!(idle.head().status, 101);
    let mut second = Raw::send_to(&hub, handshake(&hub, &socket, ""));
    assert_eq!(second.head().status, 101);
    assert_eq!(second.frame().close_code(), Some(1000));
    assert!(idle.is_at_end(), "it is let go");
    assert_eq!(post(&hub, &path, "40").text(), "ok");
    assert!(hub.get(&path).text().starts_with("40{\"sid\":"));

    let mut good = Raw::send_to(&hub, handshake(&hub, &socket, ""));
    assert_eq!(good.head().status, 101);
    let mut client = Client(good);
    client.say("2probe");
    assert_eq!(client.next(), "3probe");
    assert_eq!(hub.get(&path).text(), "6");
    client.say("5");
    client.say("421[\"ping\"]");
    assert_eq!(client.answer(1)["type"], "pong");
    assert_eq!(hub.get(&path).status(), 400);
}

#[test]
fn a_websocket_that_is_tried_counts_as_a_connection() {
    let hub = Hub::with_config("[limits]\nconnections = 3\n[socketio]\nupgrade_timeout_s = 30\n");
    let socket = poll(&hub).replace("polling", "websocket");
    let mut tried = Raw::send_to(&hub, handshake(&hub, &socket, ""));
    assert_eq!(tried.head().status, 101);
    let _one_more = Client::open(&hub);
    assert!(
        eventually(|| hub.get("/health").status() == 503),
        "the session, its second transport and another"
    );
    drop(tried);
    assert!(eventually(|| hub.get("/health").status() == 200));
}

#[test]
fn a_session_that_polls_counts_as_a_connection_and_is_refused_as_one() {
    let hub = Hub::with_config("[limits]\nconnections = 3\n");
    let ask = format!("GET {POLLING} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut line = Raw::send_to(&hub, ask.repeat(4));
    let statuses: Vec<u16> = (0..4)
        .map(|_| {
            let head = line.head();
            let len = head.header("content-length").and_then(|len| len.parse().ok()).expect("a length");
            line.body(len);
            head.status
        })
        .collect();
    assert_eq!(statuses, [200, 200, 503, 503], "beside the connection that asks");
}

#[test]
fn who_joins_with_a_place_goes_on_there_in_what_everybody_hears() {
    let hub = Hub::with_config("[socketio]\neverybody = [\"news\", \"trades\"]\n");
    let publish = |title: &str| {
        let answer = hub.post("/publish", json!({"channel": "news", "data": {"title": title}}).to_string());
        answer.json()["epoch"].as_str().expect("it is published").to_string()
    };
    let epoch = publish("one");
    publish("two");
    publish("three");
    let mut client = Client::open(&hub);
    let auth = json!({"headers": true, "since": {"news": {"offset": 1, "epoch": epoch}}});
    client.say(&format!("40{auth}"));
    assert!(client.next().starts_with("40{"));
    publish("four");
    let heard: Vec<u64> = (0..3)
        .map(|_| {
            let said = client.next();
            let said: Value = serde_json::from_str(said.strip_prefix("42").expect("an event")).expect("JSON");
            said[2]["offset"].as_u64().expect("an offset")
        })
        .collect();
    assert_eq!(heard, [2, 3, 4], "each once, in order");

    let mut client = Client::open(&hub);
    client.say(r#"40{"since":{"news":"yesterday"}}"#);
    let said = client.next();
    assert!(said.starts_with("44{") && said.contains("since"), "{said}");
}

#[test]
fn a_door_that_is_off_is_not_there() {
    let hub = Hub::with_config("[socketio]\nenabled = false\n");
    let answer = hub.get(POLLING);
    assert_eq!(answer.refusal(), (404, "not_found".to_string()));
    assert!(answer.text().contains("socketio.enabled"), "{}", answer.text());
}
