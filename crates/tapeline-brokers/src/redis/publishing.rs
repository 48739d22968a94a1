//! Publishing: every draft is one script, sent with all others that wait. What becomes of drafts while the line is down
//! is decided here: those of `latest` families are held, the newest of each channel; all others wait for two seconds, and
//! those that were sent without an answer are looked for (`finding`) before they are sent again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tapeline_core::broker::{Busy, Drafts, Receipts};
use tapeline_core::channel::ChannelMap;
use tapeline_core::message::{Draft, Epoch};
use tapeline_core::{Channel, Deliver, Receipt, Refusal, owner};
use tapeline_schema::{Delivery, ErrorCode};
use uuid::Uuid;

use super::batch::{Batch, Slot};
use super::link::{Command, LinkError, Patience, Value, lock};
use super::node::Node;
use super::outgoing::{self, When};
use super::seen::Place;

/// Channels whose newest draft is held at most.
const HELD_LIMIT: usize = 16_384;
/// How often a Redis that refuses is asked whether it takes writes again.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// What is said of a draft whose outcome is unknown.
pub(super) const UNKNOWN: &str = "this was sent, and nobody knows whether it was taken";

/// What has been handed in and not sent, or sent and not answered when the line broke.
#[derive(Default)]
pub(super) struct Outbox {
    /// Whether drafts go out at once.
    open: bool,
    /// There will be no line again.
    ended: bool,
    /// Someone is sending what waits.
    flushing: bool,
    turns: u64,
    /// Counts the lines.
    pub(super) line: u64,
    pub(super) waiting: BTreeMap<u64, Batch>,
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

pub(super) fn degraded(why: impl Into<String>) -> Refusal {
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
        let (open, turn) = {
            let mut outbox = lock(&self.outbox);
            outbox.turns += 1;
            (outbox.open && outbox.refusing.is_none(), outbox.turns)
        };
        // What is held waits for nobody, so it needs no room either.
        let is_held =
            !open && drafts.iter().all(|draft| draft.channel.current().spec().delivery == Delivery::Latest);
        let permits = if is_held { None } else { sink.clone().permits(drafts.len()) };
        if permits.is_none() && !is_held {
            return Err(Box::new(Busy { drafts, receipts }));
        }
        let slots = drafts.into_iter().map(|draft| follow(draft, sink)).collect();
        let batch = Batch::new(turn, slots, receipts, permits);
        if open {
            self.send(batch);
        } else {
            self.put_off(batch);
        }
        Ok(())
    }

    fn send(self: &Arc<Self>, mut batch: Batch) {
        let mut commands: Vec<Command> = Vec::new();
        for slot in batch.open() {
            let (command, place) = self.command(&slot.draft, When::Always);
            slot.after = place;
            commands.push(command);
        }
        if commands.is_empty() {
            return batch.finish();
        }
        let node = self.clone();
        self.link.ask_all(&commands, Patience::Now, Box::new(move |outcome| node.on_sent(batch, outcome)));
    }

    /// The command that publishes a draft, and how far its channel was seen to go before.
    pub(super) fn command(&self, draft: &Draft, when: When) -> (Command, Place) {
        let plan = self.plans.of(&draft.channel);
        let places = lock(&self.seen).places(plan.counted());
        let command = outgoing::command(&plan, draft, &self.fresh_epoch(), when, &places);
        (command, places.into_iter().next().unwrap_or_default())
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
        self.take_owner(&slot.draft.channel, value)?;
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

    /// Learns from an answer whose a channel is, and whether that is why the draft is refused.
    fn take_owner(&self, channel: &Channel, value: &Value) -> Result<(), Refusal> {
        if let Some(owner) = outgoing::owner(value) {
            self.directory.owned_by(channel, owner);
        }
        if !outgoing::is_conflict(value) {
            return Ok(());
        }
        let refusal = owner::conflict(channel);
        if let Some(sink) = self.sink.get() {
            sink.on_refusal(channel, &refusal);
        }
        Err(refusal)
    }

    /// Keeps the newest draft of a channel that wants no more than that.
    pub(super) fn hold_or_refuse(
        &self,
        draft: &Draft,
        refusal: impl Fn() -> Refusal,
    ) -> Result<Receipt, Refusal> {
        let mut outbox = lock(&self.outbox);
        if draft.channel.spec().delivery != Delivery::Latest {
            return Err(refusal());
        }
        if outbox.held.len() >= HELD_LIMIT && !outbox.held.contains_key(&draft.channel) {
            return Err(degraded(format!(
                "redis is out of reach, and {HELD_LIMIT} channels have a message held already"
            )));
        }
        let known = outbox.held.get(&draft.channel);
        let first = draft.channel.owner().or(known.and_then(|known| known.owner.as_deref()));
        let owner: Option<Box<str>> = first.or(draft.owner.as_deref()).map(Box::from);
        if draft.owner.is_some() && draft.owner != owner {
            return Err(owner::conflict(&draft.channel));
        }
        let known = known.map(|known| (known.timestamp_us, known.id));
        if known.is_some() {
            outbox.replaced += 1;
        }
        if known.is_none_or(|known| known <= (draft.timestamp_us, draft.id)) {
            outbox.held.insert(draft.channel.clone(), Draft { owner, ..draft.clone() });
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
            if outbox.ended {
                drop(outbox);
                return refuse(batch, "the hub is closing");
            }
            outbox.waiting.insert(batch.turn, batch);
            outbox.open
        };
        if open {
            // The line came back while the batch was on its way here.
            self.flush();
        }
    }

    /// There will be no line again: who waits is told.
    pub(super) fn end_outbox(&self) {
        let waiting = {
            let mut outbox = lock(&self.outbox);
            (outbox.open, outbox.ended) = (false, true);
            std::mem::take(&mut outbox.waiting)
        };
        for batch in waiting.into_values() {
            refuse(batch, "the hub is closing");
        }
    }

    /// Drafts go nowhere from now on.
    pub(super) fn close_outbox(&self) {
        let mut outbox = lock(&self.outbox);
        outbox.open = false;
        outbox.line += 1;
    }

    /// Sends what waits in its order; what is handed in meanwhile comes after it.
    pub(super) fn flush(self: &Arc<Self>) {
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
    pub(super) fn publish_held(self: &Arc<Self>) {
        let held: Vec<Draft> = lock(&self.outbox).held.drain().map(|(_, draft)| draft).collect();
        for mut draft in held {
            let channel = draft.channel.current().clone();
            if !draft.channel.is(&channel) && draft.follow(&channel).is_err() {
                continue;
            }
            let (command, _) = self.command(&draft, When::Newer);
            let node = self.clone();
            self.link.ask(&command, Patience::Now, move |answer| match answer {
                Ok(value) => {
                    // Its receipt came long ago; the refusal is counted.
                    let _ = node.take_owner(&draft.channel, &value);
                }
                Err(error) => {
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
        if leads_elsewhere(why) {
            // Someone else may be there by now.
            self.link.reconnect(why);
        }
    }

    /// Refuses what has waited too long, and asks a Redis that refuses writes whether it takes them again.
    pub(super) fn look_after_outbox(self: &Arc<Self>) {
        let (now, mut late, mut probes) = (Instant::now(), Vec::new(), false);
        let holds = {
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
            // A draft may be held after all others went out.
            outbox.open && outbox.refusing.is_none() && !outbox.held.is_empty()
        };
        let why = self.link.why_down().unwrap_or_else(|| "it does not answer".into());
        late.into_iter().for_each(|batch| refuse(batch, &why));
        if probes {
            self.probe();
        }
        if holds {
            self.publish_held();
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

/// Whether Redis would refuse any write, and may take it later.
pub(super) fn is_refusal_of_writes(why: &str) -> bool {
    let words = ["OOM", "MISCONF", "NOPERM", "CLUSTERDOWN", "LOADING", "NOREPLICAS"];
    begins_with_one(why, &words) || leads_elsewhere(why)
}

/// Whether this Redis is not, or no more, the one to ask.
pub(super) fn leads_elsewhere(why: &str) -> bool {
    begins_with_one(why, &["READONLY", "NOAUTH", "MASTERDOWN"])
}

/// Older ones wrap the error of a script.
fn begins_with_one(why: &str, words: &[&str]) -> bool {
    words.iter().any(|word| why.starts_with(word) || why.contains(&format!("-{word} ")))
}

/// Answers those who have waited in vain.
fn refuse(mut batch: Batch, why: &str) {
    for slot in batch.open() {
        slot.result = Some(Err(degraded(match slot.sent {
            true => format!("redis is out of reach ({why}): {UNKNOWN}"),
            false => format!("redis is out of reach ({why}): this was never sent"),
        })));
    }
    batch.finish();
}

/// Goes by the row that its channel has now.
fn follow(mut draft: Draft, sink: &Arc<dyn Deliver>) -> Slot {
    let channel = draft.channel.current().clone();
    let followed = if draft.channel.is(&channel) { Ok(()) } else { draft.follow(&channel) };
    let result = followed.err().map(|refusal| {
        sink.on_refusal(&channel, &refusal);
        Err(refusal)
    });
    Slot { draft, sent: false, after: Place::default(), result }
}
