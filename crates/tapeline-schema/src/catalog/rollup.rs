//! The row of a roll-up name, made from the rows of its sources.
//!
//! Owns how several rows become one: the most is kept, the fewest may read.
//! Refuses to know whether they agree in priority and delivery; that is checked when a row is added.

use std::sync::Arc;

use super::{ChannelSpec, Compress, Delivery, Publishers, Readers};

/// A roll-up: its own row, and the families whose messages it collects.
#[derive(Clone, Debug)]
pub(super) struct RollUp {
    pub(super) spec: Arc<ChannelSpec>,
    pub(super) sources: Vec<Arc<ChannelSpec>>,
}

impl RollUp {
    /// `bare` is the family of one that has the roll-up's own name, if there is one.
    pub(super) fn of(name: &str, source: &Arc<ChannelSpec>, bare: Option<&Arc<ChannelSpec>>) -> Self {
        let mut spec = collecting(name, source);
        if let Some(bare) = bare {
            spec = widened(collecting(name, bare), &spec);
        }
        Self { spec: Arc::new(spec), sources: vec![Arc::clone(source)] }
    }

    pub(super) fn join(&mut self, source: &Arc<ChannelSpec>, bare: Option<&Arc<ChannelSpec>>) {
        self.sources.push(Arc::clone(source));
        self.merge(bare);
    }

    pub(super) fn merge(&mut self, bare: Option<&Arc<ChannelSpec>>) {
        let name = self.spec.family.clone();
        let mut rows = bare.into_iter().chain(&self.sources).map(|source| collecting(&name, source));
        if let Some(first) = rows.next() {
            let spec = rows.fold(first, |spec, row| widened(spec, &row));
            self.spec = Arc::new(spec);
        }
    }
}

/// One source's row as the row of a bare name. What is private in a source, or must be asked of a key that
/// the bare name does not have, needs a grant when it is collected; unless it is heard source by source anyway.
fn collecting(name: &str, source: &ChannelSpec) -> ChannelSpec {
    let read = match source.read {
        Readers::Public => Readers::Public,
        Readers::AsChannel if source.delivery != Delivery::Every => Readers::AsChannel,
        Readers::Own | Readers::Owner | Readers::Operator | Readers::AsChannel => Readers::Operator,
    };
    ChannelSpec {
        template: name.to_owned(),
        family: name.to_owned(),
        keys: Vec::new(),
        rolls_up_to: Vec::new(),
        read,
        ..source.clone()
    }
}

fn widened(spec: ChannelSpec, other: &ChannelSpec) -> ChannelSpec {
    let mut spec = spec;
    spec.keep.count = spec.keep.count.max(other.keep.count);
    spec.keep.age = spec.keep.age.zip(other.keep.age).map(|(one, two)| one.max(two));
    spec.keep.bytes = spec.keep.bytes.zip(other.keep.bytes).map(|(one, two)| one.max(two));
    spec.replay_on_subscribe = spec.replay_on_subscribe.max(other.replay_on_subscribe);
    spec.idle_ttl = spec.idle_ttl.max(other.idle_ttl);
    if other.compress == Compress::Never {
        // Its answers hold what either family kept.
        spec.compress = other.compress;
    }
    if other.read != Readers::Public {
        spec.read = other.read;
    }
    if spec.kind != other.kind || spec.schema != other.schema {
        // What is published under the roll-up's own name may then be either.
        spec.schema = None;
    }
    if spec.publish != other.publish {
        spec.publish = Publishers::Grant;
    }
    spec
}
