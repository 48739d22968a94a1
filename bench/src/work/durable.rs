//! Publishing to a broker that writes to disk beside one that does not, in this process and without sockets: many
//! publishers, each with some publishes outstanding. The sink takes everything, so what is measured is the broker.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use tapeline_brokers::{Durability, OpenParts, Opened, Storage};
use tapeline_core::broker::{Broker, Deliver, Drafts, Messages, Permits};
use tapeline_core::message::Draft;
use tapeline_core::{Clock, Directory};
use tapeline_runtime::SystemClock;
use tapeline_schema::Catalog;

use crate::report::{Bound, Goal, Report};
use crate::server::{Target, scratch};
use crate::session::Common;

/// Settings of `durable`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DurableArgs {
    /// Publishers, each to a channel of its own.
    #[arg(long, default_value_t = 64)]
    publishers: usize,
    /// Publishes of each that are not answered yet.
    #[arg(long, default_value_t = 16)]
    outstanding: usize,
    /// Bytes of a message.
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    /// Measured seconds of each broker, after one to warm up.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Where the files go; a place on a disk.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Inboxes with endless room.
#[derive(Default)]
struct Sink(AtomicUsize);

impl Deliver for Sink {
    fn permits(self: Arc<Self>, count: usize) -> Option<Permits> {
        Some(Permits::counted(count, self))
    }

    fn deliver(&self, permits: &mut Permits, messages: Messages) {
        if permits.take(messages.len()) {
            self.0.fetch_add(messages.len(), Ordering::Relaxed);
        }
    }

    fn give_back(&self, _: usize) {}

    fn when_room(&self, wake: Box<dyn FnOnce() + Send>) {
        wake();
    }
}

/// What a publisher and its receipts tell one another.
struct Window {
    outstanding: AtomicUsize,
    waits: AtomicBool,
    publisher: Thread,
}

fn publish_until(stop: &AtomicBool, broker: &dyn Broker, draft: &Draft, outstanding: usize) {
    let window = Arc::new(Window {
        outstanding: AtomicUsize::new(0),
        waits: AtomicBool::new(false),
        publisher: std::thread::current(),
    });
    while !stop.load(Ordering::Relaxed) {
        if window.outstanding.load(Ordering::Acquire) >= outstanding {
            window.waits.store(true, Ordering::SeqCst);
            // Half a window at once: a wake-up for each answer would be what is measured.
            if window.outstanding.load(Ordering::SeqCst) > outstanding / 2 {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            window.waits.store(false, Ordering::SeqCst);
            continue;
        }
        window.outstanding.fetch_add(1, Ordering::SeqCst);
        let told = window.clone();
        let answer = Box::new(move |_| {
            let left = told.outstanding.fetch_sub(1, Ordering::SeqCst) - 1;
            if left <= outstanding / 2 && told.waits.swap(false, Ordering::SeqCst) {
                told.publisher.unpark();
            }
        });
        // The sink always has room.
        let _ = broker.publish(Drafts::from_iter([draft.clone()]), Some(answer));
    }
}

/// Messages a second.
fn measure(args: &DurableArgs, url: &str, durability: Durability) -> Result<f64> {
    let directory = Arc::new(Directory::new(Catalog::built_in()));
    let clock = Arc::new(SystemClock::default());
    let storage = Storage { durability, ..Storage::default() };
    let parts = OpenParts { storage, ..OpenParts::new(url, clock.clone(), 1, directory.clone()) };
    let Opened { broker, .. } = tapeline_brokers::open(parts)?;
    let sink = Arc::new(Sink::default());
    broker.attach(sink.clone());
    let stop = AtomicBool::new(false);
    let data = Bytes::from(format!("\"{}\"", "x".repeat(args.bytes.saturating_sub(2))));
    let rate = std::thread::scope(|scope| {
        for number in 0..args.publishers {
            let channel = directory.channel(&format!("market_trades:{number}"));
            let channel = channel.map_err(|refusal| anyhow!("{refusal}"))?;
            let timestamp_us = clock.now().wall_us;
            let (stop, broker, data) = (&stop, &broker, data.clone());
            scope.spawn(move || {
                let draft = Draft {
                    channel,
                    kind: None,
                    data,
                    rows: None,
                    correlation_id: None,
                    idempotency: None,
                    owner: None,
                    from_plain_name: false,
                    id: Default::default(),
                    timestamp_us,
                };
                publish_until(stop, &**broker, &draft, args.outstanding);
            });
        }
        std::thread::sleep(Duration::from_secs(1));
        let (before, since) = (sink.0.load(Ordering::Relaxed), Instant::now());
        std::thread::sleep(Duration::from_secs_f64(args.seconds));
        let count = sink.0.load(Ordering::Relaxed) - before;
        stop.store(true, Ordering::Relaxed);
        Ok::<f64, anyhow::Error>(count as f64 / since.elapsed().as_secs_f64())
    });
    broker.close();
    rate
}

/// Measures.
pub(crate) fn run(args: &DurableArgs, common: &Common) -> Result<Report> {
    let DurableArgs { publishers, outstanding, bytes, .. } = args;
    let load = format!("{publishers} publishers with {outstanding} outstanding each, {bytes} bytes");
    let mut report = Report::new(
        "durable",
        load,
        vec![
            Goal::value("10ms / memory", Bound::AtLeast(0.5)),
            Goal::value("every-batch / memory", Bound::AtLeast(0.5)),
        ],
    );
    let root = match &args.dir {
        Some(dir) => dir.clone(),
        None => scratch()?,
    };
    for round in 0..common.rounds {
        let memory = measure(args, "memory://", Durability::default())?;
        let on_disk = |name: &str, durability| {
            let dir = root.join(format!("durable-{name}-{}-{round}", std::process::id()));
            let rate = measure(args, &format!("file:{}", dir.display()), durability);
            let _ = std::fs::remove_dir_all(&dir);
            rate
        };
        let later = on_disk("later", Durability::default())?;
        let every = on_disk("every", Durability::EveryBatch)?;
        report.add(
            Target::Product,
            vec![
                ("memory/s", memory),
                ("10ms/s", later),
                ("every-batch/s", every),
                ("10ms / memory", later / memory),
                ("every-batch / memory", every / memory),
            ],
        );
    }
    Ok(report)
}
