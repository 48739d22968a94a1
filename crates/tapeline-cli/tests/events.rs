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
    /// It said its length.
    whole: bool,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && self.whole {
            return Ok(0);
        }
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
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let chunks = Chunks { stream, left: length.unwrap_or(0), whole: length.is_some() };
        (status, Listener { lines: BufReader::new(chunks), head })
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
        ("channel=market_data:A&max_rate=NaN", "invalid_request"),
        ("channel=market_data:A&max_rate=inf", "invalid_request"),
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
    let after = last.json()["after_ms"].as_u64().expect("it says when");
    let wait = last.retry.expect("it says when to an EventSource too") - after;
    assert!((1_000..=5_000).contains(&wait), "{last:?}");
    listener.next_of("closed");
    assert!(listener.next().is_none());
}

/// What an `EventSource` says that it reads.
const READER: &str = "Accept: text/event-stream\r\n";

/// Reads a stream that says by an event what its status would have said.
fn refused_in_band((status, mut listener): (u16, Listener), code: &str) -> u64 {
    assert_eq!(status, 200, "an EventSource that is told anything else never tries again");
    assert!(listener.head.contains(&"content-type: text/event-stream".to_string()), "{:?}", listener.head);
    let event = listener.next().expect("it is told why");
    assert_eq!((&*event.name, &event.json()["code"]), ("refusal", &code.into()), "{event:?}");
    assert!(listener.next().is_none(), "it ends");
    event.retry.expect("it is told when to come again")
}

#[test]
fn a_listener_that_comes_while_the_hub_stops_is_told_to_come_again() {
    let hub = Hub::with_config("[drain]\nwindow_s = 3\n");
    let held: Vec<_> = (0..200).map(|_| Listener::open(&hub, "channel=news")).collect();
    assert!(eventually(|| hub.get("/stats").json()["connections"] == 200));
    hub.terminate();
    assert!(eventually(|| hub.get("/ready").status() == 503));
    let retry = refused_in_band(Listener::try_open(&hub, "channel=news", READER), "overloaded");
    assert!((1_000..=5_000).contains(&retry), "{retry}");
    assert_eq!(hub.get("/events?channel=news").refusal(), (503, "overloaded".into()));
    drop(held);
}

#[test]
fn a_listener_for_whom_there_is_no_room_is_told_to_come_again() {
    // One too many as a connection, and as a session.
    for limit in [2, 3] {
        let hub = Hub::with_config(&format!("[limits]\nconnections = {limit}\n"));
        let held = Listener::open(&hub, "channel=news");
        refused_in_band(Listener::try_open(&hub, "channel=news", READER), "overloaded");
        assert_eq!(Listener::try_open(&hub, "channel=news", "Accept: */*\r\n").0, 503);
        let page = format!("{READER}Origin: http://localhost:3000\r\n");
        let (_, listener) = Listener::try_open(&hub, "channel=news", &page);
        let allowed = "access-control-allow-origin: http://localhost:3000";
        assert!(listener.head.iter().any(|line| line == allowed), "{:?}", listener.head);
        let page = format!("{READER}Origin: http://elsewhere.example\r\n");
        let (_, listener) = Listener::try_open(&hub, "channel=news", &page);
        assert!(!listener.head.iter().any(|line| line.starts_with("access-control")), "{:?}", listener.head);
        drop(held);
    }
}

#[test]
fn a_listener_that_comes_too_fast_is_told_to_come_again_and_counted_as_refused() {
    let hub = Hub::with_config("[limits]\nrequests_per_second = 1\nrequests_burst = 1\n");
    // The rate is a connection's.
    let mut stream = TcpStream::connect(hub.address()).expect("the hub accepts connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    let ask = |what: &str| format!("GET {what} HTTP/1.1\r\nHost: {}\r\n{READER}\r\n", hub.address());
    let asked = ask("/health") + &ask("/events?channel=news");
    stream.write_all(asked.as_bytes()).expect("the hub reads");
    let mut answer = String::new();
    let mut lines = BufReader::new(stream);
    while !answer.contains("event: refusal\n") {
        assert_ne!(lines.read_line(&mut answer).expect("it is answered"), 0, "{answer}");
    }
    let retry = answer.split("retry: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    assert!(retry.is_some_and(|retry: u64| retry > 1_000), "{answer}");
    let told = hub.get("/metrics").text().lines().any(|line| {
        line.starts_with("tapeline_http_requests_total")
            && line.contains(r#"route="/events""#)
            && line.contains("4xx")
    });
    assert!(told, "{}", hub.get("/metrics").text());
}

#[test]
fn a_value_that_the_listener_was_cut_off_from_comes_again() {
    let hub = Hub::start();
    hub.publish("market_data:AAPL", r#"{"symbol":"AAPL","price":1,"change":0,"volume":1}"#);
    let confirmed = Listener::open(&hub, "channel=market_data:AAPL").next_of("subscription_confirmed");
    assert_eq!(confirmed.id, None, "the value has not left yet");
    // The ids of several say where it stands in those it has heard, and since when it wants the others.
    let query = "channel=market_data:AAPL&channel=quantum_signals";
    let mut listener = Listener::open(&hub, query);
    let ids = [0, 1].map(|_| listener.next_of("subscription_confirmed").id.expect("an id"));
    drop(listener);
    assert!(ids.iter().all(|id| !id.contains("AAPL") && id.contains('@')), "{ids:?}");
    let mut again = Listener::resume(&hub, query, &ids[1]);
    assert_eq!(again.next_of("price_update").json()["data"]["price"], 1);
}

#[test]
fn of_more_channels_than_an_id_has_room_for_none_loses_a_message() {
    let hub = Hub::start();
    let name = |n: usize| format!("desk:{n:040}");
    let query: String = (0..100).map(|n| format!("channel={}&", name(n))).collect();
    let mut listener = Listener::open(&hub, &query);
    let last = (0..100).map(|_| listener.next_of("subscription_confirmed").id).last().flatten();
    let last = last.expect("each id fits");
    drop(listener);
    let (named, unnamed): (Vec<usize>, _) = (0..100).partition(|n| last.contains(&name(*n)));
    assert!(!named.is_empty() && !unnamed.is_empty() && last.len() <= 4096, "{last}");
    for n in [named[0], unnamed[0]] {
        hub.publish(&name(n), r#"{"away":1}"#);
    }
    let mut again = Listener::resume(&hub, &query, &last);
    let heard = [0, 1].map(|_| again.next_of("message").json()["channel"].clone());
    for n in [named[0], unnamed[0]] {
        assert!(heard.contains(&name(n).into()), "{heard:?}");
    }
}

#[test]
fn a_pattern_that_was_cut_off_before_its_first_message_misses_none() {
    let hub = Hub::start();
    let confirmed = Listener::open(&hub, "pattern=zebra:*").next_of("subscription_confirmed");
    hub.publish("zebra:a", r#"{"n":1}"#);
    let mut again = Listener::resume(&hub, "pattern=zebra:*", &confirmed.id.expect("it says since when"));
    assert_eq!(again.next_of("message").json()["data"]["n"], 1);
}

#[test]
fn nothing_that_a_stranger_says_stands_in_the_stream_as_the_hubs_own_word() {
    let hub = Hub::start();
    let query = "channel=a&channel=b";
    for forged in ["a%3Dx%0Aevent:%20forged%0Adata:%20evil%0A%0A:5", "a%3Dx%0D:5", "a%0A%3Dk:5", "a%3D%00:5"]
    {
        let answer = hub.get(&format!("/events?{query}&last_event_id={forged}"));
        assert_eq!(answer.refusal(), (400, "invalid_request".into()), "{forged}");
    }
    for unreadable in ["\u{e9}", "a=\u{e9}:5", "a=0123456789abcdef:5", "a\t=k:5"] {
        let last = format!("Last-Event-ID: {unreadable}\r\n");
        let (status, _) = Listener::try_open(&hub, query, &last);
        assert_eq!(status, 400, "{unreadable:?}");
    }
    assert_eq!(hub.get("/events?channel=a%0Aevent:%20forged").refusal(), (400, "bad_channel".into()));

    let mut listener = Listener::open(&hub, query);
    listener.next_of("subscription_confirmed");
    listener.next_of("subscription_confirmed");
    for own in ["closed", "refusal", "reconnect", "gap", "error"] {
        let answer = hub.post("/publish", format!(r#"{{"channel":"a","type":"{own}","data":{{}}}}"#));
        assert_eq!(answer.refusal(), (400, "reserved_type".into()), "{own}");
    }
    hub.post("/publish", r#"{"channel":"a","type":"t\nevent: forged\r\ndata: evil\r\r","data":{"n":1}}"#);
    let event = listener.next().expect("the stream goes on");
    assert_eq!(event.json()["data"]["n"], 1);
    assert_eq!(event.name.trim_end(), "t event: forged  data: evil");
}

#[test]
fn a_slow_listener_has_few_stale_values_before_it() {
    let hub = Hub::start();
    let listener = Listener::open(&hub, "channel=market_data:AAPL");
    let pad = "x".repeat(4_000);
    for n in 1..=2_000 {
        let price = format!(r#"{{"symbol":"AAPL","price":{n},"change":0,"volume":1,"pad":"{pad}"}}"#);
        hub.publish("market_data:AAPL", &price);
    }
    let mut listener = listener;
    let mut bytes = 0;
    loop {
        let event = listener.next_of("price_update");
        bytes += event.data.len();
        if event.json()["data"]["price"] == 2_000 {
            break;
        }
    }
    // Most of it waits in this side's socket.
    assert!(bytes < 600_000, "{bytes} bytes of values came, of which one was wanted");
}
