//! Several hubs on one Redis count as one: limits, who hears a channel, what was counted. A hub that is killed is gone with
//! all its sessions when its lease runs out; `doctor` says what is wrong with the Redis.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Client, Hub};
use tapeline_faults::RedisServer;

/// Longer than a lease and the beats around it.
const LEASE: Duration = Duration::from_secs(30);

/// Two hubs on one Redis that know of one another.
fn two(redis: &RedisServer, more: &str) -> [Hub; 2] {
    let config = format!("[serve]\nbroker = \"{}\"\n{more}", redis.url());
    let hubs = [Hub::with_config(&config), Hub::with_config(&config)];
    let count = |hub: &Hub| hub.stats()["nodes"].as_array().map_or(0, Vec::len);
    assert!(in_time(|| hubs.iter().all(|hub| count(hub) == 2)), "{}", hubs[0].stats()["nodes"]);
    hubs
}

fn in_time(mut holds: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    while !holds() {
        if since.elapsed() > LEASE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// Whether a connection of this pair is let in and may subscribe.
fn comes_in(hub: &Hub, path: &str) -> Option<Client> {
    let mut client = Client::connect_to(hub, path);
    client.send(&json!({"action": "subscribe", "channel": "orderbook:A", "req": 1}));
    let first = client.next().json;
    (first["type"] == "subscription_confirmed").then_some(client)
}

/// The answer to a request, past what was published meanwhile.
fn ask(client: &mut Client, request: &Value) -> Value {
    client.send(request);
    loop {
        let frame = client.next();
        if !frame.is_message() {
            return frame.json;
        }
    }
}

fn clients(answer: &Value) -> Vec<String> {
    let sessions = answer["sessions"].as_array().expect("a list");
    let mut names: Vec<String> =
        sessions.iter().map(|session| session["client"].as_str().unwrap_or_default().to_string()).collect();
    names.sort();
    names
}

#[test]
fn limits_presence_and_counts_hold_over_hubs_and_a_killed_one_is_forgotten() {
    let redis = RedisServer::start();
    let [one, two] = two(&redis, "[limits]\nconnections_per_client = 3\nsubscriptions_per_client = 4\n");
    let mut here: Vec<Client> = (0..2).map(|_| comes_in(&one, "/ws/desk").expect("room")).collect();
    let mut there = comes_in(&two, "/ws/desk").expect("room");
    assert!(comes_in(&one, "/ws/desk").is_none(), "three of this pair are connected, on two hubs");
    assert!(comes_in(&two, "/ws/desk").is_none());

    let presence = |hub: &Hub| hub.get("/presence/orderbook:A").json();
    for hub in [&one, &two] {
        assert!(in_time(|| presence(hub)["count"] == 3), "{}", presence(hub));
        assert_eq!(clients(&presence(hub)), ["desk", "desk", "desk"]);
        assert!(in_time(|| hub.publish("orderbook:A", "{}")["subscribers"] == 3));
    }
    let stats = one.stats();
    assert_eq!((&stats["connections"], &stats["subscriptions"]), (&json!(3), &json!(3)), "{stats}");
    assert_eq!(stats["channels"]["orderbook:A"]["subscribers"], 3);
    let local = one.get("/stats?node=local").json();
    assert_eq!((&local["connections"], local["nodes"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    assert_eq!(one.get("/stats?node=other").status(), 400);

    // Three of four subscriptions are taken; each hub knows of the other's within a beat or two.
    let mut names = (0..).map(|n| format!("orderbook:X{n}"));
    ask(&mut there, &json!({"action": "subscribe", "channel": names.next().expect("endless")}));
    let refused = in_time(|| {
        let name = names.next().expect("endless");
        let answer = ask(&mut here[0], &json!({"action": "subscribe", "channel": name}));
        if answer["code"] == "limit_subscriptions" {
            return true;
        }
        ask(&mut here[0], &json!({"action": "unsubscribe", "channel": name}));
        false
    });
    assert!(refused, "four subscriptions over both hubs are all that may be");

    let killed = Instant::now();
    drop(two);
    assert!(in_time(|| presence(&one)["count"] == 2), "{}", presence(&one));
    assert!(killed.elapsed() > Duration::from_secs(4), "until then it might have come back");
    assert!(in_time(|| one.stats()["connections"] == 2));
    assert_eq!(one.publish("orderbook:A", "{}")["subscribers"], 2);
    assert!(in_time(|| comes_in(&one, "/ws/desk").is_some()), "its seat is free");
}

#[test]
fn comings_and_goings_on_any_hub_are_heard_on_the_other() {
    let redis = RedisServer::start();
    let [one, two] = two(&redis, "[presence]\nevents = [\"room\"]\n");
    let mut watcher = Client::connect_to(&one, "/ws?heartbeat=0");
    watcher.subscribe("presence:room");
    let mut ann = Client::connect_to(&two, "/ws/ann");
    ann.subscribe("room");
    let joined = watcher.next_of("presence").json["data"].clone();
    assert_eq!((&joined["event"], &joined["client"]), (&json!("joined"), &json!("ann")));
    assert_eq!(joined["node"], two.stats()["instance"]);
    assert!(in_time(|| one.get("/presence/room").json()["count"] == 1));
    drop(two);
    let gone = watcher.read_within(LEASE).expect("it is told").expect("a frame").json["data"].clone();
    assert_eq!((&gone["event"], &gone["missed"], &gone["count"]), (&json!("changed"), &json!(1), &json!(0)));
}

#[test]
fn doctor_names_what_is_wrong_with_the_redis_and_who_else_uses_it() {
    let redis = RedisServer::with(&["maxmemory 200mb", "maxmemory-policy allkeys-lru"]);
    let [one, _two] = two(&redis, "");
    let (status, text, _) = one.run(&["doctor", "--wait", "0"]);
    assert!(!status.success());
    for words in ["answers in", "maxmemory-policy is allkeys-lru", "noeviction", "2 hubs share this redis"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
