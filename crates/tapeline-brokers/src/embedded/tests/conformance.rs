//! The conformance suite of message brokers, against a disk in memory.

use std::sync::Arc;

use tapeline_core::Directory;
use tapeline_core::testkit::suite::{Open, Subject};
use tapeline_core::testkit::{ManualClock, stores};
use tapeline_schema::Catalog;

use super::Opens;
use super::fake::Fake;

fn open() -> Subject {
    Opens::new(Arc::new(Fake::default())).subject()
}

fn hold(promise: fn(Open<'_>)) {
    promise(&open);
}

tapeline_core::broker_promises!(hold);

#[test]
fn the_store_keeps_every_promise_of_stores() {
    stores::all(&|| {
        let (clock, directory) = (Arc::new(ManualClock::default()), Directory::new(Catalog::built_in()));
        let opened = Opens::new(Arc::new(Fake::default())).broker(clock.clone(), Arc::new(directory));
        let broker = opened.expect("the disk can be opened");
        let store = Arc::new(broker.store());
        stores::Subject::new(store, move |time| {
            let _runs = &broker;
            clock.advance(time);
        })
    });
}
