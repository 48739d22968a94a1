//! Tests of the memory broker: the conformance suite, and that idle channels really are forgotten.

use std::sync::Arc;
use std::time::Duration;

use tapeline_core::testkit::suite::{Open, Subject};

use super::MemoryBroker;

fn open() -> Subject {
    Subject::new(|clock, _| Arc::new(MemoryBroker::new(clock, 7)))
}

fn hold(promise: fn(Open<'_>)) {
    promise(&open);
}

tapeline_core::broker_promises!(hold);

#[test]
fn publishing_elsewhere_forgets_an_idle_channel_by_and_by() {
    let subject = open();
    let first = subject.say("short:a");
    subject.clock.advance(Duration::from_secs(9));
    subject.pass_by();
    let again = subject.say("short:a");
    assert_eq!(again.offset, 1);
    assert_ne!(again.epoch, first.epoch);
}
