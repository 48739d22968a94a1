//! A shortened replay of real input: the first messages of two recordings at full speed into thirty clients, five of
//! them slow. Nothing is lost, repeated or reordered on `every`, byte for byte; `latest` ends with the newest.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flate2::read::GzDecoder;
use serde_json::json;
use support::{Client, Hub, eventually, recordings};

/// Messages of each recording.
const FIRST: usize = 3_000;
const CLIENTS: usize = 30;
const SLOW: usize = 5;
/// Publishes without an answer yet.
const WINDOW: usize = 256;

/// Outboxes are small, so that the slow ones fall behind in so short a replay.
const CONFIG: &str = r#"
[limits]
outbox_bytes = 65536
outbox_messages = 256

[[channel]]
template = "bn_trade:{symbol}"
type = "bn_trade"
priority = "high"
delivery = "every"
keep = { count = 40000 }

[[channel]]
template = "bn_ticker:{symbol}"
type = "bn_ticker"
priority = "high"
delivery = "latest"

[[channel]]
template = "bn_depth:{symbol}"
type = "bn_depth"
priority = "medium"
delivery = "every"
keep = { count = 10000 }
"#;

/// What each channel was sent, in order.
type Sent = BTreeMap<String, Vec<String>>;

/// (channel, JSON) of one recording; a line is `<receive time> <JSON>`.
fn recorded(file: &str, symbol: &str) -> Vec<(String, String)> {
    let Some(folder) = recordings("binance-hftbacktest") else { return made_up(symbol) };
    let path = folder.join(file);
    let packed = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = BufReader::new(GzDecoder::new(packed)).lines().take(FIRST);
    let messages: Vec<_> = lines
        .map(|line| {
            let line = line.expect("a recording is text");
            let (_, json) = line.split_once(' ').expect("a line is a time and a message");
            let family = match json {
                _ if json.contains(r#""e":"trade""#) => "bn_trade",
                _ if json.contains("@bookTicker\"") => "bn_ticker",
                _ => "bn_depth",
            };
            (format!("{family}:{symbol}"), json.to_string())
        })
        .collect();
    assert_eq!(messages.len(), FIRST, "{} is shorter than that", path.display());
    messages
}

/// As many messages of the same kinds and lengths, where there is no recording.
fn made_up(symbol: &str) -> Vec<(String, String)> {
    let message = |n: usize| match n % 13 {
        0 | 1 => {
            (format!("bn_trade:{symbol}"), format!(r#"{{"data":{{"e":"trade","t":{n},"p":"61800.{n}"}}}}"#))
        }
        2 => (
            format!("bn_depth:{symbol}"),
            format!(r#"{{"u":{n},"b":[{}["1.0","2.50"]]}}"#, r#"["61737.63","0.00"],"#.repeat(n % 97)),
        ),
        _ => (
            format!("bn_ticker:{symbol}"),
            format!(r#"{{"data":{{"u":{n},"b":"61837.63000000","B":"3.78826000"}}}}"#),
        ),
    };
    (0..FIRST).map(message).collect()
}

/// Both recordings, taking turns.
fn input() -> Vec<(String, String)> {
    let spot = recorded("spot-btcusdt_20240808.gz", "SPOT-BTCUSDT");
    let futures = recorded("usdm-btcusdt_20240808.gz", "USDM-BTCUSDT");
    spot.into_iter().zip(futures).flat_map(|(one, other)| [one, other]).collect()
}

/// Publishes over one connection, at most [`WINDOW`] ahead of the answers.
fn publish(hub: &Hub, input: &[(String, String)]) {
    let mut client = Client::connect(hub);
    for (n, (channel, data)) in input.iter().enumerate() {
        if n >= WINDOW {
            assert_eq!(client.next_of("published").json["req"], json!(n - WINDOW));
        }
        client.send_text(&format!(r#"{{"action":"publish","channel":"{channel}","data":{data},"req":{n}}}"#));
    }
    for _ in 0..WINDOW {
        client.next_of("published");
    }
}

/// What one client got: the data of each channel, with the offsets.
#[derive(Default)]
struct Heard {
    data: BTreeMap<String, Vec<(u64, String)>>,
    conflated: bool,
}

impl Heard {
    /// Whether the last message of every channel is there.
    fn is_complete(&self, sent: &Sent) -> bool {
        sent.iter().all(|(channel, all)| {
            let last = self.data.get(channel).and_then(|heard| heard.last());
            last.is_some_and(|(offset, _)| *offset == all.len() as u64)
        })
    }

    fn read(client: &mut Client, sent: &Sent, mut pause: impl FnMut(usize)) -> Heard {
        let mut heard = Heard::default();
        let mut count = 0;
        while !heard.is_complete(sent) {
            let frame = client.next();
            if frame.kind() == "notice" {
                heard.conflated = true;
                continue;
            }
            assert!(frame.is_message(), "{}", frame.text);
            let entry = heard.data.entry(frame.channel().to_string()).or_default();
            entry.push((frame.offset(), frame.data_text().to_string()));
            count += 1;
            pause(count);
        }
        let late = client.settle();
        assert!(late.iter().all(|frame| frame.kind() == "notice"), "{late:?}");
        heard
    }

    fn check(&self, sent: &Sent) {
        for (channel, all) in sent {
            let heard = &self.data[channel];
            for (offset, data) in heard {
                let at = usize::try_from(*offset).expect("it is small") - 1;
                assert_eq!(*data, all[at], "{channel} {offset}");
            }
            if channel.starts_with("bn_ticker") {
                assert!(heard.is_sorted_by(|a, b| a.0 < b.0), "{channel} went back");
            } else {
                let offsets: Vec<u64> = heard.iter().map(|(offset, _)| *offset).collect();
                assert_eq!(offsets, (1..=all.len() as u64).collect::<Vec<_>>(), "{channel}");
            }
        }
    }
}

#[test]
fn a_recorded_burst_reaches_fast_and_slow_clients_whole_and_in_order() {
    let input = input();
    let mut sent = Sent::new();
    for (channel, data) in &input {
        sent.entry(channel.clone()).or_default().push(data.clone());
    }
    let hub = Hub::with_config(CONFIG);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(&hub)).collect();
    for client in &mut clients {
        sent.keys().for_each(|channel| drop(client.subscribe(channel)));
    }
    let published = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (sent, published) = (&sent, &published);
        for (n, client) in clients.iter_mut().enumerate() {
            let pause = move |count: usize| match n {
                // Three read in small sips, two not at all until all is published.
                0..3 if count.is_multiple_of(50) => std::thread::sleep(Duration::from_millis(3)),
                3..SLOW if count == 1 => assert!(eventually(|| published.load(Ordering::Relaxed))),
                _ => {}
            };
            scope.spawn(move || Heard::read(client, sent, pause).check(sent));
        }
        publish(&hub, &input);
        published.store(true, Ordering::Relaxed);
    });
    let stats = hub.stats();
    assert_eq!(stats["published"], input.len() as u64, "{stats}");
    assert_eq!(stats["dropped"], json!({"trimmed": 0, "overflow": 0, "epoch": 0}), "{stats}");
    assert!(stats["catch_ups"].as_u64() > Some(0), "nobody fell behind: {stats}");
    check_kept(&hub, &sent);
}

/// What is kept is what was sent.
fn check_kept(hub: &Hub, sent: &Sent) {
    for (channel, all) in sent {
        let last = hub.get(&format!("/last/{channel}"));
        let newest = all.last().expect("each channel was sent something");
        assert!(last.text().contains(newest.as_str()), "{channel}");
    }
    assert_eq!(sent.len(), 6, "{:?}", sent.keys());
}
