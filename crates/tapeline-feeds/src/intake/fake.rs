//! A hub for tests whose broker writes down what it takes, and is busy when told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tapeline_core::broker::{Broker, Busy, Deliver, Head, Health, Interest, Page, Sources};
use tapeline_core::clock::{Clock, Now};
use tapeline_core::hub::HubParts;
use tapeline_core::registry::LocalRegistry;
use tapeline_core::store::{Bounds, LocalStore};
use tapeline_core::{Channel, Directory, Settings};
use tapeline_schema::{Catalog, ErrorCode};

use super::*;

/// A clock that goes a second on each time it is read.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Now {
        let mono_us = self.0.fetch_add(1_000_000, Ordering::Relaxed);
        Now { mono_us, wall_us: 0 }
    }
}

/// Takes nothing while it is busy.
#[derive(Default)]
pub(crate) struct Notebook {
    busy: AtomicBool,
    refused: AtomicU64,
    /// Channels that are refused late, by the start of their names.
    refuses: Mutex<Option<(&'static str, ErrorCode)>>,
    taken: Mutex<Vec<String>>,
    /// Answers that it owes, while it owes them.
    owed: Mutex<Option<Vec<Answering>>>,
}

type Answering = Box<dyn FnOnce() + Send>;

impl Notebook {
    pub(crate) fn be_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    /// From now on it refuses what it takes of channels whose names start so.
    pub(crate) fn refuse(&self, start: &'static str) {
        self.refuse_with(start, ErrorCode::StorageFull);
    }

    pub(crate) fn refuse_with(&self, start: &'static str, code: ErrorCode) {
        *self.refuses.lock().unwrap() = Some((start, code));
    }

    pub(crate) fn refuse_nothing(&self) {
        *self.refuses.lock().unwrap() = None;
    }

    /// From now on it answers only when told.
    pub(crate) fn owe(&self) {
        *self.owed.lock().unwrap() = Some(Vec::new());
    }

    /// Gives the answers that it owes.
    pub(crate) fn answer(&self) {
        let owed = self.owed.lock().unwrap().take();
        owed.into_iter().flatten().for_each(|answer| answer());
    }

    /// How often it was busy.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Channel and data of each message.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

impl Broker for Notebook {
    fn attach(&self, _: Arc<dyn Deliver>) {}

    fn publish(&self, drafts: Drafts, receipts: Option<Receipts>) -> Result<(), Box<Busy>> {
        assert!(drafts.len() <= SLICE);
        if self.busy.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Box::new(Busy { drafts, receipts }));
        }
        let line =
            |draft: &Draft| format!("{} {}", draft.channel.name(), String::from_utf8_lossy(&draft.data));
        self.taken.lock().unwrap().extend(drafts.iter().map(line));
        let refuses = *self.refuses.lock().unwrap();
        let receipt = |draft: Draft| {
            if let Some((_, code)) = refuses.filter(|(start, _)| draft.channel.name().starts_with(start)) {
                return Err(Refusal::new(code, "no space"));
            }
            Ok(tapeline_core::Receipt {
                offset: 1,
                epoch: "e".into(),
                id: draft.id,
                duplicate: false,
                held: false,
            })
        };
        if let Some(receipts) = receipts {
            let outcomes = drafts.into_iter().map(receipt).collect();
            let answer: Answering = Box::new(move || receipts(outcomes));
            // An answer may come back to the broker: not under the lock.
            let now = match &mut *self.owed.lock().unwrap() {
                Some(owed) => {
                    owed.push(answer);
                    None
                }
                None => Some(answer),
            };
            now.into_iter().for_each(|answer| answer());
        }
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

pub(crate) fn hub() -> (Arc<Hub>, Arc<Notebook>) {
    let notebook = Arc::new(Notebook::default());
    let hub = Hub::new(HubParts {
        directory: Arc::new(Directory::new(Catalog::built_in())),
        settings: Settings::default(),
        clock: Arc::<Ticking>::default(),
        broker: notebook.clone(),
        registry: Arc::new(LocalRegistry::default()),
        store: Arc::new(LocalStore::new(Arc::<Ticking>::default(), Bounds::default())),
        authority: Arc::new(tapeline_core::rights::Off),
        seed: 1,
        shards: 1,
    });
    (Arc::new(hub), notebook)
}

pub(crate) fn intake() -> (Intake, Arc<Notebook>) {
    let (hub, notebook) = hub();
    (Intake::new(hub, "feed:test"), notebook)
}

pub(crate) fn said(channel: &str, number: usize) -> Publication {
    // Under a type of its own it may be on any family's channel.
    let kind = Some("number".into());
    Publication { channel: channel.into(), kind, data: number.to_string().into(), ..Publication::default() }
}
