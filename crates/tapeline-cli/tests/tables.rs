//! Tables: the whole on subscribe, changes after it, merged where a client takes fewer. What a client holds is always a
//! table that existed; each client here applies frames as the contract says and is held against the publisher's table.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::client::Frame;
use support::{Client, Hub};

const BOOK: &str = "orderbook_rows:BTC/USD";

/// Price levels as the publisher or a client holds them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Book(BTreeMap<String, Value>);

impl Book {
    fn apply(&mut self, data: &Value) {
        if data["snapshot"] == true || data["partial"] == true {
            self.0.clear();
        }
        for row in data["rows"].as_array().unwrap_or_else(|| panic!("no rows in {data}")) {
            let key = format!("{} {}", row[0], row[1].as_f64().unwrap_or_default());
            match row[2].as_f64() == Some(0.0) {
                true => self.0.remove(&key),
                false => self.0.insert(key, row.clone()),
            };
        }
    }
}

/// Update `n` of a book of fifty levels: two rows, sometimes a removal.
fn update(n: u64) -> Value {
    let (one, two) = (n * 7 % 50, n * 13 % 50);
    json!({"rows": [["b", 100 + one, n % 5], ["a", 200 + two, n]], "meta": {"n": n}})
}

fn publish(hub: &Hub, range: std::ops::RangeInclusive<u64>) -> Vec<Book> {
    let updates: Vec<Value> = range.map(update).collect();
    hub.publish_all(BOOK, updates.iter().map(Value::to_string));
    let (mut book, mut books) = (Book::default(), vec![]);
    for update in &updates {
        book.apply(update);
        books.push(book.clone());
    }
    books
}

fn rows(frame: &Frame) -> &Value {
    &frame.json["data"]["rows"]
}

#[test]
fn a_subscriber_gets_the_whole_table_and_then_what_changes() {
    let hub = Hub::start();
    hub.publish("positions:p", r#"{"symbol":"AAPL","quantity":10}"#);
    hub.publish("positions:p", r#"{"rows":[{"symbol":"TSLA","quantity":5},{"symbol":"MSFT","quantity":1}]}"#);
    hub.publish("positions:p", r#"{"symbol":"AAPL","removed":true}"#);
    let mut client = Client::connect(&hub);
    assert_eq!(client.subscribe("positions:p").json["offset"], 3);
    let whole = client.next();
    assert_eq!((whole.kind(), whole.offset()), ("position_update", 3));
    assert_eq!(
        whole.data_text(),
        r#"{"rows":[{"symbol":"TSLA","quantity":5},{"symbol":"MSFT","quantity":1}],"meta":{},"snapshot":true}"#
    );
    hub.publish("positions:p", r#"{"symbol":"TSLA","quantity":6.50}"#);
    let change = client.message(4);
    assert_eq!(
        change.data_text(),
        r#"{"rows":[{"symbol":"TSLA","quantity":6.50}],"meta":{},"snapshot":false}"#
    );
    hub.publish(
        "positions:p",
        r#"{"rows":[{"symbol":"NVDA","quantity":2}],"snapshot":true,"meta":{"day":1}}"#,
    );
    assert_eq!(client.message(5).json["data"]["snapshot"], true);
    let last = hub.get("/last/positions:p").json();
    assert_eq!(
        last["data"],
        json!({"rows": [{"symbol": "NVDA", "quantity": 2}], "meta": {"day": 1}, "snapshot": true})
    );
    client.expect_silence();
}

#[test]
fn a_client_at_a_rate_gets_merged_rows_that_make_a_table_that_existed() {
    let hub = Hub::start();
    let mut books = publish(&hub, 1..=1);
    let rates = [json!({"max_rate": 10}), json!({"max_rate": 20}), json!({"max_rate": 50}), json!({})];
    let mut clients: Vec<Client> = rates.iter().map(|_| Client::connect(&hub)).collect();
    for (client, rate) in clients.iter_mut().zip(rates) {
        client.subscribe_with(BOOK, rate);
    }
    let mut counts = Vec::new();
    let mut book = books.remove(0);
    let mut existed = vec![book.clone()];
    for n in 2..=3_000 {
        book.apply(&update(n));
        existed.push(book.clone());
    }
    hub.publish_all(BOOK, (2..=3_000).map(|n| update(n).to_string()));
    for client in &mut clients {
        let (mut held, mut frames) = (Book::default(), 0);
        loop {
            let frame = client.next();
            if !frame.is_message() {
                continue;
            }
            frames += 1;
            held.apply(&frame.json["data"]);
            let offset = usize::try_from(frame.offset()).expect("offsets are small");
            assert_eq!(held, existed[offset - 1], "at {offset}, after {frames} frames");
            assert_eq!(frame.json["data"]["meta"]["n"], frame.offset());
            if offset == 3_000 {
                break;
            }
        }
        counts.push(frames);
    }
    assert!(counts[0] < 1_000 && counts[0] <= counts[2], "frames at 10, 20, 50 and all: {counts:?}");
}

#[test]
fn whole_tables_and_rows_as_published_can_be_asked_for() {
    let hub = Hub::start();
    let (mut whole, mut each) = (Client::connect(&hub), Client::connect(&hub));
    hub.publish("positions:p", r#"{"symbol":"AAPL","quantity":1}"#);
    whole.subscribe_with("positions:p", json!({"delivery": "latest"}));
    each.subscribe_with("positions:p", json!({"delivery": "every"}));
    for client in [&mut whole, &mut each] {
        assert_eq!(client.next().json["data"]["snapshot"], true);
    }
    hub.publish("positions:p", r#"{"symbol":"TSLA","quantity":2}"#);
    assert_eq!(
        rows(&whole.message(2)),
        &json!([{"symbol": "AAPL", "quantity": 1}, {"symbol": "TSLA", "quantity": 2}])
    );
    assert_eq!(rows(&each.message(2)), &json!([{"symbol": "TSLA", "quantity": 2}]));
}

#[test]
fn a_client_that_comes_back_gets_what_changed_since_removals_included() {
    let hub = Hub::start();
    for id in 0..20 {
        hub.publish("agent_status", &format!(r#"{{"agent_id":"a{id}","status":"idle"}}"#));
    }
    let mut client = Client::connect(&hub);
    client.subscribe("agent_status");
    let place = client.message(20).place();
    client.close();
    hub.publish("agent_status", r#"{"agent_id":"a3","status":"running"}"#);
    hub.publish("agent_status", r#"{"agent_id":"a4","removed":true}"#);
    let mut client = Client::connect(&hub);
    let confirmed = client.subscribe_with("agent_status", json!({"since": place}));
    assert_eq!(confirmed.json["recovered"], true);
    let changed = client.next();
    assert_eq!((changed.offset(), &changed.json["data"]["snapshot"]), (22, &json!(false)));
    assert_eq!(
        rows(&changed),
        &json!([{"agent_id": "a3", "status": "running"}, {"agent_id": "a4", "removed": true}])
    );
    let stale = json!({"since": {"offset": 20, "epoch": "another"}});
    let mut client = Client::connect(&hub);
    assert_eq!(client.subscribe_with("agent_status", stale).json["recovered"], false);
    let whole = client.next();
    assert_eq!(
        (rows(&whole).as_array().map(Vec::len), &whole.json["data"]["snapshot"]),
        (Some(19), &json!(true))
    );
}

#[test]
fn a_roll_up_begins_with_the_last_two_rows_of_each_table() {
    let hub = Hub::start();
    let candle = |begin: u64| {
        format!(
            r#"{{"symbol":"BTC/USD","interval":"1m","begin":{begin},"open":1,"high":1,"low":1,"close":1,"volume":1}}"#
        )
    };
    hub.publish_all("ohlc:BTC/USD:1m", (1..=520).map(candle));
    let mut client = Client::connect(&hub);
    client.subscribe("ohlc");
    let part = client.next();
    let begins = |frame: &Frame| -> Vec<u64> {
        rows(frame).as_array().expect("rows").iter().filter_map(|row| row["begin"].as_u64()).collect()
    };
    assert_eq!((begins(&part), &part.json["data"]["partial"]), (vec![519, 520], &json!(true)));
    client.subscribe("ohlc:BTC/USD:1m");
    let whole = client.next();
    assert_eq!((begins(&whole), &whole.json["data"]["snapshot"]), ((21..=520).collect(), &json!(true)));
    hub.publish("ohlc:BTC/USD:1m", &candle(521));
    let told = client.message(521);
    assert_eq!(rows(&told)[1], json!({"begin": 21, "removed": true}));
}

#[test]
fn a_client_that_does_not_read_gets_what_changed_when_it_does() {
    let hub = Hub::start();
    let mut slow = Client::connect(&hub);
    slow.subscribe(BOOK);
    // Several times what the kernel's buffers take.
    let pad = "x".repeat(4_000);
    let padded = |n: u64| {
        let mut data = update(n);
        data["meta"]["pad"] = json!(pad);
        data
    };
    let (mut book, mut existed) = (Book::default(), Vec::new());
    for n in 1..=6_000 {
        book.apply(&update(n));
        existed.push(book.clone());
    }
    hub.publish_all(BOOK, (1..=6_000).map(|n| padded(n).to_string()));
    let (mut held, mut frames) = (Book::default(), 0);
    loop {
        let frame = slow.next();
        assert_ne!(frame.kind(), "gap", "{}", frame.text);
        if !frame.is_message() {
            continue;
        }
        frames += 1;
        held.apply(&frame.json["data"]);
        let offset = usize::try_from(frame.offset()).expect("offsets are small");
        assert_eq!(held, existed[offset - 1], "at {offset}, after {frames} frames");
        if offset == 6_000 {
            break;
        }
    }
    assert!(frames < 6_000, "nothing was merged");
}

#[test]
fn what_is_no_row_is_refused_and_says_what_is_missing() {
    let hub = Hub::start();
    let refused = |channel: &str, data: &str| {
        let answer = hub.post("/publish", format!(r#"{{"channel":"{channel}","data":{data}}}"#));
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "invalid_data");
        (answer.status(), error["message"].to_string())
    };
    let (status, message) = refused("positions:p", r#"{"quantity":1}"#);
    assert_eq!((status, message.contains("symbol")), (400, true), "{message}");
    let (status, message) = refused(BOOK, r#"{"rows":[["b",1,2],["b"]]}"#);
    assert_eq!((status, message.contains("row 2") && message.contains("row_key")), (400, true), "{message}");
    let (status, message) = refused(BOOK, "7");
    assert_eq!((status, message.contains("a table takes a row")), (400, true), "{message}");
}

#[test]
fn numbers_of_one_value_are_one_key() {
    let hub = Hub::start();
    hub.publish(BOOK, r#"{"rows":[["b",66787.7,1],["b",66788,1]]}"#);
    hub.publish(BOOK, r#"["b",66787.70,2]"#);
    hub.publish(BOOK, r#"["b",6.6788e4,0.00]"#);
    let last = hub.get(&format!("/last/{BOOK}"));
    assert!(last.text().contains(r#""rows":[["b",66787.70,2]]"#), "{}", last.text());
}
