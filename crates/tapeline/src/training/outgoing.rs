//! What a training run has said and the hub has not heard: a bounded queue that nobody waits for. Of progress and metrics
//! the newest of a run takes the place of the one before; where there is no room the oldest of what may be lost goes.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{Notify, oneshot};

use crate::error::Error;

/// What may wait.
pub(super) const LIMIT: usize = 1_024;

/// What is said of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Status,
    Progress,
    Metrics,
    Log,
    Error,
}

impl Kind {
    /// As in `training.status`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Status => "status",
            Kind::Progress => "progress",
            Kind::Metrics => "metrics",
            Kind::Log => "log",
            Kind::Error => "error",
        }
    }

    /// Whether a newer one says all that the older did.
    fn conflates(self) -> bool {
        matches!(self, Kind::Progress | Kind::Metrics)
    }

    /// Whether it may be lost rather than wait for a hub that is away.
    pub(super) fn may_be_lost(self) -> bool {
        self.conflates() || self == Kind::Log
    }
}

type Outcome = Result<(), Error>;

/// Something to be sent.
pub(super) struct Item {
    pub(super) experiment: Box<str>,
    pub(super) kind: Kind,
    /// JSON.
    pub(super) data: String,
    /// Of a run that is created with it: JSON.
    pub(super) config: Option<String>,
    /// Makes the hub take it once.
    pub(super) key: String,
    /// The id it has got, once the hub has taken it.
    pub(super) published: Option<String>,
    /// Its place in the order of what was said; the queue gives it.
    pub(super) ticket: u64,
    pub(super) waiting: Vec<oneshot::Sender<Outcome>>,
}

impl Item {
    /// Tells whoever waits.
    pub(super) fn tell(self, outcome: &Outcome) {
        for waiting in self.waiting {
            // Most do not wait.
            let _ = waiting.send(outcome.clone());
        }
    }
}

/// On its way. It goes there whether this is awaited or not; awaited, it says what became of it.
#[derive(Debug)]
pub struct Sent(Progress);

#[derive(Debug)]
enum Progress {
    Waiting(oneshot::Receiver<Outcome>),
    Over(Outcome),
}

impl Sent {
    pub(super) fn failed(error: Error) -> Self {
        tracing::warn!(%error, "not published");
        Sent(Progress::Over(Err(error)))
    }
}

impl Future for Sent {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        match &mut self.0 {
            Progress::Over(outcome) => Poll::Ready(outcome.clone()),
            Progress::Waiting(waiting) => {
                Pin::new(waiting).poll(context).map(|told| told.unwrap_or(Err(Error::BusClosed)))
            }
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Outgoing {
    waiting: Mutex<Waiting>,
    /// Rung for the task that sends.
    ready: Notify,
    /// Rung when something has been settled.
    settled: Notify,
    pub(super) conflated: AtomicU64,
    pub(super) dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    /// By their tickets.
    items: VecDeque<Item>,
    /// The ticket of the one that is on its way.
    sending: Option<u64>,
    /// The newest ticket given.
    tickets: u64,
    is_closed: bool,
}

impl Outgoing {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one to be sent, whatever has to go for it.
    pub(super) fn push(&self, mut item: Item) -> Sent {
        let (told, waiting) = oneshot::channel();
        item.waiting.push(told);
        let lost = {
            let mut queue = self.lock();
            queue.take(item, &self.conflated)
        };
        self.ready.notify_one();
        if let Some(lost) = lost {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(experiment = %lost.experiment, kind = lost.kind.name(), "dropped: {LIMIT} updates wait");
            let what = format!("{LIMIT} training updates");
            self.settled.notify_waiters();
            lost.tell(&Err(Error::Full { what, limit: LIMIT, setting: "of one TrainingChannel" }));
        }
        Sent(Progress::Waiting(waiting))
    }

    pub(super) fn len(&self) -> usize {
        let queue = self.lock();
        queue.items.len() + usize::from(queue.sending.is_some())
    }

    /// The next to be sent, which is on its way from then on; `None` when there will be none.
    pub(super) async fn next(&self) -> Option<Item> {
        loop {
            {
                let mut queue = self.lock();
                if let Some(item) = queue.items.pop_front() {
                    queue.sending = Some(item.ticket);
                    return Some(item);
                }
                if queue.is_closed {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }

    /// The one that was on its way has arrived, or is lost.
    pub(super) fn settle(&self, item: Item, outcome: &Outcome) {
        if outcome.is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.lock().sending = None;
        item.tell(outcome);
        self.settled.notify_waiters();
    }

    /// Waits for what has been said until now, not for what is said meanwhile.
    pub(super) async fn flush(&self) {
        let last = self.lock().tickets;
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if self.lock().oldest().is_none_or(|oldest| oldest > last) {
                return;
            }
            settled.await;
        }
    }
}

impl Waiting {
    /// The ticket of the one that was said first.
    fn oldest(&self) -> Option<u64> {
        self.sending.or_else(|| self.items.front().map(|item| item.ticket))
    }

    /// Puts it in its place; answers what had to go.
    fn take(&mut self, mut item: Item, conflated: &AtomicU64) -> Option<Item> {
        self.tickets += 1;
        item.ticket = self.tickets;
        if item.kind.conflates()
            && let Some(at) = self.replaced_by(&item)
        {
            conflated.fetch_add(1, Ordering::Relaxed);
            self.replace(at, item);
            return None;
        }
        if self.items.len() < LIMIT {
            self.items.push_back(item);
            return None;
        }
        match self.items.iter().position(|old| old.kind.may_be_lost()) {
            Some(at) => {
                let lost = self.items.remove(at);
                self.items.push_back(item);
                lost
            }
            None => Some(item),
        }
    }

    fn replaced_by(&self, item: &Item) -> Option<usize> {
        self.items.iter().position(|old| old.kind == item.kind && old.experiment == item.experiment)
    }

    /// In the place of the older one; but where the run begins anew behind that, the newer one belongs behind it too.
    fn replace(&mut self, at: usize, mut item: Item) {
        let begins = |later: &Item| later.config.is_some() && later.experiment == item.experiment;
        let is_of_new_run = self.items.iter().skip(at).any(begins);
        let Some(old) = self.items.get_mut(at) else { return };
        item.waiting.append(&mut old.waiting);
        if is_of_new_run {
            self.items.remove(at);
            self.items.push_back(item);
        } else {
            item.ticket = old.ticket;
            *old = item;
        }
    }
}

/// What the clones of a channel hold: when the last is gone, the task ends once all is sent.
#[derive(Default)]
pub(super) struct Handle(Arc<Outgoing>);

impl Handle {
    pub(super) fn queue(&self) -> &Arc<Outgoing> {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.ready.notify_one();
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("waiting", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(experiment: &str, kind: Kind, data: &str) -> Item {
        let (experiment, data) = (experiment.into(), data.to_string());
        Item {
            experiment,
            kind,
            data,
            config: None,
            key: String::new(),
            published: None,
            ticket: 0,
            waiting: Vec::new(),
        }
    }

    fn left(queue: &Outgoing) -> Vec<String> {
        queue.lock().items.iter().map(|item| format!("{} {}", item.experiment, item.data)).collect()
    }

    #[test]
    fn newer_progress_takes_the_place_of_what_waits_and_each_run_has_its_own() {
        let queue = Outgoing::default();
        for (run, kind, data) in [
            ("a", Kind::Progress, "1"),
            ("a", Kind::Status, "s"),
            ("b", Kind::Progress, "1"),
            ("a", Kind::Progress, "2"),
            ("a", Kind::Metrics, "m"),
            ("a", Kind::Status, "t"),
        ] {
            queue.push(item(run, kind, data));
        }
        assert_eq!(left(&queue), ["a 2", "a s", "b 1", "a m", "a t"]);
        assert_eq!(queue.conflated.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn newer_progress_does_not_come_before_the_run_that_it_belongs_to() {
        let queue = Outgoing::default();
        queue.push(item("a", Kind::Progress, "of the old run"));
        queue.push(Item { config: Some("{}".into()), ..item("a", Kind::Status, "created") });
        queue.push(item("b", Kind::Progress, "1"));
        queue.push(item("a", Kind::Progress, "1"));
        queue.push(item("a", Kind::Progress, "2"));
        assert_eq!(left(&queue), ["a created", "b 1", "a 2"]);
        assert_eq!(queue.conflated.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_flush_waits_for_what_was_said_before_it_and_for_no_more() {
        let queue = Outgoing::default();
        queue.push(item("a", Kind::Status, "1"));
        let mut flush = std::pin::pin!(queue.flush());
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(flush.as_mut().poll(&mut context).is_pending());
        queue.push(item("a", Kind::Status, "later"));
        let sent = queue.next().await.expect("something waits");
        assert!(flush.as_mut().poll(&mut context).is_pending());
        queue.settle(sent, &Ok(()));
        assert!(flush.as_mut().poll(&mut context).is_ready());
        assert_eq!(queue.len(), 1);
    }

    #[tokio::test]
    async fn a_full_queue_loses_the_oldest_line_and_no_status() {
        let queue = Outgoing::default();
        let first = queue.push(item("a", Kind::Log, "first"));
        (1..LIMIT).for_each(|_| drop(queue.push(item("a", Kind::Status, "s"))));
        queue.push(item("a", Kind::Error, "e"));
        assert!(matches!(first.await, Err(Error::Full { .. })));
        let refused = queue.push(item("a", Kind::Status, "one too many"));
        assert_eq!(
            refused.await.unwrap_err().to_string(),
            "1024 training updates wait for the hub, the limit is 1024 (of one TrainingChannel)"
        );
        assert_eq!((queue.len(), queue.dropped.load(Ordering::Relaxed)), (LIMIT, 2));
        assert_eq!(left(&queue).last().map(String::as_str), Some("a e"));
    }
}
