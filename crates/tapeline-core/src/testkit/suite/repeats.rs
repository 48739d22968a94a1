//! Idempotency keys.
#![expect(clippy::expect_used, reason = "a broken promise must stop the test")]

use std::time::Duration;

use super::{Open, Subject};
use crate::message::Receipt;

fn check_repeat(first: &Receipt, repeat: &Receipt) {
    assert!(!first.duplicate, "the first publish is called a repeat");
    assert!(repeat.duplicate, "a repeat is not called one");
    assert_eq!((repeat.offset, repeat.id, &repeat.epoch), (first.offset, first.id, &first.epoch));
}

/// A repeat could have been delivered only before a later message.
fn check_delivered(subject: &Subject, channel: &str, count: u64) {
    assert_eq!(subject.say(channel).offset, count + 1, "a repeat was counted");
    let own = subject.channel(channel);
    let delivered = subject.sink.delivered(usize::try_from(count + 1).expect("a small number"));
    assert!(delivered.iter().all(|message| message.channel == own));
    assert!(delivered.iter().map(|message| message.offset).eq(1..=count + 1));
    assert!(subject.offsets(channel, 0, 1_000).into_iter().eq(1..=count + 1), "a repeat was kept");
    subject.sink.check_permits();
}

/// A repeat answers the first offset and id and is neither counted, kept nor delivered.
pub fn a_repeat_goes_nowhere(open: Open<'_>) {
    let subject = open();
    let first = subject.publish_one(subject.keyed("trades:a", "ann", "k"));
    subject.say("trades:a");
    for _ in 0..3 {
        check_repeat(&first, &subject.publish_one(subject.keyed("trades:a", "ann", "k")));
    }
    assert_eq!(subject.sink.repeats(), 3);
    check_delivered(&subject, "trades:a", 2);
    assert_eq!(subject.join("trades").top, 3, "a repeat was counted in the roll-up");
}

/// The same within one batch.
pub fn a_repeat_within_a_batch_goes_nowhere(open: Open<'_>) {
    let subject = open();
    let key = |key| subject.keyed("trades:a", "ann", key);
    let receipts = subject.publish([key("k"), key("k"), key("other"), key("k")]);
    let offsets: Vec<_> = receipts.iter().map(|receipt| receipt.offset).collect();
    assert_eq!(offsets, [1, 1, 2, 1]);
    let first = receipts.first().expect("one result a draft");
    for repeat in receipts.iter().filter(|receipt| receipt.offset == 1).skip(1) {
        check_repeat(first, repeat);
    }
    check_delivered(&subject, "trades:a", 2);
}

/// The same key of another principal, or to another channel, is new.
pub fn a_key_belongs_to_its_principal_and_channel(open: Open<'_>) {
    let subject = open();
    subject.publish_one(subject.keyed("trades:a", "ann", "k"));
    let other = subject.publish_one(subject.keyed("trades:a", "bob", "k"));
    assert_eq!((other.offset, other.duplicate), (2, false), "another principal's key");
    check_delivered(&subject, "trades:a", 2);
    let elsewhere = subject.publish_one(subject.keyed("trades:b", "ann", "k"));
    assert_eq!((elsewhere.offset, elsewhere.duplicate), (1, false), "another channel's key");
    assert_eq!(subject.sink.delivered(4).len(), 4);
}

/// A key is known for five minutes from its first publish; repeats do not make it longer.
pub fn a_key_is_new_after_five_minutes(open: Open<'_>) {
    let subject = open();
    let first = subject.publish_one(subject.keyed("trades:a", "ann", "k"));
    subject.clock.advance(Duration::from_secs(299));
    check_repeat(&first, &subject.publish_one(subject.keyed("trades:a", "ann", "k")));
    subject.clock.advance(Duration::from_secs(2));
    let again = subject.publish_one(subject.keyed("trades:a", "ann", "k"));
    assert_eq!((again.offset, again.duplicate), (2, false), "after five minutes");
    check_repeat(&again, &subject.publish_one(subject.keyed("trades:a", "ann", "k")));
    check_delivered(&subject, "trades:a", 2);
}
