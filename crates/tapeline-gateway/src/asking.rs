//! Asking the message broker or its store from an HTTP request: they answer from any thread and when they like, so each
//! question has a deadline, after which the request is refused as `degraded` rather than left hanging.

use std::future::Future;
use std::time::Duration;

use tapeline_core::broker::{Interest, NEWEST, Page, Sources};
use tapeline_core::store::Done;
use tapeline_core::{Channel, Hub, Refusal};
use tapeline_schema::ErrorCode;
use tapeline_schema::ops::BrokerReport;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a request waits for the broker.
const PATIENCE: Duration = Duration::from_secs(2);

/// A piece of what a channel keeps.
pub(crate) async fn page(hub: &Hub, channel: &Channel, after: u64, limit: usize) -> Result<Page, Refusal> {
    let (answer, answered) = question();
    hub.broker().read(channel, after, limit, answer);
    within(deadline(), answered).await
}

/// The sources of an interest.
pub(crate) async fn sources(hub: &Hub, interest: &Interest, limit: usize) -> Result<Sources, Refusal> {
    let (answer, answered) = question();
    hub.broker().sources(interest, limit, answer);
    within(deadline(), answered).await
}

/// What the broker rests on.
pub(crate) async fn report(hub: &Hub) -> Result<BrokerReport, Refusal> {
    let (answer, answered) = question();
    hub.broker().inspect(answer);
    within(deadline(), answered).await
}

/// How many messages a channel has been made to forget.
pub(crate) async fn forgotten(hub: &Hub, channel: &Channel, through: u64) -> Result<u64, Refusal> {
    let (answer, answered) = question();
    hub.broker().forget(channel, through, answer);
    within(deadline(), answered).await
}

/// The newest message of each channel; all of them are asked for at once.
pub(crate) async fn newest(hub: &Hub, channels: &[Channel]) -> Result<Vec<Page>, Refusal> {
    let ask = |channel| {
        let (answer, answered) = question();
        hub.broker().read(channel, NEWEST, 1, answer);
        answered
    };
    let asked: Vec<_> = channels.iter().map(ask).collect();
    let by = deadline();
    let mut pages = Vec::with_capacity(asked.len());
    for answered in asked {
        pages.push(within(by, answered).await?);
    }
    Ok(pages)
}

/// What the store says.
pub(crate) async fn stored<T: Send + 'static>(ask: impl FnOnce(Done<T>)) -> Result<T, Refusal> {
    let (answer, answered) = question();
    ask(answer);
    within(deadline(), answered).await?
}

/// Waits for an answer on a thread that may block.
pub(crate) fn wait<T>(answer: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    Handle::current().block_on(answer)
}

pub(crate) fn question<T: Send + 'static>() -> (Box<dyn FnOnce(T) + Send>, oneshot::Receiver<T>) {
    let (tell, told) = oneshot::channel();
    let answer = move |answer| {
        // Whoever asked may have gone.
        let _ = tell.send(answer);
    };
    (Box::new(answer), told)
}

pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

pub(crate) async fn within<T>(by: Instant, answered: oneshot::Receiver<T>) -> Result<T, Refusal> {
    let seconds = PATIENCE.as_secs();
    match tokio::time::timeout_at(by, answered).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Refusal::new(ErrorCode::Degraded, "the message broker gave no answer")),
        Err(_) => {
            let message = format!("the message broker gave no answer within {seconds} s; /health says more");
            Err(Refusal::new(ErrorCode::Degraded, message))
        }
    }
}
