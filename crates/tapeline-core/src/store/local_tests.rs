//! Tests of the store of one process: the conformance suite, its bounds, and what a journal is asked and believed.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use tapeline_schema::ErrorCode;

use super::*;
use crate::testkit::ManualClock;
use crate::testkit::stores::Subject;

fn open() -> Subject {
    let clock = Arc::new(ManualClock::default());
    let store = LocalStore::new(clock.clone(), Bounds::default());
    Subject::new(Arc::new(store), move |time| clock.advance(time))
}

crate::store_promises!(open);

fn bounded(entries: usize, bytes: usize) -> (Subject, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let store = LocalStore::new(clock.clone(), Bounds { entries, bytes });
    let passing = clock.clone();
    (Subject::new(Arc::new(store), move |time| passing.advance(time)), clock)
}

#[test]
fn a_full_store_refuses_new_values_with_its_limit_and_takes_others_for_old_ones() {
    let (subject, _) = bounded(2, 1 << 20);
    subject.set("a:1", "1");
    subject.lend("a:2", "1", Duration::from_secs(5));
    let refusal = subject.write("a:3", "1", None, Expect::Any).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::StorageFull);
    assert_eq!(refusal.message, "the store holds 2 entries, the limit");
    subject.set("a:1", "2");
    subject.pass(Duration::from_secs(6));
    subject.set("a:3", "1");
}

#[test]
fn values_are_refused_beyond_the_stores_bytes() {
    let (subject, _) = bounded(100, 1_000);
    let large = format!("\"{}\"", "x".repeat(650));
    subject.set("a:1", &large);
    subject.set("a:1", &large);
    let refusal =
        subject.write("a:2", "\"a text of some forty characters or more\"", None, Expect::Any).unwrap_err();
    assert_eq!(refusal.message, "the store has no room for a:2: the limit is 1000 bytes");
    subject.set("a:1", "1");
    subject.set("a:2", &large);
}

#[test]
fn a_page_is_bounded_in_bytes_and_holds_one_entry_at_least() {
    let subject = open();
    let half = format!("\"{}\"", "x".repeat(LIST_BYTES_HALF));
    let whole = format!("\"{}\"", "x".repeat(2 * LIST_BYTES_HALF));
    for (name, value) in [("a:1", &half), ("a:2", &whole), ("a:3", &half)] {
        subject.set(name, value);
    }
    assert_eq!(subject.keys("a:", None, 10), (vec!["a:1".to_string()], true));
    assert_eq!(subject.keys("a:", Some("a:1"), 10), (vec!["a:2".to_string()], true));
    assert_eq!(subject.keys("a:", Some("a:2"), 10), (vec!["a:3".to_string()], false));
}

const LIST_BYTES_HALF: usize = super::super::LIST_BYTES / 2;

/// A journal that does what the test says, when it says so.
struct Waiting(SyncSender<(Change, Done<()>)>);

impl Journal for Waiting {
    fn record(&self, change: Change, done: Done<()>) {
        self.0.send((change, done)).expect("the test takes every change");
    }
}

fn journaled() -> (Subject, LocalStore, Receiver<(Change, Done<()>)>) {
    let clock = Arc::new(ManualClock::default());
    let (to, from) = sync_channel(16);
    let state = State::new(Bounds::default(), clock.now());
    let store = LocalStore::with_journal(clock.clone(), state, Arc::new(Waiting(to)));
    let subject = Subject::new(Arc::new(store.clone()), move |time| clock.advance(time));
    (subject, store, from)
}

fn set(store: &LocalStore, value: &'static str, expect: Expect) -> Receiver<Result<u64, Refusal>> {
    let (to, from) = sync_channel(1);
    let write = Write { value: Bytes::from_static(value.as_bytes()), ttl: None, expect };
    store.set(&Key::parse("a:b").unwrap(), write, Box::new(move |told| to.send(told).unwrap()));
    from
}

#[test]
fn nobody_sees_a_value_before_it_is_durable() {
    let (subject, store, journal) = journaled();
    let told = set(&store, "1", Expect::Any);
    let (change, done) = journal.recv().unwrap();
    assert_eq!(change.value.as_deref(), Some(&b"1"[..]));
    assert!(told.try_recv().is_err() && subject.get("a:b").is_none() && store.snapshot().changes.is_empty());
    done(Ok(()));
    assert_eq!(told.recv().unwrap(), Ok(change.version));
    assert_eq!(subject.get("a:b").unwrap().version, change.version);
    assert_eq!(store.snapshot().changes, [change]);
}

#[test]
fn a_change_that_could_not_be_recorded_was_never_made() {
    let (subject, store, journal) = journaled();
    let first = set(&store, "1", Expect::Any);
    journal.recv().unwrap().1(Ok(()));
    let version = first.recv().unwrap().unwrap();
    let second = set(&store, "2", Expect::Any);
    journal.recv().unwrap().1(Err(Refusal::new(ErrorCode::StorageFull, "the disk is full")));
    assert_eq!(second.recv().unwrap().unwrap_err().code, ErrorCode::StorageFull);
    assert_eq!(subject.get("a:b").unwrap().version, version);
    let third = set(&store, "3", Expect::Version(version));
    journal.recv().unwrap().1(Ok(()));
    assert!(third.recv().unwrap().is_ok());
    assert_eq!(subject.text("a:b").as_deref(), Some("3"));
}

#[test]
fn a_change_is_decided_by_those_that_are_not_durable_yet() {
    let (subject, store, journal) = journaled();
    let first = set(&store, "1", Expect::Absent);
    let second = set(&store, "2", Expect::Absent);
    assert_eq!(second.recv().unwrap().unwrap_err().code, ErrorCode::VersionConflict);
    let (change, done) = journal.recv().unwrap();
    let third = set(&store, "3", Expect::Version(change.version));
    let (next, next_done) = journal.recv().unwrap();
    assert!(next.version > change.version);
    next_done(Ok(()));
    done(Ok(()));
    assert_eq!((first.recv().unwrap(), third.recv().unwrap()), (Ok(change.version), Ok(next.version)));
    assert_eq!(subject.text("a:b").as_deref(), Some("3"));
}

#[test]
fn a_store_begins_where_its_journal_ends() {
    let (subject, store, journal) = journaled();
    let recorder = std::thread::spawn(move || {
        let mut changes = Vec::new();
        while let Ok((change, done)) = journal.recv() {
            changes.push(change);
            done(Ok(()));
        }
        changes
    });
    subject.set("a:1", "1");
    subject.lend("a:2", "2", Duration::from_secs(5));
    subject.delete("a:1", Expect::Any).unwrap();
    let last = subject.set("a:3", "3");
    let snapshot = store.snapshot();
    drop((subject, store));
    let clock = Arc::new(ManualClock::default());
    let changes = recorder.join().unwrap();
    assert_eq!(changes.len(), 4);
    for changes in [changes, snapshot.changes] {
        let mut state = State::new(Bounds::default(), Default::default());
        changes.into_iter().for_each(|change| state.restore(change));
        assert_eq!(state.version(), last);
        let (to, from) = sync_channel(1);
        let store = LocalStore::with_journal(clock.clone(), state, Arc::new(Waiting(to)));
        let told = set(&store, "4", Expect::Absent);
        from.recv().unwrap().1(Ok(()));
        assert!(told.recv().unwrap().unwrap() > last);
        let subject = Subject::new(Arc::new(store), |_| {});
        assert_eq!(subject.keys("", None, 9).0, ["a:2", "a:3", "a:b"]);
        assert!(subject.get("a:2").unwrap().expires_us.is_some());
    }
}
