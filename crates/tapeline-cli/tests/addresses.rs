//! Limits by address, and whose address a request has: a hub that exempts nobody, clients on loopback, and proxies that
//! say for whom they ask.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::{Value, json};
use support::raw::{Head, handshake, masked};
use support::{Hub, Raw, eventually};

/// Behind a proxy on this machine, and where nobody is exempt.
const PROXY: &str = "[http]\ntrusted_proxies = [\"127.0.0.1\"]\n";

fn strict(limits: &str) -> Hub {
    Hub::with_config(&format!("[limits]\nexempt = []\n{limits}\n"))
}

fn behind_a_proxy(limits: &str) -> Hub {
    Hub::with_config(&format!("{PROXY}[limits]\nexempt = []\n{limits}\n"))
}

fn get(hub: &Hub, path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", hub.address())
}

/// The next answer on a connection that is kept.
fn answer(raw: &mut Raw) -> (Head, String) {
    let head = raw.head();
    let len = head.header("content-length").and_then(|len| len.parse().ok()).expect("a length");
    let body = String::from_utf8(raw.body(len)).expect("a body is text");
    (head, body)
}

fn ask(raw: &mut Raw, hub: &Hub, path: &str, more: &str) -> (Head, String) {
    raw.send(get(hub, path, more));
    answer(raw)
}

fn stats(raw: &mut Raw, hub: &Hub) -> Value {
    serde_json::from_str(&ask(raw, hub, "/stats", "").1).expect("it is JSON")
}

fn forwarded(address: &str) -> String {
    format!("X-Forwarded-For: {address}\r\n")
}

/// Asks for an upgrade as a proxy does for this address.
fn upgrade(hub: &Hub, address: &str) -> Raw {
    Raw::send_to(hub, handshake(hub, "/ws", &forwarded(address)))
}

/// Asserts that it was refused with this status and code, in a message that names the setting.
fn refused((head, body): &(Head, String), status: u16, code: &str, setting: &str) {
    assert_eq!(head.status, status, "{body}");
    let error: Value = serde_json::from_str(body).expect("it is JSON");
    assert_eq!(error["error"]["code"], code, "{body}");
    assert!(body.contains(&format!("limits.{setting}")), "{body}");
}

#[test]
fn an_address_that_connects_too_fast_is_told_when_to_come_back_and_is_let_in_then() {
    let hub = strict("handshakes_per_second = 1\nhandshakes_burst = 3");
    let mut first = Raw::send_to(&hub, "");
    assert_eq!(ask(&mut first, &hub, "/ready", "").0.status, 200);
    let kept = [Raw::open(&hub, "/ws"), Raw::open(&hub, "/ws")];
    let mut over = Raw::send_to(&hub, handshake(&hub, "/ws", ""));
    let told = answer(&mut over);
    refused(&told, 429, "rate_limited", "handshakes_per_second");
    refused(&told, 429, "rate_limited", "handshakes_burst");
    assert_eq!(told.0.header("retry-after"), Some("1"));
    assert!(over.rest().is_empty(), "nothing comes after it");
    assert!(stats(&mut first, &hub)["turned_away"]["handshakes"].as_u64() >= Some(1), "who is in stays in");
    let status = || Raw::send_to(&hub, handshake(&hub, "/ws", "")).head().status;
    assert!(eventually(|| status() == 101), "later there is room again");
    drop(kept);
}

#[test]
fn connections_of_an_address_are_counted_as_long_as_they_are_open() {
    let hub = strict("connections_per_address = 3");
    let mut http = Raw::send_to(&hub, "");
    assert_eq!(ask(&mut http, &hub, "/ready", "").0.status, 200);
    let mut sessions = vec![Raw::open(&hub, "/ws"), Raw::open(&hub, "/ws/c")];
    let mut over = Raw::send_to(&hub, handshake(&hub, "/ws", ""));
    let told = answer(&mut over);
    refused(&told, 429, "limit_connections", "connections_per_address");
    assert!(told.1.contains("4 connections of one address, the limit is 3"), "{}", told.1);
    assert_eq!(stats(&mut http, &hub)["turned_away"]["connections_per_address"], 1);
    sessions.pop();
    let again = || Raw::send_to(&hub, handshake(&hub, "/ws", "")).head().status;
    assert!(eventually(|| again() == 101), "a session that has gone makes room");
}

#[test]
fn this_machine_is_exempt_unless_the_setting_says_otherwise() {
    let limits = "handshakes_per_second = 1\nhandshakes_burst = 1\nconnections_per_address = 1\n\
                  handshakes_per_second_total = 1\nhandshakes_burst_total = 1\n";
    let hub = Hub::with_config(&format!("[limits]\n{limits}"));
    let many: Vec<Raw> = (0..20).map(|_| Raw::open(&hub, "/ws")).collect();
    assert!(eventually(|| hub.stats()["connections"] == 20));
    drop(many);
}

#[test]
fn the_hub_as_a_whole_takes_so_many_new_connections_a_second_and_no_more() {
    let hub = behind_a_proxy("handshakes_per_second_total = 1\nhandshakes_burst_total = 2");
    for address in ["192.0.2.1", "192.0.2.2"] {
        assert_eq!(upgrade(&hub, address).head().status, 101);
    }
    let told = answer(&mut upgrade(&hub, "192.0.2.3"));
    refused(&told, 503, "overloaded", "handshakes_per_second_total");
    refused(&told, 503, "overloaded", "handshakes_burst_total");
    assert_eq!(told.0.header("retry-after"), Some("1"));
    assert!(eventually(|| upgrade(&hub, "192.0.2.3").head().status == 101), "later there is room again");
    assert!(hub.stats()["turned_away"]["handshakes_total"].as_u64() >= Some(1));
}

#[test]
fn behind_a_trusted_proxy_each_client_has_limits_of_its_own() {
    let hub = behind_a_proxy("handshakes_per_second = 1\nhandshakes_burst = 2\nconnections_per_address = 2");
    let sessions = [upgrade(&hub, "192.0.2.1"), upgrade(&hub, "6.6.6.6, 192.0.2.1")].map(|mut raw| {
        assert_eq!(raw.head().status, 101);
        raw
    });
    let told = answer(&mut upgrade(&hub, "1.2.3.4, 192.0.2.1"));
    refused(&told, 429, "limit_connections", "connections_per_address");
    for other in ["192.0.2.2", "2001:db8::1", "::ffff:192.0.2.3"] {
        assert_eq!(upgrade(&hub, other).head().status, 101, "{other}");
    }
    drop(sessions);
    let again = || upgrade(&hub, "192.0.2.1").head().status;
    assert!(eventually(|| again() == 101), "what has gone is no longer counted");
    for n in 1..=2 {
        assert_eq!(upgrade(&hub, &format!("2001:db8:0:7::{n}")).head().status, 101);
    }
    assert_eq!(upgrade(&hub, "2001:db8:0:7:ffff::").head().status, 429, "a /64 is one address");
}

#[test]
fn one_client_does_not_use_up_anothers_requests_on_the_proxys_connection() {
    let hub = behind_a_proxy("requests_per_second = 1\nrequests_burst = 2");
    let mut proxy = Raw::send_to(&hub, "");
    let mut status = |address: &str| ask(&mut proxy, &hub, "/ready", &forwarded(address)).0.status;
    assert_eq!(["192.0.2.1"; 3].map(&mut status), [200, 200, 429]);
    assert_eq!(["192.0.2.2"; 3].map(&mut status), [200, 200, 429]);
}

/// The principal of the one who hears `news`.
fn principal(hub: &Hub, more: &str) -> Value {
    let mut raw = Raw::send_to(hub, handshake(hub, "/ws?heartbeat=0", more));
    assert_eq!(raw.head().status, 101);
    raw.send(masked(1, json!({"action": "subscribe", "channel": "news"}).to_string()));
    raw.frame();
    let heard = hub.get("/presence/news").json();
    assert_eq!(heard["count"], 1, "{heard}");
    drop(raw);
    assert!(eventually(|| hub.stats()["connections"] == 0));
    heard["sessions"][0]["principal"].clone()
}

#[test]
fn who_is_no_trusted_proxy_is_believed_nothing() {
    let hub = Hub::start();
    assert_eq!(principal(&hub, &forwarded("192.0.2.1")), "127.0.0.1");
    assert_eq!(principal(&hub, "Forwarded: for=192.0.2.1\r\n"), "127.0.0.1");
    let elsewhere = Hub::with_config("[http]\ntrusted_proxies = [\"192.0.2.0/24\"]\n");
    assert_eq!(principal(&elsewhere, &forwarded("192.0.2.1")), "127.0.0.1");
}

#[test]
fn the_client_goes_by_the_right_most_address_that_is_no_proxy() {
    let hub = Hub::with_config("[http]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n");
    assert_eq!(principal(&hub, &forwarded("192.0.2.1")), "192.0.2.1");
    assert_eq!(principal(&hub, &forwarded("127.0.0.1, 6.6.6.6, 192.0.2.1:4711, 10.1.2.3")), "192.0.2.1");
    let lines = format!("{}{}", forwarded("6.6.6.6"), forwarded("192.0.2.9"));
    assert_eq!(principal(&hub, &lines), "192.0.2.9");
    let both = format!("Forwarded: for=6.6.6.6\r\n{}", forwarded("192.0.2.1"));
    assert_eq!(principal(&hub, &both), "192.0.2.1", "the other header is not read");
    let standard = Hub::with_config(&format!("{PROXY}client_header = \"forwarded\"\n"));
    let both = format!("Forwarded: for=\"[2001:db8::7]:4711\";proto=https\r\n{}", forwarded("6.6.6.6"));
    assert_eq!(principal(&standard, &both), "2001:db8::", "its /64");
}

#[test]
fn a_proxy_that_names_nobody_is_the_client_itself_and_that_is_counted() {
    let hub = Hub::with_config(PROXY);
    for nobody in ["unknown", "192.0.2.1, ", "192.0.2.1, 1.2.3", "192.0.2.1, _hidden"] {
        assert_eq!(principal(&hub, &forwarded(nobody)), "127.0.0.1", "{nobody}");
    }
    let metrics = hub.get("/metrics");
    let count = |reason: &str| {
        let start = format!("tapeline_forwarded_unread_total{{reason=\"{reason}\"}} ");
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(&start));
        line.and_then(|count| count.parse::<u64>().ok()).unwrap_or_else(|| panic!("no {start}"))
    };
    assert_eq!(count("malformed"), 4);
    assert!(count("missing") >= 1, "the tests' own requests name nobody");
}

#[test]
fn who_says_that_it_is_this_machine_may_not_administrate() {
    let hub = Hub::with_config(PROXY);
    let answer = hub.request("POST", "/admin/reload", &forwarded("127.0.0.1"), "");
    assert_eq!(answer.refusal(), (403, "forbidden".to_string()));
}

#[test]
fn a_reload_changes_who_is_trusted_and_who_is_exempt() {
    let hub = Hub::with_config("");
    assert_eq!(principal(&hub, &forwarded("192.0.2.1")), "127.0.0.1");
    hub.rewrite(&format!("{PROXY}[limits]\nexempt = []\n"));
    let reloaded = hub.post("/admin/reload", "");
    assert_eq!(reloaded.status(), 200, "{}", reloaded.text());
    assert_eq!(principal(&hub, &forwarded("192.0.2.1")), "192.0.2.1");
}
