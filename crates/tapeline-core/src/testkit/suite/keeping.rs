//! Retention, and what of it can be read.
#![expect(clippy::expect_used, reason = "a broken promise must stop the test")]

use std::time::Duration;

use bytes::Bytes;

use super::{Open, Subject};
use crate::broker::NEWEST;
use crate::message::Draft;

fn check_kept(subject: &Subject, channel: &str, offsets: &[u64], oldest: u64, top: u64) {
    assert_eq!(subject.offsets(channel, 0, 1_000), offsets, "kept in {channel}");
    let head = subject.read(channel, 0, 0).head;
    assert_eq!((head.oldest, head.top), (oldest, top), "the head of {channel}");
}

fn say_bytes(subject: &Subject, channel: &str, len: usize) {
    let data = Bytes::from(vec![b'1'; len]);
    subject.publish_one(Draft { data, ..subject.draft(channel) });
}

/// No more messages are kept than the row says; a roll-up keeps as many of its own.
pub fn retention_by_count(open: Open<'_>) {
    let subject = open();
    for _ in 0..3 {
        subject.say("few:a");
    }
    check_kept(&subject, "few:a", &[1, 2, 3], 1, 3);
    subject.say("few:a");
    subject.say("few:b");
    check_kept(&subject, "few:a", &[2, 3, 4], 2, 4);
    check_kept(&subject, "few:b", &[1], 1, 1);
    check_kept(&subject, "fews", &[3, 4, 5], 3, 5);
}

/// No message is kept longer than the row says, without a new one too; the count goes on.
pub fn retention_by_age(open: Open<'_>) {
    let subject = open();
    subject.say("short:a");
    subject.clock.advance(Duration::from_secs(3));
    subject.say("short:a");
    check_kept(&subject, "short:a", &[1, 2], 1, 2);
    subject.clock.advance(Duration::from_secs(3));
    check_kept(&subject, "short:a", &[2], 2, 2);
    subject.clock.advance(Duration::from_secs(3));
    check_kept(&subject, "short:a", &[], 3, 2);
    assert_eq!(subject.say("short:a").offset, 3);
    check_kept(&subject, "short:a", &[3], 3, 3);
}

/// No more bytes of data are kept than the row says, but always the newest message.
pub fn retention_by_bytes(open: Open<'_>) {
    let subject = open();
    say_bytes(&subject, "sized:a", 50);
    say_bytes(&subject, "sized:a", 50);
    check_kept(&subject, "sized:a", &[1, 2], 1, 2);
    say_bytes(&subject, "sized:a", 1);
    check_kept(&subject, "sized:a", &[2, 3], 2, 3);
    say_bytes(&subject, "sized:a", 500);
    check_kept(&subject, "sized:a", &[4], 4, 4);
    say_bytes(&subject, "sized:a", 100);
    check_kept(&subject, "sized:a", &[5], 5, 5);
}

/// A page is dense, starts behind `after` or at the oldest, and is no longer than the limit.
pub fn pages_are_dense_and_bounded(open: Open<'_>) {
    let subject = open();
    for n in 0..10 {
        subject.say(if n % 2 == 0 { "trades:a" } else { "trades:b" });
    }
    for (after, limit, offsets) in [
        (0, 3, &[1, 2, 3][..]),
        (3, 3, &[4, 5, 6]),
        (8, 3, &[9, 10]),
        (10, 3, &[]),
        (1_000, 3, &[]),
        (0, 0, &[]),
        (7, 1_000, &[8, 9, 10]),
    ] {
        assert_eq!(subject.offsets("trades", after, limit), offsets, "after {after}, at most {limit}");
    }
    assert_eq!(subject.offsets("trades:b", 1, 3), [2, 3, 4]);
    for _ in 0..7 {
        subject.say("few:a");
    }
    assert_eq!(subject.offsets("few:a", 1, 2), [5, 6], "from the oldest on");
    let page = subject.read("few:a", 1, 2);
    assert_eq!((page.head.oldest, page.head.top), (5, 7), "the head of a page");
    let nothing = subject.read("few:nobody", 0, 10);
    assert_eq!((nothing.messages.len(), nothing.head.oldest, nothing.head.top), (0, 1, 0));
}

/// [`NEWEST`] gives the newest message, whatever is kept besides.
pub fn the_newest_is_read(open: Open<'_>) {
    let subject = open();
    assert!(subject.offsets("newest:a", NEWEST, 1).is_empty());
    for channel in ["newest:a", "few:a"] {
        for due in 1..=5 {
            let id = subject.say(channel).id;
            let page = subject.read(channel, NEWEST, 1);
            let newest = page.messages.first().expect("the newest is kept");
            assert_eq!((newest.id, newest.offset, page.messages.len()), (id, due, 1));
        }
    }
    assert_eq!(subject.offsets("newest:a", NEWEST, 10), [5]);
    assert_eq!(subject.offsets("few:a", NEWEST, 10), [5]);
}

/// A join answers where the channel stands, before its first message too.
pub fn a_join_tells_the_head(open: Open<'_>) {
    let subject = open();
    let before = subject.join("few:a");
    assert_eq!((before.top, before.oldest), (0, 1));
    assert_eq!(subject.say("few:a").epoch, before.epoch, "a join's epoch is that of the first message");
    for _ in 0..4 {
        subject.say("few:a");
    }
    let head = subject.join("few:a");
    assert_eq!((head.top, head.oldest, &head.epoch), (5, 3, &before.epoch));
    assert_eq!(subject.join("fews").top, 5, "a roll-up's head counts its sources' messages");
    subject.broker.leave(&subject.channel("few:a"));
    let head = subject.join("few:a");
    assert_eq!((head.top, head.oldest, &head.epoch), (5, 3, &before.epoch), "after leaving");
}
