//! The stand-in, asked by a plain WebSocket client.

use std::path::PathBuf;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::book::{Row, World};
use super::*;

struct Client {
    runtime: Runtime,
    socket: tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>,
}

impl Client {
    fn connect(url: &str) -> Client {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (socket, _) = runtime.block_on(tokio_tungstenite::connect_async(url)).unwrap();
        Client { runtime, socket }
    }

    fn ask(&mut self, request: &Value) {
        self.runtime.block_on(self.socket.send(Message::text(request.to_string()))).unwrap();
    }

    fn read(&mut self) -> Option<String> {
        let message = self.runtime.block_on(async {
            tokio::time::timeout(crate::PATIENCE, self.socket.next()).await.expect("something comes")
        });
        match message {
            Some(Ok(Message::Text(text))) => Some(text.as_str().to_string()),
            _ => None,
        }
    }

    /// The next that is no heartbeat.
    fn next(&mut self) -> Value {
        loop {
            let text = self.read().expect("the connection stands");
            let json: Value = serde_json::from_str(&text).unwrap();
            if json["channel"] != "heartbeat" {
                return json;
            }
        }
    }

    /// The next of a channel, as text.
    fn next_of(&mut self, channel: &str) -> String {
        loop {
            let text = self.read().expect("the connection stands");
            if text.starts_with(&format!(r#"{{"channel":"{channel}""#)) {
                return text;
            }
        }
    }

    fn subscribe(&mut self, channel: &str, symbols: &[&str], option: Value) {
        let mut params = json!({"channel": channel, "symbol": symbols});
        params.as_object_mut().unwrap().extend(option.as_object().unwrap().clone());
        self.ask(&json!({"method": "subscribe", "params": params, "req_id": 7}));
    }
}

fn synthetic() -> Kraken {
    Kraken::start(Market::synthetic(3, &[Pair::new("BTC/USD", 1), Pair::new("ETH/USD", 2)], 40))
}

/// A client's book: what a reader that does as the venue says holds.
struct Reader {
    depth: usize,
    world: World,
}

impl Reader {
    fn apply(&mut self, text: &str) -> u64 {
        let json: Value = serde_json::from_str(text).unwrap();
        if json["type"] == "snapshot" {
            self.world.clear();
        }
        let Value::Array(_) = json["data"] else { panic!("{text}") };
        // The digits are in the text alone.
        let data = text.split_once(r#""bids":"#).unwrap().1;
        let (bids, rest) = data.split_once(r#","asks":"#).unwrap();
        let asks = rest.split_once("]").unwrap().0;
        let rows = |side, text: &str| -> Vec<Row> {
            let levels = text.split('{').skip(1).map(|level| {
                let level = level.trim_end_matches([',', ']', '}']);
                let (price, qty) = level.split_once(r#","qty":"#).unwrap();
                Row::new(side, price.trim_start_matches(r#""price":"#), qty.trim_end_matches('}'))
            });
            levels.collect()
        };
        self.world.apply(&rows(book::Side::Bid, bids));
        self.world.apply(&rows(book::Side::Ask, asks));
        self.world.truncate(self.depth);
        json["data"][0]["checksum"].as_u64().unwrap()
    }

    fn checksum(&self) -> u32 {
        book::View::of(&self.world, self.depth).checksum()
    }
}

#[test]
fn who_connects_is_told_the_state_and_each_symbol_is_answered_then_its_book_comes() {
    let kraken = synthetic();
    let mut client = Client::connect(&kraken.url());
    assert_eq!(client.next()["data"][0]["system"], "online");
    client.subscribe("book", &["BTC/USD", "WWW/USD"], json!({"depth": 25}));
    let answer = client.next();
    assert_eq!((&answer["result"]["depth"], &answer["req_id"]), (&json!(25), &json!(7)), "{answer}");
    let snapshot = client.next();
    assert_eq!(snapshot["type"], "snapshot");
    assert_eq!(snapshot["data"][0]["bids"].as_array().unwrap().len(), 25);
    let answer = client.next();
    assert_eq!(answer["error"], "Currency pair not supported WWW/USD");
    assert_eq!((&answer["success"], &answer["symbol"]), (&json!(false), &json!("WWW/USD")));
    client.ask(&json!({"method": "ping", "req_id": 8}));
    assert_eq!(client.next()["method"], "pong");
    client.ask(&json!({"method": "ping", "params": {}}));
    assert!(client.next()["error"].as_str().unwrap().contains("params"));
    assert_eq!(kraken.requests().len(), 3);
}

#[test]
fn a_reader_that_does_as_the_venue_says_has_every_checksum_at_every_depth() {
    let kraken = synthetic();
    for depth in [10, 25, 1_000] {
        let mut client = Client::connect(&kraken.url());
        client.subscribe("book", &["BTC/USD"], json!({"depth": depth}));
        let mut reader = Reader { depth, world: World::default() };
        assert_eq!(reader.apply(&client.next_of("book")), u64::from(reader.checksum()));
        kraken.advance(600);
        client.ask(&json!({"method": "ping"}));
        let mut heard = 0;
        loop {
            let text = client.read().unwrap();
            if text.contains("pong") {
                break;
            }
            if text.starts_with(r#"{"channel":"book""#) {
                heard += 1;
                assert_eq!(reader.apply(&text), u64::from(reader.checksum()), "{text}");
            }
        }
        assert!(heard > 100, "{heard}");
        let rows = book::View::of(&reader.world, depth).rows();
        let book: Vec<_> = kraken.book("BTC/USD", depth);
        assert_eq!(rows.len(), book.len());
        let levels = book.iter().map(|(side, price, qty)| (*side, &**price, &**qty));
        assert!(!kraken.existed("BTC/USD", depth, levels).is_empty());
    }
}

#[test]
fn messages_are_lost_doubled_and_spoiled_as_told_and_no_others() {
    let kraken = synthetic();
    let mut client = Client::connect(&kraken.url());
    client.subscribe("book", &["BTC/USD"], json!({"depth": 10}));
    let mut reader = Reader { depth: 10, world: World::default() };
    reader.apply(&client.next_of("book"));
    kraken.spoil("book", Some("BTC/USD"), Fault::Doubled, 1);
    kraken.spoil("book", None, Fault::WrongChecksum, 1);
    kraken.spoil("book", None, Fault::WrongRow, 1);
    kraken.advance(200);
    assert!(kraken.is_sound());
    let (one, two) = (client.next_of("book"), client.next_of("book"));
    assert_eq!(one, two);
    for text in [one, two] {
        assert_eq!(reader.apply(&text), u64::from(reader.checksum()));
    }
    let wrong = client.next_of("book");
    assert_eq!(reader.apply(&wrong) ^ 1, u64::from(reader.checksum()));
    let wrong = client.next_of("book");
    assert_ne!(reader.apply(&wrong), u64::from(reader.checksum()));
}

#[test]
fn connections_are_cut_refused_and_taken_again_at_the_same_port() {
    let kraken = synthetic();
    let mut client = Client::connect(&kraken.url());
    client.next();
    kraken.cut();
    assert_eq!(client.read(), None);
    kraken.refuse_connections(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(tokio_tungstenite::connect_async(kraken.url())).is_err());
    kraken.stop();
    assert!(runtime.block_on(tokio_tungstenite::connect_async(kraken.url())).is_err());
    kraken.open();
    assert_eq!(Client::connect(&kraken.url()).next()["channel"], "status");
    kraken.be("maintenance");
    assert_eq!(Client::connect(&kraken.url()).next()["data"][0]["system"], "maintenance");
}

#[test]
fn an_account_is_told_by_number_to_who_has_a_token() {
    let kraken = synthetic();
    let mut client = Client::connect(&kraken.private_url());
    client.next();
    client.ask(&json!({"method": "subscribe", "params": {"channel": "executions", "token": "wrong"}}));
    assert_eq!(client.next()["error"], "Token(s) not found");
    kraken.accept_token("right");
    client.ask(&json!({"method": "subscribe", "params": {"channel": "executions", "token": "right"}}));
    assert_eq!(client.next()["success"], true);
    assert_eq!(client.next()["sequence"], 1);
    kraken.spoil("executions", None, Fault::Lost, 1);
    for n in 0..2 {
        kraken.execution(&format!(r#"{{"order_id":"O{n}","order_status":"new","exec_type":"new"}}"#));
    }
    let heard = client.next();
    assert_eq!((&heard["sequence"], &heard["data"][0]["order_id"]), (&json!(3), &json!("O1")));
}

#[test]
fn heartbeats_come_only_while_nothing_else_does_and_never_without_a_subscription() {
    let kraken = synthetic();
    kraken.heartbeats(Some(Duration::from_millis(40)));
    let mut client = Client::connect(&kraken.url());
    assert_eq!(client.next()["channel"], "status");
    client.subscribe("ticker", &["BTC/USD"], json!({}));
    assert_eq!(client.next()["success"], true);
    assert_eq!(client.next()["channel"], "ticker");
    assert_eq!(client.read().unwrap(), r#"{"channel":"heartbeat"}"#);
}

#[test]
fn recordings_are_replayed_with_the_checksums_that_they_came_with() {
    let Some(root) = std::env::var_os("TAPELINE_DATA").map(PathBuf::from) else {
        eprintln!("TAPELINE_DATA is not set: no recording was replayed");
        return;
    };
    for (file, depth, symbol, least) in [
        ("kraken-v2-from-binance/btcusdt-depth10.txt.gz", 10, "BTC/USDT", 3_000),
        ("kraken-v2-python-kraken-sdk/book-btcusd-depth10-part1.jsonl", 10, "BTC/USD", 299),
        ("kraken-v2-from-cryptofeed-v1/book-depth1000-5pairs.jsonl", 1_000, "XMR/USD", 846),
    ] {
        let text = std::fs::read(root.join(file)).unwrap();
        let text = if file.ends_with("gz") {
            std::io::read_to_string(flate2::read::GzDecoder::new(&*text)).unwrap()
        } else {
            String::from_utf8(text).unwrap()
        };
        let name = format!(r#""symbol":"{symbol}""#);
        let books = text.lines().filter(|line| line.contains(r#""channel":"book""#) && line.contains(&name));
        let checksum = |line: &str| {
            line.rsplit_once(r#""checksum":"#).unwrap().1.split([',', '}']).next().unwrap().to_string()
        };
        let recorded: Vec<String> = books.skip(1).map(checksum).collect();
        let kraken = Kraken::start(Market::recorded(&root.join(file), depth));
        let mut client = Client::connect(&kraken.url());
        client.subscribe("book", &[symbol], json!({"depth": depth}));
        client.next_of("book");
        while kraken.advance(1_000) > 0 {}
        assert!(recorded.len() >= least, "{file}: {}", recorded.len());
        for expected in recorded {
            assert_eq!(checksum(&client.next_of("book")), expected, "{file}");
        }
    }
}
