//! A node of a test: a broker on a Redis, and a sink that remembers what it was told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tapeline_core::broker::{Busy, Deliver, Head, Interest, Messages, Page, Sources};
use tapeline_core::message::{Draft, IdempotencyKey, Message};
use tapeline_core::table::take_apart;
use tapeline_core::{Broker, Channel, Clock, Directory, Now, Permits, Receipt, Refusal};
use tapeline_schema::{Catalog, ChannelSpec, Delivery, Pattern, Priority};
use uuid::Uuid;

use crate::redis::RedisBroker;
use crate::redis::link::ConnectError;
use crate::redis::url::Address;

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The machine's time.
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Now {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let wall_us = u64::try_from(wall.as_micros()).unwrap();
        Now { mono_us: wall_us, wall_us }
    }
}

/// What a sink was told.
#[derive(Default)]
pub(super) struct Record {
    pub(super) messages: Vec<Arc<Message>>,
    pub(super) heads: HashMap<String, Head>,
    pub(super) degraded: Vec<bool>,
}

#[derive(Default)]
pub(super) struct Ear {
    /// There is no room for messages.
    pub(super) full: AtomicBool,
    record: Mutex<Record>,
    changed: Condvar,
}

impl Ear {
    /// Waits until what was told is as wanted, and answers something of it.
    pub(super) fn wait<T>(&self, what: &str, mut wanted: impl FnMut(&Record) -> Option<T>) -> T {
        let (mut record, until) = (self.record.lock().unwrap(), Instant::now() + PATIENCE);
        loop {
            if let Some(found) = wanted(&record) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}");
            record = self.changed.wait_timeout(record, left).unwrap().0;
        }
    }

    pub(super) fn offsets(&self, channel: &str) -> Vec<u64> {
        let record = self.record.lock().unwrap();
        let own = record.messages.iter().filter(|message| message.channel.name() == channel);
        own.map(|message| message.offset).collect()
    }

    fn tell(&self, tell: impl FnOnce(&mut Record)) {
        tell(&mut self.record.lock().unwrap());
        self.changed.notify_all();
    }
}

impl Deliver for Ear {
    fn permits(self: Arc<Self>, count: usize) -> Option<Permits> {
        (!self.full.load(Ordering::Relaxed)).then(|| Permits::counted(count, self))
    }

    fn deliver(&self, permits: &mut Permits, messages: Messages) {
        assert!(permits.take(messages.len()), "delivered without permits");
        self.tell(|record| record.messages.extend(messages));
    }

    fn on_head(&self, channel: &Channel, head: &Head) {
        self.tell(|record| {
            record.heads.insert(channel.name().to_owned(), head.clone());
        });
    }

    fn on_degraded(&self, degraded: bool) {
        self.tell(|record| record.degraded.push(degraded));
    }

    fn give_back(&self, _: usize) {}

    fn when_room(&self, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }
}

/// See the module.
pub(super) struct Node {
    pub(super) broker: RedisBroker,
    pub(super) sink: Arc<Ear>,
    pub(super) directory: Arc<Directory>,
    count: AtomicU64,
}

fn catalog() -> Catalog {
    let mut catalog = Catalog::built_in();
    let rows = [
        ChannelSpec::of("all:{k}", "message", Priority::Medium, Delivery::Every).keep(1_000_000, None),
        ChannelSpec::of("newest:{k}", "message", Priority::Medium, Delivery::Latest),
        ChannelSpec::of("shelf:{k}", "message", Priority::Medium, Delivery::Table)
            .keyed_by(&["id"])
            .keep(3, None),
    ];
    for row in rows {
        catalog.add(row).unwrap();
    }
    catalog
}

fn answer<T: Send + 'static>(ask: impl FnOnce(Box<dyn FnOnce(T) + Send>)) -> T {
    let (to, from) = sync_channel(1);
    ask(Box::new(move |answer| drop(to.send(answer))));
    from.recv_timeout(PATIENCE).expect("the broker answers")
}

pub(super) fn pattern(text: &str) -> Interest {
    Interest::Pattern(Pattern::parse(text).unwrap())
}

pub(super) fn try_open(url: &str) -> Result<Node, ConnectError> {
    let directory = Arc::new(Directory::new(catalog()));
    let address = Address::parse(url).unwrap();
    let broker = RedisBroker::open(address, Arc::new(WallClock), directory.clone(), 1, Vec::new())?;
    let sink = Arc::new(Ear::default());
    broker.attach(sink.clone());
    Ok(Node { broker, sink, directory, count: AtomicU64::new(0) })
}

impl Node {
    pub(super) fn open(url: &str) -> Self {
        try_open(url).unwrap()
    }

    pub(super) fn channel(&self, name: &str) -> Channel {
        self.directory.channel(name).unwrap()
    }

    pub(super) fn draft(&self, channel: &str, data: &str) -> Draft {
        let channel = self.channel(channel);
        let timestamp_us = WallClock.now().wall_us;
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 10];
        random[..2].copy_from_slice(&(std::ptr::from_ref(self).addr() as u16).to_be_bytes());
        random[2..].copy_from_slice(&number.to_be_bytes());
        let mut data = Bytes::copy_from_slice(data.as_bytes());
        let mut rows = None;
        if channel.is_table() {
            let taken = take_apart(channel.spec(), &data).unwrap();
            (data, rows) = (taken.0, Some(Box::new(taken.1)));
        }
        let id = uuid::Builder::from_unix_timestamp_millis(timestamp_us / 1_000, &random).into_uuid();
        Draft {
            channel,
            kind: None,
            data,
            rows,
            correlation_id: None,
            idempotency: None,
            owner: None,
            id,
            timestamp_us,
            from_plain_name: false,
        }
    }

    pub(super) fn keyed(&self, channel: &str, key: &str) -> Draft {
        let key = IdempotencyKey { principal: "ann".into(), key: key.into() };
        Draft { idempotency: Some(Box::new(key)), ..self.draft(channel, "1") }
    }

    pub(super) fn owned(&self, channel: &str, owner: &str) -> Draft {
        Draft { owner: Some(owner.into()), ..self.draft(channel, r#"{"asset":"BTC"}"#) }
    }

    /// Publishes drafts; the receipts come later.
    pub(super) fn start(&self, drafts: Vec<Draft>) -> Receiver<Vec<Result<Receipt, Refusal>>> {
        let (to, from) = sync_channel(1);
        let receipts = Box::new(move |receipts| drop(to.send(receipts)));
        let taken: Result<(), Box<Busy>> = self.broker.publish(drafts.into_iter().collect(), Some(receipts));
        assert!(taken.is_ok(), "there is always room");
        from
    }

    pub(super) fn results(&self, drafts: Vec<Draft>) -> Vec<Result<Receipt, Refusal>> {
        self.start(drafts).recv_timeout(PATIENCE).expect("receipts come")
    }

    pub(super) fn say(&self, channel: &str, data: &str) -> Receipt {
        self.results(vec![self.draft(channel, data)]).remove(0).unwrap()
    }

    pub(super) fn join(&self, channel: &str) -> Head {
        answer(|to| self.broker.join(&self.channel(channel), to))
    }

    /// Listens, and waits until it is heard.
    pub(super) fn listen(&self, interest: &Interest) -> Sources {
        self.broker.listen(interest);
        self.sources(interest)
    }

    pub(super) fn sources(&self, interest: &Interest) -> Sources {
        answer(|to| self.broker.sources(interest, 1_000, to))
    }

    pub(super) fn read(&self, channel: &str, after: u64, limit: usize) -> Page {
        answer(|to| self.broker.read(&self.channel(channel), after, limit, to))
    }

    /// Waits until the sink was told that all is well (`false`), or not.
    pub(super) fn wait_degraded(&self, degraded: bool) {
        self.sink.wait("a change of condition", |record| {
            (record.degraded.last() == Some(&degraded)).then_some(())
        });
    }
}

/// Every receipt's message is kept once, where the receipt says, and nothing else is that is not among `maybe`.
pub(super) fn check_kept(node: &Node, channel: &str, receipts: &[Receipt], maybe: &[Uuid]) {
    let page = node.read(channel, 0, usize::MAX);
    let mut kept: HashMap<Uuid, u64> = HashMap::new();
    for message in &page.messages {
        assert_eq!(kept.insert(message.id, message.offset), None, "kept twice: {message:?}");
    }
    for receipt in receipts {
        assert_eq!(
            kept.remove(&receipt.id),
            Some(receipt.offset),
            "{receipt:?} of {} kept",
            page.messages.len()
        );
    }
    kept.retain(|id, _| !maybe.contains(id));
    assert_eq!(kept.len(), 0, "kept without a receipt: {kept:?}");
    assert!(
        page.messages.iter().map(|message| message.offset).eq(1..=page.head.top),
        "the offsets are dense"
    );
}
