//! Names for who builds channels of their own on the bus: topics `name.kind`, their channels `name.kind:id`, and keys of the
//! store `name:resource:id:field`; and which messages are of one namespace. It knows no event.

use serde::Serialize;

use crate::bus::EventBus;
use crate::message::PubSubMessage;
use crate::publish::Publish;
use crate::store::Store;
use crate::subscribe::Subscribe;
use crate::subscription::Events;

/// What channels like [`crate::TrainingChannel`] are built from.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tapeline::Error> {
/// # let bus = tapeline::connect("memory://base-channel").await?;
/// let backtests = tapeline::BaseChannel::new(&bus, "backtest");
/// assert_eq!(backtests.topic("result"), "backtest.result");
/// assert_eq!(backtests.key("run", "7", "config"), "backtest:run:7:config");
/// backtests.store().set(backtests.key("run", "7", "config"), "fast").await?;
/// assert_eq!(backtests.publish("result", "7", 1.2).await?.channel, "backtest.result:7");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct BaseChannel {
    bus: EventBus,
    name: String,
    namespace: Option<String>,
}

impl BaseChannel {
    /// Names that begin with this one.
    pub fn new(bus: &EventBus, name: impl Into<String>) -> Self {
        BaseChannel { bus: bus.clone(), name: name.into(), namespace: None }
    }

    /// Sees only messages whose data says this `namespace`.
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The bus.
    pub fn bus(&self) -> &EventBus {
        &self.bus
    }

    /// The store.
    pub fn store(&self) -> Store<'_> {
        self.bus.store()
    }

    /// The namespace, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// `name.kind`, which collects the channels of the kind where the hub's catalogue says so.
    pub fn topic(&self, kind: &str) -> String {
        format!("{}.{kind}", self.name)
    }

    /// `name.kind:id`
    pub fn channel(&self, kind: &str, id: &str) -> String {
        format!("{}.{kind}:{id}", self.name)
    }

    /// `name:resource:id:field`
    pub fn key(&self, resource: &str, id: &str, field: &str) -> String {
        format!("{}:{resource}:{id}:{field}", self.name)
    }

    /// Publishes on `name.kind:id`.
    pub fn publish(&self, kind: &str, id: &str, data: impl Serialize) -> Publish<'_> {
        self.bus.publish(self.channel(kind, id), data)
    }

    /// Subscribes to `name.kind`.
    pub fn subscribe_stream(&self, kind: &str) -> Subscribe<'_, Events> {
        self.bus.subscribe_stream(self.topic(kind))
    }

    /// Whether a message is to be seen here: without a namespace all are.
    pub fn sees(&self, message: &PubSubMessage) -> bool {
        let of = || message.get("namespace").and_then(serde_json::Value::as_str);
        self.namespace.as_deref().is_none_or(|own| of() == Some(own))
    }
}
