//! Whose channels are, after a restart.

use std::sync::Arc;
use std::time::Duration;

use tapeline_core::message::Draft;
use tapeline_core::testkit::suite::Subject;
use tapeline_schema::ErrorCode;

use super::super::{Durability, EmbeddedBroker};
use super::fake::Fake;
use super::{Opens, small};

fn is_conflict(subject: &Subject, channel: &str, owner: &str) -> bool {
    let refused = subject.results([subject.owned(channel, owner)]).remove(0).unwrap_err();
    refused.code == ErrorCode::OwnerConflict
}

/// Ann's, for whoever asks.
fn check_owner(subject: &Subject, channel: &str) {
    subject.join(channel);
    assert_eq!(subject.channel(channel).owner(), Some("ann"));
    assert!(is_conflict(subject, channel, "bob"), "bob takes what is ann's");
    assert!(subject.results([subject.owned(channel, "ann")]).remove(0).is_ok());
}

#[test]
fn an_owner_is_known_after_a_kill_though_nothing_was_compacted() {
    let disk = Fake::default();
    let first = Opens::new(Arc::new(disk.clone())).subject();
    first.say("executions:a");
    first.publish([first.owned("executions:a", "ann"), first.draft("executions:a")]);
    first.say("executions:free");
    let again = Opens { seed: 2, ..Opens::new(Arc::new(disk.after_kill())) }.subject();
    check_owner(&again, "executions:a");
    assert_eq!(again.channel("executions:free").owner(), None);
    again.publish_one(again.owned("executions:free", "bob"));
}

#[test]
fn an_owner_lasts_in_snapshots_and_under_the_epochs_of_another_boot() {
    let disk = Fake::default();
    let mut broker = None;
    let first = Subject::new(|clock, directory| {
        let opened: Arc<EmbeddedBroker> =
            Opens::new(Arc::new(disk.clone())).broker(clock, directory).unwrap();
        broker.insert(opened).clone()
    });
    let before = first.publish_one(first.owned("order_status:7", "ann"));
    broker.unwrap().compact().unwrap();
    // The log begins behind what has the owner.
    first.say("order_status:7");
    for boot in ["first", "second", "third"] {
        let killed = Fake::after_kill(&disk);
        let again = Opens { seed: 2, boot, ..Opens::new(Arc::new(killed.clone())) }.subject();
        let anew = again.join("order_status:7").epoch != before.epoch;
        assert_eq!(anew, boot != "first", "{boot}");
        check_owner(&again, "order_status:7");
        let once_more = Opens { seed: 3, boot, ..Opens::new(Arc::new(killed.after_kill())) }.subject();
        check_owner(&once_more, "order_status:7");
    }
}

#[test]
fn a_claim_that_cannot_be_written_is_none() {
    let disk = Fake::default();
    let opens = Opens { storage: small(Durability::EveryBatch), ..Opens::new(Arc::new(disk.clone())) };
    let subject = opens.subject();
    subject.say("executions:a");
    disk.fail_syncs();
    let refused = subject.results([subject.owned("executions:a", "ann")]).remove(0).unwrap_err();
    assert_eq!(refused.code, ErrorCode::StorageFull);
    subject.join("executions:a");
    assert_eq!(subject.channel("executions:a").owner(), None, "a publish that failed has made an owner");
}

#[test]
fn a_directory_without_owners_is_read_and_has_the_new_format_then() {
    let disk = Fake::default();
    Opens::new(Arc::new(disk.clone())).subject().say("executions:a");
    let killed = disk.after_kill();
    let meta = String::from_utf8(killed.bytes("meta")).unwrap();
    killed.set_bytes("meta", meta.replace("format 2", "format 1").into_bytes());
    let again = Opens { seed: 2, ..Opens::new(Arc::new(killed.clone())) }.subject();
    assert_eq!(again.offsets("executions:a", 0, 9), [1]);
    assert!(String::from_utf8(killed.bytes("meta")).unwrap().contains("format 2"));
    assert_eq!(again.publish_one(again.owned("executions:a", "ann")).offset, 2);
    check_owner(&again, "executions:a");
}

#[test]
fn an_owner_of_whom_only_a_roll_up_keeps_something_is_in_snapshots_too() {
    let disk = Fake::default();
    let mut broker = None;
    let first = Subject::new(|clock, directory| {
        let opened: Arc<EmbeddedBroker> =
            Opens::new(Arc::new(disk.clone())).broker(clock, directory).unwrap();
        broker.insert(opened).clone()
    });
    first.join("all_fills");
    first.publish_one(first.owned("fills:a", "ann"));
    first.clock.advance(Duration::from_secs(3_600));
    first.pass_by();
    assert_eq!(first.read("fills:a", 0, 0).head.top, 0, "the channel is forgotten");
    broker.unwrap().compact().unwrap();
    let again = Opens { seed: 2, ..Opens::new(Arc::new(disk.after_kill())) }.subject();
    assert_eq!(again.read("fills:a", 0, 0).head.top, 0, "the log still has it");
    assert_eq!(again.read("all_fills", 0, 9).messages[0].channel.owner(), Some("ann"));
    check_owner(&again, "fills:a");
}

#[test]
fn an_owner_that_was_told_on_a_full_disk_is_known_after_a_restart() {
    let disk = Fake::default();
    let first = Opens::new(Arc::new(disk.clone())).subject();
    first.say("balances:a");
    disk.set_room(Some(disk.used() + 5_000));
    let large = Draft { data: vec![b'1'; 100_000].into(), ..first.draft("market_trades:a") };
    assert!(first.results([large]).remove(0).is_err());
    first.publish_one(first.owned("balances:a", "ann"));
    let again = Opens { seed: 2, ..Opens::new(Arc::new(disk.after_kill())) }.subject();
    check_owner(&again, "balances:a");
}
