//! What becomes of messages while Redis is away, mute, full, empty or another: counted, not trusted.

use std::collections::HashSet;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tapeline_core::broker::Condition;
use tapeline_core::{Broker, Receipt, Refusal};
use tapeline_schema::ErrorCode;
use uuid::Uuid;

use super::support::{Node, PATIENCE, check_kept, try_open};
use crate::redis::link::ConnectError;
use crate::redis::testing::{Proxy, RedisServer};

fn refusal(result: &Result<Receipt, Refusal>) -> &Refusal {
    let refusal = result.as_ref().expect_err("it is refused");
    assert_eq!(refusal.code, ErrorCode::Degraded);
    refusal
}

/// Publishes one message after the other while `fault` happens, and until some were taken after it; then counts.
fn publish_through(url: &str, judge: &Node, fault: impl FnOnce()) -> (usize, usize) {
    let node = Node::open(url);
    node.join("all:a");
    judge.join("all:a");
    let mut under_way: Vec<(Uuid, Receiver<_>)> = Vec::new();
    let mut publish = |count: usize| {
        for _ in 0..count {
            let draft = node.draft("all:a", "1");
            under_way.push((draft.id, node.start(vec![draft])));
        }
    };
    publish(500);
    fault();
    publish(500);
    let (mut receipts, mut unknown, mut refused) = (Vec::new(), Vec::new(), 0);
    for (id, result) in under_way {
        match result.recv_timeout(PATIENCE).expect("every publish is answered").remove(0) {
            Ok(receipt) => {
                assert!(!receipt.held && !receipt.duplicate, "{receipt:?}");
                receipts.push(receipt);
            }
            Err(refusal) if refusal.message.contains("nobody knows") => unknown.push(id),
            Err(refusal) => {
                assert!(refusal.message.contains("never sent"), "{refusal}");
                refused += 1;
            }
        }
    }
    let since = Instant::now();
    while !node.broker.link().is_up() {
        assert!(since.elapsed() < PATIENCE, "the line does not return");
        std::thread::sleep(Duration::from_millis(5));
    }
    receipts.push(node.say("all:a", "last"));
    assert!(
        receipts.iter().zip(receipts.iter().skip(1)).all(|(one, next)| one.offset < next.offset),
        "in order"
    );
    check_kept(judge, "all:a", &receipts, &unknown);
    // The other node heard what is kept, once each, but for what it was told to read when its own line had broken.
    let top = judge.read("all:a", 0, 0).head.top;
    judge.sink.wait("all messages", |record| {
        let told =
            record.heads.get("all:a").filter(|_| !record.degraded.is_empty()).map_or(0, |head| head.top);
        let heard: HashSet<u64> = record.messages.iter().map(|message| message.offset).collect();
        (1..=top).all(|offset| offset <= told || heard.contains(&offset)).then_some(())
    });
    let heard = judge.sink.offsets("all:a");
    assert!(heard.iter().zip(heard.iter().skip(1)).all(|(one, next)| one < next), "once each, in order");
    (receipts.len(), refused + unknown.len())
}

#[test]
fn a_line_that_breaks_for_a_moment_loses_and_doubles_nothing() {
    let server = RedisServer::start();
    let (proxy, judge) = (Proxy::to(server.port()), Node::open(&server.url()));
    let outcome = publish_through(&proxy.url(), &judge, || proxy.reset());
    assert_eq!(outcome, (1_001, 0), "a moment is waited for");
}

#[test]
fn a_line_that_breaks_in_the_middle_of_a_reply_loses_and_doubles_nothing() {
    let server = RedisServer::start();
    let (proxy, judge) = (Proxy::to(server.port()), Node::open(&server.url()));
    let outcome = publish_through(&proxy.url(), &judge, || {
        proxy.cut_after(1_001);
        std::thread::sleep(Duration::from_millis(300));
        proxy.mend();
    });
    assert_eq!(outcome, (1_001, 0), "a moment is waited for");
}

#[test]
fn a_redis_that_stands_still_doubles_nothing_and_who_waits_is_answered() {
    let server = RedisServer::start();
    let judge = Node::open(&server.url());
    let (_, refused) = publish_through(&server.url(), &judge, || {
        server.signal("STOP");
        let pid = server.pid();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(6));
            RedisServer::signal_to(pid, "CONT");
        });
    });
    assert!(refused >= 500, "nobody waits for six seconds; {refused} were refused");
}

#[test]
fn a_paused_redis_doubles_nothing_and_who_waits_is_answered() {
    let server = RedisServer::start();
    let judge = Node::open(&server.url());
    let (_, refused) = publish_through(&server.url(), &judge, || {
        server.ask("CLIENT PAUSE 6000 ALL");
    });
    assert!(refused >= 500, "nobody waits for six seconds; {refused} were refused");
}

#[test]
fn after_two_seconds_publishers_are_refused_and_the_newest_of_latest_families_is_held() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let (node, other) = (Node::open(&proxy.url()), Node::open(&server.url()));
    other.join("newest:a");
    node.say("newest:a", "0");
    proxy.cut();
    node.wait_degraded(true);
    let since = Instant::now();
    for data in ["1", "2", "3"] {
        let held = node.results(vec![node.draft("newest:a", data)]).remove(0).unwrap();
        assert!(held.held && held.offset == 0, "{held:?}");
    }
    assert!(since.elapsed() < Duration::from_millis(1_500), "held at once, not after two seconds");
    let refused = node.results(vec![node.draft("all:a", "1")]);
    let waited = since.elapsed();
    assert!(refusal(&refused[0]).message.contains("never sent"), "{refused:?}");
    assert!((Duration::from_millis(1_900)..Duration::from_secs(8)).contains(&waited), "after {waited:?}");
    assert_eq!(node.broker.health().condition, Condition::Degraded);
    proxy.mend();
    node.wait_degraded(false);
    let data = other.sink.wait("what was held", |record| {
        (record.messages.len() == 2).then(|| record.messages.last().unwrap().data.clone())
    });
    assert_eq!(&*data, b"3");
    assert_eq!(node.broker.health().condition, Condition::Ok);
    assert_eq!(node.say("all:a", "1").offset, 1, "nothing was taken meanwhile");
}

#[test]
fn what_is_held_gives_way_to_something_newer() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let (node, other) = (Node::open(&proxy.url()), Node::open(&server.url()));
    proxy.cut();
    node.wait_degraded(true);
    node.results(vec![node.draft("newest:a", "old")]).remove(0).unwrap();
    other.say("newest:a", "new");
    proxy.mend();
    node.wait_degraded(false);
    let page = other.read("newest:a", 0, 1);
    assert_eq!((&*page.messages[0].data, page.head.top), (&b"new"[..], 1));
}

#[test]
fn on_return_a_node_says_where_everything_stands_that_it_may_have_missed() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let (node, other) = (Node::open(&proxy.url()), Node::open(&server.url()));
    node.join("all:a");
    node.listen(&super::support::pattern("newest:*"));
    proxy.cut();
    node.wait_degraded(true);
    for channel in ["all:a", "all:a", "newest:b"] {
        other.say(channel, "1");
    }
    proxy.mend();
    node.wait_degraded(false);
    let tops = node.sink.wait("the heads", |record| {
        Some((record.heads.get("all:a")?.top, record.heads.get("newest:b")?.top))
    });
    assert_eq!(tops, (2, 1));
    assert_eq!(node.sink.offsets("all:a"), [0; 0], "it is read, not guessed");
}

#[test]
fn a_redis_that_comes_back_empty_counts_under_another_epoch() {
    let mut server = RedisServer::start();
    let node = Node::open(&server.url());
    let before = node.join("all:a");
    node.say("all:a", "1");
    server.restart(&[]);
    node.wait_degraded(false);
    let head = node.sink.wait("another epoch", |record| {
        record.heads.get("all:a").filter(|head| head.epoch != before.epoch).cloned()
    });
    let again = node.say("all:a", "1");
    assert_eq!((again.offset, again.epoch), (1, head.epoch));
}

#[test]
fn a_full_redis_is_named_and_what_was_held_goes_out_when_there_is_room() {
    let server = RedisServer::start();
    let node = Node::open(&server.url());
    let first = node.say("all:a", "1");
    node.join("newest:a");
    server.ask("CONFIG SET maxmemory 1");
    let refused = node.results(vec![node.draft("all:a", "2")]);
    assert!(refusal(&refused[0]).message.contains("OOM"), "{refused:?}");
    node.wait_degraded(true);
    let held = node.results(vec![node.draft("newest:a", "3")]).remove(0).unwrap();
    assert!(held.held);
    let health = node.broker.health();
    assert!(health.condition == Condition::Degraded && health.detail.contains("OOM"), "{health:?}");
    assert_eq!(node.read("all:a", 0, 10).messages.len(), 1, "reading goes on");
    server.ask("CONFIG SET maxmemory 0");
    node.wait_degraded(false);
    node.sink.wait("what was held", |record| (record.messages.len() == 1).then_some(()));
    check_kept(&node, "all:a", &[first, node.say("all:a", "4")], &[]);
}

#[test]
fn a_replica_that_lacks_messages_takes_over_under_another_epoch() {
    let (server, replica) = (RedisServer::start(), RedisServer::start());
    let proxy = Proxy::to(server.port());
    let node = Node::open(&proxy.url());
    node.join("all:a");
    let first = node.say("all:a", "1");
    replica.ask(&format!("REPLICAOF 127.0.0.1 {}", server.port()));
    let since = Instant::now();
    while !replica.ask(&format!("EXISTS tapeline:{{{}}}:m:all:a", bucket(&node))).ends_with('1') {
        assert!(since.elapsed() < PATIENCE, "the replica does not follow");
        std::thread::sleep(Duration::from_millis(10));
    }
    replica.ask("REPLICAOF NO ONE");
    let lost = node.say("all:a", "2");
    assert_eq!((lost.offset, &lost.epoch), (2, &first.epoch));
    proxy.lead_to(replica.port());
    proxy.reset();
    let head = node.sink.wait("another epoch", |record| {
        record.heads.get("all:a").filter(|head| head.epoch != first.epoch).cloned()
    });
    assert_eq!(head.top, 0);
    node.wait_degraded(false);
    let again = node.say("all:a", "3");
    assert_eq!((again.offset, again.epoch), (1, head.epoch));
}

fn bucket(node: &Node) -> String {
    node.broker.node.plans.of(&node.channel("all:a")).tag.clone()
}

#[test]
fn a_read_only_redis_takes_no_publishes_until_it_is_promoted() {
    let (server, replica) = (RedisServer::start(), RedisServer::start());
    let node = Node::open(&replica.url());
    node.join("all:a");
    node.say("all:a", "1");
    replica.ask(&format!("REPLICAOF 127.0.0.1 {}", server.port()));
    let refused = node.results(vec![node.draft("all:a", "2")]);
    refusal(&refused[0]);
    node.wait_degraded(true);
    replica.ask("REPLICAOF NO ONE");
    node.wait_degraded(false);
    node.say("all:a", "3");
}

#[test]
fn a_wrong_password_ends_the_start_and_names_what_is_wrong() {
    let server = RedisServer::start_with(&["--requirepass", "secret"]);
    let url = format!("redis://:wrong@127.0.0.1:{}", server.port());
    let Err(ConnectError::Denied(why)) = try_open(&url) else { panic!("a wrong password opens") };
    assert!(why.contains("WRONGPASS"), "{why}");
}
