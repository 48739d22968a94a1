//! A feed against a hub that is busy for a while.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tapeline_core::broker::{Broker, Deliver, Head, Health, Interest, Page, Sources};
use tapeline_core::clock::{Clock, Now};
use tapeline_core::hub::HubParts;
use tapeline_core::registry::LocalRegistry;
use tapeline_core::{Channel, Settings};
use tapeline_schema::Catalog;

use super::*;

struct NoTime;

impl Clock for NoTime {
    fn now(&self) -> Now {
        Now::default()
    }
}

/// Writes down what it takes; takes nothing while it is busy.
#[derive(Default)]
struct Notebook {
    busy: AtomicBool,
    taken: Mutex<Vec<String>>,
}

impl Broker for Notebook {
    fn attach(&self, _: Arc<dyn Deliver>) {}

    fn publish(&self, drafts: Drafts, receipts: Option<Receipts>) -> Result<(), Busy> {
        assert!(drafts.len() <= SLICE);
        if self.busy.load(Ordering::Relaxed) {
            return Err(Busy { drafts, receipts });
        }
        let line = |draft: &Draft| format!("{} {}", draft.channel.name(), String::from_utf8_lossy(&draft.data));
        self.taken.lock().unwrap().extend(drafts.iter().map(line));
        let receipt = |draft: Draft| {
            let Draft { channel, id, .. } = draft;
            Ok(tapeline_core::Receipt { channel, offset: 1, epoch: "e".into(), id, duplicate: false })
        };
        if let Some(receipts) = receipts {
            receipts(drafts.into_iter().map(receipt).collect());
        }
        Ok(())
    }

    fn join(&self, _: &Channel, _: Box<dyn FnOnce(Head) + Send>) {}
    fn leave(&self, _: &Channel) {}
    fn read(&self, _: &Channel, _: u64, _: usize, _: Box<dyn FnOnce(Page) + Send>) {}
    fn sources(&self, _: &Interest, _: usize, _: Box<dyn FnOnce(Sources) + Send>) {}
    fn health(&self) -> Health {
        Health { ok: true, detail: String::new() }
    }
    fn close(&self) {}
}

fn intake() -> (Intake, Arc<Notebook>) {
    let notebook = Arc::new(Notebook::default());
    let hub = Hub::new(HubParts {
        catalog: Catalog::built_in(),
        settings: Settings::default(),
        clock: Arc::new(NoTime),
        broker: notebook.clone(),
        registry: Arc::new(LocalRegistry::default()),
        seed: 1,
        shards: 1,
    });
    (Intake::new(Arc::new(hub), "feed:test"), notebook)
}

fn said(channel: &str, number: usize) -> Publication {
    Publication { channel: channel.into(), data: number.to_string().into(), ..Publication::default() }
}

fn counts(intake: &Intake) -> [u64; 4] {
    let stats = intake.stats();
    [&stats.published, &stats.conflated, &stats.dropped, &stats.refused].map(Count::read)
}

#[test]
fn a_roomy_hub_gets_everything_in_order() {
    let (mut intake, notebook) = intake();
    assert!(intake.publish((0..1_000).map(|n| said("trades:p", n))));
    let expected: Vec<_> = (0..1_000).map(|n| format!("trades:p {n}")).collect();
    assert_eq!(*notebook.taken.lock().unwrap(), expected);
    assert_eq!(counts(&intake), [1_000, 0, 0, 0]);
}

#[test]
fn while_the_hub_is_busy_only_the_newest_of_a_latest_channel_waits() {
    let (mut intake, notebook) = intake();
    notebook.busy.store(true, Ordering::Relaxed);
    for n in 0..3 {
        let due = [said("market_data:A", n), said("trades:p", n), said("market_data:B", n), said("metrics", n)];
        assert!(!intake.publish(due));
    }
    notebook.busy.store(false, Ordering::Relaxed);
    assert!(intake.flush());
    let expected = [
        "trades:p 0", "metrics 0", "trades:p 1", "metrics 1",
        "market_data:A 2", "trades:p 2", "market_data:B 2", "metrics 2",
    ];
    assert_eq!(*notebook.taken.lock().unwrap(), expected);
    assert_eq!(counts(&intake), [8, 4, 0, 0]);
}

#[test]
fn past_the_bound_the_oldest_are_dropped_and_counted() {
    let (mut intake, notebook) = intake();
    notebook.busy.store(true, Ordering::Relaxed);
    intake.publish((0..WAITING_LIMIT + 500).map(|n| said("trades:p", n)));
    notebook.busy.store(false, Ordering::Relaxed);
    assert!(intake.flush());
    assert_eq!(counts(&intake), [WAITING_LIMIT as u64, 0, 500, 0]);
    assert_eq!(notebook.taken.lock().unwrap()[0], "trades:p 500");
}

#[test]
fn a_refused_message_is_counted_and_the_next_goes_on() {
    let (mut intake, notebook) = intake();
    assert!(intake.publish([said("not a name", 1), said("news", 2)]));
    assert_eq!(*notebook.taken.lock().unwrap(), ["news 2"]);
    assert_eq!(counts(&intake), [1, 0, 0, 1]);
}
