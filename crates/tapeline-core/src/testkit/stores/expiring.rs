//! Values for a while.
#![expect(clippy::expect_used, clippy::panic, reason = "a broken promise must stop the test")]

use std::time::{Duration, Instant};

use super::Open;
use super::subject::{Subject, check_conflict};
use crate::store::{Entry, Expect};

const TTL: Duration = Duration::from_secs(2);
const LONGER: Duration = Duration::from_millis(2_100);
const TRIES: usize = 10;

/// A value is there until its time is over, says when that is, and then is as if it had never been.
pub fn an_expired_value_is_gone(open: Open<'_>) {
    let subject = open();
    let version = subject.write("a:other", "1", Some(TTL), Expect::Any).expect("nothing was expected");
    subject.set("a:stays", "2");
    let entry = read_in_time(&subject, "a:short");
    assert!(entry.expires_us.is_some());
    subject.pass(LONGER);
    assert_eq!(subject.get("a:short"), None);
    assert_eq!(subject.keys("", None, 10), (vec!["a:stays".to_string()], false));
    assert_eq!(subject.delete("a:short", Expect::Any), Ok(false));
    check_conflict(subject.write("a:other", "2", None, Expect::Version(version)));
    subject.write("a:short", "3", None, Expect::Absent).expect("it is gone");
}

/// A lent value, read before its time is over. Where the machine stalls for so long that the time may be over, nothing
/// can be said of the store, and the value is lent again.
fn read_in_time(subject: &Subject, name: &str) -> Entry {
    for _ in 0..TRIES {
        let begun = Instant::now();
        subject.lend(name, "1", TTL);
        let found = subject.get(name);
        if begun.elapsed() < TTL {
            return found.expect("its time is not over");
        }
    }
    panic!("no value is read within {TTL:?} of its writing, {TRIES} times in turn");
}

/// Each write says anew how long its value stays.
pub fn a_value_without_a_ttl_outlives_its_former_one(open: Open<'_>) {
    let subject = open();
    subject.lend("a:b", "1", TTL);
    subject.lend("a:c", "1", TTL);
    subject.set("a:b", "2");
    subject.lend("a:c", "2", Duration::from_secs(60));
    subject.pass(LONGER);
    let entry = subject.get("a:b").expect("it has no end any more");
    assert_eq!((&*entry.value, entry.expires_us), (&b"2"[..], None));
    assert_eq!(subject.text("a:c").as_deref(), Some("2"));
}
