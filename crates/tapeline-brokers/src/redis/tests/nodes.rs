//! Two nodes on one Redis behave as one hub.

use std::time::{Duration, Instant};

use tapeline_core::Broker;
use tapeline_core::broker::{Interest, NEWEST};

use super::support::{Node, PATIENCE, check_kept, pattern};
use crate::redis::joined::Look;
use crate::redis::testing::{RedisServer, free_port};

fn two() -> (RedisServer, Node, Node) {
    let server = RedisServer::start();
    let (one, other) = (Node::open(&server.url()), Node::open(&server.url()));
    (server, one, other)
}

#[test]
fn what_one_node_publishes_another_delivers_once_in_order_however_many_topics_it_is_heard_by() {
    let (_server, one, other) = two();
    other.join("trades:a");
    let roll_up = Interest::RollUp(other.channel("trades"));
    other.listen(&roll_up);
    other.listen(&pattern("trades:*"));
    let receipts = one.results((0..200).map(|n| one.draft(["trades:a", "trades:b"][n % 2], "1")).collect());
    let delivered = other
        .sink
        .wait("200 messages", |record| (record.messages.len() >= 200).then(|| record.messages.clone()));
    assert_eq!(delivered.len(), 200, "some came twice");
    assert_eq!(other.sink.offsets("trades:a"), (1..=100).collect::<Vec<_>>());
    let trades = other.channel("trades");
    assert!(delivered.iter().map(|message| message.offset_in(&trades)).eq((1..=200).map(Some)));
    let ids = receipts.iter().map(|receipt| receipt.as_ref().unwrap().id);
    assert!(delivered.iter().map(|message| message.id).eq(ids));
    assert!(one.sink.wait("nothing", |record| Some(record.messages.is_empty())), "nobody listens there");
}

#[test]
fn whoever_left_hears_nothing_and_joins_again_without_a_gap() {
    let (_server, one, other) = two();
    other.join("all:a");
    one.say("all:a", "1");
    other.sink.wait("the first", |record| (record.messages.len() == 1).then_some(()));
    other.broker.leave(&other.channel("all:a"));
    one.say("all:a", "2");
    let head = other.join("all:a");
    assert_eq!((head.top, head.oldest), (2, 1));
    one.say("all:a", "3");
    // Leaving takes effect by and by, so the second may have come.
    other
        .sink
        .wait("the third", |record| record.messages.iter().any(|message| message.offset == 3).then_some(()));
}

#[test]
fn history_last_values_and_sources_are_the_same_on_all_nodes() {
    let (_server, one, other) = two();
    let receipts = (0..10).map(|n| [&one, &other][n % 2].say("all:a", &n.to_string())).collect::<Vec<_>>();
    check_kept(&one, "all:a", &receipts, &[]);
    check_kept(&other, "all:a", &receipts, &[]);
    one.say("newest:a", "7");
    let newest = other.read("newest:a", NEWEST, 1).messages.remove(0);
    assert_eq!((&*newest.data, newest.offset), (&b"7"[..], 1));
    let listed = other.sources(&pattern("*:a")).heads;
    let mut names: Vec<_> = listed.iter().map(|(channel, head)| (channel.name(), head.top)).collect();
    names.sort_unstable();
    assert_eq!(names, [("all:a", 10), ("newest:a", 1)]);
}

#[test]
fn a_key_that_one_node_has_taken_is_a_repeat_on_another() {
    let (_server, one, other) = two();
    let first = one.results(vec![one.keyed("all:a", "k")]).remove(0).unwrap();
    let again = other.results(vec![other.keyed("all:a", "k")]).remove(0).unwrap();
    assert_eq!((again.offset, again.id, again.duplicate), (first.offset, first.id, true));
    assert_eq!(other.say("all:a", "2").offset, 2);
}

#[test]
fn a_table_that_two_nodes_write_is_one_table() {
    let (_server, one, other) = two();
    other.join("shelf:a");
    for (node, id) in [(&one, 1), (&other, 2), (&one, 3), (&other, 4)] {
        node.say("shelf:a", &format!("{{\"id\":{id}}}"));
    }
    let said = other.sink.wait("four messages", |record| {
        let data = record.messages.iter().map(|message| String::from_utf8(message.data.to_vec()).unwrap());
        (record.messages.len() == 4).then(|| data.collect::<Vec<_>>())
    });
    assert_eq!(said[0], r#"{"rows":[{"id":1}],"meta":{},"snapshot":true}"#);
    assert_eq!(said[3], r#"{"rows":[{"id":4},{"id":1,"removed":true}],"meta":{},"snapshot":false}"#);
    for node in [&one, &other] {
        let whole = node.read("shelf:a", NEWEST, 1).messages.remove(0);
        assert_eq!(&*whole.data, br#"{"rows":[{"id":2},{"id":3},{"id":4}],"meta":{},"snapshot":true}"#);
        let changed = node.read("shelf:a", 2, 1).messages.remove(0);
        assert_eq!(
            &*changed.data,
            br#"{"rows":[{"id":3},{"id":4},{"id":1,"removed":true}],"meta":{},"snapshot":false}"#
        );
    }
}

#[test]
fn a_row_that_empties_and_fills_again_is_told_in_full_and_kept_once() {
    let (_server, one, other) = two();
    one.say("shelf:a", r#"{"rows":[{"id":1},{"id":2},{"id":3},{"id":4}],"snapshot":true}"#);
    one.say("shelf:a", r#"{"id":9,"removed":true}"#);
    one.say("shelf:a", r#"{"id":2,"n":5}"#);
    let whole = other.read("shelf:a", NEWEST, 1).messages.remove(0);
    assert_eq!(&*whole.data, br#"{"rows":[{"id":3},{"id":4},{"id":2,"n":5}],"meta":{},"snapshot":true}"#);
}

#[test]
fn what_is_joined_does_not_expire_and_what_has_expired_is_listed_no_more() {
    let server = RedisServer::start();
    let node = Node::open(&server.url());
    node.join("all:a");
    node.say("all:b", "1");
    let key = |name: &str| {
        let plan = node.broker.node.plans.of(&node.channel(name));
        (plan.meta.clone(), plan.tag.clone(), plan.index.clone())
    };
    let (joined, ..) = key("all:a");
    server.ask(&format!("HSET {joined} x 0"));
    server.ask(&format!("PEXPIRE {joined} 5000"));
    node.broker.node.look_at(vec![node.channel("all:a")], Look::Heads);
    // Answers come in order.
    node.read("all:a", 0, 0);
    let left: u64 = server.ask(&format!("PTTL {joined}")).trim_start_matches(':').parse().unwrap();
    assert!(left > 3_600_000, "{left} ms");
    let (gone, tag, index) = key("all:b");
    server.ask(&format!("DEL {gone}"));
    node.broker.node.sweep(tag, index.clone());
    let since = Instant::now();
    while server.ask(&format!("ZCARD {index}")) != ":0" {
        assert!(since.elapsed() < PATIENCE, "it is still listed");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The line in docs/redis.md.
const ACL: &str = "ACL SETUSER tapeline on >secret ~tapeline:* &* -@all +@read +@write +@pubsub +@connection \
                   +@scripting -@dangerous +info +time +client|kill";

#[test]
fn a_user_with_the_documented_rights_and_no_others_is_enough() {
    let server = RedisServer::start();
    assert_eq!(server.ask(ACL), "+OK");
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/redis.md")).unwrap();
    assert!(page.contains(&ACL.replace(">secret", ">PASSWORD")), "docs/redis.md has another line");
    let node = Node::open(&format!("redis://tapeline:secret@127.0.0.1:{}", server.port()));
    node.join("trades:a");
    node.listen(&pattern("shelf:*"));
    let receipts = [node.say("trades:a", "1"), node.say("trades:a", "2")];
    node.say("shelf:a", r#"{"id":1}"#);
    node.results(vec![node.keyed("all:a", "k")]).remove(0).unwrap();
    node.sink.wait("three messages", |record| (record.messages.len() == 3).then_some(()));
    check_kept(&node, "trades:a", &receipts, &[]);
    server.ask("CLIENT KILL TYPE normal");
    node.wait_degraded(true);
    node.wait_degraded(false);
    assert_eq!(node.say("trades:a", "3").offset, 3);
}

#[test]
fn an_encrypted_line_is_taken_only_from_who_is_trusted() {
    let dir = tapeline_faults::temporary("redis-tls");
    std::fs::create_dir_all(&dir).unwrap();
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (key, certificate, other) = (file("key.pem"), file("certificate.pem"), file("other.pem"));
    for (key, certificate) in [(&key, &certificate), (&file("other-key.pem"), &other)] {
        let mut openssl = std::process::Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl.args(["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate]);
        let made = openssl.output().expect("openssl is there (Debian: apt-get install openssl)");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let port = free_port();
    let text = port.to_string();
    let options = ["--tls-port", &text, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let more = ["--tls-ca-cert-file", &certificate, "--tls-auth-clients", "no"];
    let _server = RedisServer::start_with(&[&options[..], &more[..]].concat());
    let node = Node::open(&format!("rediss://127.0.0.1:{port}?ca={certificate}"));
    node.join("all:a");
    node.say("all:a", &format!("\"{}\"", "x".repeat(100_000)));
    node.sink.wait("the message", |record| (record.messages.len() == 1).then_some(()));
    let stranger = Node::open(&format!("rediss://127.0.0.1:{port}?ca={other}"));
    let why = stranger.broker.link().why_down().expect("there is no line");
    assert!(why.contains("certificate"), "{why}");
    std::fs::remove_dir_all(&dir).unwrap();
}
