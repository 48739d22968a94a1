//! Values for a while.
#![expect(clippy::expect_used, reason = "a broken promise must stop the test")]

use std::time::Duration;

use super::Open;
use super::subject::check_conflict;
use crate::store::Expect;

const TTL: Duration = Duration::from_secs(2);
const LONGER: Duration = Duration::from_millis(2_100);

/// A value is there until its time is over, says when that is, and then is as if it had never been.
pub fn an_expired_value_is_gone(open: Open<'_>) {
    let subject = open();
    subject.lend("a:short", "1", TTL);
    let version = subject.write("a:other", "1", Some(TTL), Expect::Any).expect("nothing was expected");
    subject.set("a:stays", "2");
    let entry = subject.get("a:short").expect("its time is not over");
    assert!(entry.expires_us.is_some());
    subject.pass(LONGER);
    assert_eq!(subject.get("a:short"), None);
    assert_eq!(subject.keys("", None, 10), (vec!["a:stays".to_string()], false));
    assert_eq!(subject.delete("a:short", Expect::Any), Ok(false));
    check_conflict(subject.write("a:other", "2", None, Expect::Version(version)));
    subject.write("a:short", "3", None, Expect::Absent).expect("it is gone");
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
