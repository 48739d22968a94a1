//! Subscribing: a builder that is awaited, for calls and for streams alike.

use std::future::{Future, IntoFuture};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use tapeline_schema::Delivery;
use tokio::sync::oneshot;

use crate::bus::EventBus;
use crate::error::Error;
use crate::event::{Event, Gap};
use crate::link::Command;
use crate::message::PubSubMessage;
use crate::queue::Queue;
use crate::session::{Counts, NewSub, Since, Wish};
use crate::subscription::{Events, Subscription, next_event};

/// What a subscriber's function returns: nothing, or a future to be awaited before the next message.
pub trait Task<Kind> {
    /// Until it is done.
    fn finish(self) -> impl Future<Output = ()> + Send;
}

/// A function that is done when it returns.
#[derive(Debug)]
pub struct Done;

/// A function that is done when its future is.
#[derive(Debug)]
pub struct Later;

impl Task<Done> for () {
    async fn finish(self) {}
}

impl<F: Future<Output = ()> + Send> Task<Later> for F {
    fn finish(self) -> impl Future<Output = ()> + Send {
        self
    }
}

type OnGap = Box<dyn FnMut(Gap) + Send>;
/// Makes what the subscriber holds, and starts what it started.
type Start<Held> = Box<dyn FnOnce(Events, Option<OnGap>) -> Held + Send>;

/// A subscription that begins when it is awaited.
#[must_use = "nothing is subscribed until it is awaited"]
pub struct Subscribe<'a, Held> {
    bus: &'a EventBus,
    name: String,
    wish: Wish,
    since: Option<Since>,
    on_gap: Option<OnGap>,
    start: Start<Held>,
}

impl<'a> Subscribe<'a, Events> {
    pub(crate) fn streaming(bus: &'a EventBus, name: String) -> Self {
        Subscribe::new(bus, name, Box::new(|events, _| events))
    }
}

impl<'a> Subscribe<'a, Subscription> {
    pub(crate) fn calling<F, R, Kind>(bus: &'a EventBus, name: String, call: F) -> Self
    where
        F: FnMut(PubSubMessage) -> R + Send + 'static,
        R: Task<Kind> + Send + 'static,
        Kind: 'static,
    {
        let counts = bus.counts().clone();
        let start = move |events: Events, on_gap| {
            let (subscription, queue) = events.into_subscription();
            tokio::spawn(run(queue, call, on_gap, counts));
            subscription
        };
        Subscribe::new(bus, name, Box::new(start))
    }

    /// Calls this for messages that will not come, beside the log.
    pub fn on_gap(mut self, call: impl FnMut(Gap) + Send + 'static) -> Self {
        self.on_gap = Some(Box::new(call));
        self
    }
}

impl<'a, Held> Subscribe<'a, Held> {
    fn new(bus: &'a EventBus, name: String, start: Start<Held>) -> Self {
        Subscribe { bus, name, wish: Wish::default(), since: None, on_gap: None, start }
    }

    /// Begins after this place of the channel, as far back as it is kept. Without an epoch the offset counts under
    /// the current one; `since(0, None)` begins with the oldest message kept.
    pub fn since<'e>(mut self, offset: u64, epoch: impl Into<Option<&'e str>>) -> Self {
        self.since = Some(Since { offset, epoch: epoch.into().map(Into::into) });
        self
    }

    /// At most so many messages a second from each source channel, the newest ones. Subscribers of one name share
    /// the highest rate that one of them asked for.
    pub fn max_rate(mut self, per_second: u32) -> Self {
        self.wish.max_rate = Some(per_second);
        self
    }

    /// Another delivery than the family's. Where subscribers of one name differ, each message comes to all of them
    /// if one wants every.
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.wish.delivery = Some(delivery);
        self
    }

    async fn begin(self) -> Result<Held, Error> {
        let Subscribe { bus, name, wish, since, on_gap, start } = self;
        let (id, queue) = bus.new_queue();
        // Ends the subscription again if this is given up or fails.
        let events = Events::new(bus.clone(), id, name.clone(), queue.clone());
        let (confirm, confirmed) = oneshot::channel();
        let new = NewSub { id, name: name.as_str().into(), wish, since, queue, confirm };
        let after = bus.settings().request_timeout;
        let asked = async {
            bus.send(Command::Subscribe(Box::new(new))).await?;
            confirmed.await.unwrap_or(Err(Error::BusClosed))
        };
        match tokio::time::timeout(after, asked).await {
            Ok(answer) => answer.map(|()| start(events, on_gap)),
            Err(_) => Err(Error::Timeout { what: format!("a subscription of {name}"), after }),
        }
    }
}

impl<'a, Held: 'a> IntoFuture for Subscribe<'a, Held> {
    type Output = Result<Held, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.begin())
    }
}

/// Calls for each message until the subscription ends. A call that panics is counted and logged; the next message
/// gets a call of its own.
async fn run<F, R, Kind>(queue: Arc<Queue>, mut call: F, mut on_gap: Option<OnGap>, counts: Arc<Counts>)
where
    F: FnMut(PubSubMessage) -> R,
    R: Task<Kind>,
{
    while let Some(event) = next_event(&queue).await {
        let channel = event.message().map(|message| message.channel().to_string());
        let task = async {
            match event {
                Event::Message(message) => call(message).finish().await,
                Event::Gap(gap) => on_gap.iter_mut().for_each(|on_gap| on_gap(gap.clone())),
                Event::Notice(_) | Event::Ended(_) => {}
            }
        };
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            counts.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(channel, "a subscriber panicked; its subscription goes on");
        }
    }
}
