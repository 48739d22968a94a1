//! The way from a feed into the hub that never waits: what a busy hub does not take stays here, bounded, and is
//! offered again. While it stays, a `latest` message gives way to the next one of its channel, and messages of a table
//! are merged; past the bound the oldest are dropped. Both are counted and said in the log; what is dropped or refused becomes a dead letter, what gives
//! way does not. What is critical has a queue of its own ([`critical`]), which waits for an outage to end, and spills to
//! dead letters only past a much wider bound. It does not know where publications come from.

mod conflating;
mod critical;
mod unpublished;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tapeline_core::broker::{Drafts, Receipts, SLICE};
use tapeline_core::command::Publication;
use tapeline_core::rights::Grant;
use tapeline_core::stats::FeedStats;
use tapeline_core::{Channel, Draft, Hub, Now, Refusal};
use tapeline_schema::Priority;

use conflating::{conflate, merge_tables};
use critical::{Answer, Critical};
use unpublished::Unpublished;

use crate::given_up::{self, Sent};

/// Messages that stay while the hub is busy.
pub const WAITING_LIMIT: usize = 1_024;

/// Messages of tables are merged again when so many more wait than after the last time, since it looks at all their rows,
/// and before any is dropped.
const MERGE_EVERY: usize = 256;

/// How often the log says at most that what is critical waits.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// How long the end waits for answers that the broker owes, and how often it looks.
const ANSWERS: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// Where a feed hands in its publications.
pub struct Intake {
    hub: Arc<Hub>,
    principal: Arc<str>,
    stats: Arc<FeedStats>,
    waiting: VecDeque<Draft>,
    critical: Critical,
    unpublished: Unpublished,
    /// How many waited when tables were merged.
    merged: usize,
    /// When the log said that what is critical waits.
    said_us: u64,
}

impl Intake {
    /// An intake that publishes as `principal`.
    pub fn new(hub: Arc<Hub>, principal: &str) -> Self {
        let stats = hub.stats().feed(principal);
        Intake {
            hub,
            principal: principal.into(),
            stats,
            waiting: VecDeque::new(),
            critical: Critical::default(),
            unpublished: Unpublished::default(),
            merged: 0,
            said_us: 0,
        }
    }

    /// What became of everything so far.
    pub fn stats(&self) -> &Arc<FeedStats> {
        &self.stats
    }

    /// Publishes in order; `false` if the hub is busy and something stays for [`Intake::flush`].
    pub fn publish(&mut self, due: impl IntoIterator<Item = Publication>) -> bool {
        let now = self.hub.now();
        let mut roomy = true;
        for publication in due {
            match self.draft(&publication, now) {
                Ok(draft) if draft.channel.spec().priority == Priority::Critical => {
                    self.critical.push(draft, &self.principal);
                }
                Ok(draft) => self.waiting.push_back(draft),
                Err(refusal) => {
                    self.stats.refused.add(1);
                    tracing::warn!(feed = &*self.principal, %refusal, "the hub refused a feed's message");
                    given_up::refused(&self.hub, &self.principal, &publication, &refusal);
                    if let Ok(channel) = self.hub.channel(&publication.channel) {
                        self.unpublished.add(&channel);
                    }
                }
            }
            // A hub that is busy is not asked again for each message: what waits is looked at as a whole.
            if roomy && self.waiting.len() >= SLICE {
                roomy = self.flush_waiting();
            } else if self.waiting.len() >= WAITING_LIMIT + SLICE {
                self.make_room();
            }
        }
        if roomy {
            return self.flush();
        }
        self.flush_critical();
        self.make_room();
        false
    }

    fn draft(&self, publication: &Publication, now: Now) -> Result<Draft, Refusal> {
        // A draft keeps these; a refusal needs the publication whole.
        let borrowed = Publication {
            channel: &*publication.channel,
            kind: publication.kind.clone(),
            data: publication.data.clone(),
            correlation_id: publication.correlation_id.clone(),
            idempotency_key: publication.idempotency_key.clone(),
            owner: publication.owner.clone(),
            from_plain_name: publication.from_plain_name,
            raw: publication.raw,
        };
        self.hub.drafter(&self.principal, &Grant::Anyone, now).draft(borrowed, None)
    }

    /// Channels of tables that a message was not published on since this was last asked: what subscribers hold of them
    /// may be no table that there was, until it is published whole.
    pub fn take_unpublished(&self) -> Vec<Channel> {
        self.unpublished.take()
    }

    /// Offers what stayed once more; `false` if something still stays, or the broker owes an answer to what is critical.
    pub fn flush(&mut self) -> bool {
        let roomy = self.flush_critical();
        self.flush_waiting() && roomy
    }

    fn flush_critical(&mut self) -> bool {
        let Intake { hub, principal, stats, critical, unpublished, .. } = &mut *self;
        let now = hub.now();
        let mut later = None;
        let roomy = critical.flush(hub, now, |answer| match answer {
            Answer::Taken => stats.published.add(1),
            Answer::Later(_, refusal) => later = refusal.clone().or(later.take()),
            Answer::Refused(draft, refusal) => {
                stats.refused.add(1);
                tracing::warn!(feed = &**principal, %refusal, "the message broker refused a feed's critical message");
                Sent::from(draft).refused(hub, principal, refusal);
                unpublished.add(&draft.channel);
            }
        });
        stats.critical_waiting.set(critical.len() as u64);
        if let Some(refusal) = later
            && now.since(self.said_us) >= SAY_EVERY
        {
            self.said_us = now.mono_us;
            let waiting = self.critical.len();
            tracing::warn!(feed = &*self.principal, waiting, %refusal, "critical messages of a feed wait for the message broker");
        }
        if !roomy {
            let over = self.critical.take_over();
            self.spill(
                over,
                "the hub takes nothing: more critical messages of a feed wait than there is room for",
            );
        }
        roomy
    }

    /// What is critical and can wait no longer becomes dead letters.
    fn spill(&self, drafts: Vec<Draft>, why: &str) {
        if drafts.is_empty() {
            return;
        }
        drafts.iter().for_each(|draft| Sent::from(draft).dropped(&self.hub, &self.principal, why));
        let spilled = drafts.len();
        self.stats.dropped.add(spilled as u64);
        self.stats.spilled.add(spilled as u64);
        tracing::error!(feed = &*self.principal, spilled, "{why}; the oldest became dead letters");
    }

    fn flush_waiting(&mut self) -> bool {
        while !self.waiting.is_empty() {
            let slice: Drafts = self.waiting.drain(..self.waiting.len().min(SLICE)).collect();
            let receipts = self.receipts(&slice);
            if let Err(busy) = self.hub.publish(slice, Some(receipts)) {
                self.keep(busy.drafts);
                return false;
            }
        }
        self.merged = 0;
        self.hub.flush_dead_letters();
        true
    }

    /// Offers everything a last time, and waits up to two seconds for the answers that the broker owes; what is critical and
    /// still stays becomes dead letters.
    pub fn close(&mut self) {
        self.flush();
        let end = Instant::now() + ANSWERS;
        while self.critical.is_owed() && Instant::now() < end {
            std::thread::sleep(LOOK);
            self.flush_critical();
        }
        if !self.critical.is_empty() {
            let left = self.critical.take_all();
            self.spill(left, "the feed ended before the hub took all of its critical messages");
            self.stats.critical_waiting.set(0);
        }
    }

    /// A broker may refuse what the hub took, and say so later, when it has the drafts and nobody else.
    fn receipts(&self, drafts: &Drafts) -> Receipts {
        let (stats, principal, hub) = (self.stats.clone(), self.principal.clone(), self.hub.clone());
        let sent: Vec<Sent> = drafts.iter().map(Sent::from).collect();
        let unpublished = self.unpublished.clone();
        Box::new(move |outcomes| {
            for (sent, outcome) in sent.iter().zip(outcomes) {
                match outcome {
                    Ok(_) => stats.published.add(1),
                    Err(refusal) => {
                        stats.refused.add(1);
                        tracing::warn!(feed = &*principal, %refusal, "the message broker refused a feed's message");
                        sent.refused(&hub, &principal, &refusal);
                        unpublished.add(sent.channel());
                    }
                }
            }
        })
    }

    fn keep(&mut self, drafts: Drafts) {
        for draft in drafts.into_iter().rev() {
            self.waiting.push_front(draft);
        }
        self.make_room();
    }

    /// What waits gives way to what is newer, and past the bound the oldest are dropped.
    fn make_room(&mut self) {
        let before = self.waiting.len();
        conflate(&mut self.waiting);
        let too_long = self.merge_tables();
        let gave_way = before - self.waiting.len() - too_long.len();
        self.stats.conflated.add(gave_way as u64);
        self.drop_waiting(too_long, "the hub is busy: a table has changed more than may wait");
        let over = self.waiting.len().saturating_sub(WAITING_LIMIT);
        // Nothing that waits takes the place of any of them: of a `latest` channel only the newest is still there, and
        // a table lacks the rows.
        let over: Vec<Draft> = self.waiting.drain(..over).collect();
        let why = "more messages of a feed wait than may, the oldest are dropped";
        self.drop_waiting(over, &format!("the hub is busy: {why} ({WAITING_LIMIT})"));
    }

    fn merge_tables(&mut self) -> Vec<Draft> {
        let grown = self.waiting.len() >= self.merged.saturating_add(MERGE_EVERY);
        if !grown && self.waiting.len() <= WAITING_LIMIT {
            return Vec::new();
        }
        let too_long = merge_tables(&mut self.waiting);
        self.merged = self.waiting.len();
        too_long
    }

    fn drop_waiting(&self, drafts: Vec<Draft>, why: &str) {
        if drafts.is_empty() {
            return;
        }
        for draft in &drafts {
            Sent::from(draft).dropped(&self.hub, &self.principal, why);
            self.unpublished.add(&draft.channel);
        }
        self.stats.dropped.add(drafts.len() as u64);
        let in_all = self.stats.dropped.read();
        tracing::warn!(feed = &*self.principal, dropped = drafts.len(), in_all, "{why}");
    }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
