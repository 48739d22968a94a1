//! What a restart keeps.

use std::sync::Arc;

use tapeline_core::broker::NEWEST;
use tapeline_core::message::Draft;
use tapeline_core::table::take_apart;
use tapeline_core::testkit::suite::Subject;

use super::super::Durability;
use super::fake::Fake;
use super::{Opens, small};

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

#[test]
fn a_snapshot_and_the_log_behind_it_say_the_same_as_the_log_alone() {
    let disk = Fake::default();
    let opens = Opens::new(Arc::new(disk.clone()));
    let subject = Subject::new(|clock, directory| {
        let broker = opens.broker(clock, directory).unwrap();
        broker
    });
    drop(subject);
    let mut broker = None;
    let subject = Subject::new(|clock, directory| {
        let opened = Opens::new(Arc::new(disk.after_kill())).broker(clock, directory).unwrap();
        broker = Some(opened.clone());
        opened
    });
    let broker = broker.unwrap();
    for n in 0..40 {
        subject.publish(["few:a", "few:b", "trades:a"].map(|name| subject.draft(name)));
        subject.publish_one(subject.keyed("trades:b", "ann", &n.to_string()));
        subject.publish_one(rows(&subject, "shelf:a", &format!(r#"{{"id":{}}}"#, n % 5)));
        if n % 10 == 5 {
            broker.compact().unwrap();
        }
    }
    subject.forget("trades:a", 7);
    let _ = small(Durability::Exit);
}
