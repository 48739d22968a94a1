//! One call of a component: a panic is caught, and one that takes too long is dropped where it awaits. It does not know
//! what becomes of a failed call.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tapeline_core::feed::Update;

use crate::component::{Component, Handling};
use crate::worker::Outcome;

/// Calls a component; on a current-thread runtime with a timer.
pub(crate) async fn call(component: &dyn Component, update: &Arc<Update>, limit: Duration) -> Outcome {
    let mut guarded = match catch_unwind(AssertUnwindSafe(|| component.handle(update))) {
        Ok(handling) => Guarded(Some(handling)),
        Err(panic) => return Outcome::Panicked(told(&*panic)),
    };
    // Most calls are over at once, and need no timer.
    match poll_fn(|cx| Poll::Ready(Pin::new(&mut guarded).poll(cx))).await {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => tokio::time::timeout(limit, &mut guarded).await.unwrap_or(Outcome::TimedOut),
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
