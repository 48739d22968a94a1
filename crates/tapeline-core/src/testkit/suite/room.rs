//! Room in the inboxes.
#![expect(clippy::panic, reason = "a broken promise must stop the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Open;
use crate::broker::Drafts;

/// Without room all drafts and receipts come back; nothing is counted, kept, remembered or delivered.
pub fn busy_gives_everything_back(open: Open<'_>) {
    let subject = open();
    let drafts: Drafts =
        [subject.keyed("trades:a", "ann", "k"), subject.draft("trades:b")].into_iter().collect();
    let ids: Vec<_> = drafts.iter().map(|draft| draft.id).collect();
    let called = Arc::new(AtomicUsize::new(0));
    let counting = called.clone();
    subject.sink.fill();
    let outcome = subject.broker.publish(
        drafts,
        Some(Box::new(move |receipts| {
            counting.fetch_add(receipts.len(), Ordering::Relaxed);
        })),
    );
    let Err(busy) = outcome else { panic!("the broker publishes into full inboxes") };
    assert!(
        busy.drafts.iter().map(|draft| draft.id).eq(ids.iter().copied()),
        "not the drafts, or not in order"
    );
    assert!(busy.receipts.is_some(), "the receipts are gone");
    assert_eq!(called.load(Ordering::Relaxed), 0, "the receipts were called");
    assert!(busy.drafts.iter().any(|draft| draft.idempotency.is_some()), "the key is gone");
    for name in ["trades:a", "trades:b", "trades"] {
        assert_eq!(subject.join(name).top, 0, "{name} was counted");
    }
    drop(busy.receipts);
    subject.sink.make_room();
    let receipts = subject.publish(busy.drafts);
    assert!(receipts.iter().all(|receipt| receipt.offset == 1 && !receipt.duplicate), "{receipts:?}");
    assert!(subject.sink.delivered(2).iter().map(|message| message.id).eq(ids));
    assert_eq!((subject.sink.repeats(), called.load(Ordering::Relaxed)), (0, 0));
    subject.sink.check_permits();
}

/// A permit is used by a delivery or given back, as those of repeats are; with receipts and without.
pub fn every_permit_is_used_or_returned(open: Open<'_>) {
    let subject = open();
    for _ in 0..3 {
        let key = || subject.keyed("trades:a", "ann", "k");
        subject.publish([key(), subject.draft("trades:b"), key(), key(), subject.draft("trades")]);
        subject.sink.check_permits();
    }
    let drafts: Drafts =
        [subject.keyed("trades:a", "ann", "k"), subject.draft("trades:b")].into_iter().collect();
    assert!(subject.broker.publish(drafts, None).is_ok(), "the broker is busy in spite of room");
    assert_eq!(subject.sink.delivered(8).len(), 8);
    subject.sink.check_permits();
    assert_eq!(subject.sink.repeats(), 9);
}
