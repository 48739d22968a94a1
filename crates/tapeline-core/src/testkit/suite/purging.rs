//! What is kept of a channel can be forgotten, without anybody who hears it noticing.
#![expect(clippy::expect_used, reason = "a broken promise must stop the test")]

use super::{Open, Subject};
use crate::broker::NEWEST;

/// `trades:a` and `trades:b` in turns: 1 to 3 each, 1 to 6 in their roll-up.
fn open_with_turns(open: Open<'_>) -> Subject {
    let subject = open();
    for _ in 0..3 {
        subject.publish(["trades:a", "trades:b"].map(|name| subject.draft(name)));
    }
    subject
}

/// What was forgotten can no longer be read; the rest can, the count goes on, and the epoch stays.
pub fn what_is_forgotten_is_gone_and_the_count_goes_on(open: Open<'_>) {
    let subject = open();
    for _ in 0..5 {
        subject.say("market_trades:a");
    }
    let before = subject.join("market_trades:a");
    subject.sink.clear();
    assert_eq!(subject.forget("market_trades:a", 3), 3);
    assert_eq!(subject.offsets("market_trades:a", 0, 10), [4, 5]);
    assert_eq!(subject.offsets("market_trades:a", 4, 10), [5]);
    assert_eq!(subject.forget("market_trades:a", 3), 0, "forgotten twice");
    let head = subject.join("market_trades:a");
    assert_eq!((head.oldest, head.top, &head.epoch), (4, 5, &before.epoch));
    assert_eq!(subject.forget("market_trades:a", u64::MAX), 2);
    assert!(subject.offsets("market_trades:a", 0, 10).is_empty());
    assert!(subject.offsets("market_trades:a", NEWEST, 1).is_empty(), "the newest is still there");
    let head = subject.join("market_trades:a");
    assert_eq!((head.oldest, head.top, &head.epoch), (6, 5, &before.epoch));
    assert_eq!(subject.say("market_trades:a").offset, 6);
    assert_eq!(subject.offsets("market_trades:a", 0, 10), [6]);
    assert_eq!(subject.sink.delivered(1).first().map(|message| message.offset), Some(6));
    assert_eq!(subject.forget("market_trades:nobody", u64::MAX), 0);
}

/// A roll-up keeps of its other sources what it kept; pages show what is missing, and a short one ends at the end.
pub fn a_roll_up_forgets_with_its_source(open: Open<'_>) {
    let subject = open_with_turns(open);
    assert_eq!(subject.forget("trades:b", 2), 2);
    assert_eq!(subject.offsets("trades", 0, 10), [1, 3, 5, 6]);
    for (after, limit, offsets) in
        [(0, 2, &[1, 3][..]), (1, 2, &[3, 5]), (2, 2, &[3, 5]), (3, 2, &[5, 6]), (5, 9, &[6]), (6, 9, &[])]
    {
        assert_eq!(subject.offsets("trades", after, limit), offsets, "after {after}, at most {limit}");
    }
    assert_eq!(subject.offsets("trades:a", 0, 10), [1, 2, 3], "another source has lost something");
    assert_eq!(subject.offsets("trades:b", 0, 10), [3]);
    assert_eq!(subject.forget("trades:b", 3), 1);
    let page = subject.read("trades", 1, 10);
    assert_eq!((page.messages.len(), page.head.oldest, page.head.top), (2, 1, 6));
    assert_eq!(subject.offsets("trades", NEWEST, 1), [5]);
    subject.say("trades:b");
    assert_eq!(subject.offsets("trades", 0, 10), [1, 3, 5, 7]);
    assert_eq!(subject.forget("trades:a", 1), 1);
    assert_eq!(subject.join("trades").oldest, 3, "the oldest has been forgotten");
}

/// A roll-up's own forgetting leaves its sources what they keep.
pub fn a_roll_up_forgets_for_itself(open: Open<'_>) {
    let subject = open_with_turns(open);
    assert_eq!(subject.forget("trades", 4), 4);
    assert_eq!(subject.offsets("trades", 0, 10), [5, 6]);
    assert_eq!(subject.offsets("trades:a", 0, 10), [1, 2, 3]);
    let key = || subject.keyed("trades:a", "ann", "k");
    let first = subject.publish([key()]).pop().expect("one result a draft");
    assert_eq!(subject.forget("trades:a", u64::MAX), 4);
    let again = subject.publish([key()]).pop().expect("one result a draft");
    assert_eq!((again.offset, again.duplicate), (first.offset, true), "the key is forgotten too");
}

/// A table is its rows: it has nothing to forget.
pub fn a_table_forgets_nothing(open: Open<'_>) {
    let subject = open();
    let draft = subject.draft("shelf:a");
    let (data, rows) = crate::table::take_apart(draft.channel.spec(), br#"{"id":1}"#).expect("a sound row");
    subject.publish_one(crate::message::Draft { data, rows: Some(Box::new(rows)), ..draft });
    assert_eq!(subject.forget("shelf:a", u64::MAX), 0);
    assert_eq!(subject.offsets("shelf:a", NEWEST, 1), [1]);
}
