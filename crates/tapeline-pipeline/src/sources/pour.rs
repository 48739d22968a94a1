//! Puts in whatever somebody yields, at the pace of the pipeline: a full critical lane holds it back, and so does a
//! pipeline that has no room even for a dead letter. Nothing that is yielded is thrown away while the pipeline runs.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tapeline_core::feed::Update;

use crate::floor::{Pushed, Refusal};
use crate::source::Source;

/// Until what found no room is offered again.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of what was yielded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Poured {
    /// Taken in.
    pub accepted: u64,
    /// Left out, since it came before or is not what its channel says.
    pub left_out: u64,
    /// Not taken, as the pipeline is stopped; nothing more is yielded after that.
    pub refused: u64,
}

impl Poured {
    /// Counts one; `false` if there is no use in going on.
    fn count(&mut self, pushed: &Pushed) -> bool {
        match pushed {
            Pushed::Accepted => self.accepted += 1,
            Pushed::Repeated | Pushed::Invalid(_) => self.left_out += 1,
            Pushed::Refused(_) => self.refused += 1,
        }
        !matches!(pushed, Pushed::Refused(Refusal::Stopped))
    }
}

/// Puts in what an iterator yields, to its end or until the pipeline is stopped; for plain threads. An update that finds
/// no room is offered again until it is taken: each offer counts as one refused in [`crate::stats::SourceStats`].
pub fn pour(source: &Source, updates: impl IntoIterator<Item = Update>) -> Poured {
    let mut poured = Poured::default();
    for update in updates {
        let update = Arc::new(update);
        let pushed = loop {
            match source.push_wait(update.clone()) {
                Pushed::Refused(Refusal::NoRoom) => std::thread::sleep(PAUSE),
                pushed => break pushed,
            }
        };
        if !poured.count(&pushed) {
            break;
        }
    }
    poured
}

/// [`pour`] for a stream or a channel, by what takes its next: `pour_async(&source, async || updates.recv().await)`.
pub async fn pour_async(source: &Source, mut next: impl AsyncFnMut() -> Option<Update>) -> Poured {
    let mut poured = Poured::default();
    while let Some(update) = next().await {
        let update = Arc::new(update);
        let pushed = loop {
            match source.push_async(update.clone()).await {
                Pushed::Refused(Refusal::NoRoom) => pause().await,
                pushed => break pushed,
            }
        };
        if !poured.count(&pushed) {
            break;
        }
    }
    poured
}

/// Who is to be woken when a pause is over.
#[derive(Default)]
struct Pause {
    is_over: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Pause {
    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        if self.is_over.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// On any runtime, also one without a timer; what it costs is a thread for so long, while nothing goes on anyway.
async fn pause() {
    let pause = Arc::<Pause>::default();
    let ends = pause.clone();
    let timer = tapeline_runtime::spawn("pipe pause", move || {
        std::thread::sleep(PAUSE);
        ends.end();
    });
    if timer.is_err() {
        pause.end();
    }
    poll_fn(|cx| pause.poll(cx)).await;
}
