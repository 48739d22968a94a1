//! Alerts and their sinks: what is told, once, and to whom.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tapeline_core::broker::{Broker, Busy, Deliver, Head, Health, Interest, Page, Receipts, Sources};
use tapeline_core::hub::HubParts;
use tapeline_core::registry::LocalRegistry;
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_core::testkit::ManualClock;
use tapeline_core::{Channel, Directory, Settings};
use tapeline_schema::Catalog;

use super::*;

/// Writes down what it takes, and takes nothing while it is busy.
#[derive(Default)]
struct Notebook {
    is_busy: AtomicBool,
    taken: Mutex<Vec<String>>,
}

impl Broker for Notebook {
    fn attach(&self, _: Arc<dyn Deliver>) {}

    fn publish(&self, drafts: Drafts, receipts: Option<Receipts>) -> Result<(), Box<Busy>> {
        if self.is_busy.load(Ordering::Relaxed) {
            return Err(Box::new(Busy { drafts, receipts }));
        }
        let line = |draft: &tapeline_core::Draft| {
            let alert: Alert = serde_json::from_slice(&draft.data).unwrap();
            format!("{} {} {:?}", draft.channel.name(), alert.rule, alert.state)
        };
        self.taken.lock().unwrap().extend(drafts.iter().map(line));
        Ok(())
    }

    fn join(&self, _: &Channel, _: Box<dyn FnOnce(Head) + Send>) {}
    fn leave(&self, _: &Channel) {}
    fn read(&self, _: &Channel, _: u64, _: usize, _: Box<dyn FnOnce(Page) + Send>) {}
    fn sources(&self, _: &Interest, _: usize, _: Box<dyn FnOnce(Sources) + Send>) {}
    fn forget(&self, _: &Channel, _: u64, _: Box<dyn FnOnce(u64) + Send>) {}
    fn health(&self) -> Health {
        Health::ok("")
    }
    fn close(&self) {}
}

fn alert(rule: &str, state: AlertState) -> Alert {
    let since = "2026-01-01T12:00:00Z".to_string().into();
    Alert { source: "kraken".into(), rule: rule.into(), state, value: 7.0, threshold: 5.0, since }
}

#[test]
fn a_hub_gets_each_alert_on_its_sources_channel_in_order_and_once_it_has_room() {
    let notebook = Arc::<Notebook>::default();
    let clock = Arc::<ManualClock>::default();
    let hub = Arc::new(Hub::new(HubParts {
        directory: Arc::new(Directory::new(Catalog::built_in())),
        settings: Settings::default(),
        clock: clock.clone(),
        broker: notebook.clone(),
        registry: Arc::new(LocalRegistry::default()),
        store: Arc::new(LocalStore::new(clock, Bounds::default())),
        authority: Arc::new(tapeline_core::rights::Off),
        seed: 1,
        shards: 1,
    }));
    let alerts = HubAlerts::new(hub);
    alerts.tell(&alert("latency", AlertState::Raised));
    notebook.is_busy.store(true, Ordering::Relaxed);
    alerts.tell(&alert("memory", AlertState::Raised));
    alerts.tell(&alert("latency", AlertState::Resolved));
    assert_eq!(notebook.taken.lock().unwrap().len(), 1);
    notebook.is_busy.store(false, Ordering::Relaxed);
    alerts.flush();
    alerts.flush();
    let taken = notebook.taken.lock().unwrap().clone();
    let expected =
        ["alerts:kraken latency Raised", "alerts:kraken memory Raised", "alerts:kraken latency Resolved"];
    assert_eq!(taken, expected);
}
