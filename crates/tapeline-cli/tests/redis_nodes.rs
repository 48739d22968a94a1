//! Two hubs on one Redis are one hub: what is published on either reaches the clients of both, and a client goes on where
//! it was on the other one, after leaving, after its hub was killed under load, and while one hub is cut off from Redis.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::Instant;

use serde_json::{Value, json};
use support::counting::judge::{self, Verdict};
use support::counting::publisher::{Publisher, publish_one};
use support::counting::subscriber::Subscriber;
use support::counting::{Heard, Publication};
use support::{Client, Hub};
use tapeline_faults::{Proxy, RedisServer};

const CHANNEL: &str = "trades:p";
/// A channel, the roll-up that counts for itself, and a pattern; and what their places count in.
const WAYS: [(&str, &str); 3] = [("trades:p", "trades:p"), ("trades", "trades"), ("trades:*", "trades:p")];

fn two() -> (RedisServer, [Hub; 2]) {
    let redis = RedisServer::start();
    let hubs = [(); 2].map(|()| Hub::on_broker(&redis.url()));
    (redis, hubs)
}

fn subscribers(hubs: &[&Hub]) -> Vec<Subscriber> {
    let subscriber = |(asked, _): (&str, &str)| match asked.contains('*') {
        true => Subscriber::to_pattern(hubs, asked),
        false => Subscriber::to(hubs, asked),
    };
    WAYS.map(subscriber).into()
}

fn stop(publishers: Vec<Publisher>, through: &Hub) -> Vec<Publication> {
    let mut published: Vec<Publication> = publishers.into_iter().flat_map(Publisher::stop).collect();
    published.push(publish_one(through, CHANNEL));
    published
}

/// What was said to each, which must be the truth.
fn judged(subscribers: Vec<Subscriber>, published: &[Publication]) -> Vec<Verdict> {
    let last = published.last().expect("it was just published").number;
    let judge = |(subscriber, (_, counted)): (Subscriber, (&str, &str))| {
        subscriber.wait_for("the last message", |heard| heard.is(last));
        let heard = subscriber.stop();
        accept(judge::every(counted, published, &heard))
    };
    subscribers.into_iter().zip(WAYS.into_iter().cycle()).map(judge).collect()
}

fn accept<T>(verdict: Result<T, String>) -> T {
    verdict.unwrap_or_else(|complaint| panic!("{complaint}"))
}

fn trade(n: u64) -> Value {
    json!({"portfolio_id": "p", "symbol": "A", "trade_type": "BUY", "quantity": 1, "price": 2, "n": n})
}

fn post(hub: &Hub, body: &Value) -> Value {
    let answer = hub.post("/publish", body.to_string());
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

#[test]
fn what_is_published_on_one_hub_is_heard_kept_and_newest_on_the_other() {
    let (_redis, [a, b]) = two();
    let mut clients = [&a, &b].map(Client::connect);
    clients.iter_mut().for_each(|client| drop(client.subscribe(CHANNEL)));
    for n in 1..=20 {
        let hub = if n % 2 == 0 { &a } else { &b };
        assert_eq!(post(hub, &json!({"channel": CHANNEL, "data": trade(n)}))["offset"], n);
    }
    let heard = clients.each_mut().map(|client| (1..=20).map(|n| client.message(n).text).collect::<Vec<_>>());
    assert_eq!(heard[0], heard[1], "the same frames in the same order");
    for path in ["/history/trades:p?limit=100", "/history/trades?limit=100", "/last/trades:p"] {
        let [one, other] = [&a, &b].map(|hub| hub.get(path).json());
        assert_eq!(one, other, "{path}");
    }
    let history = a.get("/history/trades:p?since=5&limit=100").json();
    let offsets: Vec<_> =
        history["messages"].as_array().expect("messages").iter().map(|m| &m["offset"]).collect();
    assert_eq!(offsets, (6..=20).collect::<Vec<u64>>());
}

#[test]
fn a_repeated_idempotency_key_is_a_duplicate_on_the_other_hub() {
    let (_redis, [a, b]) = two();
    let mut client = Client::connect(&b);
    client.subscribe(CHANNEL);
    let body = json!({"channel": CHANNEL, "data": trade(1), "idempotency_key": "once"});
    let first = post(&a, &body);
    let again = post(&b, &body);
    assert_eq!(
        (&again["duplicate"], &again["offset"], &again["id"]),
        (&json!(true), &first["offset"], &first["id"])
    );
    post(&b, &json!({"channel": CHANNEL, "data": trade(2)}));
    client.message(1);
    client.message(2);
    client.expect_silence();
}

#[test]
fn a_table_is_one_table_on_both_hubs() {
    let (_redis, [a, b]) = two();
    let book = "orderbook_rows:X";
    let mut early = Client::connect(&b);
    early.subscribe(book);
    for (hub, rows) in [(&a, r#"[["b",1,10],["a",2,20]]"#), (&b, r#"[["b",1.0,0]]"#), (&a, r#"[["a",3,30]]"#)]
    {
        hub.publish(book, &format!(r#"{{"rows":{rows}}}"#));
    }
    assert_eq!(early.message(1).json["data"]["rows"], json!([["b", 1, 10], ["a", 2, 20]]));
    assert_eq!(early.message(2).json["data"]["rows"][0][2], json!(0));
    assert_eq!(early.message(3).json["data"]["rows"], json!([["a", 3, 30]]));
    for hub in [&a, &b] {
        let mut late = Client::connect(hub);
        assert_eq!(late.subscribe(book).json["offset"], 3);
        let whole = late.message(3).json;
        assert_eq!(
            (&whole["data"]["rows"], &whole["data"]["snapshot"]),
            (&json!([["a", 2, 20], ["a", 3, 30]]), &json!(true))
        );
    }
}

#[test]
fn a_client_goes_on_on_the_other_hub_by_channel_by_roll_up_and_by_pattern() {
    let (_redis, [a, b]) = two();
    let subscribers = subscribers(&[&a, &b]);
    let publishers = vec![Publisher::start(&[&a], CHANNEL), Publisher::start(&[&b], CHANNEL)];
    for _ in 0..3 {
        publishers[0].wait_for_acknowledged();
        subscribers.iter().for_each(Subscriber::move_on);
    }
    let published = stop(publishers, &a);
    for verdict in judged(subscribers, &published) {
        assert_eq!(
            (verdict.recovered, verdict.gaps, verdict.missing),
            (vec![true; 3], Vec::<String>::new(), 0)
        );
    }
}

#[test]
fn when_a_hub_is_killed_under_load_its_clients_go_on_on_the_other() {
    let (_redis, [mut a, b]) = two();
    let stays = subscribers(&[&b]);
    let moves = subscribers(&[&a, &b]);
    let publishers: Vec<Publisher> =
        [[&a, &b], [&b, &a], [&a, &b]].iter().map(|hubs| Publisher::start(hubs, CHANNEL)).collect();
    publishers.iter().for_each(|publisher| publisher.wait_for_acknowledged());
    a.kill();
    for subscriber in &moves {
        let resumed = |heard: &Heard| matches!(heard, Heard::Confirmed { recovered: Some(true), .. });
        subscriber.wait_for("a resumption", resumed);
    }
    publishers.iter().for_each(|publisher| publisher.wait_for_acknowledged());
    let published = stop(publishers, &b);
    let all = stays.into_iter().chain(moves).collect();
    for verdict in judged(all, &published) {
        assert_eq!((verdict.gaps, verdict.missing), (Vec::<String>::new(), 0));
    }
}

#[test]
fn a_hub_that_is_cut_off_from_redis_tells_its_clients_and_catches_up_while_the_other_goes_on() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port());
    let (a, b) = (Hub::on_broker(&proxy.url()), Hub::on_broker(&redis.url()));
    let (cut_off, goes_on) = (subscribers(&[&a]), subscribers(&[&b]));
    let publishers = vec![Publisher::start(&[&a], CHANNEL), Publisher::start(&[&b], CHANNEL)];
    publishers.iter().for_each(|publisher| publisher.wait_for_acknowledged());
    // Once silent, with late bytes at its end; once refused.
    for (break_line, times) in [Proxy::hold as fn(&Proxy), Proxy::cut].into_iter().zip(1..) {
        let since = Instant::now();
        break_line(&proxy);
        cut_off.iter().for_each(|subscriber| subscriber.wait_for_notices("degraded", times));
        let heard: Vec<usize> = cut_off.iter().map(Subscriber::messages).collect();
        publishers[0].wait_for_status(503, since);
        publishers[1].wait_for_acknowledged();
        assert_eq!((a.get("/health").status(), b.get("/health").status()), (503, 200));
        let still: Vec<usize> = cut_off.iter().map(Subscriber::messages).collect();
        assert_eq!(heard, still, "nothing is delivered past Redis");
        proxy.heal();
        cut_off.iter().for_each(|subscriber| subscriber.wait_for_notices("restored", times));
        publishers.iter().for_each(|publisher| publisher.wait_for_acknowledged());
    }
    let published = stop(publishers, &b);
    accept(judge::answers(&published));
    for subscriber in &goes_on {
        assert_eq!(subscriber.notices("degraded"), 0);
    }
    for verdict in judged(cut_off.into_iter().chain(goes_on).collect(), &published) {
        assert_eq!((verdict.gaps, verdict.missing), (Vec::<String>::new(), 0));
    }
}
