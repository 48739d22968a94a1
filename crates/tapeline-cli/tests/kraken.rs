//! What a stand-in for Kraken says, heard by clients of a hub that it feeds: every family of the catalogue, books only
//! while somebody hears them, an account by its owner alone; and recordings whole.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::people::{auth, bearer, token};
use support::venue::{Desk, Held, Looked, PAIRS, fed, market};
use support::{Client, Hub, eventually, recordings};
use tapeline_faults::kraken::{Fault, Kraken, Market, Pace};

/// The last message of a channel, if there is one.
fn last(hub: &Hub, channel: &str) -> Option<Value> {
    let answer = hub.get(&format!("/last/{channel}"));
    (answer.status() == 200).then(|| answer.json())
}

#[test]
fn prices_trades_candles_and_books_arrive_on_the_catalogues_channels() {
    let kraken = market(40);
    let hub = fed(&kraken, 25, "");
    for channel in ["ticker", "book", "trade", "ohlc"] {
        PAIRS.iter().for_each(|symbol| kraken.wait_for(channel, Some(symbol)));
    }
    let mut client = Client::connect(&hub);
    let mut books: BTreeMap<String, Held> = BTreeMap::new();
    for symbol in PAIRS {
        let held = Held::new(symbol, 25, Looked::Whole);
        client.send(&json!({"action": "subscribe", "req": 1, "channels": [
            held.channel(), format!("market_data:{symbol}"), format!("market_trades:{symbol}"), format!("ohlc:{symbol}:1"),
        ]}));
        books.insert(held.channel(), held);
    }
    let mut heard: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    kraken.advance(600);
    while !books.values().all(|held| held.is_newest(&kraken)) || heard.len() < 6 {
        let frame = client.next();
        if !frame.is_message() {
            assert_ne!(frame.kind(), "error", "{}", frame.text);
            continue;
        }
        match books.get_mut(frame.channel()) {
            Some(held) => {
                held.apply(&frame);
                held.check(&kraken).unwrap_or_else(|wrong| panic!("{wrong}"));
            }
            None => heard.entry(frame.channel().to_string()).or_default().push(frame.json["data"].clone()),
        }
    }
    for symbol in PAIRS {
        let trades = &heard[&format!("market_trades:{symbol}")];
        let ids: Vec<u64> = trades.iter().filter_map(|trade| trade["trade_id"].as_u64()).collect();
        assert!(ids.len() > 10 && ids.windows(2).all(|two| two[1] == two[0] + 1), "{ids:?}");
        let price = heard[&format!("market_data:{symbol}")].last().expect("a price");
        assert!(price["price"].is_number() && price["bid"].as_f64() < price["ask"].as_f64(), "{price}");
        let candles = heard[&format!("ohlc:{symbol}:1")].last().expect("candles");
        assert!(candles["rows"][0]["high"].as_f64() >= candles["rows"][0]["low"].as_f64(), "{candles}");
    }
}

#[test]
fn the_best_levels_are_published_only_while_somebody_hears_them_and_then_at_once() {
    let kraken = market(40);
    let hub = fed(&kraken, 100, "[feed]\nlevels = 5\n");
    kraken.wait_for("book", Some(PAIRS[0]));
    let (rows, best) = (format!("orderbook_rows:{}", PAIRS[0]), format!("orderbook:{}", PAIRS[0]));
    let move_on = || {
        let before = last(&hub, &rows).map(|told| told["offset"].clone());
        kraken.advance(50);
        assert!(eventually(|| last(&hub, &rows).map(|told| told["offset"].clone()) != before));
    };
    move_on();
    assert_eq!(last(&hub, &best), None, "nobody has asked for it");
    let mut client = Client::connect(&hub);
    client.subscribe(&best);
    // The market stands still: this is the book as it is.
    let told = loop {
        let frame = client.next();
        if frame.is_message() {
            break frame;
        }
    };
    let now = kraken.book(PAIRS[0], 5);
    let bids = now.iter().filter(|(side, ..)| *side == 'b').map(|(_, price, qty)| format!("[{price},{qty}]"));
    let bids = bids.collect::<Vec<_>>().join(",");
    assert!(told.data_text().contains(&format!(r#""bids":[{bids}]"#)), "{} lacks {bids}", told.text);
    move_on();
    assert!(client.next().offset() > told.offset());
    client.send(&json!({"action": "unsubscribe", "channel": best}));
    let is_over = || {
        let before = last(&hub, &best).map(|told| told["offset"].clone());
        move_on();
        last(&hub, &best).map(|told| told["offset"].clone()) == before
    };
    assert!(eventually(is_over), "it goes on although nobody hears it");
}

#[test]
fn books_of_a_recording_arrive_whole_at_many_times_its_speed() {
    for (file, folder, depth) in [
        ("btcusdt-depth10.txt.gz", "kraken-v2-from-binance", 10),
        ("book-btcusd-depth10-part1.jsonl", "kraken-v2-python-kraken-sdk", 10),
        ("book-depth1000-5pairs.jsonl", "kraken-v2-from-cryptofeed-v1", 1_000),
    ] {
        let Some(folder) = recordings(folder) else { return };
        let kraken = Kraken::start(Market::recorded(&folder.join(file), depth));
        let hub = fed(&kraken, depth, "");
        for pair in kraken.pairs() {
            kraken.wait_for("book", Some(&pair.symbol));
        }
        let mut client = Client::connect(&hub);
        let mut books: BTreeMap<String, Held> = BTreeMap::new();
        for pair in kraken.pairs() {
            let held = Held::new(&pair.symbol, depth, Looked::Whole);
            client.send(&json!({"action": "subscribe", "channel": held.channel()}));
            books.insert(held.channel(), held);
        }
        let mut is_over = false;
        loop {
            is_over = is_over || kraken.advance(200) == 0;
            if is_over && books.values().all(|held| held.is_newest(&kraken)) {
                break;
            }
            let frame = client.next();
            if let Some(held) = books.get_mut(frame.channel()).filter(|_| frame.is_message()) {
                held.apply(&frame);
                held.check(&kraken).unwrap_or_else(|wrong| panic!("{file}: {wrong}"));
            }
        }
        let venue = &hub.stats()["feeds"]["feed:kraken"]["venue"];
        assert_eq!((&venue["checksum_failures"], &venue["disconnects"]), (&json!(0), &json!(0)), "{file}");
    }
}

/// The account's orders in this test.
fn fill(n: u32) -> String {
    format!(
        r#"{{"order_id":"O{n}","exec_id":"E{n}","exec_type":"trade","trade_id":{n},"symbol":"BTC/USD","side":"buy","last_qty":0.50000000,"last_price":100.0,"order_status":"filled","timestamp":"2026-01-01T00:00:{:02}.000000Z"}}"#,
        n % 60
    )
}

#[test]
fn an_accounts_fills_and_balances_reach_its_owner_whole_and_in_order_also_over_a_hole() {
    let kraken = market(40);
    // The key of the venue's public example.
    let secret = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";
    kraken.give_tokens_to("the-key", secret);
    kraken.hold("USD", "1000.0000");
    let config = format!(
        "{}[feed]\nnames = [\"kraken\"]\nurls = [\"{}\"]\nchannels = [\"executions\", \"balances\"]\nowner = \"ann\"\n\
         account = \"desk\"\nprivate_url = \"{}\"\nrest_url = \"{}\"\napi_key = \"the-key\"\napi_secret = \"{secret}\"\n",
        auth("", &[]),
        kraken.url(),
        kraken.private_url(),
        kraken.rest_url()
    );
    let hub = Hub::with_config_and(&config, &[]);
    kraken.wait_for("executions", None);
    kraken.wait_for("balances", None);
    let mut bob = Client::connect_with(&hub, "/ws", &bearer(&token("bob", &json!({}))));
    assert_eq!(bob.ask(&json!({"action": "subscribe", "channel": "executions:desk"})).kind(), "error");
    let ann = bearer(&token("ann", &json!({})));
    kraken.execution(&fill(0));
    for channel in ["balances:desk", "executions:desk"] {
        let is_there = || hub.request("GET", &format!("/last/{channel}"), &ann, "").status() == 200;
        assert!(eventually(is_there), "{}", hub.log());
    }
    let mut ann = Client::connect_with(&hub, "/ws", &ann);
    ann.send(&json!({"action": "subscribe", "channel": "executions:desk", "since": {"offset": 0}}));
    ann.send(&json!({"action": "subscribe", "channel": "balances:desk"}));
    for n in 1..20 {
        kraken.execution(&fill(n));
    }
    kraken.ledger(
        r#"{"ledger_id":"L1","ref_id":"R1","timestamp":"2026-01-01T00:00:30.000000Z","type":"trade","asset":"USD","asset_class":"currency","category":"trade","wallet_type":"spot","wallet_id":"main","amount":-50.0000,"fee":0.0000,"balance":950.0000}"#,
    );
    // This one is not sent; the next one's number tells, and everything is asked for anew.
    kraken.spoil("executions", None, Fault::Lost, 1);
    kraken.execution(&fill(20));
    kraken.execution(&fill(21));
    let (mut fills, mut usd) = (Vec::new(), Value::Null);
    while fills.len() < 22 || usd != 950.0 {
        let frame = ann.next();
        if !frame.is_message() {
            assert_ne!(frame.kind(), "error", "{}", frame.text);
            continue;
        }
        let data = &frame.json["data"];
        if frame.channel() == "executions:desk" {
            fills.extend(data["exec_id"].as_str().map(str::to_string));
        } else {
            let rows = data["rows"].as_array().into_iter().flatten();
            usd = rows
                .filter(|row| row["asset"] == "USD")
                .map(|row| row["balance"].clone())
                .next_back()
                .unwrap_or(usd);
        }
    }
    let all: Vec<String> = (0..22).map(|n| format!("E{n}")).collect();
    let mut sorted = fills.clone();
    sorted.sort_by_key(|id| id[1..].parse::<u32>().unwrap_or_default());
    assert_eq!(sorted, all, "each once");
    assert_eq!(fills[..20], all[..20], "in order until the hole");
    assert!(kraken.tokens_issued() >= 2, "a token for each connection");
    assert!(!hub.log().contains(secret) && !hub.log().contains("token-1"), "{}", hub.log());
}

#[test]
fn five_pairs_on_one_connection_and_three_clients_end_with_the_newest_books() {
    let Some(folder) = recordings("kraken-v2-from-cryptofeed-v1") else { return };
    let kraken = Kraken::start(Market::recorded(&folder.join("book-depth1000-5pairs.jsonl"), 1_000));
    let hub = fed(&kraken, 1_000, "");
    Desk::hold_through(&kraken, &hub, 1_000, Looked::Whole, |desk| {
        // GRT/ETH hardly moves: what is waited for is the end.
        desk.kraken.pace(Pace::PerSecond(2_000.0));
        assert!(eventually(|| desk.kraken.advance(1) == 0));
    });
    assert_eq!(kraken.opened(), 1, "{}", hub.log());
}
