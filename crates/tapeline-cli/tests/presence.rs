//! Who hears a channel: the list of `GET /presence`, and comings and goings as messages of `presence:{of}`.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::{Value, json};
use support::{Client, Hub, eventually};

/// Client ids of who hears a channel, with the way.
fn listed(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let sessions = answer["sessions"].as_array().expect("a list");
    let mut listed: Vec<_> =
        sessions.iter().map(|session| (text(&session["client"]), text(&session["via"]))).collect();
    listed.sort();
    listed
}

#[test]
fn who_hears_a_channel_is_listed_once_with_the_way() {
    let hub = Hub::start();
    let mut named = Client::connect_to(&hub, "/ws/named");
    let mut through = Client::connect_to(&hub, "/ws/roll-up");
    let mut by_pattern = Client::connect(&hub);
    named.subscribe("market_data:AAPL");
    named.ask(&json!({"action": "subscribe", "pattern": "market_data:*"}));
    through.subscribe("price_updates");
    by_pattern.ask(&json!({"action": "subscribe", "pattern": "market_data:*"}));
    let answer = hub.get("/presence/market_data:AAPL").json();
    assert_eq!((&answer["channel"], &answer["count"]), (&json!("market_data:AAPL"), &json!(3)));
    let expected = [("", "market_data:*"), ("named", ""), ("roll-up", "price_updates")];
    assert_eq!(listed(&answer), expected.map(|(client, via)| (client.to_string(), via.to_string())));
    let session = &answer["sessions"][0];
    assert_eq!((&session["principal"], &session["node"]), (&json!("127.0.0.1"), &hub.stats()["instance"]));
    assert!(session["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{session}");
    assert!(answer.get("partial").is_none(), "{answer}");
    let few = hub.get("/presence?channel=market_data:AAPL&limit=1").json();
    assert_eq!((&few["count"], &few["partial"]), (&json!(3), &json!(true)));
    assert_eq!(listed(&few), [("named".to_string(), String::new())], "who asked for it itself comes first");
    drop(named);
    assert!(eventually(|| hub.get("/presence/market_data:AAPL").json()["count"] == 2));
}

#[test]
fn what_cannot_be_asked_is_refused_in_words() {
    let hub = Hub::start();
    let refused = |path: &str| {
        let answer = hub.get(path);
        assert_eq!(answer.status(), 400, "{path}");
        answer.json()["error"]["message"].as_str().expect("a message").to_string()
    };
    assert_eq!(refused("/presence/news?limit=0"), "limit is 0, it must be between 1 and 1000");
    assert_eq!(refused("/presence/news?limit=1001"), "limit is 1001, it must be between 1 and 1000");
    assert_eq!(refused("/presence"), "channel is missing");
    assert!(refused("/presence/a%20b").contains("channel name"));
    let nobody = hub.get("/presence/a/b").json();
    assert_eq!((&nobody["channel"], &nobody["count"]), (&json!("a/b"), &json!(0)));
}

/// The next coming or going: event, client, count.
fn event(watcher: &mut Client) -> (String, String, u64) {
    let data = watcher.next_of("presence").json["data"].clone();
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_string();
    (text("event"), text("client"), data["count"].as_u64().expect("a count"))
}

fn told(event: &str, client: &str, count: u64) -> (String, String, u64) {
    (event.to_string(), client.to_string(), count)
}

#[test]
fn comings_and_goings_are_told_where_the_setting_asks_for_it() {
    let hub = Hub::with_config("[presence]\nevents = [\"room:*\", \"news\"]\n");
    let mut watcher = Client::connect(&hub);
    watcher.ask(&json!({"action": "subscribe", "pattern": "presence:*"}));
    let mut ann = Client::connect_to(&hub, "/ws/ann");
    ann.subscribe("orderbook:AAPL");
    ann.subscribe("room:1");
    assert_eq!(event(&mut watcher), told("joined", "ann", 1));
    let mut bob = Client::connect_to(&hub, "/ws/bob");
    bob.subscribe("room:1");
    let frame = watcher.next_of("presence").json;
    assert_eq!((&frame["channel"], &frame["data"]["of"]), (&json!("presence:room:1"), &json!("room:1")));
    assert_eq!(frame["data"]["node"], hub.stats()["instance"]);
    assert_eq!((&frame["data"]["client"], &frame["data"]["count"]), (&json!("bob"), &json!(2)));
    drop(ann);
    assert_eq!(event(&mut watcher), told("left", "ann", 1), "a connection that ends leaves");
    bob.ask(&json!({"action": "unsubscribe", "channel": "room:1"}));
    assert_eq!(event(&mut watcher), told("left", "bob", 0));
    hub.rewrite("[presence]\nevents = [\"news\"]\n");
    assert!(hub.run(&["config", "reload"]).0.success(), "the setting is live");
    bob.subscribe("room:1");
    bob.subscribe("news");
    assert_eq!(event(&mut watcher), told("joined", "bob", 1));
    assert_eq!(hub.get("/history/presence:room:1").json()["messages"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_storm_of_comings_is_told_as_a_number() {
    let hub = Hub::with_config("[presence]\nevents = [\"*\"]\n");
    let mut watcher = Client::connect(&hub);
    watcher.ask(&json!({"action": "subscribe", "pattern": "presence:room"}));
    let mut storm: Vec<Client> = (0..300).map(|_| Client::connect(&hub)).collect();
    for client in &mut storm {
        client.send(&json!({"action": "subscribe", "channel": "room"}));
    }
    let (mut joined, mut missed, mut count) = (0, 0, 0);
    while joined + missed < 300 {
        let data = watcher.next_of("presence").json["data"].clone();
        match data["event"].as_str() {
            Some("joined") => joined += 1,
            Some("changed") => missed += data["missed"].as_u64().expect("how many"),
            other => assert_eq!(other, None, "nobody left: {data}"),
        }
        count = data["count"].as_u64().expect("a count");
    }
    assert_eq!((joined + missed, count), (300, 300));
}
