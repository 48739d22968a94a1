//! What holds when idle channels are forgotten.

use std::time::Duration;

use super::Open;

const LONG: Duration = Duration::from_secs(30 * 24 * 3_600);

/// A channel goes on counting, or it was forgotten and begins at 1 under a new epoch, with nothing kept.
pub fn a_forgotten_channel_counts_under_a_new_epoch(open: Open<'_>) {
    let subject = open();
    let first = subject.publish([subject.draft("short:a"), subject.draft("short:a")]);
    subject.clock.advance(LONG);
    subject.pass_by();
    let again = subject.say("short:a");
    let known = first.iter().any(|receipt| receipt.epoch == again.epoch);
    assert_eq!(again.offset, if known { 3 } else { 1 }, "goes on: {known}");
    assert_eq!(subject.offsets("short:a", 0, 10), [again.offset]);
    let head = subject.join("short:a");
    assert_eq!((head.epoch, head.top), (again.epoch, again.offset));
    subject.sink.check_permits();
}

/// A channel that is joined is never forgotten, with messages or without, until everybody has left.
pub fn a_joined_channel_is_not_forgotten(open: Open<'_>) {
    let subject = open();
    let silent = subject.join("short:silent").epoch;
    let first = subject.say("short:a");
    subject.join("short:a");
    subject.join("short:a");
    subject.broker.leave(&subject.channel("short:a"));
    subject.clock.advance(LONG);
    subject.pass_by();
    let again = subject.say("short:a");
    assert_eq!((again.epoch, again.offset), (first.epoch, 2), "a joined channel was forgotten");
    let spoken = subject.say("short:silent");
    assert_eq!((spoken.epoch, spoken.offset), (silent, 1), "a joined channel without messages was forgotten");
}

/// A channel is not forgotten while a message of it is within its age, however short its idle time is.
pub fn a_channel_within_its_age_is_not_forgotten(open: Open<'_>) {
    let subject = open();
    let first = subject.say("patient:a");
    subject.clock.advance(Duration::from_secs(59));
    subject.pass_by();
    assert_eq!(subject.offsets("patient:a", 0, 10), [1], "a message within its age is gone");
    let again = subject.say("patient:a");
    assert_eq!((again.epoch, again.offset), (first.epoch, 2), "a channel within its age was forgotten");
}
