//! The one thread that counts and writes. It takes all jobs that have come, counts their drafts into one buffer, writes
//! that at once, and only then keeps, delivers and answers. What could not be written is counted back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tapeline_core::broker::{Deliver, Drafts, Messages};
use tapeline_core::message::Draft;
use tapeline_core::owner;
use tapeline_core::{Channel, Permits, Receipt, Refusal};
use tapeline_schema::ErrorCode;

use super::Durability;
use super::frame::HEAD;
use super::log::{Log, Place as LogPlace, WriteError};
use super::owed::{Answers, Owed};
use super::queue::Job;
use super::record::{self, ALL_PLACES, Entry as StoreEntry, OVERHEAD, Record, Told};
use super::room::Fate;
use super::shared::{Able, Shared};
use crate::kept::{Counted, Locked, Place};

/// Written at once at most, about.
const BATCH_BYTES: usize = 4 << 20;

/// How often it is tried whether there is room again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Publishes between two looks for channels to forget, each at one stripe.
const PUBLISHES_PER_SWEEP: u64 = 1_024;

/// See the module.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) log: Log,
    /// The number of the next record.
    next: u64,
    pub(super) buffer: Vec<u8>,
    /// What was counted and is not settled.
    steps: VecDeque<Step>,
    /// The directory's changes that all counted drafts have seen.
    changes: u64,
    /// The newest synced place that the log tells.
    told_synced: LogPlace,
    pub(super) retry_at: Instant,
    published: u64,
}

/// What is to be done when the buffer has been written.
#[expect(clippy::large_enum_variant, reason = "nearly every step is a publish")]
enum Step {
    Publish { runs: SmallVec<[Run; 1]>, receipts: Option<Answers>, permits: Permits },
    Forget { channel: Channel, through: u64, answer: Owed<u64> },
    Entered(Owed<Result<(), Refusal>>),
}

/// Drafts of one channel, counted.
struct Run {
    channel: Channel,
    roll_ups: SmallVec<[Channel; 1]>,
    entries: SmallVec<[Entry; 1]>,
}

#[expect(clippy::large_enum_variant, reason = "nearly every entry is a new one")]
enum Entry {
    /// To be settled; with the number of its record, 0 where it goes by unwritten.
    New(Draft, Place, u64),
    Repeat(Receipt),
    Refused(Refusal),
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, log: Log, next: u64) -> Self {
        Writer {
            shared,
            log,
            next,
            buffer: Vec::new(),
            steps: VecDeque::new(),
            changes: 0,
            told_synced: LogPlace::default(),
            retry_at: Instant::now(),
            published: 0,
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn work(&mut self, jobs: &mut VecDeque<Job>) {
        while self.shared.queue.take(jobs, RETRY) {
            while let Some(job) = jobs.pop_front() {
                self.take(job);
                if self.buffer.len() >= BATCH_BYTES {
                    self.commit();
                }
            }
            self.commit();
            if self.shared.able() == Able::Full {
                self.look_for_room();
            }
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Publish { drafts, receipts, permits } => self.count(drafts, receipts, permits),
            Job::Forget { channel, through, answer } => self.take_forget(channel, through, answer),
            Job::Begun(channel) => self.take_begun(&channel),
            Job::Enter(change, done) => {
                let bytes = change.key.as_str().len() + change.value.as_ref().map_or(0, bytes::Bytes::len);
                if !self.may_write(bytes + OVERHEAD, false) {
                    return done.give(Err(self.shared.refusal()));
                }
                let entry = StoreEntry {
                    key: change.key.as_str(),
                    version: change.version,
                    value: change.value.as_deref(),
                    expires_us: change.expires_us.unwrap_or(0),
                };
                self.push(&Record::Entry(entry));
                self.steps.push_back(Step::Entered(done));
            }
            Job::Then(then) => {
                self.commit();
                then.give(());
            }
            Job::Switch { begun, answer } => {
                self.commit();
                let is_begun = self.log.place() == LogPlace { number: begun, at: HEAD as u64 };
                // What could not be written or synced is not for the next file to hide.
                let goes_on = matches!(self.shared.able(), Able::Yes | Able::Full);
                let switched = goes_on && (is_begun || self.switch());
                answer(switched.then(|| self.log.place().number));
            }
        }
    }

    fn push(&mut self, record: &Record<'_>) -> u64 {
        let number = self.next;
        self.next += 1;
        record::push(&mut self.buffer, number, record);
        number
    }

    fn count(&mut self, drafts: Drafts, receipts: Option<Answers>, permits: Permits) {
        let changes = self.shared.directory.changes();
        if changes != self.changes {
            // What is counted by rows that may have ended is written first.
            self.commit();
            self.changes = changes;
        }
        self.published += drafts.len() as u64;
        let mut runs = SmallVec::new();
        let mut drafts = drafts.into_iter();
        while let Some(channel) = drafts.as_slice().first().map(|draft| draft.channel.clone()) {
            let run = drafts.as_slice().iter().take_while(|draft| draft.channel == channel).count();
            runs.push(self.count_run(&channel, drafts.by_ref().take(run)));
        }
        self.steps.push_back(Step::Publish { runs, receipts, permits });
    }

    fn count_run(&mut self, channel: &Channel, drafts: impl Iterator<Item = Draft>) -> Run {
        let shared = self.shared.clone();
        let (channel, roll_ups, mut locked) = shared.stripes.lock_run(channel);
        let stands_still = [&channel].into_iter().chain(&roll_ups).any(|known| locked.stands_still(known));
        let mut entries = SmallVec::new();
        for mut draft in drafts {
            let followed = match (draft.channel.is(&channel), stands_still) {
                (_, true) => Err(changed_meanwhile(&channel)),
                (true, false) => Ok(()),
                (false, false) => draft.follow(&channel),
            };
            entries.push(match followed {
                Ok(()) => self.count_draft(&mut locked, draft, &roll_ups),
                Err(refusal) => Entry::Refused(refusal),
            });
        }
        drop(locked);
        Run { channel, roll_ups, entries }
    }

    fn count_draft(&mut self, locked: &mut Locked<'_>, mut draft: Draft, roll_ups: &[Channel]) -> Entry {
        let fate = self.fate(locked, &draft, roll_ups);
        if let Fate::Refuse = fate {
            let repeated = draft
                .idempotency
                .as_deref()
                .and_then(|key| locked.existing(&draft.channel)?.repeated(key, draft.timestamp_us));
            return repeated.map_or_else(|| Entry::Refused(self.shared.refusal()), Entry::Repeat);
        }
        let place = match locked.count(&mut draft, roll_ups) {
            Counted::Repeat(first) => return Entry::Repeat(first),
            Counted::Conflict => return Entry::Refused(owner::conflict(&draft.channel)),
            Counted::New(place) => place,
        };
        let lapses = matches!(fate, Fate::PassBy);
        if let Some(state) = locked.held(&draft.channel)
            && state.has_lapsed() != lapses
        {
            state.set_lapsed(lapses);
            if lapses && self.shared.able() == Able::Full {
                self.push(&Record::Lapsed { channel: draft.channel.name() });
            }
        }
        if let Some(owner) = draft.owner.as_deref().filter(|_| place.claims) {
            let (channel, table) = (draft.channel.name(), draft.channel.is_table());
            self.push(&Record::Owned { channel, table, owner });
        }
        let number = if lapses { 0 } else { self.push_message(&draft, &place) };
        Entry::New(draft, place, number)
    }

    fn push_message(&mut self, draft: &Draft, place: &Place) -> u64 {
        let marks = place.marks.iter();
        self.push(&Record::Message(Told {
            channel: draft.channel.name(),
            table: draft.channel.is_table(),
            epoch: &place.receipt.epoch,
            offset: place.receipt.offset,
            places: ALL_PLACES,
            marks: marks.map(|mark| (mark.channel.name(), &*mark.epoch, mark.offset)).collect(),
            kind: draft.kind.as_deref(),
            correlation_id: draft.correlation_id.as_deref(),
            key: place.key.as_ref().map(|key| (&*key.principal, &*key.key)),
            id: *draft.id.as_bytes(),
            timestamp_us: draft.timestamp_us,
            data: &draft.data,
        }))
    }

    fn take_forget(&mut self, channel: Channel, through: u64, answer: Owed<u64>) {
        let shared = self.shared.clone();
        let (channel, _, mut locked) = shared.stripes.lock_run(&channel);
        let Some(state) = locked.existing(&channel).filter(|state| state.is_history()) else {
            drop(locked);
            return answer.give(0);
        };
        let (epoch, through) = (state.epoch().clone(), through.min(state.counted()));
        drop(locked);
        if !self.may_write(OVERHEAD, true) {
            // It cannot be remembered, and would be back after a restart.
            return answer.give(0);
        }
        self.push(&Record::Forgot { channel: channel.name(), epoch: &epoch, through });
        self.steps.push_back(Step::Forget { channel, through, answer });
    }

    fn take_begun(&mut self, channel: &Channel) {
        let shared = self.shared.clone();
        let mut locked = shared.stripes.lock(channel, &[]);
        let Some(state) = locked.existing(channel).filter(|state| state.counted() == 0) else { return };
        if state.record() > 0 || !self.may_write(OVERHEAD, false) {
            return;
        }
        let (name, table) = (channel.name(), channel.is_table());
        let number = self.push(&Record::Begun { channel: name, table, epoch: &state.epoch().clone() });
        state.set_record(number);
    }

    /// Writes what was counted, then does what waits for it.
    pub(super) fn commit(&mut self) {
        if self.buffer.is_empty() && self.steps.is_empty() {
            return;
        }
        let written = if self.buffer.is_empty() { Ok(()) } else { self.write() };
        self.buffer.clear();
        if written.is_err() {
            self.count_back();
        }
        while let Some(step) = self.steps.pop_front() {
            self.settle(step, &written);
        }
        if self.log.is_long() && self.shared.able() == Able::Yes {
            self.switch();
        }
        self.shared.compacting.ask_if_long(self.log.total(), &self.shared.storage.limits);
        while self.published >= PUBLISHES_PER_SWEEP {
            self.published -= PUBLISHES_PER_SWEEP;
            self.shared.sweep_next();
        }
    }

    fn write(&mut self) -> Result<(), Refusal> {
        let synced = self.shared.syncing.synced();
        if synced > self.told_synced {
            self.told_synced = synced;
            self.push(&Record::Synced { number: synced.number, at: synced.at });
        }
        let before = self.log.place();
        match self.log.write(&self.buffer) {
            Ok(()) => {}
            Err(WriteError::Full) => {
                self.shared.set_full(true);
                return Err(self.shared.refusal());
            }
            Err(WriteError::Failed(error)) => {
                self.shared.fail("could not be written", &error);
                return Err(self.shared.refusal());
            }
        }
        let is_durable = match self.shared.storage.durability {
            Durability::EveryBatch => self.sync(),
            Durability::Every(_) => {
                self.shared.syncing.wrote(self.log.file(), self.log.place());
                true
            }
            Durability::Exit => true,
        };
        if !is_durable {
            // Nobody will be told of it; if it cannot be taken back either, it counts under an epoch that ends.
            let _ = self.log.file().cut(before.at);
            return Err(self.shared.refusal());
        }
        Ok(())
    }

    fn sync(&self) -> bool {
        match self.log.file().sync() {
            Ok(()) => {
                self.shared.syncing.has_synced(self.log.place());
                true
            }
            Err(error) => {
                self.shared.fail("could not be synced", &error);
                false
            }
        }
    }

    fn switch(&mut self) -> bool {
        let before = self.log.place();
        match self.log.switch() {
            Ok(switched) => {
                self.shared.syncing.has_synced(before);
                switched
            }
            Err(error) => {
                self.shared.fail("could not go on in another file", &error);
                false
            }
        }
    }

    /// Refuses the oldest step that was not settled; `false` if there is none.
    pub(super) fn refuse_step(&mut self, refusal: &Refusal) -> bool {
        let step = self.steps.pop_front();
        step.map(|step| self.settle(step, &Err(refusal.clone()))).is_some()
    }

    /// Takes back what all steps have counted, none of which is settled.
    fn count_back(&self) {
        for step in &self.steps {
            let Step::Publish { runs, .. } = step else { continue };
            for run in runs {
                let mut locked = self.shared.stripes.lock(&run.channel, &run.roll_ups);
                for entry in &run.entries {
                    if let Entry::New(draft, place, _) = entry {
                        locked.uncount(&run.channel, place, draft.timestamp_us);
                    }
                }
                if let Some(state) = locked.held(&run.channel) {
                    // The log does not say so; what goes by next has it said again.
                    state.set_lapsed(false);
                }
            }
        }
    }

    fn settle(&self, step: Step, written: &Result<(), Refusal>) {
        match step {
            Step::Publish { runs, receipts, mut permits } => {
                let Some(sink) = self.shared.sink.get() else { return };
                let mut results = receipts.as_ref().map(|_| Vec::with_capacity(runs.len()));
                for run in runs {
                    self.settle_run(run, &**sink, &mut permits, written, |result| {
                        if let Some(results) = &mut results {
                            results.push(result);
                        }
                    });
                }
                if let Some((receipts, results)) = receipts.zip(results) {
                    receipts.give(results);
                }
            }
            Step::Forget { channel, through, answer } => {
                let forgotten = match written {
                    Ok(()) => {
                        let now_us = self.shared.clock.now().wall_us;
                        let (channel, roll_ups, mut locked) = self.shared.stripes.lock_run(&channel);
                        locked.forget(&channel, &roll_ups, through, now_us)
                    }
                    Err(_) => 0,
                };
                answer.give(forgotten);
            }
            Step::Entered(done) => done.give(written.clone()),
        }
    }

    fn settle_run(
        &self,
        run: Run,
        sink: &dyn Deliver,
        permits: &mut Permits,
        written: &Result<(), Refusal>,
        mut tell: impl FnMut(Result<Receipt, Refusal>),
    ) {
        let mut locked = self.shared.stripes.lock(&run.channel, &run.roll_ups);
        let mut messages = Messages::new();
        for entry in run.entries {
            let result = match (entry, written) {
                (Entry::Refused(refusal), _) => Err(refusal),
                (_, Err(refusal)) => Err(refusal.clone()),
                (Entry::Repeat(first), Ok(())) => {
                    sink.on_repeat(&run.channel);
                    Ok(first)
                }
                (Entry::New(draft, place, number), Ok(())) => {
                    let (receipt, message) = locked.settle(draft, place, number);
                    messages.push(message);
                    Ok(receipt)
                }
            };
            if let Err(refusal) = &result {
                sink.on_refusal(&run.channel, refusal);
            }
            tell(result);
        }
        if !messages.is_empty() {
            sink.deliver(permits, messages);
        }
    }
}

fn changed_meanwhile(channel: &Channel) -> Refusal {
    let message = format!("{}: its family has changed meanwhile; publish it again", channel.name());
    Refusal::new(ErrorCode::Overloaded, message)
}
