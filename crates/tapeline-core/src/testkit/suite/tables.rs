//! Tables: what is delivered of them, and what can be read.
#![expect(clippy::expect_used, reason = "a broken promise must stop the test")]

use super::{Open, Subject};
use crate::broker::NEWEST;
use crate::message::Draft;
use crate::table::take_apart;

fn say(subject: &Subject, channel: &str, data: &str) -> u64 {
    let draft = subject.draft(channel);
    let (data, rows) =
        take_apart(draft.channel.spec(), data.as_bytes()).expect("rows of the suite are sound");
    subject.publish_one(Draft { data, rows: Some(Box::new(rows)), ..draft }).offset
}

/// What a read gave: offset, what it stands on, and its data.
fn told(subject: &Subject, channel: &str, after: u64) -> Option<(u64, u64, String)> {
    let page = subject.read(channel, after, 10);
    assert!(page.messages.len() <= 1, "a table is told in one message");
    let message = page.messages.first()?;
    Some((message.offset, message.since, String::from_utf8_lossy(&message.data).into_owned()))
}

/// The newest of a table is the whole of it; what changed after an offset is told in one message, removals included.
pub fn a_table_is_read_whole_or_by_what_changed(open: Open<'_>) {
    let subject = open();
    assert_eq!(told(&subject, "shelf:a", NEWEST), None);
    say(&subject, "shelf:a", r#"{"rows":[{"id":1},{"id":2},{"id":3}],"meta":{"n":1}}"#);
    say(&subject, "shelf:a", r#"{"id":2,"removed":true}"#);
    say(&subject, "shelf:a", r#"{"rows":[{"id":4}],"meta":{"n":3}}"#);
    let whole = r#"{"rows":[{"id":1},{"id":3},{"id":4}],"meta":{"n":3},"snapshot":true}"#;
    assert_eq!(told(&subject, "shelf:a", NEWEST), Some((3, 0, whole.to_string())));
    assert_eq!(told(&subject, "shelf:a", 0), Some((3, 0, whole.to_string())));
    let changed = r#"{"rows":[{"id":2,"removed":true},{"id":4}],"meta":{"n":3},"snapshot":false}"#;
    assert_eq!(told(&subject, "shelf:a", 1), Some((3, 1, changed.to_string())));
    let newest = r#"{"rows":[{"id":4}],"meta":{"n":3},"snapshot":false}"#;
    assert_eq!(told(&subject, "shelf:a", 2), Some((3, 2, newest.to_string())));
    assert_eq!(told(&subject, "shelf:a", 3), None);
    let head = subject.read("shelf:a", 0, 0).head;
    assert_eq!((head.oldest, head.top), (3, 3));
}

/// The first message delivered of a table is the whole of it, and one that makes rows leave says which.
pub fn rows_beyond_the_bound_leave_aloud(open: Open<'_>) {
    let subject = open();
    for id in 1..=4 {
        say(&subject, "shelf:a", &format!(r#"{{"id":{id}}}"#));
    }
    let delivered = subject.sink.delivered(4);
    let data: Vec<_> = delivered.iter().map(|message| String::from_utf8_lossy(&message.data)).collect();
    assert_eq!(data.first().map(|data| &**data), Some(r#"{"rows":[{"id":1}],"meta":{},"snapshot":true}"#));
    let last = r#"{"rows":[{"id":4},{"id":1,"removed":true}],"meta":{},"snapshot":false}"#;
    assert_eq!(data.last().map(|data| &**data), Some(last));
    let whole = r#"{"rows":[{"id":2},{"id":3},{"id":4}],"meta":{},"snapshot":true}"#;
    assert_eq!(told(&subject, "shelf:a", NEWEST), Some((4, 0, whole.to_string())));
}
