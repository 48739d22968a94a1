//! Setting and deleting, and what was expected of it.
#![expect(clippy::expect_used, reason = "a broken promise must stop the test")]

use std::sync::{Arc, Barrier};

use bytes::Bytes;

use super::Open;
use super::subject::{answer, check_conflict, key};
use crate::store::{Expect, Store, Write};

/// A value is answered byte for byte, with its version and without an end.
pub fn a_value_stays_as_it_was_given(open: Open<'_>) {
    let subject = open();
    assert_eq!(subject.get("a:b"), None, "a store of the suite is empty");
    for value in ["null", "{ \"n\" : 1.50 , \"n\":2}", "\"\u{e9}\\u00e9\\u0000\"", "[1e400]", "\"\""] {
        let version = subject.set("a:b", value);
        let entry = subject.get("a:b").expect("it was set");
        assert_eq!((&*entry.value, entry.version, entry.expires_us), (value.as_bytes(), version, None));
    }
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    subject.set("a:large", &large);
    assert_eq!(subject.text("a:large"), Some(large));
}

/// A deleted value is there no more, and deleting it again finds nothing.
pub fn a_deleted_value_is_gone(open: Open<'_>) {
    let subject = open();
    assert_eq!(subject.delete("a:b", Expect::Any), Ok(false));
    subject.set("a:b", "1");
    subject.set("a:c", "2");
    assert_eq!(subject.delete("a:b", Expect::Any), Ok(true));
    assert_eq!(subject.get("a:b"), None);
    assert_eq!(subject.delete("a:b", Expect::Any), Ok(false));
    assert_eq!(subject.keys("a:", None, 10), (vec!["a:c".to_string()], false));
}

/// What is refused as not expected changes neither value nor version.
pub fn a_change_that_is_not_expected_changes_nothing(open: Open<'_>) {
    let subject = open();
    check_conflict(subject.write("a:b", "1", None, Expect::Version(1)));
    check_conflict(subject.delete("a:b", Expect::Version(1)));
    assert_eq!(subject.get("a:b"), None);
    let first = subject.write("a:b", "1", None, Expect::Absent).expect("there is none");
    let second = subject.write("a:b", "2", None, Expect::Version(first)).expect("it is this one");
    check_conflict(subject.write("a:b", "3", None, Expect::Version(first)));
    check_conflict(subject.write("a:b", "3", None, Expect::Absent));
    check_conflict(subject.delete("a:b", Expect::Version(first)));
    let entry = subject.get("a:b").expect("it was set");
    assert_eq!((&*entry.value, entry.version), (&b"2"[..], second));
    assert_eq!(subject.delete("a:b", Expect::Version(second)), Ok(true));
}

/// A value that was deleted and set again is not the one that was there before, whatever it is.
pub fn a_value_set_anew_is_another(open: Open<'_>) {
    let subject = open();
    let first = subject.set("a:b", "1");
    assert_eq!(subject.delete("a:b", Expect::Any), Ok(true));
    let again = subject.set("a:b", "1");
    assert!(again > first, "{again} after {first}");
    check_conflict(subject.write("a:b", "2", None, Expect::Version(first)));
}

/// Versions of all keys are one count.
pub fn versions_only_grow(open: Open<'_>) {
    let subject = open();
    let mut last = 0;
    for name in ["a:b", "z:z", "a:b", "a:a", "z:z"] {
        let version = subject.set(name, "0");
        assert!(version > last, "{name} got {version} after {last}");
        last = version;
    }
}

/// Of writers that expect one version, one is right: counting by compare-and-set loses nothing.
pub fn of_writers_at_once_each_version_has_one_successor(open: Open<'_>) {
    const WRITERS: usize = 4;
    const EACH: usize = 50;
    let subject = open();
    subject.set("a:count", "0");
    let start = Arc::new(Barrier::new(WRITERS));
    let threads = [(); WRITERS].map(|()| {
        let (store, start) = (subject.store.clone(), start.clone());
        std::thread::spawn(move || {
            start.wait();
            (0..EACH).for_each(|_| add_one(&*store));
        })
    });
    for thread in threads {
        thread.join().expect("a writer comes to its end");
    }
    assert_eq!(subject.text("a:count"), Some((WRITERS * EACH).to_string()));
}

fn add_one(store: &dyn Store) {
    let key = key("a:count");
    loop {
        let entry = answer(|done| store.get(&key, done)).expect("reading is not refused");
        let entry = entry.expect("it was set");
        let count: u64 = std::str::from_utf8(&entry.value).expect("text").parse().expect("a number");
        let value = Bytes::from((count + 1).to_string());
        let write = Write { value, ttl: None, expect: Expect::Version(entry.version) };
        if answer(|done| store.set(&key, write, done)).is_ok() {
            return;
        }
    }
}
