//! The broker under load: publishers that are told to go on by their receipts, and a sink that takes everything.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use hdrhistogram::Histogram;
use tapeline_brokers::redis::RedisBroker;
use tapeline_brokers::redis::url::Address;
use tapeline_core::broker::{Drafts, Messages};
use tapeline_core::{Broker, Clock, Deliver, Directory, Draft, Permits};
use tapeline_runtime::SystemClock;
use tapeline_schema::{Catalog, ChannelSpec, Delivery, Priority};
use uuid::Uuid;

use super::{RedisArgs, RedisServer, due_times, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);

/// Takes everything, and when.
struct Sink {
    delivered: AtomicU64,
    /// When what is under way was published, while times are taken.
    published: Mutex<VecDeque<Instant>>,
    times: Mutex<Histogram<u64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deliver for Sink {
    fn permits(self: Arc<Self>, count: usize) -> Option<Permits> {
        Some(Permits::counted(count, self))
    }

    fn deliver(&self, permits: &mut Permits, messages: Messages) {
        permits.take(messages.len());
        let now = Instant::now();
        let mut published = lock(&self.published);
        for since in messages.iter().filter_map(|_| published.pop_front()) {
            let took = u64::try_from((now - since).as_nanos()).unwrap_or(u64::MAX);
            lock(&self.times).saturating_record(took);
        }
        self.delivered.fetch_add(messages.len() as u64, Ordering::Relaxed);
    }

    fn give_back(&self, _: usize) {}

    fn when_room(&self, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }
}

/// See the module.
pub(super) struct Publishing {
    broker: RedisBroker,
    sink: Arc<Sink>,
    clock: Arc<SystemClock>,
    directory: Arc<Directory>,
    data: Bytes,
}

impl Publishing {
    pub(super) fn open(server: &RedisServer, args: &RedisArgs) -> Result<Self> {
        let mut catalog = Catalog::built_in();
        let row = ChannelSpec::of("bench:{k}", "message", Priority::Medium, Delivery::Every);
        catalog.add(row).map_err(|error| anyhow!("the bench's row: {error}"))?;
        let directory = Arc::new(Directory::new(catalog));
        let clock = Arc::new(SystemClock::default());
        let address = Address::parse(&format!("redis://127.0.0.1:{}", server.port))?;
        let broker = RedisBroker::open(address, clock.clone(), directory.clone(), 1, Vec::new())?;
        let sink = Arc::new(Sink {
            delivered: AtomicU64::new(0),
            published: Mutex::default(),
            times: Mutex::new(Histogram::new_with_bounds(1, 60_000_000_000, 3)?),
        });
        broker.attach(sink.clone());
        let data = Bytes::from(format!("\"{}\"", "x".repeat(args.payload.saturating_sub(2))));
        let publishing = Self { broker, sink, clock, directory, data };
        for number in 0..args.publishers {
            let (to, from) = sync_channel(1);
            let channel = publishing.draft(number)?.channel;
            // Nobody listens only where the bench has given up.
            let joined = Box::new(move |_| to.send(()).unwrap_or_default());
            publishing.broker.join(&channel, joined);
            from.recv_timeout(PATIENCE).context("a channel is joined")?;
        }
        Ok(publishing)
    }

    fn draft(&self, number: usize) -> Result<Draft> {
        let channel =
            self.directory.channel(&RedisArgs::channel(number)).map_err(|error| anyhow!("{error}"))?;
        let timestamp_us = self.clock.now().wall_us;
        Ok(Draft {
            channel,
            kind: None,
            data: self.data.clone(),
            rows: None,
            correlation_id: None,
            idempotency: None,
            owner: None,
            id: Uuid::from_u128(u128::from(timestamp_us)),
            timestamp_us,
            from_plain_name: false,
        })
    }

    /// One publish to each channel, as the broker sends it.
    pub(super) fn commands(&self, args: &RedisArgs) -> Result<Vec<Vec<u8>>> {
        (0..args.publishers).map(|number| Ok(self.broker.command_of(&self.draft(number)?))).collect()
    }

    fn publish(&self, number: usize, count: usize, told: &SyncSender<(usize, usize)>) -> Result<()> {
        let drafts: Drafts = (0..count).map(|_| self.draft(number)).collect::<Result<_>>()?;
        let told = told.clone();
        let receipts = Box::new(move |receipts: Vec<Result<_, _>>| {
            let taken = receipts.iter().filter(|receipt| receipt.is_ok()).count();
            // Nobody listens when the time is over.
            told.try_send((number, taken)).unwrap_or_default();
        });
        match self.broker.publish(drafts, Some(receipts)) {
            Ok(()) => Ok(()),
            Err(_) => bail!("the broker is busy in spite of room"),
        }
    }

    /// Publishes a second, closed loop: who has been told of so many receipts publishes so many again.
    pub(super) fn throughput(&self, args: &RedisArgs) -> Result<f64> {
        let (to, told): (_, Receiver<(usize, usize)>) = sync_channel(args.publishers * args.outstanding);
        for number in 0..args.publishers {
            self.publish(number, args.outstanding, &to)?;
        }
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < args.window() {
            let (number, mut taken) = told.recv_timeout(PATIENCE).context("receipts come")?;
            count += taken;
            if taken == 0 {
                bail!("the broker refuses");
            }
            while taken > 0 {
                let together = taken.min(args.outstanding);
                self.publish(number, together, &to)?;
                taken -= together;
            }
        }
        let per_second = count as f64 / start.elapsed().as_secs_f64();
        self.wait_for_the_rest(args)?;
        Ok(per_second)
    }

    fn wait_for_the_rest(&self, args: &RedisArgs) -> Result<()> {
        let (to, told) = sync_channel(1);
        self.publish(args.publishers, 1, &to)?;
        told.recv_timeout(PATIENCE).context("the last receipt comes")?;
        std::thread::sleep(Duration::from_millis(200));
        Ok(())
    }

    /// From `publish` to `deliver`.
    pub(super) fn times(&self, args: &RedisArgs) -> Result<Histogram<u64>> {
        let (to, _told) = sync_channel(1);
        for due in due_times(args) {
            wait_until(due);
            lock(&self.sink.published).push_back(Instant::now());
            self.publish(0, 1, &to)?;
        }
        let since = Instant::now();
        while !lock(&self.sink.published).is_empty() {
            if since.elapsed() > PATIENCE {
                bail!("messages are missing");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(lock(&self.sink.times).clone())
    }

    pub(super) fn close(&self) {
        self.broker.close();
    }
}
