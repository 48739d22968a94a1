//! What became of drafts that were sent without an answer: they are looked for by their ids among what was kept. One that
//! is there is answered, one that surely is not is sent again, and where nobody can tell it is refused as unknown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use tapeline_core::channel::ChannelMap;
use tapeline_core::message::Epoch;
use tapeline_core::{Channel, Receipt};
use uuid::Uuid;

use super::link::{Patience, Value, lock};
use super::node::Node;
use super::publishing::{UNKNOWN, degraded};
use super::scripts::FIND;
use super::seen::Place;

/// Messages of one channel that are looked through at most.
const FIND_LIMIT: u64 = 65_536;
/// How far clocks of hubs may be apart.
const FIND_SLACK_US: u64 = 10_000_000;

/// Held while drafts without an answer are looked for; whoever lets go last has what waits sent.
struct Finding {
    node: Arc<Node>,
    line: u64,
    failed: AtomicBool,
}

impl Drop for Finding {
    fn drop(&mut self) {
        if lock(&self.node.outbox).line != self.line {
            return;
        }
        if self.failed.load(Ordering::Relaxed) {
            // Nothing may be sent again that may have been taken.
            self.node.later(Node::open_outbox);
        } else {
            self.node.flush();
            self.node.publish_held();
        }
    }
}

/// What is looked for in one channel: since when, and after which offset.
struct Since {
    oldest_us: u64,
    after: Place,
}

impl Since {
    fn widen(&mut self, timestamp_us: u64, after: &Place) {
        self.oldest_us = self.oldest_us.min(timestamp_us);
        if self.after.epoch != after.epoch {
            self.after = Place::default();
        }
        self.after.offset = self.after.offset.min(after.offset);
    }
}

impl Node {
    /// There is a line again: finds out what became of the drafts without an answer, then sends what waits.
    pub(super) fn open_outbox(self: &Arc<Self>) {
        let (line, unsettled) = {
            let mut outbox = lock(&self.outbox);
            outbox.line += 1;
            let mut unsettled: ChannelMap<Since> = ChannelMap::default();
            for batch in outbox.waiting.values_mut() {
                for slot in batch.open().filter(|slot| slot.sent) {
                    let (since, after) = (slot.draft.timestamp_us, &slot.after);
                    let new = || Since { oldest_us: since, after: after.clone() };
                    unsettled.entry(slot.draft.channel.clone()).or_insert_with(new).widen(since, after);
                }
            }
            (outbox.line, unsettled)
        };
        let finding = Arc::new(Finding { node: self.clone(), line, failed: AtomicBool::new(false) });
        for (channel, Since { oldest_us, after }) in unsettled {
            let plan = self.plans.of(&channel);
            let command = FIND
                .command(&[&plan.meta, &plan.stream])
                .args([&*plan.row, &*after.epoch])
                .number(after.offset)
                .number(oldest_us.saturating_sub(FIND_SLACK_US))
                .number(FIND_LIMIT);
            let finding = finding.clone();
            self.link.ask(&command, Patience::Now, move |found| match found {
                Ok(found) => finding.node.on_found(&channel, &found),
                Err(_) => finding.failed.store(true, Ordering::Relaxed),
            });
        }
    }

    fn on_found(&self, channel: &Channel, found: &Value) {
        let [epoch, far, messages @ ..] = found.parts() else { return };
        let epoch = Epoch::from(epoch.text().unwrap_or_default());
        let mut offsets: HashMap<Uuid, u64> = HashMap::new();
        for pair in messages.chunks_exact(2) {
            if let [offset, id] = pair
                && let Some(offset) = offset.number()
                && let Some(id) = id.bytes().and_then(|id| Uuid::from_slice(id).ok())
            {
                offsets.insert(id, offset);
            }
        }
        let is_sure = far.number() == Some(1);
        let mut outbox = lock(&self.outbox);
        for batch in outbox.waiting.values_mut() {
            for slot in batch.open().filter(|slot| slot.sent && slot.draft.channel == *channel) {
                let id = slot.draft.id;
                slot.sent = false;
                slot.result = match offsets.get(&id) {
                    Some(offset) => Some(Ok(Receipt {
                        offset: *offset,
                        epoch: epoch.clone(),
                        id,
                        duplicate: false,
                        held: false,
                    })),
                    None if is_sure => None,
                    None => Some(Err(degraded(format!("messages since then are kept no more: {UNKNOWN}")))),
                };
            }
        }
    }
}
