//! The three promises of the contract's sections 1 to 3 as subscribers see them: `latest`, `every`, roll-ups, patterns,
//! resuming, gaps, rates and a subscriber's own choice.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::client::{Frame, with};
use support::{Client, Hub};

const FILLS: &str = "[[channel]]\ntemplate = \"fills:{account}\"\ntype = \"fill\"\npriority = \"critical\"\ndelivery = \"every\"\n";

fn price(symbol: &str, price: u64) -> String {
    format!(r#"{{"symbol":"{symbol}","price":{price},"change":0,"volume":1}}"#)
}

fn trade(portfolio: &str, quantity: u64) -> String {
    format!(
        r#"{{"portfolio_id":"{portfolio}","symbol":"AAPL","trade_type":"BUY","quantity":{quantity},"price":1.5}}"#
    )
}

fn numbered(range: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = String> {
    range.map(|n| format!(r#"{{"n":{n}}}"#))
}

fn prints(range: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = String> {
    range.map(|n| format!(r#"{{"symbol":"X","price":{n},"quantity":1,"side":"buy","time":{n}}}"#))
}

fn pattern(client: &mut Client, pattern: &str, more: Value) -> Frame {
    client.send(&with(json!({"action": "subscribe", "pattern": pattern}), more));
    client.next_of("subscription_confirmed")
}

fn mark(frame: &Frame) -> u64 {
    frame.json["rollup"]["trades"]["offset"].as_u64().unwrap_or_else(|| panic!("no mark in {}", frame.text))
}

#[test]
fn market_data_reaches_its_channel_and_both_roll_ups_each_client_once() {
    let hub = Hub::start();
    let names = ["market_data:AAPL", "market_data", "price_updates"];
    let mut clients: Vec<Client> = names.iter().map(|_| Client::connect(&hub)).collect();
    let mut all = Client::connect(&hub);
    for (client, name) in clients.iter_mut().zip(names) {
        client.subscribe(name);
        all.subscribe(name);
    }
    assert_eq!(hub.publish("market_data:AAPL", &price("AAPL", 150))["subscribers"], 4);
    for client in clients.iter_mut().chain([&mut all]) {
        let frame = client.message(1);
        assert_eq!((frame.channel(), frame.kind()), ("market_data:AAPL", "price_update"));
        assert_eq!((&frame.json["symbol"], &frame.json["data"]["price"]), (&json!("AAPL"), &json!(150)));
        client.expect_silence();
    }
}

#[test]
fn a_trade_reaches_its_portfolio_and_the_roll_up_as_the_same_bytes() {
    let hub = Hub::start();
    let (mut one, mut all, mut both) = (Client::connect(&hub), Client::connect(&hub), Client::connect(&hub));
    one.subscribe("trades:portfolio-1");
    all.subscribe("trades");
    both.subscribe("trades");
    both.subscribe("trades:portfolio-1");
    hub.publish("trades:portfolio-1", &trade("portfolio-1", 7));
    let frame = one.message(1);
    assert_eq!((frame.kind(), mark(&frame)), ("trade", 1));
    assert_eq!(frame.json["portfolio_id"], "portfolio-1");
    assert_eq!((all.message(1).text, both.message(1).text), (frame.text.clone(), frame.text));
    for client in [&mut one, &mut all, &mut both] {
        client.expect_silence();
    }
}

#[test]
fn a_roll_up_s_own_name_is_one_more_source() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("price_updates");
    client.subscribe("trades");
    hub.publish("price_updates", &price("ANY", 1));
    assert_eq!(client.next().channel(), "price_updates");
    hub.publish("trades", &trade("none", 1));
    hub.publish("trades:p", &trade("p", 2));
    assert_eq!(
        [client.next(), client.next()].map(|frame| frame.channel().to_string()),
        ["trades", "trades:p"]
    );
    client.expect_silence();
}

#[test]
fn latest_is_told_on_subscribe_unless_the_client_has_it() {
    let hub = Hub::start();
    hub.publish_all("market_data:AAPL", (1..=5).map(|n| price("AAPL", n)));
    let mut client = Client::connect(&hub);
    let confirmed = client.subscribe("market_data:AAPL");
    assert_eq!((confirmed.offset(), confirmed.json.get("recovered")), (5, None));
    let place = client.message(5).place();
    client.expect_silence();
    let mut again = Client::connect(&hub);
    let confirmed = again.subscribe_with("market_data:AAPL", json!({"since": place}));
    assert_eq!(confirmed.json["recovered"], true);
    again.expect_silence();
}

#[test]
fn latest_is_recovered_by_the_newest_however_much_was_missed() {
    let hub = Hub::start();
    hub.publish("market_data:AAPL", &price("AAPL", 1));
    let mut client = Client::connect(&hub);
    client.subscribe("market_data:AAPL");
    let place = client.message(1).place();
    hub.publish_all("market_data:AAPL", (2..=9).map(|n| price("AAPL", n)));
    let mut again = Client::connect(&hub);
    let confirmed = again.subscribe_with("market_data:AAPL", json!({"since": place}));
    assert_eq!(confirmed.json["recovered"], true, "recovered means: you now have the newest");
    again.message(9);
    again.expect_silence();
}

#[test]
fn a_latest_roll_up_sends_each_source_s_last_value_on_subscribe() {
    let hub = Hub::start();
    for symbol in ["A", "B", "C"] {
        hub.publish_all(&format!("market_data:{symbol}"), (1..=3).map(|n| price(symbol, n)));
    }
    let mut client = Client::connect(&hub);
    let confirmed = client.subscribe("market_data");
    assert_eq!(confirmed.json["covers"], json!(["market_data:{symbol}"]));
    let mut seen: Vec<_> = (0..3).map(|_| client.message(3).channel().to_string()).collect();
    seen.sort();
    assert_eq!(seen, ["market_data:A", "market_data:B", "market_data:C"]);
    client.expect_silence();
    hub.publish("market_data:D", &price("D", 1));
    assert_eq!(client.next().channel(), "market_data:D");
}

#[test]
fn every_numbers_its_messages_without_holes_and_begins_at_the_present() {
    let hub = Hub::start();
    hub.publish_all("market_trades:X", prints(1..=3));
    let mut client = Client::connect(&hub);
    let confirmed = client.subscribe("market_trades:X");
    assert_eq!(confirmed.offset(), 3);
    hub.publish_all("market_trades:X", prints(4..=500));
    assert_eq!(client.offsets_until(500), (4..=500).collect::<Vec<_>>());
    client.expect_silence();
}

#[test]
fn a_client_that_comes_and_goes_while_publishing_goes_on_misses_nothing() {
    let hub = Hub::with_config(&format!("{FILLS}keep = {{ count = 10000 }}\n"));
    let last = 3_000;
    std::thread::scope(|scope| {
        scope.spawn(|| numbered(1..=last).for_each(|data| drop(hub.publish("fills:a", &data))));
        let mut place = json!({"offset": 0});
        let mut due = 1;
        for turn in 1.. {
            let mut client = Client::connect(&hub);
            let confirmed = client.subscribe_with("fills:a", json!({"since": place}));
            assert_eq!(confirmed.json["recovered"], true, "{}", confirmed.text);
            for _ in 0..(100 + turn * 50) {
                let frame = client.message(due);
                assert_eq!(frame.json["data"]["n"], due);
                place = frame.place();
                if due == last {
                    return client.expect_silence();
                }
                due += 1;
            }
        }
    });
}

#[test]
fn what_retention_has_passed_is_said_as_a_gap() {
    let hub = Hub::with_config(&format!("{FILLS}keep = {{ count = 10 }}\n"));
    hub.publish_all("fills:a", numbered(1..=5));
    let epoch = hub.get("/last/fills:a").json()["epoch"].clone();
    hub.publish_all("fills:a", numbered(6..=30));
    let mut client = Client::connect(&hub);
    let since = json!({"offset": 5, "epoch": epoch});
    let confirmed = client.subscribe_with("fills:a", json!({"since": since}));
    assert_eq!(confirmed.json["recovered"], false);
    let gap = client.next_of("gap").json;
    assert_eq!((&gap["from"], &gap["to"], &gap["reason"]), (&json!(6), &json!(20), &json!("trimmed")));
    assert_eq!((&gap["channel"], &gap["account"]), (&json!("fills:a"), &json!("a")));
    assert_eq!(client.offsets_until(30), (21..=30).collect::<Vec<_>>());
    assert_eq!(hub.stats()["dropped"]["trimmed"], 15);
    let mut edge = Client::connect(&hub);
    let confirmed = edge.subscribe_with("fills:a", json!({"since": {"offset": 20, "epoch": epoch}}));
    assert_eq!(confirmed.json["recovered"], true, "nothing is missing");
    assert_eq!(edge.offsets_until(30), (21..=30).collect::<Vec<_>>());
}

#[test]
fn a_stale_epoch_is_said_as_a_gap_and_everything_kept_follows() {
    let hub = Hub::start();
    hub.publish_all("market_trades:X", prints(1..=3));
    for since in [
        json!({"offset": 2, "epoch": "older"}),
        json!({"offset": 99, "epoch": "older"}),
        json!({"offset": 99}),
    ] {
        let mut client = Client::connect(&hub);
        let confirmed = client.subscribe_with("market_trades:X", json!({"since": since}));
        assert_eq!(confirmed.json["recovered"], false, "{since}");
        let gap = client.next_of("gap").json;
        assert_eq!(gap["reason"], "epoch", "{since}");
        assert_eq!(client.offsets_until(3), [1, 2, 3], "{since}");
        client.expect_silence();
    }
}

#[test]
fn a_restarted_hub_counts_under_another_epoch() {
    let epoch = || {
        let hub = Hub::start();
        hub.publish("news", "{}")["epoch"].clone()
    };
    assert_ne!(epoch(), epoch());
}

#[test]
fn one_offset_resumes_a_roll_up_new_portfolios_included() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("trades");
    hub.publish("trades:a", &trade("a", 1));
    hub.publish("trades:b", &trade("b", 2));
    let frames = [client.next(), client.next()];
    assert_eq!(frames.each_ref().map(mark), [1, 2]);
    let place = frames[1].json["rollup"]["trades"].clone();
    drop(client);
    for (n, portfolio) in (3..=40).zip(["a", "b", "new-1", "new-2"].iter().cycle()) {
        hub.publish(&format!("trades:{portfolio}"), &trade(portfolio, n));
    }
    let mut again = Client::connect(&hub);
    let confirmed = again.subscribe_with("trades", json!({"since": place}));
    assert_eq!((&confirmed.json["recovered"], confirmed.offset()), (&json!(true), 40));
    let marks: Vec<u64> = (3..=40).map(|_| mark(&again.next())).collect();
    assert_eq!(marks, (3..=40).collect::<Vec<_>>());
    hub.publish("trades:a", &trade("a", 41));
    assert_eq!(mark(&again.next()), 41);
    again.expect_silence();
}

#[test]
fn a_pattern_resumes_by_channel_and_unlisted_channels_from_a_time() {
    let hub = Hub::start();
    hub.publish("trades:old", &trade("old", 1));
    let mut client = Client::connect(&hub);
    let time = pattern(&mut client, "trades:*", json!({})).json["time"].clone();
    hub.publish("trades:a", &trade("a", 1));
    let place = client.next().place();
    drop(client);
    hub.publish("trades:a", &trade("a", 2));
    hub.publish("trades:new", &trade("new", 1));
    hub.publish("trades:new", &trade("new", 2));
    let mut again = Client::connect(&hub);
    let confirmed = pattern(&mut again, "trades:*", json!({"since": {"trades:a": place}, "time": time}));
    assert_eq!(confirmed.json["recovered"], true);
    let mut seen: Vec<_> =
        (0..3).map(|_| again.next()).map(|f| format!("{} {}", f.channel(), f.offset())).collect();
    seen.sort();
    assert_eq!(seen, ["trades:a 2", "trades:new 1", "trades:new 2"], "and nothing from before");
    again.expect_silence();
}

#[test]
fn every_on_a_latest_family_brings_each_message_in_order() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe_with("orderbook:X", json!({"delivery": "every"}));
    for data in numbered(1..=300) {
        hub.publish("orderbook:X", &data);
    }
    assert_eq!(client.offsets_until(300), (1..=300).collect::<Vec<_>>());
}

#[test]
fn latest_on_an_every_family_gives_the_newest_and_only_grows() {
    let hub = Hub::start();
    hub.publish_all("market_trades:X", prints(1..=3));
    let mut client = Client::connect(&hub);
    client.subscribe_with("market_trades:X", json!({"delivery": "latest"}));
    client.message(3);
    hub.publish_all("market_trades:X", prints(4..=300));
    let offsets = client.offsets_until(300);
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    client.expect_silence();
}

#[test]
fn deliveries_that_a_family_cannot_give_are_refused() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    let cases = [
        ("trades:p", json!({"delivery": "latest"})),
        ("trades", json!({"delivery": "latest"})),
        ("executions:acc", json!({"delivery": "latest"})),
        ("trades:p", json!({"max_rate": 10})),
        ("market_trades:X", json!({"max_rate": 10})),
        ("orderbook:X", json!({"delivery": "every", "max_rate": 10})),
        ("orderbook:X", json!({"delivery": "table"})),
    ];
    for (channel, more) in cases {
        let request = with(json!({"action": "subscribe", "channel": channel, "req": 1}), more);
        let error = client.ask(&request).json;
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("error"), &json!("unsupported_delivery")),
            "{request}"
        );
        assert_eq!(error["req"], 1);
    }
    assert_eq!(client.ask(&json!({"action": "list"})).json["channels"], json!([]));
}

#[test]
fn a_rate_sends_the_first_at_once_then_the_newest_at_intervals() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    let confirmed = client.subscribe_with("orderbook:X", json!({"max_rate": 14}));
    assert_eq!(confirmed.json["max_rate"], 10, "rounded down to a step");
    let start = Instant::now();
    let publisher = std::thread::spawn(move || {
        let mut sent = 0;
        while start.elapsed() < Duration::from_millis(1_500) {
            sent += 1;
            hub.publish("orderbook:X", &format!(r#"{{"n":{sent}}}"#));
            std::thread::sleep(Duration::from_millis(2));
        }
        (hub, sent, start.elapsed())
    });
    client.message(1);
    assert!(!publisher.is_finished(), "the leading edge waited");
    let (hub, sent, took) = publisher.join().expect("the publisher publishes");
    let offsets = client.offsets_until(sent);
    // At the rate, however long a busy machine took for some: more than the first and the last one came.
    let allowed = took.as_millis() as usize / 100 + 2;
    assert!((4..=allowed).contains(&offsets.len()), "{} in {took:?} are too few or too many", offsets.len());
    assert!(offsets.is_sorted_by(|a, b| a < b));
    client.expect_silence();
    assert!(hub.stats()["conflated_by"]["max_rate"].as_u64() > Some(0));
}

#[test]
fn two_rates_and_none_on_one_channel_do_not_disturb_each_other() {
    let hub = Hub::start();
    let rates = [json!({"max_rate": 2}), json!({"max_rate": 50}), json!({})];
    let mut clients: Vec<Client> = rates.iter().map(|_| Client::connect(&hub)).collect();
    for (client, rate) in clients.iter_mut().zip(rates) {
        client.subscribe_with("orderbook:X", rate);
    }
    // Two at once each time, of which a rate leaves one, however long a busy machine takes from time to time.
    for first in (1..50).step_by(2) {
        hub.publish_all("orderbook:X", numbered(first..=first + 1));
        std::thread::sleep(Duration::from_millis(2));
    }
    let counts: Vec<usize> = clients.iter_mut().map(|client| client.offsets_until(50).len()).collect();
    assert!(counts[0] <= counts[1] && counts[1] < counts[2], "{counts:?}");
    assert_eq!(counts[2], 50);
}

/// Publishes `count` messages and answers how many the client got until the last one.
fn heard_of(hub: &Hub, client: &mut Client, channel: &str, count: u64) -> usize {
    let mut last = 0;
    for data in numbered(1..=count) {
        last = hub.publish(channel, &data)["offset"].as_u64().expect("an offset");
        std::thread::sleep(Duration::from_millis(1));
    }
    client.offsets_until(last).len()
}

#[test]
fn subscribing_again_changes_the_rate_as_the_confirmation_says() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe("orderbook:X");
    assert_eq!(heard_of(&hub, &mut client, "orderbook:X", 20), 20);
    let confirmed = client.subscribe_with("orderbook:X", json!({"max_rate": 2}));
    assert_eq!(confirmed.json["max_rate"], 2);
    client.settle();
    let heard = heard_of(&hub, &mut client, "orderbook:X", 20);
    assert!(heard < 10, "{heard} messages at 2 a second");
}

#[test]
fn ending_one_of_two_subscriptions_leaves_the_other_as_it_was_asked_for() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    client.subscribe_with("orderbook:X", json!({"max_rate": 2}));
    pattern(&mut client, "orderbook:*", json!({}));
    assert_eq!(heard_of(&hub, &mut client, "orderbook:X", 20), 20, "the pattern asks for all");
    assert_eq!(
        client.ask(&json!({"action": "unsubscribe", "pattern": "orderbook:*"})).kind(),
        "unsubscription_confirmed"
    );
    let heard = heard_of(&hub, &mut client, "orderbook:X", 20);
    assert!(heard < 10, "{heard} messages at 2 a second");
}

#[test]
fn overlapping_subscriptions_bring_a_message_once_and_end_one_by_one() {
    for (channel, roll_up, glob) in
        [("orderbook:X", "orderbook", "order*"), ("trades:X", "trades", "trades:?")]
    {
        let hub = Hub::start();
        let mut client = Client::connect(&hub);
        let ends = [
            json!({"action": "unsubscribe", "channel": channel}),
            json!({"action": "unsubscribe", "pattern": glob}),
            json!({"action": "unsubscribe", "channel": roll_up}),
        ];
        client.subscribe(roll_up);
        client.subscribe(channel);
        pattern(&mut client, glob, json!({}));
        let mut offset = 0;
        for end in &ends {
            for _ in 0..3 {
                offset += 1;
                hub.publish(channel, &trade("X", offset));
                client.message(offset);
            }
            client.expect_silence();
            assert_eq!(client.ask(end).kind(), "unsubscription_confirmed");
        }
        assert_eq!(hub.publish(channel, &trade("X", 0))["subscribers"], 0);
        client.expect_silence();
    }
}

#[test]
fn training_status_keeps_its_last_message_for_whoever_comes_later() {
    let hub = Hub::start();
    let step = |n| format!(r#"{{"experiment_id":"exp_1","status":"running","progress":{n}}}"#);
    hub.publish_all("training.status:exp_1", (1..=3).map(step));
    let mut client = Client::connect(&hub);
    client.subscribe("training.status:exp_1");
    assert_eq!(client.message(3).json["experiment_id"], "exp_1");
    let mut all = Client::connect(&hub);
    all.subscribe("training.status");
    assert_eq!(all.next().channel(), "training.status:exp_1");
    client.expect_silence();
    all.expect_silence();
}

#[test]
fn resuming_a_channel_and_its_roll_up_brings_what_was_missed_once() {
    let hub = Hub::start();
    hub.publish("trades:a", &trade("a", 1));
    let first = hub.get("/last/trades:a").json();
    let (place, mark) = (json!({"offset": 1, "epoch": first["epoch"]}), first["rollup"]["trades"].clone());
    for n in 2..=200 {
        hub.publish(["trades:a", "trades:b"][n as usize % 2], &trade("a", n));
    }
    let mut client = Client::connect(&hub);
    client.send(&json!({"action": "subscribe", "channel": "trades", "since": mark}));
    client.send(&json!({"action": "subscribe", "channel": "trades:a", "since": place}));
    client.send(&json!({"action": "subscribe", "pattern": "trades:*", "since": {"trades:a": place}}));
    let mut seen: Vec<(String, u64)> = Vec::new();
    while seen.len() < 199 {
        let frame = client.next();
        if frame.is_message() {
            seen.push((frame.channel().to_string(), frame.offset()));
        }
    }
    let late = client.settle();
    assert!(!late.iter().any(Frame::is_message), "{late:?}");
    seen.sort();
    let (a, b) = ((2..=101).map(|n| ("trades:a", n)), (1..=99).map(|n| ("trades:b", n)));
    assert_eq!(seen, a.chain(b).map(|(name, n)| (name.to_string(), n)).collect::<Vec<_>>());
}
