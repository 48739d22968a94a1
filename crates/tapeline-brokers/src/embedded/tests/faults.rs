//! What becomes of the rest when more than one thing is at fault as the thread that writes ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tapeline_core::broker::{Broker, Deliver, Drafts, Interest, Messages, Permits};
use tapeline_core::testkit::suite::Subject;
use tapeline_core::{Channel, Refusal};
use tapeline_schema::{ErrorCode, Pattern};

use super::super::EmbeddedBroker;
use super::Opens;
use super::ending::{PATIENCE, answer, publish};
use super::fake::Fake;
use super::standing_still::declare;

/// Inboxes without end, which may be at fault.
#[derive(Default)]
struct Faulty {
    deliveries: AtomicBool,
    refusals: AtomicBool,
    refused: AtomicUsize,
}

impl Deliver for Faulty {
    fn permits(self: Arc<Self>, count: usize) -> Option<Permits> {
        Some(Permits::counted(count, self))
    }

    fn deliver(&self, permits: &mut Permits, messages: Messages) {
        assert!(!self.deliveries.load(Ordering::Relaxed), "a fault of the test's inboxes");
        assert!(permits.take(messages.len()));
    }

    fn on_refusal(&self, _: &Channel, refusal: &Refusal) {
        assert_eq!(refusal.code, ErrorCode::StorageFull);
        self.refused.fetch_add(1, Ordering::Relaxed);
        assert!(!self.refusals.load(Ordering::Relaxed), "another fault of the test's inboxes");
    }

    fn give_back(&self, _: usize) {}

    fn when_room(&self, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }
}

fn with_faulty(disk: &Fake) -> (Subject, Arc<EmbeddedBroker>, Arc<Faulty>) {
    let (mut broker, sink) = (None, Arc::new(Faulty::default()));
    let subject = Subject::new(|clock, directory| {
        let opened = Opens::new(Arc::new(disk.clone())).broker(clock, directory).unwrap();
        // The first one stays.
        opened.attach(sink.clone());
        broker.insert(opened).clone()
    });
    (subject, broker.unwrap(), sink)
}

#[test]
fn what_was_counted_is_taken_back_whatever_the_fault_has_dropped() {
    let (subject, broker, sink) = with_faulty(&Fake::default());
    let names = ["late:a", "late:b"];
    let before = names.map(|name| subject.say(name));
    sink.deliveries.store(true, Ordering::Relaxed);
    // The fault at the first drops what was counted of the second.
    let drafts = names.map(|name| subject.draft(name));
    let (to, results) = answer();
    assert!(broker.publish(Drafts::from_iter(drafts), Some(to)).is_ok());
    assert!(results.recv_timeout(PATIENCE).unwrap().iter().all(Result::is_err));
    broker.close();
    declare(&subject);
    for (name, before) in names.iter().zip(before) {
        let head = subject.join(name);
        assert_eq!(head.top, 0, "{name}");
        assert_ne!(head.epoch, before.epoch, "{name} still waits for what nobody writes");
    }
    let sources = subject.sources(&Interest::Pattern(Pattern::parse("late:*").unwrap()), 9);
    assert_eq!(sources.heads.len(), 2);
    assert!(sources.heads.iter().all(|(channel, _)| channel.declared()), "{sources:?}");
}

/// Ends the writer by a fault while one publish of two is written and two wait, and answers how many drafts were counted
/// as refused.
fn refused_at_the_end(refusals_are_at_fault: bool) -> usize {
    let disk = Fake::default();
    let (subject, broker, sink) = with_faulty(&disk);
    subject.say("late:a");
    sink.refusals.store(refusals_are_at_fault, Ordering::Relaxed);
    let (used, (has_come, gate)) = (disk.used(), disk.wait_at_next_write());
    drop(disk.fault_at_next_write());
    let written = publish(&subject, &broker, "late:a");
    has_come.recv_timeout(PATIENCE).unwrap();
    let waiting = [(); 2].map(|()| publish(&subject, &broker, "late:a"));
    gate.send(()).unwrap();
    for results in [written].into_iter().chain(waiting) {
        let results = results.recv_timeout(PATIENCE).expect("it is answered");
        assert!(results.iter().all(|result| matches!(result, Err(no) if no.code == ErrorCode::StorageFull)));
    }
    broker.close();
    assert_eq!(disk.used(), used, "the unfinished end of the log is cut");
    sink.refused.load(Ordering::Relaxed)
}

#[test]
fn whoever_is_refused_as_the_writer_ends_is_counted_as_such() {
    assert_eq!(refused_at_the_end(false), 6);
}

#[test]
fn another_fault_as_the_writer_ends_leaves_nobody_waiting_and_the_log_with_its_end() {
    // Each publish's first draft meets the fault.
    assert_eq!(refused_at_the_end(true), 3);
}
