//! How far each channel and each roll-up with a count of its own was heard, and which topics cover it.
//! It keeps no message.

use std::collections::HashMap;
use std::sync::Arc;

use tapeline_schema::{Catalog, Delivery};

use crate::message::Place;

/// What is known of one counter.
pub(super) struct Counter {
    /// The newest place that came.
    pub(super) reached: Option<Place>,
    /// The family's own delivery.
    pub(super) delivery: Delivery,
    /// The topics that cover it, as of `generation`.
    topics: Arc<[u64]>,
    generation: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Heard {
    counters: HashMap<Arc<str>, Counter>,
    /// Grows whenever topics come, go or cover something else.
    generation: u64,
}

impl Heard {
    /// Topics have changed.
    pub(super) fn on_topics(&mut self) {
        self.generation += 1;
    }

    /// The topics that cover a channel, looked for once.
    pub(super) fn topics(
        &mut self,
        name: &Arc<str>,
        catalog: &Catalog,
        find: impl FnOnce() -> Arc<[u64]>,
    ) -> (Arc<[u64]>, Delivery) {
        let generation = self.generation;
        let counter = self.counters.entry(name.clone()).or_insert_with(|| Counter {
            reached: None,
            delivery: catalog.resolve(name).spec.delivery,
            topics: Arc::default(),
            generation: u64::MAX,
        });
        if counter.generation != generation {
            counter.topics = find();
            counter.generation = generation;
        }
        (counter.topics.clone(), counter.delivery)
    }

    /// Whether the place is beyond what came.
    pub(super) fn is_news(&self, name: &str, place: &Place) -> bool {
        let reached = self.reached(name);
        reached.is_none_or(|reached| reached.epoch != place.epoch || reached.offset < place.offset)
    }

    pub(super) fn reach(&mut self, name: &str, place: &Place) {
        if let Some(counter) = self.counters.get_mut(name) {
            counter.reached = Some(place.clone());
        }
    }

    pub(super) fn reached(&self, name: &str) -> Option<&Place> {
        self.counters.get(name)?.reached.as_ref()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Counter)> {
        self.counters.iter()
    }

    /// Keeps what is still covered.
    pub(super) fn retain(&mut self, covered: impl Fn(&str) -> bool) {
        self.counters.retain(|name, _| covered(name));
    }
}
