//! Others on the same Redis, who know nothing of Tapeline: what they publish reaches clients of every hub once and whole,
//! and they hear what a hub publishes, as bare JSON on the plain name.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Client, Hub};
use tapeline_faults::{Connection, Listener, Proxy, RedisServer, Reply, eventually};

const SIGNALS: &str = "quantum_signals";

/// As the document's worker publishes it.
const BUY: &str = r#"{"type": "BUY", "price": 60000}"#;

/// Two hubs, of which one takes in what others publish.
fn two() -> (RedisServer, [Hub; 2]) {
    let redis = RedisServer::start();
    let hubs = [(); 2].map(|()| Hub::on_broker(&redis.url()));
    takes_in(&redis);
    (redis, hubs)
}

/// Waits until signals are heard: what is published before that is nobody's.
fn takes_in(redis: &RedisServer) {
    let heard = || redis.ask(&["PUBSUB", "NUMSUB", SIGNALS]).text() != format!("{SIGNALS}\n0");
    assert!(eventually(heard), "no hub takes signals in");
}

/// A client of each hub that hears the signals.
fn listening(hubs: &[Hub]) -> Vec<Client> {
    let mut clients: Vec<Client> = hubs.iter().map(Client::connect).collect();
    clients.iter_mut().for_each(|client| drop(client.subscribe(SIGNALS)));
    clients
}

fn publish(worker: &mut Connection, channel: &str, text: &str) {
    let reply = worker.ask(&["PUBLISH", channel, text]).expect("redis answers");
    assert!(matches!(reply, Reply::Int(_)), "{}", reply.text());
}

fn listener(redis: &RedisServer) -> Listener {
    redis.connect().subscribe(SIGNALS).expect("redis answers")
}

#[test]
fn the_documents_signal_reaches_clients_of_every_hub_once_and_whole() {
    let (redis, hubs) = two();
    let mut clients = listening(&hubs);
    let mut worker = redis.connect();
    for n in 1..=5 {
        publish(&mut worker, SIGNALS, BUY);
        for client in &mut clients {
            let frame = client.message(n);
            assert_eq!((frame.kind(), frame.channel()), ("new_signal", SIGNALS));
            assert_eq!(frame.json["data"], json!({"type": "BUY", "price": 60_000}));
        }
    }
    clients.iter_mut().for_each(Client::expect_silence);
    let kept = hubs[1].get("/history/quantum_signals?limit=10").json();
    assert_eq!(kept["messages"].as_array().map(Vec::len), Some(5), "it is a message like any other");
}

#[test]
fn an_object_becomes_the_data_whole_whatever_its_keys_and_digits() {
    let (redis, hubs) = two();
    let mut clients = listening(&hubs);
    let mut worker = redis.connect();
    let all = [
        r#"{"type":"x","channel":"orderbook:A","data":{"n":1},"offset":7,"epoch":"e"}"#,
        r#"{"tapeline":2,"type":7,"data":null}"#,
        r#" { "price" : 6.0e1, "deep":[[1, 2.50]],"price":"twice" } "#,
        "{}",
    ];
    for (text, offset) in all.iter().zip(1..) {
        publish(&mut worker, SIGNALS, text);
        for client in &mut clients {
            let frame = client.message(offset);
            assert_eq!(
                (frame.kind(), frame.channel(), frame.data_text()),
                ("new_signal", SIGNALS, text.trim())
            );
        }
    }
}

#[test]
fn every_name_of_the_catalogue_is_taken_in_and_required_fields_are_asked_for() {
    let (redis, hubs) = two();
    let mut client = Client::connect(&hubs[1]);
    client.subscribe("market_data:AAPL");
    let mut letters = Client::connect(&hubs[0]);
    letters.subscribe("dead_letters:redis");
    let mut worker = redis.connect();
    publish(&mut worker, "market_data:AAPL", r#"{"symbol":"AAPL","price":1.50,"change":0,"volume":3}"#);
    let frame = client.message(1);
    assert_eq!(
        (frame.kind(), frame.data_text()),
        ("price_update", r#"{"symbol":"AAPL","price":1.50,"change":0,"volume":3}"#)
    );
    for (channel, text) in [("market_data:AAPL", r#"{"symbol":"AAPL"}"#), (SIGNALS, "[60000]")] {
        publish(&mut worker, channel, text);
        let data = &letters.next_of("dead_letter").json["data"];
        assert_eq!((&data["reason"], &data["original"]["channel"]), (&json!("refused"), &json!(channel)));
    }
    client.expect_silence();
}

#[test]
fn what_is_not_json_becomes_one_dead_letter_and_is_counted() {
    let (redis, hubs) = two();
    let mut clients = listening(&hubs);
    let mut letters = Client::connect(&hubs[1]);
    letters.subscribe("dead_letters:redis");
    let mut worker = redis.connect();
    let all = ["not json", "", r#"{"price":"#];
    for text in all {
        publish(&mut worker, SIGNALS, text);
        let original = &letters.next_of("dead_letter").json["data"]["original"];
        assert_eq!((&original["channel"], &original["text"]), (&json!(SIGNALS), &json!(text)));
    }
    publish(&mut worker, SIGNALS, BUY);
    clients.iter_mut().for_each(|client| drop(client.message(1)));
    letters.expect_silence();
    let of = |hub: &Hub| {
        let stats = hub.stats();
        let reasons = stats["dead_letters"]["redis"].as_object().cloned().unwrap_or_default();
        reasons.values().filter_map(Value::as_u64).sum::<u64>()
    };
    assert_eq!(
        hubs.iter().map(of).sum::<u64>(),
        all.len() as u64,
        "by the hub that takes in, and by no other"
    );
}

#[test]
fn others_hear_what_a_hub_publishes_as_bare_json_on_the_plain_name() {
    let (redis, hubs) = two();
    let mut clients = listening(&hubs);
    let mut listener = listener(&redis);
    for (hub, n) in hubs.iter().cycle().zip(1..=6_u64) {
        let data = format!(r#"{{"type": "SELL","price":{n}.50}}"#);
        assert_eq!(hub.publish(SIGNALS, &data)["offset"], n);
        assert_eq!(listener.hear(), data, "byte for byte");
        clients.iter_mut().for_each(|client| assert_eq!(client.message(n).data_text(), data));
    }
    clients.iter_mut().for_each(Client::expect_silence);
    assert_eq!(listener.hear_within(Duration::from_millis(100)), None);
}

#[test]
fn of_a_thousand_signals_from_three_publishers_none_is_lost_or_doubled_anywhere() {
    const EACH: u64 = 334;
    let (redis, hubs) = two();
    let mut clients = listening(&hubs);
    let mut listener = listener(&redis);
    let signal = |publisher: u64, n: u64| format!(r#"{{"n":{}}}"#, publisher * 1_000 + n);
    std::thread::scope(|scope| {
        for (hub, publisher) in hubs.iter().zip([1, 2]) {
            scope.spawn(move || (0..EACH).for_each(|n| drop(hub.publish(SIGNALS, &signal(publisher, n)))));
        }
        let mut worker = redis.connect();
        scope.spawn(move || (0..EACH).for_each(|n| publish(&mut worker, SIGNALS, &signal(3, n))));
    });
    let all: BTreeSet<u64> =
        (1..=3).flat_map(|publisher| (0..EACH).map(move |n| publisher * 1_000 + n)).collect();
    let number = |data: &Value| data["n"].as_u64().expect("a number");
    for client in &mut clients {
        let heard: Vec<u64> =
            (1..=3 * EACH).map(|offset| number(&client.message(offset).json["data"])).collect();
        assert_eq!(heard.iter().copied().collect::<BTreeSet<u64>>(), all);
        client.expect_silence();
    }
    let others: Vec<u64> =
        (0..3 * EACH).map(|_| number(&serde_json::from_str(&listener.hear()).expect("bare JSON"))).collect();
    assert_eq!(others.into_iter().collect::<BTreeSet<u64>>(), all);
    assert_eq!(listener.hear_within(Duration::from_millis(100)), None);
}

#[test]
fn when_the_hub_that_takes_others_in_is_killed_the_other_takes_over_and_says_that_some_may_be_lost() {
    let redis = RedisServer::start();
    let mut worker = redis.connect();
    // Alone it holds the lease.
    let mut first = Hub::on_broker(&redis.url());
    takes_in(&redis);
    let mut client = Client::connect(&first);
    client.subscribe(SIGNALS);
    publish(&mut worker, SIGNALS, BUY);
    client.message(1);
    let second = Hub::on_broker(&redis.url());
    let mut client = Client::connect(&second);
    client.subscribe(SIGNALS);
    publish(&mut worker, SIGNALS, BUY);
    client.message(2);
    let killed = Instant::now();
    first.kill();
    let gap = client.next_of("gap").json;
    assert!(killed.elapsed() < Duration::from_secs(10), "after {:?}", killed.elapsed());
    assert_eq!((&gap["channel"], &gap["reason"]), (&json!(SIGNALS), &json!("broker")));
    publish(&mut worker, SIGNALS, BUY);
    client.message(3);
}

#[test]
fn what_others_publish_while_the_line_is_cut_is_told_as_lost() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port());
    let hub = Hub::on_broker(&proxy.url());
    takes_in(&redis);
    let mut client = Client::connect_to(&hub, "/ws?notices=0");
    client.subscribe(SIGNALS);
    let mut worker = redis.connect();
    publish(&mut worker, SIGNALS, BUY);
    client.message(1);
    proxy.cut();
    let nobody = || redis.ask(&["PUBSUB", "NUMSUB", SIGNALS]).text() == format!("{SIGNALS}\n0");
    assert!(eventually(nobody), "the line is not cut");
    publish(&mut worker, SIGNALS, BUY);
    proxy.heal();
    let gap = client.next_of("gap").json;
    assert_eq!(
        (&gap["channel"], &gap["reason"], &gap["from"]),
        (&json!(SIGNALS), &json!("broker"), &json!(2))
    );
    publish(&mut worker, SIGNALS, BUY);
    client.message(2);
}
