//! What a source holds: where it puts its updates in. Usable from any thread, with or without a runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tapeline_core::feed::Update;

use crate::floor::{Floor, Gate, Patience, Pushed};

/// One source of a pipeline. Copies are the same source; what one thread pushes stays in order.
#[derive(Clone)]
pub struct Source {
    floor: Arc<Floor>,
    gate: Arc<Gate>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Source {
    pub(crate) fn new(floor: Arc<Floor>, gate: Arc<Gate>) -> Self {
        Source { floor, gate }
    }

    /// Takes an update in and never waits: a critical one that finds no room becomes a dead letter. Its `received` is
    /// read off the pipeline's clock.
    pub fn push(&self, update: impl Into<Arc<Update>>) -> Pushed {
        let pushed = self.floor.push(&self.gate, &update.into(), Patience::None);
        // Only who can wait is told to.
        pushed.unwrap_or(Pushed::Refused(crate::floor::Refusal::NoRoom))
    }

    /// Takes an update in. A critical one waits while a component that works has no room for it.
    pub fn push_wait(&self, update: impl Into<Arc<Update>>) -> Pushed {
        block_on(self.push_async(update))
    }

    /// [`Source::push_wait`] for who must not block its thread; on any runtime.
    pub async fn push_async(&self, update: impl Into<Arc<Update>>) -> Pushed {
        let update = update.into();
        self.floor.push_waiting(&self.gate, &update).await
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
