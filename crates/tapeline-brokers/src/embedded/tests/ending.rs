//! What becomes of who waits when the thread that writes ends by a fault of the program.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use tapeline_core::broker::{Broker, Condition, Drafts};
use tapeline_core::store::{Expect, Key, Store, Write};
use tapeline_core::testkit::suite::Subject;
use tapeline_core::{Receipt, Refusal};
use tapeline_schema::ErrorCode;

use super::super::{Durability, EmbeddedBroker};
use super::fake::Fake;
use super::{Opens, small, with_broker};

pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What is sent to the callback.
pub(super) fn answer<T: Send + 'static>() -> (Box<dyn FnOnce(T) + Send>, Receiver<T>) {
    let (to, from) = sync_channel(1);
    let send = move |result| {
        // Nobody listens where the test has failed.
        let _ = to.send(result);
    };
    (Box::new(send), from)
}

pub(super) type Results = Vec<Result<Receipt, Refusal>>;

pub(super) fn publish(subject: &Subject, broker: &EmbeddedBroker, channel: &str) -> Receiver<Results> {
    let (to, from) = answer();
    let drafts = Drafts::from_vec(vec![subject.draft(channel), subject.draft(channel)]);
    assert!(broker.publish(drafts, Some(to)).is_ok(), "the sink has room");
    from
}

#[test]
fn whoever_waits_for_a_writer_that_ends_by_a_fault_is_refused_and_so_is_whoever_comes_later() {
    for durability in [Durability::default(), Durability::EveryBatch, Durability::Exit] {
        let disk = Fake::default();
        let opens = Opens { storage: small(durability), ..Opens::new(Arc::new(disk.clone())) };
        let (subject, broker) = with_broker(&opens);
        let before = subject.say("trades:a");
        let gate = disk.fault_at_next_write();
        let waiting: Vec<_> = ["trades:a", "newest:a", "trades:a"]
            .iter()
            .map(|name| publish(&subject, &broker, name))
            .collect();
        let (done, stored) = answer();
        let key: Key = Key::parse("a:b:c:d").unwrap();
        broker.store().set(&key, Write { value: "1".into(), ttl: None, expect: Expect::Any }, done);
        let (done, forgotten) = answer();
        broker.forget(&subject.channel("trades:a"), 1, done);
        gate.send(()).unwrap();
        for results in waiting {
            let results = results.recv_timeout(PATIENCE).expect("it is answered");
            assert_eq!(results.len(), 2);
            for result in results {
                assert_eq!(result.unwrap_err().code, ErrorCode::StorageFull);
            }
        }
        assert_eq!(stored.recv_timeout(PATIENCE).unwrap().unwrap_err().code, ErrorCode::StorageFull);
        assert_eq!(forgotten.recv_timeout(PATIENCE).unwrap(), 0);
        let health = broker.health();
        assert_eq!(health.condition, Condition::StorageFull);
        assert!(health.detail.contains("a fault of the test's disk"), "{}", health.detail);
        for name in ["trades:a", "newest:a"] {
            let results = publish(&subject, &broker, name).recv_timeout(PATIENCE).expect("it is answered");
            let refusal = results[0].as_ref().unwrap_err();
            assert_eq!(refusal.code, ErrorCode::StorageFull);
            assert!(refusal.message.contains("restart the hub"), "{refusal}");
        }
        assert!(broker.compact().is_ok(), "who waits for another file is answered");
        assert_eq!(subject.offsets("trades:a", 0, 9), [1], "reads go on, and nothing else was delivered");
        drop((subject, broker));
        let again = Opens { seed: 2, disk: Arc::new(disk.after_kill()), ..opens }.subject();
        assert_eq!(again.offsets("trades:a", 0, 9), [1]);
        let next = again.say("trades:a");
        assert_eq!((next.offset, &next.epoch), (2, &before.epoch), "nobody was given the second");
    }
}

#[test]
fn an_answer_that_ends_the_writer_by_a_fault_takes_no_other_with_it() {
    let disk = Fake::default();
    let (subject, broker) = with_broker(&Opens::new(Arc::new(disk.clone())));
    let drafts = Drafts::from_vec(vec![subject.draft("trades:a")]);
    let faulty = Box::new(|_| panic!("a fault of who waits"));
    assert!(broker.publish(drafts, Some(faulty)).is_ok());
    let results = publish(&subject, &broker, "trades:b").recv_timeout(PATIENCE).expect("it is answered");
    assert!(
        results.iter().all(|result| matches!(result, Err(refusal) if refusal.code == ErrorCode::StorageFull))
    );
    assert_eq!(subject.offsets("trades:a", 0, 9), [1], "it was written before it was told");
    let again = Opens { seed: 2, ..Opens::new(Arc::new(disk.after_kill())) }.subject();
    assert_eq!(again.offsets("trades:a", 0, 9), [1]);
}
