//! The default message broker: everything in this process's memory, gone with it.
//!
//! Channels are spread over striped locks. Counting, keeping and pushing into the shards' inboxes happen under the
//! channel's lock (and those of the roll-ups that count for themselves, taken in stripe order), which never waits:
//! room in the inboxes is taken first. It does not know who subscribes, only how many asked a channel to be kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tapeline_core::broker::{
    Busy, Deliver, Drafts, Head, Health, Interest, Messages, Page, Receipts, Sources,
};
use tapeline_core::message::Draft;
use tapeline_core::owner;
use tapeline_core::{Broker, Channel, Clock, Permits, Receipt, Refusal};
use tapeline_schema::ErrorCode;

use crate::kept::{Counted, Stripes};

/// Publishes between two looks for channels to forget, each at one stripe.
const PUBLISHES_PER_SWEEP: u64 = 1_024;

/// See the module.
pub struct MemoryBroker {
    stripes: Stripes,
    clock: Arc<dyn Clock>,
    sink: OnceLock<Arc<dyn Deliver>>,
    publishes: AtomicU64,
}

impl MemoryBroker {
    /// An empty broker; `seed` makes its epochs differ from another's.
    pub fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        MemoryBroker {
            stripes: Stripes::new(seed),
            clock,
            sink: OnceLock::new(),
            publishes: AtomicU64::new(0),
        }
    }

    /// Looks at all channels for some to forget. Publishing does so by and by, a stripe at a time.
    pub fn sweep(&self) {
        self.stripes.sweep(self.clock.now().wall_us);
    }

    /// How many channels are kept.
    pub fn channels(&self) -> usize {
        self.stripes.len()
    }

    /// The atomic step for drafts of one channel: everything between taking the locks and letting them go.
    fn publish_run(
        &self,
        channel: &Channel,
        run: impl ExactSizeIterator<Item = Draft>,
        permits: &mut Permits,
        sink: &Arc<dyn Deliver>,
        mut tell: impl FnMut(Result<Receipt, Refusal>),
    ) {
        let (channel, roll_ups, mut locked) = self.stripes.lock_run(channel);
        // If they are from now on, the whole run still goes by these rows: it came before that change.
        let mut messages = Messages::with_capacity(run.len());
        for mut draft in run {
            if !draft.channel.is(&channel)
                && let Err(refusal) = draft.follow(&channel)
            {
                sink.on_refusal(&channel, &refusal);
                tell(Err(refusal));
                continue;
            }
            tell(match locked.count(&mut draft, &roll_ups) {
                Counted::New(place) => {
                    let (receipt, message) = locked.settle(draft, place, 0);
                    messages.push(message);
                    Ok(receipt)
                }
                Counted::Repeat(first) => {
                    sink.on_repeat(&channel);
                    Ok(first)
                }
                Counted::Conflict => {
                    let refusal = owner::conflict(&channel);
                    sink.on_refusal(&channel, &refusal);
                    Err(refusal)
                }
            });
        }
        sink.deliver(permits, messages);
    }

    fn sweep_now_and_then(&self, published: u64, now_us: u64) {
        let before = self.publishes.fetch_add(published, Ordering::Relaxed);
        if before / PUBLISHES_PER_SWEEP != (before + published) / PUBLISHES_PER_SWEEP {
            self.stripes.sweep_one(before / PUBLISHES_PER_SWEEP, now_us);
        }
    }
}

impl Broker for MemoryBroker {
    fn attach(&self, sink: Arc<dyn Deliver>) {
        // A second call would be a programming error and changes nothing.
        let _ = self.sink.set(sink);
    }

    fn publish(&self, drafts: Drafts, receipts: Option<Receipts>) -> Result<(), Box<Busy>> {
        let Some(sink) = self.sink.get() else {
            let refusal = Refusal::new(ErrorCode::Internal, "the message broker is not attached");
            if let Some(receipts) = receipts {
                receipts(drafts.iter().map(|_| Err(refusal.clone())).collect());
            }
            return Ok(());
        };
        let Some(mut permits) = sink.clone().permits(drafts.len()) else {
            return Err(Box::new(Busy { drafts, receipts }));
        };
        let count = drafts.len() as u64;
        let now_us = drafts.first().map_or(0, |draft| draft.timestamp_us);
        let mut results = receipts.as_ref().map(|_| Vec::with_capacity(drafts.len()));
        let mut drafts = drafts.into_iter();
        while let Some(channel) = drafts.as_slice().first().map(|draft| draft.channel.clone()) {
            let run = drafts.as_slice().iter().take_while(|draft| draft.channel == channel).count();
            self.publish_run(&channel, drafts.by_ref().take(run), &mut permits, sink, |receipt| {
                if let Some(results) = &mut results {
                    results.push(receipt);
                }
            });
        }
        if let Some((receipts, results)) = receipts.zip(results) {
            receipts(results);
        }
        self.sweep_now_and_then(count, now_us);
        Ok(())
    }

    fn join(&self, channel: &Channel, answer: Box<dyn FnOnce(Head) + Send>) {
        let now_us = self.clock.now().wall_us;
        let head = self.stripes.lock(channel, &[]).state(channel.current()).join(now_us);
        answer(head);
    }

    fn leave(&self, channel: &Channel) {
        let now_us = self.clock.now().wall_us;
        let mut locked = self.stripes.lock(channel, &[]);
        if let Some(state) = locked.existing(channel) {
            state.leave(now_us);
        }
    }

    fn read(&self, channel: &Channel, after: u64, limit: usize, answer: Box<dyn FnOnce(Page) + Send>) {
        let now_us = self.clock.now().wall_us;
        let mut locked = self.stripes.lock(channel, &[]);
        let page = match locked.existing(channel) {
            Some(state) => state.read(after, limit, now_us),
            None => Page { head: Head { epoch: "".into(), top: 0, oldest: 1 }, messages: Vec::new() },
        };
        drop(locked);
        answer(page);
    }

    fn sources(&self, interest: &Interest, limit: usize, answer: Box<dyn FnOnce(Sources) + Send>) {
        let now_us = self.clock.now().wall_us;
        // Nothing stands still here: what is counted is settled before the locks are let go.
        answer(self.stripes.sources(interest, limit, now_us).sources);
    }

    fn forget(&self, channel: &Channel, through: u64, answer: Box<dyn FnOnce(u64) + Send>) {
        let now_us = self.clock.now().wall_us;
        let (channel, roll_ups, mut locked) = self.stripes.lock_run(channel);
        let forgotten = locked.forget(&channel, &roll_ups, through, now_us);
        drop(locked);
        answer(forgotten);
    }

    fn health(&self) -> Health {
        let channels = self.channels();
        let ending = if channels == 1 { "" } else { "s" };
        Health::ok(format!("memory, {channels} channel{ending}"))
    }

    fn close(&self) {}
}

#[cfg(test)]
mod tests;
