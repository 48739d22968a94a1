//! What goes on while there is no room, at every step of the hub's making some.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tapeline_core::message::Draft;
use tapeline_core::testkit::suite::Subject;
use tapeline_schema::ErrorCode;

use super::super::{Durability, EmbeddedBroker, Limits, Storage, is_full};
use super::fake::Fake;
use super::{Opens, with_broker};

const RESERVE: u64 = 64 << 10;

struct Full {
    disk: Fake,
    subject: Arc<Subject>,
    broker: Arc<EmbeddedBroker>,
}

/// A hub that keeps large messages until they are refused; `room` of the disk, if that is the bound.
fn fill(max_bytes: u64, room: Option<u64>) -> Full {
    let disk = Fake::default();
    disk.set_room(room);
    let limits = Limits { segment_bytes: 64 << 10, max_bytes, reserve_bytes: RESERVE };
    let storage = Storage { durability: Durability::Exit, limits };
    let opens = Opens { storage, ..Opens::new(Arc::new(disk.clone())) };
    let (subject, broker) = with_broker(&opens);
    let large = || Draft { data: vec![b'1'; 8_000].into(), ..subject.draft("market_trades:a") };
    let refused = (0..500).find_map(|_| subject.results([large()]).pop().unwrap().err());
    assert_eq!(refused.expect("it is full some time").code, ErrorCode::StorageFull);
    Full { disk, subject: Arc::new(subject), broker }
}

/// Publishes what may use the reserve, and what needs no log, before each change of the disk that `act` makes.
fn says_meanwhile(full: &Full, act: impl FnOnce()) -> u64 {
    let (said, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (subject, count, failures) = (full.subject.clone(), said.clone(), refused.clone());
    full.disk.before_changes_here(move || {
        let newest = format!("newest:{}", count.fetch_add(1, Ordering::Relaxed));
        let drafts = [subject.draft("trades:a"), subject.draft(&newest), subject.owned("balances:a", "ann")];
        let results = subject.results(drafts);
        failures.lock().unwrap().extend(results.into_iter().filter_map(Result::err));
    });
    act();
    full.disk.before_changes_here(|| {});
    assert!(refused.lock().unwrap().is_empty(), "{:?}", refused.lock().unwrap());
    said.load(Ordering::Relaxed)
}

#[test]
fn what_is_critical_or_only_the_newest_goes_on_at_every_step_of_making_room_within_the_bound() {
    let full = fill(200_000, None);
    let said = says_meanwhile(&full, || full.broker.compact().unwrap());
    assert!(said >= 4, "only {said} steps");
}

#[test]
fn what_is_critical_or_only_the_newest_goes_on_while_a_full_disk_has_no_room_for_a_snapshot() {
    let full = fill(0, Some(300_000));
    // A part of the reserve is used already.
    for _ in 0..100 {
        full.subject.say("trades:a");
    }
    for _ in 0..10 {
        let said = says_meanwhile(&full, || assert!(is_full(&full.broker.compact().unwrap_err())));
        assert!(said >= 2, "only {said} steps");
    }
}

#[test]
fn tries_to_make_room_leave_no_files_behind() {
    let full = fill(0, Some(300_000));
    let mut left = None;
    for _ in 0..5 {
        assert!(is_full(&full.broker.compact().unwrap_err()));
        let names = full.disk.names("log-");
        assert_eq!(left.get_or_insert_with(|| names.clone()), &names);
    }
}

#[test]
fn a_snapshot_that_is_longer_than_the_bound_and_all_that_it_replaces_is_not_written() {
    let disk = Fake::default();
    let limits = |max_bytes| Limits { segment_bytes: 1 << 20, max_bytes, reserve_bytes: RESERVE };
    let opens = |disk: &Fake, max_bytes| {
        let storage = Storage { durability: Durability::Exit, limits: limits(max_bytes) };
        Opens { storage, ..Opens::new(Arc::new(disk.clone())) }
    };
    let subject = opens(&disk, 0).subject();
    // A snapshot says each key beside its message.
    subject.publish((0..200).map(|n| subject.keyed("market_trades:a", "somebody", &n.to_string())));
    let disk = disk.after_kill();
    let (_subject, broker) = with_broker(&opens(&disk, 10_000));
    let before = disk.used();
    assert!(is_full(&broker.compact().unwrap_err()));
    assert!(disk.used() < before + 100 && disk.names("snapshot").is_empty(), "{:?}", disk.names(""));
}
