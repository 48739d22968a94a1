//! Tests of the embedded broker: the conformance suite, what a restart keeps, and what it costs to crash.

mod conformance;
mod crashing;
mod ending;
mod fake;
mod faults;
mod lost;
mod owning;
mod restarting;
mod room;
mod standing_still;

use std::sync::Arc;

use tapeline_core::testkit::suite::Subject;
use tapeline_core::{Clock, Directory};

use super::{Disk, Durability, EmbeddedBroker, EmbeddedError, EmbeddedParts, Limits, Storage};

/// What a test opens a disk as.
#[derive(Clone)]
struct Opens {
    disk: Arc<dyn Disk>,
    storage: Storage,
    boot: &'static str,
    seed: u64,
}

fn small(durability: Durability) -> Storage {
    Storage { durability, limits: Limits { segment_bytes: 64 << 10, max_bytes: 0, reserve_bytes: 4 << 10 } }
}

impl Opens {
    fn new(disk: Arc<dyn Disk>) -> Self {
        Opens { disk, storage: small(Durability::default()), boot: "first", seed: 1 }
    }

    fn broker(
        &self,
        clock: Arc<dyn Clock>,
        directory: Arc<Directory>,
    ) -> Result<Arc<EmbeddedBroker>, EmbeddedError> {
        let parts = EmbeddedParts {
            dir: "a test's disk".to_string(),
            disk: self.disk.clone(),
            storage: self.storage.clone(),
            boot: self.boot.to_string(),
            clock,
            seed: self.seed,
            directory,
        };
        EmbeddedBroker::open(parts).map(Arc::new)
    }

    fn subject(&self) -> Subject {
        Subject::new(|clock, directory| self.broker(clock, directory).expect("the disk can be opened"))
    }
}

/// A subject, and the broker in it.
fn with_broker(opens: &Opens) -> (Subject, Arc<EmbeddedBroker>) {
    let mut broker = None;
    let subject = Subject::new(|clock, directory| {
        let opened = opens.broker(clock, directory).unwrap();
        broker = Some(opened.clone());
        opened
    });
    (subject, broker.unwrap())
}
