//! Every HTTP route of the contract's section 5, against the real binary: answers, refusals, and bytes kept as they came.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::{Value, json};
use support::{Client, Hub, eventually};

const PRICE: &str = r#"{"symbol":"AAPL","price":150.5,"change":0.5,"volume":1000}"#;
const NDJSON: &str = "Content-Type: application/x-ndjson\r\n";

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is no text in {value}"))
}

#[test]
fn publish_answers_where_the_message_went_and_reaches_subscribers() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("market_data:AAPL");
    let answer = hub.publish("market_data:AAPL", PRICE);
    let frame = client.message(1).json;
    assert_eq!((&answer["channel"], &answer["offset"]), (&json!("market_data:AAPL"), &json!(1)));
    assert_eq!(answer["subscribers"], 1);
    assert!(answer.get("duplicate").is_none_or(|duplicate| duplicate == false), "{answer}");
    assert_eq!(
        (field(&answer, "id"), field(&answer, "epoch")),
        (field(&frame, "id"), field(&frame, "epoch"))
    );
    assert_eq!((field(&frame, "type"), field(&frame, "symbol")), ("price_update", "AAPL"));
    assert!(field(&frame, "timestamp").ends_with('Z') && field(&frame, "timestamp").len() == 27, "{frame}");
}

#[test]
fn custom_types_and_correlation_ids_are_carried_end_to_end() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("my.strategy:alpha");
    let body = json!({"channel": "my.strategy:alpha", "type": "rebalance", "data": [1, "two", null],
                      "correlation_id": "req-\u{1f4c8}-\"7\""});
    assert_eq!(hub.post("/publish", body.to_string()).status(), 200);
    hub.publish("my.strategy:alpha", "null");
    let first = client.message(1).json;
    assert_eq!((field(&first, "type"), &first["data"]), ("rebalance", &body["data"]));
    assert_eq!(first["correlation_id"], body["correlation_id"]);
    let second = client.message(2).json;
    assert_eq!(
        (field(&second, "type"), &second["data"], second.get("correlation_id")),
        ("message", &Value::Null, None)
    );
}

/// JSON that a parser would be tempted to write differently.
const ODD: &[&str] = &[
    r#"{ "bids" : [ ] ,"asks":[]  }"#,
    r#"{"price":1.50,"size":1e3,"zero":-0.0,"exp":1E-7}"#,
    r#"{"big":123456789012345678901234567890,"precise":0.1000000000000000055511151231257827}"#,
    r#"{"escaped":"\u00e9\u20AC\ud83d\ude00\/\b","plain":"é€😀/"}"#,
    r#"{"b":1,"a":2,"b":3}"#,
    "{\t\"tab\"\t:\t1 }",
    r#"{"html":"</script><!--","nul":"\u0000","line":"\u2028"}"#,
    r#"{"deep":[[[[[[[[[[{}]]]]]]]]]]}"#,
];

#[test]
fn data_leaves_byte_for_byte_as_it_came() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("orderbook:ODD");
    for (data, offset) in ODD.iter().zip(1..) {
        hub.publish("orderbook:ODD", data);
        assert_eq!(client.message(offset).data_text(), *data);
        let last = hub.get("/last/orderbook:ODD");
        assert!(last.text().contains(&format!(r#""data":{data},"#)), "{}", last.text());
    }
}

#[test]
fn a_broadcast_body_leaves_byte_for_byte_and_the_frame_carries_the_symbol() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("orderbook:AAPL");
    let bodies = ODD.iter().chain(&[r#"{"bids":[],"asks":[]}"#]);
    for (body, offset) in bodies.zip(1..) {
        let answer = hub.post("/broadcast/orderbook?symbol=AAPL", body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(answer.json(), json!({"subscribers": 1, "channel": "orderbook:AAPL", "offset": offset}));
        let frame = client.message(offset);
        assert_eq!(frame.data_text(), *body);
        assert_eq!((field(&frame.json, "symbol"), frame.kind()), ("AAPL", "orderbook_update"));
    }
}

#[test]
fn a_broadcast_takes_exactly_the_keys_of_its_family() {
    let hub = Hub::start();
    let refusal = |path: &str| hub.post(path, "{}").refusal();
    assert_eq!(refusal("/broadcast/orderbook?symbol=AAPL&depth=5"), (400, "invalid_request".into()));
    assert_eq!(refusal("/broadcast/orderbook"), (400, "invalid_request".into()));
    assert_eq!(refusal("/broadcast/orderbook?Symbol=AAPL"), (400, "invalid_request".into()));
    assert_eq!(refusal("/broadcast/orderbooks?symbol=AAPL"), (404, "not_found".into()));
    assert_eq!(refusal("/broadcast/orderbook?symbol=A%20B"), (400, "bad_channel".into()));
    assert_eq!(hub.post("/broadcast/orderbook?symbol=AAPL", "[]").refusal(), (400, "invalid_data".into()));
    assert_eq!(hub.post("/broadcast/orderbook?symbol=AAPL", "{").refusal(), (400, "bad_json".into()));
    assert_eq!(hub.post("/broadcast/orderbook?symbol=AAPL", "").refusal(), (400, "bad_json".into()));
    let slash = hub.post("/broadcast/orderbook?symbol=BTC%2FUSD", "{}").json();
    assert_eq!(slash["channel"], "orderbook:BTC/USD");
    assert_eq!(
        hub.post("/broadcast/quantum_signals", r#"{"type":"BUY"}"#).json()["channel"],
        "quantum_signals"
    );
}

#[test]
fn a_batch_is_answered_item_by_item_in_order() {
    let hub = Hub::start();
    let items = [
        r#"{"channel":"news","data":{"n":1}}"#,
        r#"{"channel":"no good","data":1}"#,
        r#"{"channel":"news","data":{"n":2}}"#,
        r#"{"channel":"news"}"#,
        r#"{"channel":"news","data":{},"type":"pong"}"#,
        r#"{"channel":"news","data":{"n":3}}"#,
    ];
    let mut client = Client::connect(&hub);
    client.subscribe("news");
    let array = hub.post("/publish/batch", format!("[{}]", items.join(", ")));
    let lines = hub.request("POST", "/publish/batch", NDJSON, format!("{}\n\n", items.join("\r\n")));
    for (answer, first) in [(array, 1), (lines, 4)] {
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let answer = answer.json();
        let results = answer["results"].as_array().expect("a list");
        let codes: Vec<_> = results.iter().map(|result| result["error"]["code"].as_str()).collect();
        assert_eq!(
            codes,
            [None, Some("bad_channel"), None, Some("invalid_data"), Some("reserved_type"), None]
        );
        let offsets: Vec<_> = [0, 2, 5].map(|at: usize| results[at]["offset"].as_u64()).to_vec();
        assert_eq!(offsets, [Some(first), Some(first + 1), Some(first + 2)]);
    }
    assert_eq!(client.offsets_until(6), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_batch_that_is_no_list_is_refused_and_a_bad_line_hurts_only_itself() {
    let hub = Hub::start();
    assert_eq!(hub.post("/publish/batch", "[").refusal(), (400, "bad_json".into()));
    assert_eq!(hub.post("/publish/batch", r#"{"channel":"notes","data":1}"#).status(), 400);
    assert_eq!(hub.post("/publish/batch", "[]").json(), json!({"results": []}));
    let mixed = hub.post("/publish/batch", r#"[7, {"channel":"notes","data":1}]"#).json();
    assert!(mixed["results"][0]["error"].is_object() && mixed["results"][1]["offset"] == 1, "{mixed}");
    let lines = "{\"channel\":\"notes\",\"data\":{}}\n{broken\n{\"channel\":\"notes\",\"data\":{}}";
    let results = hub.request("POST", "/publish/batch", NDJSON, lines).json();
    assert_eq!(results["results"][1]["error"]["code"], "bad_json", "{results}");
    assert_eq!(results["results"][2]["offset"], 3, "{results}");
}

#[test]
fn a_batch_of_more_items_than_the_limit_is_refused_whole() {
    let hub = Hub::with_config("[limits]\nbatch_items = 2\n");
    let item = r#"{"channel":"notes","data":1}"#;
    let two = hub.post("/publish/batch", format!("[{item},{item}]")).json();
    assert_eq!(two["results"][1]["offset"], 2, "{two}");
    for array in [format!("[{item},{item},{item}]"), "[1,1,1]".to_string()] {
        let refused = hub.post("/publish/batch", array);
        assert_eq!(refused.refusal(), (413, "too_large".into()));
        let message = refused.json()["error"]["message"].to_string();
        assert!(message.contains("more than 2 publishes in one batch (limits.batch_items)"), "{message}");
    }
    let lines = hub.request("POST", "/publish/batch", NDJSON, format!("{item}\n{item}\n{item}\n"));
    assert_eq!(lines.refusal(), (413, "too_large".into()));
    assert_eq!(hub.get("/last/notes").json()["offset"], 2);
}

#[test]
fn a_large_batch_keeps_its_order() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("market_trades:X");
    hub.publish_all(
        "market_trades:X",
        (0..1_000)
            .map(|n| format!(r#"{{"n":{n},"symbol":"X","price":1,"quantity":1,"side":"buy","time":1}}"#)),
    );
    for n in 0..1_000 {
        assert_eq!(client.message(n + 1).json["data"]["n"], n);
    }
}

#[test]
fn every_refusal_is_a_json_error_with_its_code_and_status() {
    let hub = Hub::start();
    let publish = |body: &str| hub.post("/publish", body).refusal();
    assert_eq!(publish("{"), (400, "bad_json".into()));
    assert_eq!(publish(""), (400, "bad_json".into()));
    assert_eq!(publish(r#"{"channel":"news","data":{}} x"#), (400, "bad_json".into()));
    assert_eq!(publish(r#"{"data":1}"#), (400, "invalid_request".into()));
    assert_eq!(publish(r#"{"channel":7,"data":1}"#), (400, "invalid_request".into()));
    assert_eq!(publish(r#"{"channel":"news"}"#), (400, "invalid_data".into()));
    assert_eq!(
        publish(r#"{"channel":"news","data":1,"type":"subscription_confirmed"}"#),
        (400, "reserved_type".into())
    );
    for bad in ["", "a b", "a,b", "a*", "a?", "a[", "a]", "a\\\\", "caf\u{e9}", &"x".repeat(129)] {
        assert_eq!(
            publish(&format!(r#"{{"channel":"{bad}","data":1}}"#)),
            (400, "bad_channel".into()),
            "{bad:?}"
        );
    }
    let longest = format!(r#"{{"channel":"{}","data":1}}"#, "x".repeat(128));
    assert_eq!(hub.post("/publish", longest).status(), 200);
}

#[test]
fn refused_reads_paths_and_methods_say_why() {
    let hub = Hub::start();
    let read = |path: &str| hub.get(path).refusal();
    assert_eq!(read("/last/market_data:NONE"), (404, "no_value".into()));
    assert_eq!(read("/history/market_data"), (404, "no_history".into()));
    assert_eq!(read("/history/orderbook"), (404, "no_history".into()));
    assert_eq!(read("/last"), (400, "invalid_request".into()));
    assert_eq!(read("/last/a%20b"), (400, "bad_channel".into()));
    assert_eq!(read("/history/news?limit=0"), (400, "invalid_request".into()));
    assert_eq!(read("/history/news?limit=abc"), (400, "invalid_request".into()));
    assert_eq!(read("/history/news?since=-1"), (400, "invalid_request".into()));
    assert_eq!(read("/last/%FF").0, 400);
    assert_eq!(read("/nothing/here"), (404, "not_found".into()));
    assert_eq!(read("/publish"), (405, "method_not_allowed".into()));
    assert_eq!(hub.post("/health", "{}").refusal(), (405, "method_not_allowed".into()));
}

#[test]
fn a_body_of_another_type_is_not_taken() {
    let hub = Hub::start();
    let send = |path: &str, kind: &str| {
        hub.request("POST", path, &format!("Content-Type: {kind}\r\n"), r#"{"channel":"news","data":{}}"#)
    };
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        for path in ["/publish", "/publish/batch", "/broadcast/orderbook?symbol=AAPL"] {
            assert_eq!(send(path, kind).refusal(), (415, "unsupported_media_type".into()), "{path} {kind}");
        }
    }
    assert_eq!(send("/publish", "application/json; charset=utf-8").status(), 200);
    assert_eq!(send("/publish", "Application/JSON").status(), 200);
    assert_eq!(
        hub.request("POST", "/publish", "", r#"{"channel":"news","data":{}}"#).status(),
        200,
        "no type is JSON"
    );
}

#[test]
fn a_message_of_one_mebibyte_is_taken_and_a_larger_one_is_not() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("orderbook:BIG");
    let data = |len: usize| format!(r#"{{"x":"{}"}}"#, "y".repeat(len - 8));
    let publish =
        |data: &str| hub.post("/publish", format!(r#"{{"channel":"orderbook:BIG","data":{data}}}"#));
    let fits = data(1 << 20);
    assert_eq!(publish(&fits).status(), 200);
    assert_eq!(client.message(1).data_text(), fits);
    assert_eq!(publish(&data((1 << 20) + 1)).refusal(), (413, "too_large".into()));
    assert_eq!(publish(&data(3 << 20)).refusal(), (413, "too_large".into()));
    assert_eq!(
        hub.post("/broadcast/orderbook?symbol=BIG", data((1 << 20) + 1)).refusal(),
        (413, "too_large".into())
    );
}

#[test]
fn an_idempotency_key_publishes_once_and_answers_the_first_offset() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("trades:p-1");
    let trade = |n: u32| {
        format!(r#"{{"portfolio_id":"p-1","symbol":"A","trade_type":"BUY","quantity":{n},"price":1}}"#)
    };
    let publish = |channel: &str, key: &str, n: u32| {
        let body = format!(r#"{{"channel":"{channel}","data":{},"idempotency_key":"{key}"}}"#, trade(n));
        hub.post("/publish", body).json()
    };
    let first = publish("trades:p-1", "k1", 1);
    let again = publish("trades:p-1", "k1", 2);
    assert_eq!((&again["duplicate"], &again["offset"]), (&json!(true), &json!(1)));
    assert_eq!((&again["id"], &again["epoch"]), (&first["id"], &first["epoch"]));
    assert_eq!(publish("trades:p-1", "k2", 3)["offset"], 2);
    assert_eq!(publish("trades:p-2", "k1", 4)["offset"], 1, "another channel is another matter");
    let quantities =
        [client.message(1), client.message(2)].map(|frame| frame.json["data"]["quantity"].clone());
    assert_eq!(quantities, [1, 3]);
    client.expect_silence();
    assert_eq!(hub.stats()["published"], 3, "a repeat is not published");
}

#[test]
fn a_client_covered_three_times_counts_as_one_subscriber() {
    let hub = Hub::start();
    let (mut one, mut two) = (Client::connect(&hub), Client::connect(&hub));
    one.subscribe("market_data:AAPL");
    one.subscribe("market_data");
    one.subscribe("price_updates");
    one.send(&json!({"action": "subscribe", "pattern": "market_*"}));
    one.next_of("subscription_confirmed");
    assert_eq!(hub.publish("market_data:AAPL", PRICE)["subscribers"], 1);
    two.subscribe("price_updates");
    assert_eq!(hub.post("/broadcast/market_data?symbol=AAPL", PRICE).json()["subscribers"], 2);
    one.send(&json!({"action": "unsubscribe", "all": true}));
    two.settle();
    one.settle();
    assert_eq!(hub.publish("market_data:AAPL", PRICE)["subscribers"], 1);
}

#[test]
fn the_last_value_and_history_are_read_by_path_and_by_query() {
    let hub = Hub::start();
    for n in 1..=5 {
        hub.publish(
            "market_trades:BTC/USD",
            &format!(r#"{{"symbol":"BTC/USD","price":{n},"quantity":1,"side":"buy","time":{n}}}"#),
        );
    }
    for path in [
        "/last/market_trades:BTC/USD",
        "/last/market_trades:BTC%2FUSD",
        "/last?channel=market_trades:BTC%2FUSD",
    ] {
        assert_eq!(hub.get(path).json()["offset"], 5, "{path}");
    }
    let offsets = |path: &str| -> Vec<u64> {
        let answer = hub.get(path).json();
        assert_eq!(answer["channel"], "market_trades:BTC/USD");
        let messages = answer["messages"].as_array().expect("a list").iter();
        messages.map(|message| message["offset"].as_u64().expect("an offset")).collect()
    };
    let path = "/history/market_trades:BTC/USD";
    assert_eq!(offsets(path), [1, 2, 3, 4, 5]);
    assert_eq!(offsets("/history?channel=market_trades:BTC/USD&since=3"), [4, 5]);
    assert_eq!(offsets(&format!("{path}?since=1&limit=2")), [2, 3]);
    assert_eq!(offsets(&format!("{path}?since=5")), [0; 0]);
    assert_eq!(
        offsets(&format!("{path}?since=3&epoch=older")),
        [1, 2, 3, 4, 5],
        "offsets of another epoch mean nothing"
    );
    let epoch = hub.get(path).json()["epoch"].as_str().expect("an epoch").to_string();
    assert_eq!(offsets(&format!("{path}?since=3&epoch={epoch}")), [4, 5]);
    let nothing = hub.get("/history/market_trades:NONE").json();
    assert_eq!(nothing["messages"], json!([]));
}

#[test]
fn an_every_roll_up_has_a_history_and_a_last_value_of_its_own() {
    let hub = Hub::start();
    let trade = |p: &str| {
        format!(r#"{{"portfolio_id":"{p}","symbol":"A","trade_type":"BUY","quantity":1,"price":1}}"#)
    };
    for portfolio in ["a", "b", "a"] {
        hub.publish(&format!("trades:{portfolio}"), &trade(portfolio));
    }
    let history = hub.get("/history/trades?since=1").json();
    let messages = history["messages"].as_array().expect("a list");
    let seen: Vec<_> =
        messages.iter().map(|m| (field(m, "channel"), m["rollup"]["trades"]["offset"].as_u64())).collect();
    assert_eq!(seen, [("trades:b", Some(2)), ("trades:a", Some(3))]);
    assert_eq!(hub.get("/last/trades").json()["channel"], "trades:a");
    assert_eq!(history["epoch"], messages[0]["rollup"]["trades"]["epoch"]);
}

#[test]
fn health_ready_and_stats_say_how_the_hub_is() {
    let hub = Hub::start();
    assert_eq!(hub.get("/health").json()["status"], "ok");
    assert_eq!(hub.get("/ready").status(), 200);
    let mut client = Client::connect(&hub);
    client.subscribe("market_data:AAPL");
    hub.publish("market_data:AAPL", PRICE);
    client.message(1);
    assert!(eventually(|| hub.stats()["delivered"] == 1), "{}", hub.stats());
    let stats = hub.stats();
    for name in ["connections", "clients", "subscriptions", "published"] {
        assert_eq!(stats[name], 1, "{name} in {stats}");
    }
    let channel = &stats["channels"]["market_data:AAPL"];
    assert_eq!(channel["subscribers"], 1);
    assert!(field(channel, "last_at").ends_with('Z'));
    assert!(stats["uptime_s"].is_u64() && stats["conflated"].is_u64() && stats["dropped"].is_object());
    assert!(!field(&stats, "version").is_empty());
}

#[test]
fn browsers_are_answered_before_they_post_and_foreign_pages_are_not() {
    let hub = Hub::start();
    let preflight = |origin: &str| {
        let lines = format!(
            "Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n"
        );
        hub.request("OPTIONS", "/publish", &lines, "")
    };
    let allowed = preflight("http://localhost:3000");
    assert!(matches!(allowed.status(), 200 | 204), "{}", allowed.status());
    assert_eq!(allowed.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert!(allowed.header("access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    let names =
        allowed.header("access-control-allow-headers").expect("headers are allowed").to_ascii_lowercase();
    for name in ["content-type", "authorization", "last-event-id", "cache-control"] {
        assert!(names.contains(name), "{name} in {names}");
    }
    assert!(allowed.header("vary").is_some_and(|vary| vary.eq_ignore_ascii_case("origin")));
    let foreign = preflight("https://evil.example");
    assert_eq!((foreign.status(), foreign.header("access-control-allow-origin")), (403, None));
    let lines = "Origin: https://evil.example\r\nContent-Type: application/json\r\n";
    let posted = hub.request("POST", "/publish", lines, r#"{"channel":"news","data":{}}"#);
    assert_eq!(posted.refusal(), (403, "foreign_origin".into()));
    assert_eq!(hub.get("/last/news").status(), 404, "nothing was published");
    let mine = "Origin: http://127.0.0.1:5173\r\n";
    let read = hub.request("GET", "/health", mine, "");
    assert_eq!(read.header("access-control-allow-origin"), Some("http://127.0.0.1:5173"));
    assert_eq!(read.header("access-control-allow-credentials"), None);
    let stream = hub.request("GET", "/events", mine, "");
    assert_eq!(stream.header("access-control-allow-credentials"), Some("true"), "EventSource can send them");
}
