//! What a subscriber holds: a stream of events, or the standing order to call a function.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};

use crate::bus::EventBus;
use crate::event::Event;
use crate::link::Command;
use crate::message::PubSubMessage;
use crate::queue::Queue;

/// Messages and gaps in the order they came, as a [`Stream`] of [`Event`]s. It ends when the bus is closed, or after
/// [`Event::Ended`]. Dropping it ends the subscription.
pub struct Events {
    bus: EventBus,
    id: u64,
    name: String,
    queue: Arc<Queue>,
    is_over: bool,
}

impl Events {
    pub(crate) fn new(bus: EventBus, id: u64, name: String, queue: Arc<Queue>) -> Self {
        Events { bus, id, name, queue, is_over: false }
    }

    /// The subscription without its stream, which somebody else reads.
    pub(crate) fn into_subscription(mut self) -> (Subscription, Arc<Queue>) {
        self.is_over = true;
        let (commands, name) = (self.bus.commands().downgrade(), std::mem::take(&mut self.name));
        let queue = self.queue.clone();
        (Subscription { commands, id: self.id, name, queue: queue.clone() }, queue)
    }

    /// The name that was subscribed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next event; `None` after the end.
    pub async fn next(&mut self) -> Option<Event> {
        next_event(&self.queue).await
    }

    /// Only the messages. Gaps are logged and counted.
    pub fn messages(self) -> impl Stream<Item = PubSubMessage> + Send + Unpin {
        let message = |event| async move {
            match event {
                Event::Message(message) => Some(message),
                _ => None,
            }
        };
        Box::pin(self.filter_map(message))
    }

    /// Messages that were replaced by newer ones while they waited here.
    pub fn conflated(&self) -> u64 {
        self.queue.conflated()
    }

    /// Ends the subscription; nothing more comes after it returns.
    pub async fn unsubscribe(mut self) {
        self.is_over = true;
        end(self.bus.commands(), self.id).await;
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.queue.poll_next(context)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let end = Command::Unsubscribe(self.id, None);
        if let Err(mpsc::error::TrySendError::Full(end)) = self.bus.commands().try_send(end) {
            // Rare: somebody has to wait until there is room.
            let commands = self.bus.commands().clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { commands.send(end).await });
            }
        }
    }
}

/// A standing order to call a function. Dropping it changes nothing: the calls go on as long as the bus lives.
pub struct Subscription {
    commands: mpsc::WeakSender<Command>,
    id: u64,
    name: String,
    queue: Arc<Queue>,
}

impl Subscription {
    /// The name that was subscribed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Messages that were replaced by newer ones while they waited here.
    pub fn conflated(&self) -> u64 {
        self.queue.conflated()
    }

    /// Ends it. A call that is under way goes on to its end; no further one is made.
    pub async fn unsubscribe(self) {
        // Without a bus there is nothing left to end.
        if let Some(commands) = self.commands.upgrade() {
            end(&commands, self.id).await;
        }
    }
}

async fn end(commands: &mpsc::Sender<Command>, id: u64) {
    let (done, ended) = oneshot::channel();
    if commands.send(Command::Unsubscribe(id, Some(done))).await.is_ok() {
        // The bus may have ended meanwhile, and the subscription with it.
        let _ = ended.await;
    }
}

pub(crate) async fn next_event(queue: &Queue) -> Option<Event> {
    std::future::poll_fn(|context| queue.poll_next(context)).await
}
