//! A broker under test with everything around it, and the requests of a broker as plain calls that wait.
#![expect(clippy::expect_used, clippy::panic, reason = "a broken promise must stop the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tapeline_schema::{Catalog, ChannelSpec, Delivery, Priority, Readers};

use super::sink::Sink;
use crate::broker::{Broker, Deliver, Drafts, Head, Interest, Page, SLICE, Sources};
use crate::channel::Channel;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::message::{Draft, IdempotencyKey, Receipt};
use crate::testkit::ManualClock;

/// How long the suite waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Publishes after which a broker has looked at all its channels for some to forget.
const MANY: usize = 64 * 1_024;

/// See the module.
pub struct Subject {
    /// The broker; attached.
    pub broker: Arc<dyn Broker>,
    /// Where it delivers.
    pub sink: Arc<Sink>,
    /// The time it reads.
    pub clock: Arc<ManualClock>,
    /// Its channels.
    pub directory: Arc<Directory>,
    drafts: AtomicU64,
}

/// The built-in families, and some with little retention.
fn catalog() -> Catalog {
    let every = |template| ChannelSpec::of(template, "message", Priority::Medium, Delivery::Every);
    let rows = [
        every("few:{k}").keep(3, None).rolls_up_to(&["fews"]),
        every("short:{k}").keep(8, Duration::from_secs(5)).idle_ttl(Duration::from_secs(8)),
        every("sized:{k}").keep(50, None).keep_bytes(100),
        every("patient:{k}").keep(8, Duration::from_secs(60)).idle_ttl(Duration::from_secs(1)),
        ChannelSpec::of("shelf:{k}", "message", Priority::Medium, Delivery::Table)
            .keyed_by(&["id"])
            .keep(3, None),
        every("fills:{k}")
            .keep(8, None)
            .idle_ttl(Duration::from_secs(1))
            .rolls_up_to(&["all_fills"])
            .read(Readers::Owner),
        ChannelSpec::of("newest:{k}", "message", Priority::Medium, Delivery::Latest),
    ];
    let mut catalog = Catalog::built_in();
    for row in rows {
        catalog.add(row).expect("a row of the suite is sound");
    }
    catalog
}

/// The answer of a request.
fn answer<T: Send + 'static>(ask: impl FnOnce(Box<dyn FnOnce(T) + Send>)) -> T {
    let (to, from) = sync_channel(1);
    ask(Box::new(move |answer| {
        // Nobody listens only where the suite has already given up.
        let _ = to.send(answer);
    }));
    from.recv_timeout(PATIENCE).expect("the broker answers")
}

impl Subject {
    /// Opens a broker that reads a manual clock, and attaches it.
    /// The broker may look its channels up in the directory.
    pub fn new(open: impl FnOnce(Arc<dyn Clock>, Arc<Directory>) -> Arc<dyn Broker>) -> Self {
        let clock = Arc::new(ManualClock::default());
        let sink = Arc::new(Sink::default());
        let directory = Arc::new(Directory::new(catalog()));
        let broker = open(clock.clone(), directory.clone());
        broker.attach(sink.clone());
        Subject { broker, sink, clock, directory, drafts: AtomicU64::new(0) }
    }

    /// The channel of this name.
    pub fn channel(&self, name: &str) -> Channel {
        self.directory.channel(name).expect("a name of the suite is sound")
    }

    /// A draft of its own data and id, received now.
    pub fn draft(&self, channel: &str) -> Draft {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let timestamp_us = self.clock.now().wall_us;
        let mut random = [0; 10];
        // From the end on: the version and the variant are written over bits at the start.
        for (to, from) in random.iter_mut().rev().zip(number.to_le_bytes()) {
            *to = from;
        }
        Draft {
            channel: self.channel(channel),
            kind: None,
            data: Bytes::from(number.to_string()),
            rows: None,
            correlation_id: None,
            idempotency: None,
            owner: None,
            from_plain_name: false,
            id: uuid::Builder::from_unix_timestamp_millis(timestamp_us / 1_000, &random).into_uuid(),
            timestamp_us,
        }
    }

    /// A draft with an idempotency key.
    pub fn keyed(&self, channel: &str, principal: &str, key: &str) -> Draft {
        let key = IdempotencyKey { principal: principal.into(), key: key.into() };
        Draft { idempotency: Some(Box::new(key)), ..self.draft(channel) }
    }

    /// A draft that says whose its channel is.
    pub fn owned(&self, channel: &str, owner: &str) -> Draft {
        Draft { owner: Some(owner.into()), ..self.draft(channel) }
    }

    /// Publishes together, again and again while the broker is busy.
    pub fn publish(&self, drafts: impl IntoIterator<Item = Draft>) -> Vec<Receipt> {
        let taken = self.results(drafts).into_iter().map(|receipt| match receipt {
            Ok(receipt) => receipt,
            Err(refusal) => panic!("the broker refuses a draft: {refusal}"),
        });
        taken.collect()
    }

    /// The same where drafts may be refused.
    pub fn results(&self, drafts: impl IntoIterator<Item = Draft>) -> Vec<Result<Receipt, Refusal>> {
        let mut drafts: Drafts = drafts.into_iter().collect();
        let count = drafts.len();
        let receipts: Vec<_> = answer(|to| {
            let mut receipts = Some(to);
            let since = Instant::now();
            while let Err(busy) = self.broker.publish(drafts, receipts) {
                assert!(since.elapsed() < PATIENCE, "the broker stays busy");
                (drafts, receipts) = (busy.drafts, busy.receipts);
                answer(|woken| self.sink.when_room(Box::new(move || woken(()))));
            }
        });
        assert_eq!(receipts.len(), count, "one result a draft");
        receipts
    }

    /// Publishes one draft to the channel.
    pub fn say(&self, channel: &str) -> Receipt {
        self.publish_one(self.draft(channel))
    }

    /// Publishes one draft.
    pub fn publish_one(&self, draft: Draft) -> Receipt {
        self.publish([draft]).pop().expect("one result a draft")
    }

    /// [`Broker::join`].
    pub fn join(&self, channel: &str) -> Head {
        answer(|to| self.broker.join(&self.channel(channel), to))
    }

    /// [`Broker::read`].
    pub fn read(&self, channel: &str, after: u64, limit: usize) -> Page {
        answer(|to| self.broker.read(&self.channel(channel), after, limit, to))
    }

    /// The offsets that [`Broker::read`] gives.
    pub fn offsets(&self, channel: &str, after: u64, limit: usize) -> Vec<u64> {
        let page = self.read(channel, after, limit);
        let channel = self.channel(channel);
        let offset = |offset: Option<u64>| offset.expect("a message of the channel has an offset in it");
        page.messages.iter().map(|message| offset(message.offset_in(&channel))).collect()
    }

    /// [`Broker::forget`].
    pub fn forget(&self, channel: &str, through: u64) -> u64 {
        answer(|to| self.broker.forget(&self.channel(channel), through, to))
    }

    /// [`Broker::sources`].
    pub fn sources(&self, interest: &Interest, limit: usize) -> Sources {
        answer(|to| self.broker.sources(interest, limit, to))
    }

    /// Publishes so much elsewhere that every idle channel has been looked at, and forgets it in the sink.
    pub fn pass_by(&self) {
        for _ in 0..=MANY / SLICE {
            self.publish((0..SLICE).map(|_| self.draft("elsewhere")));
        }
        self.sink.clear();
    }
}
