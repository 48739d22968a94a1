//! What a node makes of answers that are late, incomplete or missing, and what is left behind in Redis.

use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use tapeline_core::Broker;
use tapeline_core::broker::Head;
use tapeline_schema::ErrorCode;

use super::support::{Node, PATIENCE, check_kept, pattern};
use crate::redis::joined::Look;
use crate::redis::link::lock;
use crate::redis::testing::{Proxy, RedisServer, free_port};

/// The keys of a channel in Redis: meta, stream, rows, order.
fn keys(node: &Node, channel: &str) -> [String; 4] {
    let plan = node.broker.node.plans.of(&node.channel(channel));
    [plan.meta.clone(), plan.stream.clone(), plan.rows.clone(), plan.order.clone()]
}

#[test]
fn a_head_that_was_read_before_newer_messages_were_heard_wipes_nothing() {
    let server = RedisServer::start();
    let (node, other) = (Node::open(&server.url()), Node::open(&server.url()));
    let epoch = node.join("all:a").epoch;
    for _ in 0..5 {
        other.say("all:a", "1");
    }
    node.sink.wait("five messages", |record| (record.messages.len() == 5).then_some(()));
    let late = Head { epoch: epoch.clone(), top: 3, oldest: 1 };
    node.broker.node.tell_head(&node.channel("all:a"), late, Look::Heads);
    let told = node.sink.wait("the head", |record| record.heads.get("all:a").cloned());
    assert_eq!((told.top, &told.epoch), (5, &epoch));
    let next = other.say("all:a", "1");
    assert_eq!((next.offset, next.epoch), (6, epoch));
}

#[test]
fn a_line_that_breaks_again_and_again_under_traffic_leaves_the_epoch() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let (node, other) = (Node::open(&proxy.url()), Node::open(&server.url()));
    let epoch = node.join("all:a").epoch;
    let (mut receipts, mut lines) = (Vec::new(), 0);
    while lines < 10 {
        let since = Instant::now();
        proxy.reset();
        lines += 1;
        while since.elapsed() < Duration::from_millis(50) || !node.broker.link().is_up() {
            assert!(since.elapsed() < PATIENCE, "the line does not return");
            receipts.extend(other.results((0..50).map(|_| other.draft("all:a", "1")).collect()));
        }
    }
    let receipts: Vec<_> = receipts.into_iter().map(Result::unwrap).collect();
    assert!(receipts.iter().all(|receipt| receipt.epoch == epoch));
    check_kept(&other, "all:a", &receipts, &[]);
}

#[test]
fn all_that_is_kept_of_a_channel_expires_also_what_came_after_a_join() {
    let server = RedisServer::start();
    let node = Node::open(&server.url());
    for channel in ["all:a", "newest:a", "shelf:a", "trades:a"] {
        node.join(channel);
        node.say(channel, r#"{"id":1}"#);
    }
    node.say("shelf:a", r#"{"rows":[{"id":2}],"snapshot":true}"#);
    let roll_up = keys(&node, "trades");
    let channels = ["all:a", "newest:a", "shelf:a", "trades:a"].map(|channel| keys(&node, channel));
    let mut there = 0;
    for key in channels.iter().flatten().chain(&roll_up) {
        let left: i64 = server.ask(&format!("PTTL {key}")).trim_start_matches(':').parse().unwrap();
        assert_ne!(left, -1, "{key} lies there for ever");
        there += usize::from(left > 0);
    }
    assert_eq!(there, 11, "five metas, four streams, rows and their order");
}

#[test]
fn what_is_found_no_more_because_it_was_trimmed_is_refused_as_unknown_and_not_sent_again() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let (node, other) = (Node::open(&proxy.url()), Node::open(&server.url()));
    node.say("all:a", "1");
    // It arrives, and its answer does not.
    proxy.cut_after(0);
    let lost = node.draft("all:a", "2");
    let id = lost.id;
    let answer = node.start(vec![lost]);
    node.wait_degraded(true);
    assert_eq!(other.read("all:a", 0, 10).messages.last().unwrap().id, id, "it was taken");
    let stream = &keys(&node, "all:a")[1];
    assert_eq!(server.ask(&format!("XTRIM {stream} MAXLEN 0")), ":2");
    proxy.mend();
    let refused = answer.recv_timeout(PATIENCE).unwrap().remove(0).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Degraded);
    assert!(refused.message.contains("nobody knows") && refused.message.contains("no more"), "{refused}");
    node.wait_degraded(false);
    assert_eq!(node.say("all:a", "3").offset, 3, "nothing was sent twice");
}

#[test]
fn a_message_that_was_taken_is_found_however_old_another_hubs_clock_makes_the_ones_after_it() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let (node, other) = (Node::open(&proxy.url()), Node::open(&server.url()));
    node.say("all:a", "1");
    proxy.cut_after(0);
    let lost = node.draft("all:a", "2");
    let answer = node.start(vec![lost]);
    node.wait_degraded(true);
    let mut old = other.draft("all:a", "3");
    old.timestamp_us -= 3_600_000_000;
    other.results(vec![old]).remove(0).unwrap();
    proxy.mend();
    assert_eq!(answer.recv_timeout(PATIENCE).unwrap().remove(0).unwrap().offset, 2);
    assert_eq!(node.say("all:a", "4").offset, 4);
}

#[test]
fn a_held_draft_that_was_taken_already_is_not_published_again() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let (node, other) = (Node::open(&proxy.url()), Node::open(&server.url()));
    node.say("newest:a", "1");
    proxy.cut_after(0);
    let answer = node.start(vec![node.draft("newest:a", "2")]);
    assert!(answer.recv_timeout(PATIENCE).unwrap().remove(0).unwrap().held);
    assert_eq!(other.read("newest:a", 0, 1).head.top, 2, "it was taken");
    proxy.mend();
    node.wait_degraded(false);
    let since = Instant::now();
    while lock(&node.broker.node.outbox).held() > 0 {
        assert!(since.elapsed() < PATIENCE, "it is held for ever");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Answers come in order.
    assert_eq!(node.say("newest:a", "3").offset, 3);
}

#[test]
fn what_was_held_after_the_others_went_out_goes_out_by_itself() {
    let server = RedisServer::start();
    let node = Node::open(&server.url());
    node.join("newest:a");
    let draft = node.draft("newest:a", "1");
    let held = node.broker.node.hold_or_refuse(&draft, || unreachable!("it is held")).unwrap();
    assert!(held.held);
    node.sink.wait("what was held", |record| (record.messages.len() == 1).then_some(()));
}

#[test]
fn a_hub_that_starts_without_redis_says_so_and_answers_who_waits_when_it_closes() {
    let mut server = RedisServer::start();
    server.kill();
    let node = Node::open(&server.url());
    node.wait_degraded(true);
    let waiting = node.start(vec![node.draft("all:a", "1")]);
    node.broker.close();
    let refused = waiting.recv_timeout(PATIENCE).expect("it is answered").remove(0);
    let refused = refused.unwrap_err();
    assert!(refused.code == ErrorCode::Degraded && refused.message.contains("closing"), "{refused}");
    let late = node.results(vec![node.draft("all:a", "2")]).remove(0).unwrap_err();
    assert_eq!(late.code, ErrorCode::Degraded);
}

#[test]
fn a_redis_that_takes_no_writes_is_joined_and_read_all_the_same() {
    let server = RedisServer::start();
    let node = Node::open(&server.url());
    let receipt = node.say("all:a", "1");
    let [meta, ..] = keys(&node, "all:a");
    // Its expiry is due to be set again.
    server.ask(&format!("HSET {meta} x 0"));
    server.ask("CONFIG SET min-replicas-to-write 3");
    let head = node.join("all:a");
    assert_eq!((head.top, &head.epoch), (1, &receipt.epoch));
    assert_eq!(node.read("all:a", 0, 10).messages.len(), 1);
}

#[test]
fn everything_joined_is_looked_at_on_return_however_much_it_is() {
    const CHANNELS: usize = 5_000;
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let node = Node::open(&proxy.url());
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("all:{n}")).collect();
    for name in &names {
        node.broker.join(&node.channel(name), Box::new(|_| {}));
    }
    node.join("all:0");
    proxy.reset();
    node.wait_degraded(true);
    node.wait_degraded(false);
    // What is asked on return is answered before all is said to be well.
    let looked_at = node.sink.wait("the heads", |record| Some(record.heads.len()));
    assert_eq!(looked_at, CHANNELS);
}

#[test]
fn a_list_for_people_subscribes_to_nothing() {
    let server = RedisServer::start();
    let (node, other) = (Node::open(&server.url()), Node::open(&server.url()));
    other.say("all:a", "1");
    let asked = server.ask("PUBSUB NUMPAT");
    assert_eq!(node.sources(&pattern("*")).heads.len(), 1);
    other.say("all:a", "2");
    assert_eq!((asked.as_str(), server.ask("PUBSUB NUMPAT").as_str()), (":0", ":0"));
    assert_eq!(node.sink.offsets("all:a"), [0; 0]);
    assert_eq!(node.listen(&pattern("*")).heads.len(), 1);
    assert_eq!(server.ask("PUBSUB NUMPAT"), ":1", "now it is heard");
}

#[test]
fn what_is_held_needs_no_room_while_others_wait() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let node = Node::open(&proxy.url());
    proxy.cut();
    node.wait_degraded(true);
    node.sink.full.store(true, Ordering::Relaxed);
    assert!(node.results(vec![node.draft("newest:a", "1")]).remove(0).unwrap().held);
    let drafts = [node.draft("all:a", "1")].into_iter().collect();
    assert!(node.broker.publish(drafts, None).is_err(), "there is no room for it");
}

#[test]
fn reading_finds_out_that_a_redis_is_the_primary_no_more() {
    let server = RedisServer::start();
    let node = Node::open(&server.url());
    let receipt = node.say("all:a", "1");
    server.ask("CONFIG SET replica-serve-stale-data no");
    server.ask(&format!("REPLICAOF 127.0.0.1 {}", free_port()));
    let (to, from) = sync_channel(1);
    let answer = Box::new(move |page| to.send(page).unwrap());
    node.broker.read(&node.channel("all:a"), 0, 10, answer);
    node.wait_degraded(true);
    server.ask("REPLICAOF NO ONE");
    let page = from.recv_timeout(PATIENCE).unwrap();
    assert_eq!((page.messages.len(), page.head.epoch), (1, receipt.epoch));
    node.wait_degraded(false);
}
