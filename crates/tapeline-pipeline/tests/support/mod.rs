//! Components that do as they are told, and updates for them.
#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tapeline_core::clock::Now;
use tapeline_core::feed::{Update, UpdateKind, VenueChannel};
use tapeline_pipeline::component::{Component, Failure, Handling};

const LONG: Duration = Duration::from_secs(60);

type Rule = dyn Fn(u64) -> Result<(), Failure> + Send + Sync;

/// Numbers that can be waited for.
#[derive(Default)]
pub(crate) struct Numbers {
    taken: Mutex<Vec<u64>>,
    more: Condvar,
}

impl Numbers {
    fn push(&self, number: u64) {
        self.taken.lock().unwrap().push(number);
        self.more.notify_all();
    }

    /// Waits until there are so many.
    pub(crate) fn await_count(&self, count: usize) {
        let taken = self.taken.lock().unwrap();
        let waited = self.more.wait_timeout_while(taken, LONG, |taken| taken.len() < count).unwrap();
        assert!(!waited.1.timed_out(), "{} of {count} came", waited.0.len());
    }
}

/// Takes every channel, answers by rule, and remembers the numbers of what it took.
pub(crate) struct Probe {
    rule: Box<Rule>,
    numbers: Numbers,
}

impl Probe {
    pub(crate) fn new(rule: impl Fn(u64) -> Result<(), Failure> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Probe { rule: Box::new(rule), numbers: Numbers::default() })
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.numbers.taken.lock().unwrap().clone()
    }

    pub(crate) fn await_count(&self, count: usize) {
        self.numbers.await_count(count);
    }
}

impl Component for Probe {
    fn takes(&self, _: &VenueChannel) -> bool {
        true
    }

    fn handle<'a>(&'a self, update: &'a Arc<Update>) -> Handling<'a> {
        let number = update.sequence.unwrap();
        let outcome = (self.rule)(number);
        if outcome.is_ok() {
            self.numbers.push(number);
        }
        Box::pin(async move { outcome })
    }
}

/// Awaits for ever, so many times; then takes at once.
pub(crate) struct Sleeper {
    sleeps: usize,
    begun: AtomicUsize,
    dropped: Arc<AtomicUsize>,
    pub(crate) taken: Numbers,
}

struct CountsItsEnd(Arc<AtomicUsize>);

impl Drop for CountsItsEnd {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Sleeper {
    pub(crate) fn new(sleeps: usize) -> Arc<Self> {
        let (begun, dropped, taken) = (AtomicUsize::new(0), Arc::default(), Numbers::default());
        Arc::new(Sleeper { sleeps, begun, dropped, taken })
    }

    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }
}

impl Component for Sleeper {
    fn takes(&self, _: &VenueChannel) -> bool {
        true
    }

    fn handle<'a>(&'a self, update: &'a Arc<Update>) -> Handling<'a> {
        Box::pin(async move {
            if self.begun.fetch_add(1, Ordering::SeqCst) < self.sleeps {
                let _counted = CountsItsEnd(self.dropped.clone());
                std::future::pending::<()>().await;
            }
            self.taken.push(update.sequence.unwrap());
            Ok(())
        })
    }
}

/// Holds who waits, until it is opened; for ever after, nobody.
#[derive(Default)]
pub(crate) struct Latch {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Latch {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    pub(crate) fn wait(&self) {
        drop(self.opened.wait_while(self.is_open.lock().unwrap(), |is_open| !*is_open).unwrap());
    }
}

/// Looks again and again until it is so.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < LONG, "it has not become so");
        std::thread::yield_now();
    }
}

/// An update of this channel with a number.
pub(crate) fn update(channel: VenueChannel, symbol: &str, number: u64) -> Update {
    Update {
        source: "kraken".into(),
        channel,
        kind: UpdateKind::Change,
        symbol: Some(symbol.into()),
        data: format!(r#"{{"symbol":"{symbol}","last":{number}}}"#).into(),
        id: None,
        sequence: Some(number),
        venue_us: None,
        received: Now { mono_us: 1, wall_us: 1 },
    }
}

pub(crate) fn ticker(symbol: &str, number: u64) -> Update {
    update(VenueChannel::Ticker, symbol, number)
}
