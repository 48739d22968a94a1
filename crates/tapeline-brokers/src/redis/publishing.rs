//! Publishing: every draft is one script, sent with all others that wait. What becomes of drafts while the line is down
//! is decided here: those of `latest` families are held, the newest of each channel; all others wait for two seconds, and
//! those that were sent without an answer are looked for among what was kept before they are sent again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tapeline_core::broker::{Busy, Drafts, Receipts};
use tapeline_core::channel::ChannelMap;
use tapeline_core::message::{Draft, Epoch};
use tapeline_core::{Channel, Deliver, Receipt, Refusal};
use tapeline_schema::{Delivery, ErrorCode};
use uuid::Uuid;

use super::batch::{Batch, Slot};
use super::link::{Command, LinkError, Patience, Value, lock};
use super::node::Node;
use super::outgoing::{self, When};
use super::scripts::FIND;

/// Channels whose newest draft is held at most.
const HELD_LIMIT: usize = 16_384;
/// How often a Redis that refuses is asked whether it takes writes again.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// Messages of one channel that are looked through for those without an answer, and how much older than they.
const FIND_LIMIT: u64 = 65_536;
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

/// What has been handed in and not sent, or sent and not answered when the line broke.
#[derive(Default)]
pub(super) struct Outbox {
    /// Whether drafts go out at once.
    open: bool,
    /// Someone is sending what waits.
    flushing: bool,
    turns: u64,
    /// Counts the lines.
    line: u64,
    waiting: BTreeMap<u64, Batch>,
    held: ChannelMap<Draft>,
    /// Held drafts that a newer one took the place of.
    pub(super) replaced: u64,
    /// What Redis refuses writes with, and when it was last asked again.
    refusing: Option<(String, Instant)>,
}

impl Outbox {
    pub(super) fn refusing(&self) -> Option<String> {
        self.refusing.as_ref().map(|(why, _)| why.clone())
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }
}

fn degraded(why: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::Degraded, why)
}

fn held_receipt(id: Uuid) -> Receipt {
    Receipt { offset: 0, epoch: Epoch::default(), id, duplicate: false, held: true }
}

impl Node {
    pub(super) fn publish(
        self: &Arc<Self>,
        drafts: Drafts,
        receipts: Option<Receipts>,
        sink: &Arc<dyn Deliver>,
    ) -> Result<(), Box<Busy>> {
        let Some(permits) = sink.clone().permits(drafts.len()) else {
            return Err(Box::new(Busy { drafts, receipts }));
        };
        let slots = drafts.into_iter().map(|draft| follow(draft, sink)).collect();
        let mut outbox = lock(&self.outbox);
        outbox.turns += 1;
        let batch = Batch::new(outbox.turns, slots, receipts, permits);
        let open = outbox.open && outbox.refusing.is_none();
        drop(outbox);
        if open {
            self.send(batch);
        } else {
            self.put_off(batch);
        }
        Ok(())
    }

    fn send(self: &Arc<Self>, mut batch: Batch) {
        let commands: Vec<Command> =
            batch.open().map(|slot| self.command(&slot.draft, When::Always)).collect();
        if commands.is_empty() {
            return batch.finish();
        }
        let node = self.clone();
        self.link.ask_all(&commands, Patience::Now, Box::new(move |outcome| node.on_sent(batch, outcome)));
    }

    pub(super) fn command(&self, draft: &Draft, when: When) -> Command {
        let plan = self.plans.of(&draft.channel);
        outgoing::command(&plan, draft, &self.fresh_epoch(), when, &lock(&self.seen))
    }

    fn on_sent(self: &Arc<Self>, mut batch: Batch, outcome: Result<Vec<Value>, LinkError>) {
        match outcome {
            Ok(values) => {
                for (slot, value) in batch.open().zip(values) {
                    slot.result = Some(self.result_of(slot, &value));
                }
                batch.finish();
            }
            Err(LinkError::Full) => {
                let full = || Refusal::new(ErrorCode::Overloaded, LinkError::Full.to_string());
                batch.open().for_each(|slot| slot.result = Some(Err(full())));
                batch.finish();
            }
            Err(error) => {
                let sent = matches!(error, LinkError::Unknown(_));
                batch.open().for_each(|slot| slot.sent |= sent);
                self.put_off(batch);
            }
        }
    }

    fn result_of(&self, slot: &Slot, value: &Value) -> Result<Receipt, Refusal> {
        let Some(receipt) = outgoing::receipt(value, slot.draft.id) else {
            let why = value.error().unwrap_or("an answer that is no receipt");
            if !is_refusal_of_writes(why) {
                return Err(Refusal::new(ErrorCode::Internal, format!("redis does not publish this: {why}")));
            }
            self.on_refused(why);
            return self.hold_or_refuse(&slot.draft, || degraded(format!("redis refuses writes: {why}")));
        };
        if receipt.duplicate
            && let Some(sink) = self.sink.get()
        {
            sink.on_repeat(&slot.draft.channel);
        }
        let name = slot.draft.channel.name();
        lock(&self.seen).note(name, &receipt.epoch, receipt.offset, receipt.id);
        Ok(receipt)
    }

    /// Keeps the newest draft of a channel that wants no more than that.
    fn hold_or_refuse(&self, draft: &Draft, refusal: impl Fn() -> Refusal) -> Result<Receipt, Refusal> {
        let mut outbox = lock(&self.outbox);
        if draft.channel.spec().delivery != Delivery::Latest {
            return Err(refusal());
        }
        if outbox.held.len() >= HELD_LIMIT && !outbox.held.contains_key(&draft.channel) {
            return Err(degraded(format!(
                "redis is out of reach, and {HELD_LIMIT} channels have a message held already"
            )));
        }
        let known = outbox.held.get(&draft.channel).map(|known| (known.timestamp_us, known.id));
        if known.is_some() {
            outbox.replaced += 1;
        }
        if known.is_none_or(|known| known <= (draft.timestamp_us, draft.id)) {
            outbox.held.insert(draft.channel.clone(), draft.clone());
        }
        Ok(held_receipt(draft.id))
    }

    /// The line is down: what can be held is, the rest waits for its return.
    fn put_off(self: &Arc<Self>, mut batch: Batch) {
        let refusing = lock(&self.outbox).refusing();
        for slot in batch.open() {
            let latest = slot.draft.channel.spec().delivery == Delivery::Latest;
            if latest || refusing.is_some() {
                let why = refusing.as_deref().unwrap_or_default();
                let refusal = || degraded(format!("redis refuses writes: {why}"));
                slot.result = Some(self.hold_or_refuse(&slot.draft, refusal));
            }
        }
        if batch.is_done() {
            return batch.finish();
        }
        let open = {
            let mut outbox = lock(&self.outbox);
            outbox.waiting.insert(batch.turn, batch);
            outbox.open
        };
        if open {
            // The line came back while the batch was on its way here.
            self.flush();
        }
    }

    /// Drafts go nowhere from now on.
    pub(super) fn close_outbox(&self) {
        let mut outbox = lock(&self.outbox);
        outbox.open = false;
        outbox.line += 1;
    }

    /// There is a line again: finds out what became of the drafts without an answer, then sends what waits.
    pub(super) fn open_outbox(self: &Arc<Self>) {
        let (line, unsettled) = {
            let mut outbox = lock(&self.outbox);
            outbox.line += 1;
            let mut unsettled: ChannelMap<u64> = ChannelMap::default();
            for batch in outbox.waiting.values_mut() {
                for slot in batch.open().filter(|slot| slot.sent) {
                    let oldest = unsettled.entry(slot.draft.channel.clone()).or_insert(u64::MAX);
                    *oldest = (*oldest).min(slot.draft.timestamp_us);
                }
            }
            (outbox.line, unsettled)
        };
        let finding = Arc::new(Finding { node: self.clone(), line, failed: AtomicBool::new(false) });
        for (channel, oldest_us) in unsettled {
            let plan = self.plans.of(&channel);
            let command = FIND
                .command(&[&plan.meta, &plan.stream])
                .arg(&plan.row)
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
        let Some((epoch, messages)) = found.parts().split_first() else { return };
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
        let mut outbox = lock(&self.outbox);
        for batch in outbox.waiting.values_mut() {
            for slot in batch.open().filter(|slot| slot.sent && slot.draft.channel == *channel) {
                slot.sent = false;
                let id = slot.draft.id;
                slot.result = offsets.get(&id).map(|offset| {
                    Ok(Receipt { offset: *offset, epoch: epoch.clone(), id, duplicate: false, held: false })
                });
            }
        }
    }

    /// Sends what waits in its order; what is handed in meanwhile comes after it.
    fn flush(self: &Arc<Self>) {
        if std::mem::replace(&mut lock(&self.outbox).flushing, true) {
            return;
        }
        loop {
            let batch = {
                let mut outbox = lock(&self.outbox);
                match outbox.waiting.pop_first() {
                    Some((_, batch)) => batch,
                    None => {
                        outbox.open = self.link.is_up();
                        outbox.flushing = false;
                        return;
                    }
                }
            };
            if self.link.is_up() {
                self.send(batch);
            } else {
                let mut outbox = lock(&self.outbox);
                outbox.waiting.insert(batch.turn, batch);
                outbox.flushing = false;
                return;
            }
        }
    }

    /// Publishes what was held, unless there is something newer.
    fn publish_held(self: &Arc<Self>) {
        let held: Vec<Draft> = lock(&self.outbox).held.drain().map(|(_, draft)| draft).collect();
        for mut draft in held {
            let channel = draft.channel.current().clone();
            if !draft.channel.is(&channel) && draft.follow(&channel).is_err() {
                continue;
            }
            let command = self.command(&draft, When::Newer);
            let node = self.clone();
            self.link.ask(&command, Patience::Now, move |answer| {
                if let Err(error) = answer {
                    match &error {
                        LinkError::Refused(why) if is_refusal_of_writes(why) => node.on_refused(why),
                        LinkError::Refused(why) => {
                            return tracing::error!("redis does not publish what was held: {why}");
                        }
                        _ => {}
                    }
                    // There was room for it before.
                    let _ = node.hold_or_refuse(&draft, || degraded(error.to_string()));
                }
            });
        }
    }

    /// Redis answers and takes no writes.
    fn on_refused(&self, why: &str) {
        let first = {
            let mut outbox = lock(&self.outbox);
            let first = outbox.refusing.is_none();
            outbox.refusing = Some((why.to_owned(), Instant::now()));
            first
        };
        if first {
            tracing::warn!("{} refuses writes: {why}", self.link.address());
            self.tell_degraded();
        }
        if ["READONLY", "NOAUTH", "MASTERDOWN"].iter().any(|word| why.starts_with(word)) {
            // Someone else may be there by now.
            self.link.reconnect(why);
        }
    }

    /// Refuses what has waited too long, and asks a Redis that refuses writes whether it takes them again.
    pub(super) fn look_after_outbox(self: &Arc<Self>) {
        let (now, mut late, mut probes) = (Instant::now(), Vec::new(), false);
        {
            let mut outbox = lock(&self.outbox);
            if !outbox.flushing {
                let turns =
                    outbox.waiting.values().filter(|batch| batch.deadline <= now).map(|batch| batch.turn);
                let turns: Vec<u64> = turns.collect();
                late.extend(turns.iter().filter_map(|turn| outbox.waiting.remove(turn)));
            }
            if let Some((_, asked)) = &mut outbox.refusing
                && now.saturating_duration_since(*asked) >= PROBE_EVERY
            {
                *asked = now;
                probes = true;
            }
        }
        let why = self.link.why_down().unwrap_or_else(|| "it does not answer".into());
        for mut batch in late {
            for slot in batch.open() {
                slot.result = Some(Err(degraded(match slot.sent {
                    true => format!(
                        "redis is out of reach ({why}): this was sent, and nobody knows whether it was taken"
                    ),
                    false => format!("redis is out of reach ({why}): this was never sent"),
                })));
            }
            batch.finish();
        }
        if probes {
            self.probe();
        }
    }

    fn probe(self: &Arc<Self>) {
        let node = self.clone();
        let write = Command::new("SET tapeline:probe 1 PX 1000");
        self.link.ask(&write, Patience::Now, move |answer| {
            if answer.is_ok() {
                lock(&node.outbox).refusing = None;
                node.publish_held();
                node.tell_restored();
            }
        });
    }
}

/// Whether Redis would refuse any write, and may take it later; older ones wrap the error of a script.
pub(super) fn is_refusal_of_writes(why: &str) -> bool {
    let words = [
        "OOM",
        "READONLY",
        "MISCONF",
        "NOPERM",
        "NOAUTH",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "LOADING",
        "NOREPLICAS",
    ];
    words.iter().any(|word| why.starts_with(word) || why.contains(&format!("-{word} ")))
}

/// Goes by the row that its channel has now.
fn follow(mut draft: Draft, sink: &Arc<dyn Deliver>) -> Slot {
    let channel = draft.channel.current().clone();
    let followed = if draft.channel.is(&channel) { Ok(()) } else { draft.follow(&channel) };
    let result = followed.err().map(|refusal| {
        sink.on_refusal(&channel, &refusal);
        Err(refusal)
    });
    Slot { draft, sent: false, result }
}
