//! How fast one user and one connection may go: what is refused and with which wait, what is only slowed down, and who
//! loses its connection over it.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Client, Hub, Raw, eventually};

fn hub(limits: &str) -> Hub {
    Hub::with_config(&format!("[limits]\n{limits}\n"))
}

/// Asserts that the frame says that it was too fast, by which setting, and how long to wait.
fn is_too_fast(error: &Value, setting: &str, waits_ms: std::ops::RangeInclusive<u64>) {
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("rate_limited")), "{error}");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(&format!("limits.{setting}_per_second")), "{message}");
    assert!(message.contains(&format!("limits.{setting}_burst")), "{message}");
    let wait = error["retry_after_ms"].as_u64().expect("a wait");
    assert!(waits_ms.contains(&wait), "{error}");
}

fn ping(client: &mut Client) -> Value {
    client.ask(&json!({"action": "ping"})).json
}

#[test]
fn a_refusal_says_after_how_long_the_same_may_succeed() {
    let hub = hub("requests_per_second = 2\nrequests_burst = 1");
    let mut client = Client::connect(&hub);
    assert_eq!(ping(&mut client)["type"], "pong");
    let error = ping(&mut client);
    is_too_fast(&error, "requests", 1..=500);
    std::thread::sleep(Duration::from_millis(error["retry_after_ms"].as_u64().expect("a wait")));
    assert_eq!(ping(&mut client)["type"], "pong");
}

#[test]
fn a_users_messages_count_over_all_its_connections() {
    let hub = hub("user_messages_per_second = 1\nuser_messages_burst = 8");
    let (mut one, mut two) = (Client::connect(&hub), Client::connect(&hub));
    for _ in 0..2 {
        assert_eq!(ping(&mut one)["type"], "pong");
        let publish = json!({"action": "publish", "channel": "c", "data": 1, "req": 1});
        assert_eq!(two.ask(&publish).kind(), "published");
    }
    // With the two requests to connect that is six; these are two more.
    hub.publish("c", "2");
    assert_eq!(hub.get("/channels").status(), 200);
    is_too_fast(&ping(&mut one), "user_messages", 1..=1_000);
    is_too_fast(&ping(&mut two), "user_messages", 1..=1_000);
    let answer = hub.post("/publish", r#"{"channel":"c","data":1}"#);
    assert_eq!(answer.refusal(), (429, "rate_limited".to_string()));
    assert!(answer.text().contains("limits.user_messages_per_second"), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(eventually(|| ping(&mut one)["type"] == "pong"), "the connection lives on");
}

#[test]
fn a_batch_counts_each_of_its_messages_and_one_that_never_fits_is_told_no_wait() {
    let hub = hub("user_messages_per_second = 1\nuser_messages_burst = 5");
    let batch = |count: usize| format!("[{}]", vec![r#"{"channel":"c","data":1}"#; count].join(","));
    let answer = hub.post("/publish/batch", batch(6));
    assert_eq!((answer.status(), answer.header("retry-after")), (429, None));
    assert_eq!(hub.post("/publish/batch", batch(4)).status(), 200);
    let answer = hub.post("/publish/batch", batch(4));
    assert_eq!(answer.status(), 429);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

/// Publishes so many of 10,000 bytes each and takes all answers; how long that took.
fn publish_all(client: &mut Client, count: u64) -> Duration {
    let (start, pad) = (Instant::now(), "x".repeat(9_900));
    for n in 0..count {
        client.send(&json!({"action": "publish", "channel": "tape", "data": pad, "req": n}));
    }
    for n in 0..count {
        assert_eq!(client.next_of("published").json["req"], n);
    }
    start.elapsed()
}

#[test]
fn who_sends_more_bytes_than_its_rate_is_slowed_down_and_loses_nothing() {
    let hub = hub("bytes_per_second = 100000\nbytes_burst = 100000");
    let mut fast = Client::connect(&hub);
    let other = std::thread::spawn({
        let mut other = Client::connect(&hub);
        move || {
            let start = Instant::now();
            assert_eq!(ping(&mut other)["type"], "pong");
            start.elapsed()
        }
    });
    // 100,000 at once, 64 KiB owed at most, and the rest at the rate.
    let took = publish_all(&mut fast, 40);
    assert!(took >= Duration::from_secs(2), "400,000 bytes took {took:?}");
    assert!(other.join().expect("it was answered") < took, "nobody else is slowed down");
    assert_eq!(hub.stats()["published"], 40);
    assert_eq!(hub.stats()["closed"]["idle"], 0);
}

#[test]
fn a_users_bytes_count_over_all_its_connections_and_bodies() {
    let hub = hub("user_bytes_per_second = 100000\nuser_bytes_burst = 100000");
    let body = format!(r#"{{"channel":"c","data":"{}"}}"#, "x".repeat(200_000));
    assert_eq!(hub.post("/publish", &body).status(), 200, "what has come is taken");
    let answer = hub.post("/publish", &body);
    assert_eq!(answer.refusal(), (429, "rate_limited".to_string()));
    assert!(answer.text().contains("limits.user_bytes_per_second"), "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    let (mut one, mut two) = (Client::connect(&hub), Client::connect(&hub));
    let start = Instant::now();
    publish_all(&mut one, 10);
    publish_all(&mut two, 10);
    assert!(start.elapsed() >= Duration::from_secs(1), "200,000 bytes took {:?}", start.elapsed());
}

#[test]
fn who_never_waits_as_it_is_told_is_closed() {
    let hub = hub("requests_per_second = 1\nrequests_burst = 1");
    let mut hasty = Client::connect(&hub);
    let mut patient = Client::connect(&hub);
    assert_eq!(ping(&mut patient)["type"], "pong");
    let mut sent = 0;
    while sent < 5_000 && hasty.offer(&json!({"action": "ping"})) {
        sent += 1;
    }
    let closed = hasty.closed();
    assert_eq!(closed.code, 1008, "{closed:?}");
    assert!(closed.reason.contains("did not wait as told (retry_after_ms)"), "{closed:?}");
    assert_eq!(hub.stats()["closed"]["rate_limited"], 1);
    assert!(eventually(|| ping(&mut patient)["type"] == "pong"));
}

#[test]
fn what_is_no_command_counts_as_a_request() {
    let hub = hub("requests_per_second = 1\nrequests_burst = 1");
    let mut client = Client::connect(&hub);
    let error = client.ask(&json!({"action": "no such thing"})).json;
    assert_eq!(error["type"], "error");
    assert_ne!(error["code"], "rate_limited");
    is_too_fast(&client.ask(&json!({"action": "no such thing"})).json, "requests", 1..=1_000);
}

#[test]
fn a_publish_over_http_is_a_request_only_where_it_comes_to_nothing() {
    let hub = hub("requests_per_second = 1\nrequests_burst = 1");
    let request = |body: &str| {
        let (host, len) = (hub.address(), body.len());
        format!("POST /publish HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len}\r\n\r\n{body}")
    };
    let (good, bad) = (request(r#"{"channel":"c","data":1}"#), request("{"));
    let asked = format!("GET /last/c HTTP/1.1\r\nHost: {}\r\n\r\n", hub.address());
    let mut raw = Raw::send_to(&hub, format!("{good}{good}{asked}{good}{bad}{asked}"));
    raw.shut_down_sending();
    let answers = String::from_utf8(raw.rest()).expect("text");
    let statuses: Vec<_> = answers.split("HTTP/1.1 ").skip(1).filter_map(|head| head.get(..3)).collect();
    // What is asked for and what comes to nothing count as one; who has had all of it may still publish.
    assert_eq!(statuses, ["200", "200", "200", "200", "400", "429"]);
}
