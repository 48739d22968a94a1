//! One method for each family of the catalogue: what it needs in its arguments, the rest in an event struct.
//! It knows names and fields; how a message travels is [`crate::publish`]'s.

mod agents;
mod channels;
mod market;
mod portfolio;
mod system;
mod trading;
mod training;

pub use channels::{CatalogEvent, NamesItsChannel};

use serde::Serialize;
use serde_json::json;

use crate::bus::EventBus;
use crate::publish::Publish;

/// A key that a channel's name ends in.
fn keyed(family: &str, key: impl AsRef<str>) -> String {
    format!("{family}:{}", key.as_ref())
}

impl EventBus {
    /// Publishes an event of the catalogue, with its optional fields, on the channel that it names itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tapeline::Error> {
    /// use tapeline::events::SentimentUpdate;
    /// let bus = tapeline::connect("memory://publish_event").await?;
    /// let event = SentimentUpdate { symbol: "AAPL".into(), score: 0.4, source: Some("news".into()) };
    /// assert_eq!(bus.publish_event(&event).await?.channel, "sentiment:AAPL");
    /// # Ok(()) }
    /// ```
    pub fn publish_event<E: NamesItsChannel>(&self, event: &E) -> Publish<'_> {
        self.publish(event.channel(), event)
    }

    /// Publishes an event whose channel's key is not one of its fields: an account's execution, a portfolio's
    /// position.
    pub fn publish_event_to<E: CatalogEvent>(&self, key: impl AsRef<str>, event: &E) -> Publish<'_> {
        self.publish(keyed(E::FAMILY, key), event)
    }

    /// Publishes rows of a table; with `replaces_all` they are the whole of it.
    fn publish_rows(&self, channel: String, rows: impl Serialize, replaces_all: bool) -> Publish<'_> {
        match serde_json::to_value(rows) {
            Ok(rows) => self.publish(channel, json!({ "rows": rows, "snapshot": replaces_all })),
            Err(error) => {
                let error = crate::Error::Data(format!("rows are not JSON: {error}"));
                Publish::new(self, channel, Err(error))
            }
        }
    }
}
