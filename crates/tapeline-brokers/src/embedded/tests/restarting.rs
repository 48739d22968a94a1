//! What a restart keeps.

use std::sync::Arc;
use std::time::Duration;

use tapeline_core::Directory;
use tapeline_core::broker::{Broker, Condition, NEWEST};
use tapeline_core::message::Draft;
use tapeline_core::table::take_apart;
use tapeline_core::testkit::ManualClock;
use tapeline_core::testkit::suite::Subject;
use tapeline_schema::{Catalog, ErrorCode};

use super::super::{Disk, Durability};
use super::fake::Fake;
use super::{Opens, small, with_broker};

fn rows(subject: &Subject, channel: &str, data: &str) -> Draft {
    let draft = subject.draft(channel);
    let (data, rows) = take_apart(draft.channel.spec(), data.as_bytes()).unwrap();
    Draft { data, rows: Some(Box::new(rows)), ..draft }
}

fn whole(subject: &Subject, channel: &str) -> String {
    let page = subject.read(channel, NEWEST, 1);
    String::from_utf8_lossy(&page.messages[0].data).into_owned()
}

#[test]
fn a_killed_process_leaves_messages_last_values_tables_and_keys_under_their_epochs() {
    let disk = Fake::default();
    let first = Opens::new(Arc::new(disk.clone())).subject();
    let receipts = first.publish((0..5).map(|_| first.draft("trades:a")));
    first.say("newest:a");
    let newest = first.say("newest:a");
    let keyed = first.publish_one(first.keyed("trades:b", "ann", "k"));
    first.publish_one(rows(&first, "shelf:a", r#"{"rows":[{"id":1},{"id":2}]}"#));
    first.publish_one(rows(&first, "shelf:a", r#"{"id":1,"removed":true}"#));
    let silent = first.join("trades:silent").epoch;
    // What a join begins is written before what is published after it.
    first.say("elsewhere");
    let table = whole(&first, "shelf:a");
    let again = Opens { seed: 2, ..Opens::new(Arc::new(disk.after_kill())) }.subject();
    assert_eq!(again.offsets("trades:a", 0, 10), [1, 2, 3, 4, 5]);
    assert_eq!(again.offsets("trades", 0, 10), [1, 2, 3, 4, 5, 6]);
    assert_eq!(again.join("trades:a").epoch, receipts[0].epoch);
    assert_eq!(again.join("trades:silent").epoch, silent);
    assert_eq!(again.read("newest:a", NEWEST, 1).messages[0].id, newest.id);
    let repeat = again.publish_one(again.keyed("trades:b", "ann", "k"));
    assert_eq!((repeat.offset, repeat.duplicate, repeat.id), (1, true, keyed.id));
    assert_eq!(whole(&again, "shelf:a"), table);
    let next = again.say("trades:a");
    assert_eq!((next.offset, &next.epoch), (6, &receipts[0].epoch));
}

/// All that a reader can see of some channels.
fn seen(subject: &Subject) -> Vec<String> {
    let names = ["few:a", "few:b", "fews", "trades:a", "trades:b", "trades", "shelf:a", "newest:a"];
    let tell = |name: &&str| {
        let page = subject.read(name, 0, usize::MAX);
        let told = page.messages.iter().map(|message| {
            let marks = message.roll_ups.iter().map(|mark| (mark.offset, mark.epoch.to_string()));
            format!("{} {} {:?} {:?}", message.offset, message.epoch, marks.collect::<Vec<_>>(), message.data)
        });
        format!("{name} {} {}: {:?}", page.head.epoch, page.head.top, told.collect::<Vec<_>>())
    };
    names.iter().map(tell).collect()
}

#[test]
fn a_snapshot_and_the_log_behind_it_say_the_same_as_was_seen_before() {
    let disk = Fake::default();
    let (subject, broker) = with_broker(&Opens::new(Arc::new(disk.clone())));
    for n in 0..40 {
        subject.publish(["few:a", "few:b", "trades:a", "newest:a"].map(|name| subject.draft(name)));
        subject.publish_one(subject.keyed("trades:b", "ann", &n.to_string()));
        subject.publish_one(rows(&subject, "shelf:a", &format!(r#"{{"id":{}}}"#, n % 5)));
        match n {
            5 | 30 => broker.compact().unwrap(),
            20 => assert_eq!(subject.forget("trades:a", 7), 7),
            25 => assert_eq!(subject.forget("trades", 3), 1),
            _ => {}
        }
    }
    let before = seen(&subject);
    let again = Opens { seed: 2, ..Opens::new(Arc::new(disk.after_kill())) }.subject();
    assert_eq!(seen(&again), before);
    let repeat = again.publish_one(again.keyed("trades:b", "ann", "3"));
    assert_eq!((repeat.offset, repeat.duplicate), (4, true), "a key out of the snapshot");
}

#[test]
fn a_message_that_a_channel_and_its_roll_up_keep_is_one_after_a_restart_too() {
    for compacted in [false, true] {
        let disk = Fake::default();
        let (subject, broker) = with_broker(&Opens::new(Arc::new(disk.clone())));
        subject.say("trades:a");
        if compacted {
            broker.compact().unwrap();
        }
        let again = Opens::new(Arc::new(disk.after_kill())).subject();
        let [own, rolled] = ["trades:a", "trades"].map(|name| again.read(name, 0, 1).messages[0].clone());
        assert!(Arc::ptr_eq(&own, &rolled), "compacted: {compacted}");
    }
}

#[test]
fn what_is_kept_no_longer_leaves_the_disk() {
    for (channel, later) in [("few:a", 0), ("sized:a", 0), ("short:a", 10)] {
        let disk = Fake::default();
        let (subject, broker) = with_broker(&Opens::new(Arc::new(disk.clone())));
        let large = || Draft { data: vec![b'1'; 2_000].into(), ..subject.draft(channel) };
        for _ in 0..20 {
            subject.publish((0..20).map(|_| large()));
        }
        subject.clock.advance(Duration::from_secs(later));
        broker.compact().unwrap();
        assert!(disk.used() < 25_000, "{channel} takes {} bytes", disk.used());
        assert_eq!(disk.names("snapshot-").len(), 1);
        assert_eq!(disk.names("log-").len(), 1);
    }
}

#[test]
fn a_machine_that_stopped_has_every_channel_count_on_under_a_new_epoch_that_stays() {
    let disk = Fake::default();
    let first = Opens::new(Arc::new(disk.clone())).subject();
    let before = first.publish([first.draft("trades:a"), first.draft("trades:a")]);
    drop(first);
    // As if it had never been closed.
    let meta = String::from_utf8(disk.bytes("meta")).unwrap().replace("clean yes", "clean no");
    disk.set_bytes("meta", meta.into_bytes());
    let other = disk.after_kill();
    let again = Opens { boot: "second", seed: 2, ..Opens::new(Arc::new(other.clone())) }.subject();
    let page = again.read("trades:a", 0, 10);
    assert_eq!((page.head.top, page.messages.len()), (2, 2));
    assert_ne!(page.head.epoch, before[0].epoch);
    assert!(page.messages.iter().all(|message| message.epoch == page.head.epoch));
    assert_eq!(again.say("trades:a").offset, 3);
    let third = Opens { boot: "second", seed: 3, ..Opens::new(Arc::new(other.after_kill())) }.subject();
    assert_eq!(third.join("trades:a").epoch, page.head.epoch);
}

#[test]
fn a_full_disk_has_exactly_those_begin_anew_that_went_on_unwritten() {
    let disk = Fake::default();
    let first = Opens::new(Arc::new(disk.clone())).subject();
    let [went_on, stayed] = ["newest:a", "newest:b"].map(|name| first.say(name));
    let kept = first.say("market_trades:a");
    disk.set_room(Some(disk.used() + 5_000));
    let large = || Draft { data: vec![b'1'; 100_000].into(), ..first.draft("market_trades:a") };
    let refused = first.results([large()]).pop().unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::StorageFull);
    assert!(refused.message.contains("a test's disk"), "{refused}");
    assert_eq!(first.broker.health().condition, Condition::StorageFull);
    assert_eq!(first.say("newest:a").offset, 2, "what keeps only the newest goes on");
    assert_eq!(first.say("trades:a").offset, 1, "what is critical uses the reserve");
    assert_eq!(first.offsets("market_trades:a", 0, 9), [1], "reads go on");
    let killed = disk.after_kill();
    let again = Opens { seed: 2, ..Opens::new(Arc::new(killed)) }.subject();
    assert_ne!(again.join("newest:a").epoch, went_on.epoch);
    assert_eq!(again.join("newest:b").epoch, stayed.epoch);
    assert_eq!(again.join("market_trades:a").epoch, kept.epoch);
    assert_eq!(again.offsets("trades:a", 0, 9), [1]);
}

#[test]
fn after_a_failed_sync_nothing_that_is_kept_is_taken_and_the_next_start_begins_anew() {
    let disk = Fake::default();
    let opens = Opens { storage: small(Durability::EveryBatch), ..Opens::new(Arc::new(disk.clone())) };
    let first = opens.subject();
    let before = first.say("trades:a");
    disk.fail_syncs();
    for _ in 0..2 {
        let refused = first.results([first.draft("trades:a")]).pop().unwrap().unwrap_err();
        assert_eq!(refused.code, ErrorCode::StorageFull, "{refused}");
    }
    assert_eq!(first.offsets("trades:a", 0, 9), [1]);
    assert_eq!(first.sink.take().len(), 1, "nothing else was delivered");
    drop(first);
    let again = Opens { seed: 2, disk: Arc::new(disk.after_kill()), ..opens }.subject();
    let epoch = again.join("trades:a").epoch;
    // Where not even that could be noted, nothing went on, and no offset was given that the log lacks.
    assert!(again.offsets("trades:a", 0, 9).starts_with(&[1]));
    let next = again.say("trades:a");
    assert!(next.offset > before.offset && next.epoch == epoch);
}

#[test]
fn another_format_is_refused() {
    let disk = Fake::default();
    drop(Opens::new(Arc::new(disk.clone())).subject());
    let meta = String::from_utf8(disk.bytes("meta")).unwrap().replace("format 2", "format 3");
    disk.set_bytes("meta", meta.into_bytes());
    let directory = Arc::new(Directory::new(Catalog::built_in()));
    let opened = Opens::new(Arc::new(disk)).broker(Arc::new(ManualClock::default()), directory);
    let told = opened.err().unwrap().to_string();
    assert!(told.contains("format 3") && told.contains("knows 2"), "{told}");
}

#[test]
fn what_a_killed_process_left_unsynced_lasts_once_it_has_been_told() {
    let disk = Fake::default();
    let opens = Opens { storage: small(Durability::Exit), ..Opens::new(Arc::new(disk.clone())) };
    let said = opens.subject();
    said.say("trades:a");
    let killed = disk.after_kill();
    let again = Opens { disk: Arc::new(killed.clone()), seed: 2, ..opens }.subject();
    assert_eq!(again.offsets("trades:a", 0, 9), [1]);
    let lost = killed.after_power_loss(|_| 0);
    assert_eq!(lost.bytes("log-00000001"), disk.bytes("log-00000001"));
    assert!(!lost.bytes("log-00000001").is_empty());
}

#[test]
fn a_directory_that_has_lost_its_meta_begins_new_epochs() {
    let disk = Fake::default();
    let before = Opens::new(Arc::new(disk.clone())).subject().say("trades:a");
    let orphan = disk.after_kill();
    orphan.remove("meta").unwrap();
    let again = Opens { seed: 2, ..Opens::new(Arc::new(orphan)) }.subject();
    assert_eq!(again.offsets("trades:a", 0, 9), [1]);
    assert_ne!(again.join("trades:a").epoch, before.epoch);
}

#[test]
fn a_disk_that_is_full_of_room_taken_ahead_starts_again() {
    let disk = Fake::default();
    let first = Opens::new(Arc::new(disk.clone())).subject();
    first.say("trades:a");
    let killed = disk.after_kill();
    assert!(killed.taken() > killed.used() + 4_000, "nothing was taken ahead");
    killed.set_room(Some(killed.taken()));
    let again = Opens { seed: 2, ..Opens::new(Arc::new(killed.clone())) }.subject();
    assert_eq!(again.say("trades:a").offset, 2);
    drop(again);
    assert_eq!(killed.taken(), killed.used(), "room is given back at the end");
}

#[test]
fn no_room_for_the_name_of_another_file_is_no_broken_disk() {
    let disk = Fake::default();
    let (subject, broker) = with_broker(&Opens::new(Arc::new(disk.clone())));
    disk.refuse_names();
    let large = Draft { data: vec![b'1'; 70_000].into(), ..subject.draft("trades:a") };
    assert_eq!(subject.publish_one(large).offset, 1);
    // It would need another file.
    broker.compact().unwrap();
    assert_eq!(subject.say("trades:a").offset, 2);
    assert_eq!(broker.health().condition, Condition::Ok);
}
