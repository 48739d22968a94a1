//! The requests of the native protocol that are not deliveries: several channels at once, names, lists, pings, reads,
//! publishes, mistakes that must not end a connection, and the hub's heartbeat.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Client, Hub};

#[test]
fn several_channels_in_one_request_are_answered_one_by_one() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    let channels = ["market_data:A", "not a name", "trades:p", "orderbook:B"];
    client.send(&json!({"action": "subscribe", "channels": channels, "req": {"n": [1]}}));
    let answers: Vec<Value> = channels.iter().map(|_| client.next().json).collect();
    for channel in channels {
        let answer = answers.iter().find(|answer| answer["channel"] == channel).expect("each is answered");
        let error = channel == "not a name";
        assert_eq!(answer["type"], if error { "error" } else { "subscription_confirmed" });
        assert_eq!(answer["req"], json!({"n": [1]}));
        assert_eq!(answer.get("code"), error.then_some(&json!("bad_channel")));
    }
    client.expect_silence();
    let mut listed =
        client.ask(&json!({"action": "list"})).json["channels"].as_array().expect("a list").clone();
    listed.sort_by_key(Value::to_string);
    assert_eq!(listed, ["market_data:A", "orderbook:B", "trades:p"]);
}

#[test]
fn a_symbol_means_its_order_book() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    let confirmed = client.ask(&json!({"action": "subscribe", "symbol": "AAPL"})).json;
    assert_eq!((&confirmed["channel"], &confirmed["symbol"]), (&json!("orderbook:AAPL"), &json!("AAPL")));
    hub.post("/broadcast/orderbook?symbol=AAPL", r#"{"bids":[[1,2]],"asks":[]}"#);
    let update = client.message(1).json;
    assert_eq!((&update["type"], &update["symbol"]), (&json!("orderbook_update"), &json!("AAPL")));
    assert_eq!(update["data"], json!({"bids": [[1, 2]], "asks": []}));
    let ended = client.ask(&json!({"action": "unsubscribe", "symbol": "AAPL"})).json;
    assert_eq!(
        (&ended["type"], &ended["channel"]),
        (&json!("unsubscription_confirmed"), &json!("orderbook:AAPL"))
    );
    hub.post("/broadcast/orderbook?symbol=AAPL", "{}");
    client.expect_silence();
}

#[test]
fn an_undeclared_name_is_confirmed_with_a_hint() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    let confirmed = client.subscribe("market-data:AAPL").json;
    assert_eq!(
        (&confirmed["declared"], &confirmed["hint"]),
        (&json!(false), &json!("did you mean market_data:AAPL?"))
    );
    let confirmed = client.subscribe("market_data:AAPL").json;
    assert_eq!((&confirmed["declared"], confirmed.get("hint")), (&json!(true), None));
    let confirmed = client.subscribe("zzz").json;
    assert_eq!((&confirmed["declared"], confirmed.get("hint")), (&json!(false), None));
    hub.publish("zzz", "1");
    assert_eq!(client.message(1).kind(), "message");
}

#[test]
fn a_strict_hub_refuses_undeclared_names_and_says_what_was_meant() {
    let hub = Hub::with_config("strict_channels = true\n");
    let mut client = Client::connect(&hub);
    let error = client.ask(&json!({"action": "subscribe", "channel": "market-data:AAPL", "req": 1})).json;
    assert_eq!((&error["code"], &error["req"]), (&json!("undeclared_channel"), &json!(1)));
    assert!(
        error["message"].as_str().is_some_and(|text| text.contains("did you mean market_data:AAPL?")),
        "{error}"
    );
    client.subscribe("market_data:AAPL");
    client.subscribe("trades");
    let refused = hub.post("/publish", r#"{"channel":"zzz","data":1}"#);
    assert_eq!(refused.refusal(), (404, "undeclared_channel".into()));
}

#[test]
fn a_ping_is_answered_with_the_request_s_own_mark_whatever_it_is() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    for req in
        ["7", "-1.50", "\"seven\"", "true", "null", "{ \"a\" : [1,2, {}] }", "[]", "12345678901234567890123"]
    {
        client.send_text(&format!(r#"{{"action":"ping","req":{req}}}"#));
        let pong = client.next_of("pong");
        assert!(pong.text.contains(&format!("\"req\":{req}")), "{req}: {}", pong.text);
        assert!(pong.json["time"].as_str().is_some_and(|time| time.ends_with('Z')));
    }
    let pong = client.ask(&json!({"action": "ping"}));
    assert_eq!((pong.kind(), pong.json.get("req")), ("pong", None));
}

#[test]
fn mistakes_are_answered_and_the_connection_lives_on() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    let cases = [
        ("not json", "bad_json"),
        ("", "bad_json"),
        ("{\"action\":\"ping\"", "bad_json"),
        ("{}", "invalid_request"),
        ("[]", "invalid_request"),
        ("7", "invalid_request"),
        (r#"{"action":"fly"}"#, "unknown_action"),
        (r#"{"action":7}"#, "invalid_request"),
        (r#"{"action":"subscribe"}"#, "invalid_request"),
        (r#"{"action":"subscribe","channel":""}"#, "bad_channel"),
        (r#"{"action":"subscribe","channel":"a*"}"#, "bad_channel"),
        (r#"{"action":"subscribe","pattern":""}"#, "bad_pattern"),
        (r#"{"action":"subscribe","channel":"news","delivery":"sometimes"}"#, "invalid_request"),
        (r#"{"action":"subscribe","channel":"orderbook:A","max_rate":0.5}"#, "invalid_request"),
        (r#"{"action":"subscribe","channel":"news","since":"yesterday"}"#, "invalid_request"),
        (r#"{"action":"publish","channel":"news"}"#, "invalid_data"),
        (r#"{"action":"publish","channel":"news","type":"gap","data":1}"#, "reserved_type"),
        (r#"{"action":"history","channel":"market_data"}"#, "no_history"),
    ];
    for (text, code) in cases {
        client.send_text(text);
        let error = client.next_of("error");
        assert_eq!(error.json["code"], code, "{text}: {}", error.text);
        assert!(error.json["message"].as_str().is_some_and(|message| !message.is_empty()), "{text}");
    }
    client.send_text(r#"{"action":"subscribe","channel":"news","unknown":[],"another":{"field":1}}"#);
    client.next_of("subscription_confirmed");
    assert_eq!(client.ask(&json!({"action": "fly", "req": 9})).json["req"], 9, "an error carries the mark");
}

#[test]
fn a_request_over_its_limit_is_an_error_and_no_end() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.send(&json!({"action": "ping", "pad": "x".repeat(70 << 10)}));
    assert_eq!(client.next_of("error").json["code"], "too_large");
    let many: Vec<String> = (0..501).map(|n| format!("news{n}")).collect();
    client.send(&json!({"action": "subscribe", "channels": many, "req": 1}));
    let error = client.next_of("error").json;
    assert!(
        error["message"].as_str().is_some_and(|text| text.contains("501") && text.contains("500")),
        "{error}"
    );
    assert_eq!(client.ask(&json!({"action": "list"})).json["channels"], json!([]));
}

#[test]
fn a_publish_is_answered_only_where_it_carries_a_mark() {
    let hub = Hub::start();
    let (mut client, mut reader) = (Client::connect(&hub), Client::connect(&hub));
    reader.subscribe("news");
    client.send(&json!({"action": "publish", "channel": "news", "data": {"n": 1}}));
    reader.message(1);
    client.expect_silence();
    let request = json!({"action": "publish", "channel": "news", "data": {"n": 2}, "type": "flash",
                         "correlation_id": "c-1", "idempotency_key": "k", "req": 8});
    let first = client.ask(&request).json;
    assert_eq!(
        (&first["type"], &first["offset"], &first["req"]),
        (&json!("published"), &json!(2), &json!(8))
    );
    assert_eq!((&first["duplicate"], &first["subscribers"]), (&json!(false), &json!(1)));
    let again = client.ask(&request).json;
    assert_eq!(
        (&again["duplicate"], &again["offset"], &again["id"]),
        (&json!(true), &json!(2), &first["id"])
    );
    let heard = reader.message(2).json;
    assert_eq!((&heard["type"], &heard["correlation_id"]), (&json!("flash"), &json!("c-1")));
    assert_eq!((&heard["id"], &heard["epoch"]), (&first["id"], &first["epoch"]));
    reader.expect_silence();
}

#[test]
fn the_publisher_hears_itself_where_it_subscribed() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("news");
    client.send_text(r#"{"action":"publish","channel":"news","data":{ "kept" : 1.50 }}"#);
    assert_eq!(client.message(1).data_text(), r#"{ "kept" : 1.50 }"#);
}

#[test]
fn history_and_last_are_read_over_the_connection() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    let last = client.ask(&json!({"action": "last", "channel": "news", "req": "l"})).json;
    assert_eq!((&last["type"], &last["message"], &last["req"]), (&json!("last"), &Value::Null, &json!("l")));
    hub.publish_all("news", (1..=5).map(|n| format!(r#"{{"n":{n}}}"#)));
    assert_eq!(client.ask(&json!({"action": "last", "channel": "news"})).json["message"]["offset"], 5);
    let offsets = |answer: &Value| -> Vec<u64> {
        let messages = answer["messages"].as_array().expect("a list").iter();
        messages.map(|message| message["offset"].as_u64().expect("an offset")).collect()
    };
    let all = client.ask(&json!({"action": "history", "channel": "news", "req": 1})).json;
    assert_eq!((offsets(&all), &all["next"], &all["req"]), (vec![1, 2, 3, 4, 5], &Value::Null, &json!(1)));
    let page = json!({"action": "history", "channel": "news", "since": {"offset": 1}, "limit": 2});
    let first = client.ask(&page).json;
    assert_eq!((offsets(&first), &first["next"]), (vec![2, 3], &json!(3)));
    let second =
        client.ask(&json!({"action": "history", "channel": "news", "since": first["next"], "limit": 2})).json;
    assert_eq!((offsets(&second), &second["next"]), (vec![4, 5], &Value::Null));
}

#[test]
fn unsubscribing_is_confirmed_one_by_one_or_all_at_once() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("news");
    client.subscribe("social");
    client.send(&json!({"action": "subscribe", "pattern": "training.*"}));
    client.next_of("subscription_confirmed");
    let one = client.ask(&json!({"action": "unsubscribe", "channel": "news", "req": 1})).json;
    assert_eq!((&one["channel"], &one["req"]), (&json!("news"), &json!(1)));
    let listed = client.ask(&json!({"action": "list", "req": 2})).json;
    assert_eq!((&listed["channels"], &listed["patterns"]), (&json!(["social"]), &json!(["training.*"])));
    assert_eq!(
        client.ask(&json!({"action": "unsubscribe", "channel": "never"})).kind(),
        "unsubscription_confirmed"
    );
    assert_eq!(client.ask(&json!({"action": "unsubscribe", "all": true, "req": 3})).json["req"], 3);
    let listed = client.ask(&json!({"action": "list"})).json;
    assert_eq!((&listed["channels"], &listed["patterns"]), (&json!([]), &json!([])));
    assert_eq!(hub.stats()["subscriptions"], 0);
    hub.publish("social", "{}");
    client.expect_silence();
}

#[test]
fn silence_is_broken_by_a_heartbeat_unless_the_client_wants_none() {
    let hub = Hub::with_config("[limits]\nheartbeat_s = 1\n");
    let mut quiet = Client::connect_to(&hub, "/ws?heartbeat=0");
    let mut client = Client::connect(&hub);
    for _ in 0..2 {
        let beat = client.next_of("heartbeat");
        assert!(beat.json["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{}", beat.text);
    }
    quiet.expect_silence();
    assert!(quiet.read_within(Duration::from_millis(100)).is_none());
}
