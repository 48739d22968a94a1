//! A message broker as programs hold it that were written for one: chosen by a config or by variables, one a process and
//! config, with topics, subscribers and a health check. Underneath it is a bus.

mod choice;
mod config;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

pub use config::{BrokerType, MessageBrokerConfig};

use crate::bus::{EventBus, connect_with};
use crate::error::Error;
use crate::event::Event;
use crate::link::ConnectionState;
use crate::message::PubSubMessage;
use crate::publish::Publish;
use crate::settings::Settings;
use crate::store::Store;
use crate::subscription::Events;

/// How long a health check waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// The brokers of this process, each by where it is and what it takes.
static BROKERS: Mutex<Option<HashMap<(String, MessageBrokerConfig), MessageBroker>>> = Mutex::const_new(None);

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MessageBroker {
    bus: EventBus,
    seats: Arc<Semaphore>,
    max_subscribers: usize,
}

/// The message broker that a config names, else the variables: `TAPELINE_URL`; `MESSAGE_BROKER_TYPE=memory|redis|hub`
/// with `REDIS_URL`, or `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB` and `REDIS_PASSWORD`; else `memory`, which is private to this
/// process. The same config always gives the same broker.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tapeline::Error> {
/// use tapeline::{BrokerType, MessageBrokerConfig, get_message_broker};
/// let config = MessageBrokerConfig {
///     broker_type: Some(BrokerType::Memory),
///     max_queue_size: 10_000,
///     max_subscribers: 100,
///     ..MessageBrokerConfig::default()
/// };
/// let broker = get_message_broker(config).await?;
/// let status = serde_json::json!({"experiment_id": "exp_123", "status": "running", "progress": 0.45});
/// broker.publish("training.status", status).await?;
/// let mut messages = broker.subscribe("training.*").await?;
/// let message = messages.next().await.expect("the last status comes first");
/// assert_eq!((message.topic(), message.data()["status"].as_str()), ("training.status", Some("running")));
/// assert!(broker.health_check().await);
/// # Ok(()) }
/// ```
///
/// # Errors
/// What the config or the variables say contradicts itself, or nobody is where they lead.
pub async fn get_message_broker(
    config: impl Into<Option<MessageBrokerConfig>>,
) -> Result<MessageBroker, Error> {
    let config = config.into().unwrap_or_default();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let url = choice::url(&config, &variable)?;
    let mut brokers = BROKERS.lock().await;
    let brokers = brokers.get_or_insert_default();
    // One whose runtime has ended, or that was closed, is of no use to anybody.
    brokers.retain(|_, broker| !broker.is_over());
    let key = (url, config);
    if let Some(broker) = brokers.get(&key) {
        return Ok(broker.clone());
    }
    let (url, config) = &key;
    let settings = Settings { queue_messages: config.max_queue_size, ..Settings::default() };
    let max_subscribers = config.max_subscribers;
    let seats = Arc::new(Semaphore::new(max_subscribers.min(Semaphore::MAX_PERMITS)));
    let broker = MessageBroker { bus: connect_with(url, settings).await?, seats, max_subscribers };
    brokers.insert(key, broker.clone());
    Ok(broker)
}

impl MessageBroker {
    /// Publishes data on a topic when it is awaited.
    pub fn publish(&self, topic: impl Into<String>, data: impl Serialize) -> Publish<'_> {
        self.bus.publish(topic, data)
    }

    /// The messages of a topic or a pattern. Dropping it makes room for another subscriber.
    ///
    /// # Errors
    /// [`Error::TooManySubscribers`], or what the hub refuses.
    pub async fn subscribe(&self, topic: impl Into<String>) -> Result<Subscriber, Error> {
        let too_many = |_| Error::TooManySubscribers { limit: self.max_subscribers };
        let seat = self.seats.clone().try_acquire_owned().map_err(too_many)?;
        let events = self.bus.subscribe_stream(topic).await?;
        Ok(Subscriber { events, _seat: seat })
    }

    /// Whether messages can be published and kept: the connection stands and the hub says it is well.
    pub async fn health_check(&self) -> bool {
        let is_connected = *self.bus.state().borrow() == ConnectionState::Connected;
        is_connected && tokio::time::timeout(PATIENCE, self.bus.reach().is_well()).await.unwrap_or(false)
    }

    /// Small state beside messages.
    pub fn store(&self) -> Store<'_> {
        self.bus.store()
    }

    /// All that a bus can.
    pub fn bus(&self) -> &EventBus {
        &self.bus
    }

    /// The state says so first; of a runtime that has ended it says nothing any more.
    fn is_over(&self) -> bool {
        matches!(*self.bus.state().borrow(), ConnectionState::Closed(_)) || self.bus.commands().is_closed()
    }

    /// Ends the connection, for everybody in this process who has this broker.
    pub async fn close(&self) {
        self.bus.close().await;
    }
}

/// Messages in the order they came. Missing ones are logged and counted by the bus.
pub struct Subscriber {
    events: Events,
    _seat: OwnedSemaphorePermit,
}

impl Subscriber {
    /// The next message; `None` after the end.
    pub async fn next(&mut self) -> Option<PubSubMessage> {
        StreamExt::next(self).await
    }

    /// Messages that were replaced by newer ones while they waited here.
    pub fn conflated(&self) -> u64 {
        self.events.conflated()
    }
}

impl Stream for Subscriber {
    type Item = PubSubMessage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<PubSubMessage>> {
        loop {
            match std::task::ready!(self.events.poll_next_unpin(context)) {
                Some(Event::Message(message)) => return Poll::Ready(Some(message)),
                Some(Event::Gap(_) | Event::Notice(_)) => {}
                Some(Event::Ended(_)) | None => return Poll::Ready(None),
            }
        }
    }
}
