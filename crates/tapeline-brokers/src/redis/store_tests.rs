//! The store in a real Redis: the conformance suite, and what becomes of it when Redis is full, empty or away.

use std::collections::VecDeque;
use std::sync::Weak;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use tapeline_core::testkit::stores::Subject;

use super::*;
use crate::redis::link::{Events, Heard, Server};
use crate::redis::testing::RedisServer;
use crate::redis::url::Address;

/// Hears nothing.
struct Deaf;

impl Events for Deaf {
    fn on_up(&self, _: &Server) {}
    fn on_down(&self, _: &str) {}
    fn on_heard(&self, heard: &mut VecDeque<Heard>) {
        heard.clear();
    }
}

fn store(server: &RedisServer, bounds: Bounds) -> Arc<RedisStore> {
    let deaf: Weak<Deaf> = Weak::new();
    let link = Link::new(Address::parse(&server.url()).unwrap(), "test");
    link.start(deaf).unwrap();
    Arc::new(RedisStore::new(Arc::new(link), bounds))
}

fn subject(server: RedisServer, bounds: Bounds) -> Subject {
    let store = store(&server, bounds);
    Subject::new(store, move |time| {
        // Redis has no other clock than the machine's.
        let _alive = &server;
        std::thread::sleep(time);
    })
}

fn open() -> Subject {
    subject(RedisServer::start(), Bounds::default())
}

tapeline_core::store_promises!(open);

#[test]
fn a_full_store_refuses_new_values_with_its_limit() {
    let subject = subject(RedisServer::start(), Bounds { entries: 2, bytes: 0 });
    subject.set("a:1", "1");
    subject.set("a:2", "1");
    let refusal = subject.write("a:3", "1", None, Expect::Any).unwrap_err();
    assert_eq!(
        (refusal.code, &*refusal.message),
        (ErrorCode::StorageFull, "the store holds 2 entries, the limit")
    );
    subject.set("a:1", "2");
}

#[test]
fn two_nodes_share_one_store() {
    let server = RedisServer::start();
    let [one, two] = [(), ()].map(|()| Subject::new(store(&server, Bounds::default()), |_| {}));
    let version = one.set("a:b", "1");
    assert_eq!(two.get("a:b").map(|entry| entry.version), Some(version));
    two.write("a:b", "2", None, Expect::Version(version)).unwrap();
    assert!(one.write("a:b", "3", None, Expect::Version(version)).is_err());
}

#[test]
fn a_redis_that_was_emptied_gives_no_version_again() {
    let server = RedisServer::start();
    let subject = Subject::new(store(&server, Bounds::default()), |_| {});
    let before = subject.set("a:b", "1");
    server.ask("FLUSHALL");
    assert_eq!(subject.get("a:b"), None);
    assert!(subject.set("a:b", "1") > before);
}

#[test]
fn names_of_expired_values_do_not_stay() {
    let server = RedisServer::start();
    let subject = Subject::new(store(&server, Bounds::default()), std::thread::sleep);
    for n in 0..20 {
        subject.lend(&format!("a:{n}"), "1", Duration::from_millis(1));
    }
    subject.set("a:stays", "1");
    let since = Instant::now();
    while server.ask("ZCARD tapeline:{store}:keys").trim() != ":1" {
        assert!(since.elapsed() < Duration::from_secs(30), "{}", server.ask("ZCARD tapeline:{store}:keys"));
        subject.pass(Duration::from_millis(5));
    }
    assert_eq!(server.ask("ZCARD tapeline:{store}:ends").trim(), ":0");
}

#[test]
fn what_redis_refuses_with_is_told_by_its_kind() {
    for (why, code) in [
        ("OOM command not allowed", ErrorCode::StorageFull),
        ("ERR Error running script: @user_script: 3: -OOM command not allowed", ErrorCode::StorageFull),
        ("NOPERM this user has no permissions", ErrorCode::Degraded),
        ("NOAUTH Authentication required.", ErrorCode::Degraded),
        ("CLUSTERDOWN The cluster is down", ErrorCode::Degraded),
        ("ERR Error running script: -READONLY You can't write", ErrorCode::Degraded),
        ("WRONGTYPE Operation against a key", ErrorCode::Internal),
    ] {
        assert_eq!(refused(LinkError::Refused(why.into())).code, code, "{why}");
    }
}

#[test]
fn a_page_is_found_behind_thousands_of_names_without_a_value() {
    let server = RedisServer::start();
    let subject = Subject::new(store(&server, Bounds::default()), |_| {});
    subject.set("a:z", "1");
    let (to, from) = sync_channel(1);
    let deaf: Weak<Deaf> = Weak::new();
    let link = Link::new(Address::parse(&server.url()).unwrap(), "test");
    link.start(deaf).unwrap();
    let mut add = Command::new("ZADD").arg(KEYS);
    for n in 0..6_000 {
        add = add.number(0).arg(format!("a:{n:05}"));
    }
    link.ask(&add, PATIENCE, move |told| to.send(told).unwrap());
    from.recv_timeout(Duration::from_secs(30)).unwrap().unwrap();
    assert_eq!(subject.keys("a:", None, 10), (vec!["a:z".to_string()], false));
}

#[test]
fn a_redis_without_memory_refuses_as_full_and_still_reads() {
    let server = RedisServer::start();
    let subject = Subject::new(store(&server, Bounds::default()), |_| {});
    subject.set("a:b", "1");
    server.ask("CONFIG SET maxmemory 1");
    let refusal = subject.write("a:c", "1", None, Expect::Any).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::StorageFull, "{refusal}");
    assert_eq!(subject.text("a:b").as_deref(), Some("1"));
    assert_eq!(subject.delete("a:b", Expect::Any), Ok(true));
}

#[test]
fn a_redis_that_is_away_refuses_as_degraded_and_is_found_again() {
    let mut server = RedisServer::start();
    let subject = Subject::new(store(&server, Bounds::default()), |_| {});
    subject.set("a:b", "1");
    server.kill();
    let since = Instant::now();
    let refusal = subject.write("a:b", "2", None, Expect::Any).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Degraded, "{refusal}");
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    server.restart(&[]);
    let since = Instant::now();
    while subject.write("a:b", "3", None, Expect::Any).is_err() {
        assert!(since.elapsed() < Duration::from_secs(20), "redis is not found again");
    }
    assert_eq!(subject.text("a:b").as_deref(), Some("3"));
}
