//! `GET /events` of the real binary: what a listener gets, from where it resumes, what it is told, and what becomes of one
//! that does not read.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::people::{auth, token};
use support::{Hub, PATIENCE, eventually};

/// One event of a stream.
#[derive(Debug, Default)]
struct Event {
    id: Option<String>,
    name: String,
    data: String,
    retry: Option<u64>,
}

impl Event {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {:?}", self.data))
    }
}

/// Reads an answer in chunks, as its lines.
struct Chunks {
    stream: BufReader<TcpStream>,
    left: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let mut size = String::new();
            while size.trim().is_empty() {
                if self.stream.read_line(&mut size)? == 0 {
                    return Ok(0);
                }
            }
            self.left = usize::from_str_radix(size.trim(), 16).expect("a chunk says its size");
            if self.left == 0 {
                return Ok(0);
            }
        }
        let room = buffer.len().min(self.left);
        let n = self.stream.read(&mut buffer[..room])?;
        self.left -= n;
        Ok(n)
    }
}

struct Listener {
    lines: BufReader<Chunks>,
    head: Vec<String>,
}

impl Listener {
    fn try_open(hub: &Hub, query: &str, more: &str) -> (u16, Listener) {
        let mut stream = TcpStream::connect(hub.address()).expect("the hub accepts connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        let request = format!("GET /events?{query} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", hub.address());
        stream.write_all(request.as_bytes()).expect("the hub reads");
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).expect("an answer has a head");
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_lowercase());
        }
        let status = head[0].split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (status, Listener { lines: BufReader::new(Chunks { stream, left: 0 }), head })
    }

    fn open(hub: &Hub, query: &str) -> Listener {
        Listener::resume(hub, query, "")
    }

    fn resume(hub: &Hub, query: &str, last: &str) -> Listener {
        let more = if last.is_empty() { String::new() } else { format!("Last-Event-ID: {last}\r\n") };
        let (status, listener) = Listener::try_open(hub, query, &more);
        assert_eq!(status, 200, "{:?}", listener.head);
        listener
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        let mut any = false;
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("the stream goes on") == 0 {
                return None;
            }
            let line = line.trim_end_matches('\n');
            let Some((field, value)) = line.split_once(": ") else {
                assert_eq!(line, "", "this is no line of an event");
                if any {
                    return Some(event);
                }
                continue;
            };
            any = true;
            match field {
                "id" => event.id = Some(value.into()),
                "event" => event.name = value.into(),
                "retry" => event.retry = value.parse().ok(),
                "data" if event.data.is_empty() => event.data = value.into(),
                "data" => event.data = format!("{}\n{value}", event.data),
                _ => panic!("unknown field {field}"),
            }
        }
    }

    fn next_of(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().unwrap_or_else(|| panic!("the stream ended before {name}"));
            if event.name == name {
                return event;
            }
        }
    }
}

#[test]
fn a_listener_gets_messages_with_their_type_and_the_id_to_resume_from() {
    let hub = Hub::start();
    let mut listener = Listener::open(&hub, "channel=quantum_signals");
    assert!(listener.head.contains(&"content-type: text/event-stream".to_string()), "{:?}", listener.head);
    assert!(listener.head.contains(&"cache-control: no-store".to_string()), "{:?}", listener.head);
    let retry = listener.next().and_then(|event| event.retry).expect("it begins with retry");
    assert!((1_000..=5_000).contains(&retry), "{retry}");
    let confirmed = listener.next_of("subscription_confirmed");
    let epoch = confirmed.json()["epoch"].as_str().expect("an epoch").to_string();
    assert_eq!(confirmed.id, Some(format!("{epoch}:0")));

    // Data of more than one line stays whole, digits and all.
    hub.post(
        "/publish",
        "{\"channel\":\"quantum_signals\",\"data\":{\"type\":\"BUY\",\r\n\"price\":60000.50}}",
    );
    let signal = listener.next_of("new_signal");
    assert_eq!(signal.id, Some(format!("{epoch}:1")));
    assert!(signal.data.contains("\"price\":60000.50"), "{}", signal.data);
    assert_eq!(signal.json()["data"]["type"], "BUY");
    drop(listener);

    hub.publish_all("quantum_signals", (2..=5).map(|n| format!("{{\"n\":{n}}}")));
    let mut again = Listener::resume(&hub, "channel=quantum_signals", &format!("{epoch}:2"));
    assert_eq!(again.next_of("subscription_confirmed").json()["recovered"], true);
    for n in 3..=5 {
        let next = again.next_of("new_signal");
        assert_eq!((next.json()["data"]["n"].as_u64(), next.id), (Some(n), Some(format!("{epoch}:{n}"))));
    }
}

#[test]
fn several_channels_resume_together_though_only_the_last_id_comes_back() {
    let hub = Hub::start();
    let query = "channel=quantum_signals&channel=trades&pattern=news*";
    let mut listener = Listener::open(&hub, query);
    for _ in 0..3 {
        listener.next_of("subscription_confirmed");
    }
    let trade = |n: u32| {
        format!(r#"{{"portfolio_id":"p{n}","symbol":"A","trade_type":"BUY","quantity":1,"price":{n}}}"#)
    };
    hub.publish("quantum_signals", r#"{"n":1}"#);
    let last = listener.next_of("new_signal").id.expect("a message has an id");
    drop(listener);

    hub.publish("trades:p1", &trade(1));
    hub.publish("trades:p2", &trade(2));
    hub.publish("quantum_signals", r#"{"n":2}"#);
    hub.publish("news", r#"{"n":1}"#);
    let mut again = Listener::resume(&hub, query, &last);
    let mut heard = Vec::new();
    while heard.len() < 4 {
        let event = again.next().expect("the stream goes on");
        assert_ne!(event.name, "gap", "{event:?}");
        if event.id.is_some() && event.json().get("data").is_some() {
            heard.push(event.json()["channel"].as_str().expect("a channel").to_string());
        }
    }
    heard.sort();
    assert_eq!(heard, ["news", "quantum_signals", "trades:p1", "trades:p2"]);
}

#[test]
fn what_cannot_be_heard_is_refused_with_a_status() {
    let hub = Hub::start();
    for (query, code) in [
        ("", "invalid_request"),
        ("channel=a%20b", "bad_channel"),
        ("pattern=", "bad_pattern"),
        ("channel=news&max_rate=x", "invalid_request"),
        ("channel=news&max_rate=0", "invalid_request"),
        ("channel=trades:p&delivery=latest", "unsupported_delivery"),
        ("channel=news&delivery=sometimes", "invalid_request"),
        ("channel=news&last_event_id=nonsense", "invalid_request"),
    ] {
        let answer = hub.get(&format!("/events?{query}"));
        assert_eq!(answer.refusal(), (400, code.to_string()), "{query}");
    }
    let many: String = (0..501).map(|n| format!("channel=c{n}&")).collect();
    assert_eq!(hub.get(&format!("/events?{many}")).refusal(), (400, "invalid_request".into()));
    assert_eq!(hub.post("/events?channel=news", "").refusal().0, 405);
    assert_eq!(hub.get("/health").status(), 200);
}

#[test]
fn a_listener_shows_its_token_in_the_query_and_hears_only_what_it_may() {
    let hub = Hub::with_config(&auth("", &[]));
    assert_eq!(hub.get("/events?channel=news").refusal(), (401, "invalid_token".into()));
    let trader = token("t", &serde_json::json!({ "keys": { "portfolio_id": ["p1"] } }));
    let asked = |channel: &str| Listener::try_open(&hub, &format!("channel={channel}&token={trader}"), "").0;
    assert_eq!(asked("news"), 200);
    assert_eq!(asked("trades:p2"), 403);
    assert_eq!(Listener::try_open(&hub, "channel=news&token=no.such.token", "").0, 401);
}

#[test]
fn the_newest_price_comes_at_once_and_a_stuck_listener_is_let_go() {
    let hub = Hub::with_config("[limits]\nslow_close_s = 2\noutbox_bytes = 65536\n");
    let price = |n: usize, pad: &str| {
        format!(r#"{{"symbol":"AAPL","price":{n},"change":0,"volume":1,"pad":"{pad}"}}"#)
    };
    hub.publish("market_data:AAPL", &price(1, ""));
    let mut listener = Listener::open(&hub, "channel=market_data:AAPL&heartbeat=0");
    assert_eq!(listener.next_of("price_update").json()["data"]["price"], 1);

    let stuck = Listener::open(&hub, "channel=market_data:AAPL");
    let pad = "x".repeat(200_000);
    let began = Instant::now();
    let mut n = 1;
    while hub.get("/stats").json()["connections"] != 1 {
        assert!(began.elapsed() < PATIENCE, "the stuck listener is still there");
        n += 1;
        hub.publish("market_data:AAPL", &price(n, &pad));
        let got = listener.next_of("price_update").json()["data"]["price"].as_u64();
        assert!(got.is_some_and(|got| got <= n as u64));
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(stuck);
}

#[test]
fn listeners_are_told_when_the_hub_stops_and_leave_nothing_behind_when_they_go() {
    let hub = Hub::start();
    let mut listener = Listener::open(&hub, "channel=news");
    listener.next_of("subscription_confirmed");
    let gone = Listener::open(&hub, "channel=news");
    assert!(eventually(|| hub.get("/stats").json()["connections"] == 2));
    drop(gone);
    // A client that has gone is noticed with the next thing that it is sent.
    assert!(eventually(|| {
        hub.publish("news", "{}");
        hub.get("/stats").json()["connections"] == 1
    }));
    hub.terminate();
    let last = listener.next_of("reconnect");
    assert!(last.retry.is_some() && last.json()["after_ms"].is_u64(), "{last:?}");
    listener.next_of("closed");
    assert!(listener.next().is_none());
}
