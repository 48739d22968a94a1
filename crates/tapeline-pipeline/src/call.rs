//! One call of a component: a panic is caught, and one that takes too long is dropped where it awaits. It does not know
//! what becomes of a failed call.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tapeline_core::feed::Update;

use crate::component::{Component, Handling};
use crate::worker::Outcome;

/// Longer than any process lives.
const NO_LIMIT: Duration = Duration::from_secs(86_400 * 365 * 10);

/// Calls a component; on a current-thread runtime with a timer.
pub(crate) async fn call(component: &dyn Component, update: &Arc<Update>, limit: Duration) -> Outcome {
    // The time that the first poll takes counts too.
    let since = Instant::now();
    let mut guarded = match catch_unwind(AssertUnwindSafe(|| component.handle(update))) {
        Ok(handling) => Guarded(Some(handling)),
        Err(panic) => return Outcome::Panicked(told(&*panic)),
    };
    // Most calls are over at once, and need no timer.
    match poll_fn(|cx| Poll::Ready(Pin::new(&mut guarded).poll(cx))).await {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => {
            let until = since.checked_add(limit).unwrap_or_else(|| since + NO_LIMIT);
            tokio::time::timeout_at(until.into(), &mut guarded).await.unwrap_or(Outcome::TimedOut)
        }
    }
}

/// A call whose panics are caught, in its end too.
struct Guarded<'a>(Option<Handling<'a>>);

impl Future for Guarded<'_> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(handling) = &mut self.0 else { return Poll::Ready(Outcome::TimedOut) };
        match catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => Poll::Ready(Outcome::Delivered),
            Ok(Poll::Ready(Err(failure))) => Poll::Ready(Outcome::Failed(failure)),
            Err(panic) => Poll::Ready(Outcome::Panicked(told(&*panic))),
        }
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        let handling = self.0.take();
        // A component that panics as its call is dropped must not take its thread along.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(handling)));
    }
}

/// What a panic says.
pub(crate) fn told(panic: &(dyn std::any::Any + Send)) -> Box<str> {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
        .into()
}

#[cfg(test)]
mod tests {
    use tapeline_core::feed::VenueChannel;

    use super::*;
    use crate::testing::update;

    /// Takes more than its time before it awaits anything, and then goes on.
    struct SlowStart;

    impl Component for SlowStart {
        fn takes(&self, _: &VenueChannel) -> bool {
            true
        }

        fn handle<'a>(&'a self, _: &'a Arc<Update>) -> Handling<'a> {
            Box::pin(async {
                std::thread::sleep(LIMIT * 2);
                std::future::pending::<()>().await;
                Ok(())
            })
        }
    }

    const LIMIT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn the_time_before_a_call_first_awaits_counts_too() {
        let started = Instant::now();
        let update = Arc::new(update("ticker", "a", 1));
        let mut calling = Box::pin(call(&SlowStart, &update, LIMIT));
        // Its time is over when it first awaits, so its timer is due at once.
        let first = poll_fn(|cx| Poll::Ready(calling.as_mut().poll(cx))).await;
        assert!(started.elapsed() >= LIMIT * 2);
        match first {
            Poll::Ready(outcome) => assert_eq!(outcome, Outcome::TimedOut),
            Poll::Pending => assert_eq!(calling.await, Outcome::TimedOut),
        }
    }
}
