//! The report against real servers, with what is wrong planted.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::sync_channel;

use tapeline_core::Broker;
use tapeline_core::testkit::ManualClock;
use tapeline_schema::Catalog;

use super::super::RedisBroker;
use super::super::testing::RedisServer;
use super::super::url::Address;
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn broker(url: &str) -> RedisBroker {
    let directory = Arc::new(Directory::new(Catalog::built_in()));
    RedisBroker::open(
        Address::parse(url).unwrap(),
        Arc::new(ManualClock::default()),
        directory,
        7,
        Vec::new(),
    )
    .unwrap()
}

fn report(broker: &RedisBroker) -> RedisReport {
    let (to, from) = sync_channel(1);
    broker.inspect(Box::new(move |report| to.send(report).unwrap()));
    from.recv_timeout(PATIENCE).unwrap().redis.unwrap()
}

/// A connection that has said this and been answered.
fn stranger(redis: &RedisServer, words: &[&str]) -> BufReader<TcpStream> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", redis.port())).unwrap());
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    for words in words {
        stream.get_mut().write_all(format!("{words}\r\n").as_bytes()).unwrap();
        stream.read_line(&mut String::new()).unwrap();
    }
    stream
}

#[test]
fn a_redis_says_what_it_is_like_and_who_else_uses_it() {
    let options = ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"];
    let redis = RedisServer::start_with(&options);
    let broker = broker(&redis.url());
    let _listener = stranger(&redis, &["CLIENT SETNAME old-desk", "SUBSCRIBE market_data:AAPL"]);
    let _other = stranger(&redis, &["SUBSCRIBE elsewhere"]);
    let _publisher = stranger(&redis, &["CLIENT SETNAME ticker", "PUBLISH market_data:AAPL 1"]);
    let told = report(&broker);
    assert_eq!((told.unreachable, told.denied, told.unseen), (None, Vec::new(), Vec::new()));
    assert_eq!((told.maxmemory, told.maxmemory_policy.as_str()), (64 << 20, "allkeys-lru"));
    assert!(told.used_memory > 0 && told.round_trip_us > 0 && told.version.starts_with(char::is_numeric));
    assert_eq!((told.persistent, told.pubsub_limit), (Some(false), Some(32 << 20)));
    let names = |clients: &[RedisClient]| {
        let mut names: Vec<String> = clients.iter().map(|client| client.name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(
        (names(&told.listeners), names(&told.publishers)),
        (vec!["".into(), "old-desk".into()], vec!["ticker".into()])
    );
    assert_eq!(told.plain_names.get("market_data:AAPL"), Some(&1));
    assert!(!told.plain_names.contains_key("elsewhere"), "{:?}", told.plain_names);
}

#[test]
fn what_the_user_may_not_do_is_told_in_redis_words() {
    let redis = RedisServer::start();
    redis.ask("ACL SETUSER hub on >secret ~tapeline:* &* +@all -@dangerous +info +client|kill -xadd");
    let told = report(&broker(&redis.url().replace("redis://", "redis://hub:secret@")));
    assert!(told.denied.len() == 1 && told.denied[0].starts_with("XADD: "), "{:?}", told.denied);
    assert!(told.unseen.iter().any(|error| error.contains("config")), "{:?}", told.unseen);
    assert_eq!((told.persistent, told.pubsub_limit), (None, None));
}

#[test]
fn a_user_who_may_not_end_connections_is_told() {
    let redis = RedisServer::start();
    redis.ask("ACL SETUSER hub on >secret ~tapeline:* &* +@all -@dangerous +info");
    let told = report(&broker(&redis.url().replace("redis://", "redis://hub:secret@")));
    assert!(told.denied.len() == 1 && told.denied[0].starts_with("CLIENT KILL: NOPERM"), "{:?}", told.denied);
}

#[test]
fn a_redis_that_is_gone_is_told_with_the_reason() {
    let mut redis = RedisServer::start();
    let broker = broker(&redis.url());
    redis.kill();
    let told = report(&broker);
    assert!(told.unreachable.is_some_and(|why| why.contains("out of reach")));
}
