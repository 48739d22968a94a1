//! The system itself: health, measures, alerts, notifications, signs of life, what was given up.

use tapeline_schema::events::{
    Alert, DeadLetter, Freshness, Metric, Notification, SourceHeartbeat, SystemHealth,
};

use crate::bus::EventBus;
use crate::publish::Publish;

impl EventBus {
    /// How a component is, a row of `system_health`.
    pub fn publish_system_health(
        &self,
        component: impl Into<String>,
        status: impl Into<String>,
    ) -> Publish<'_> {
        self.publish_event(&SystemHealth { component: component.into(), status: status.into() })
    }

    /// A measure's newest value, a row of `metrics`.
    pub fn publish_metric(&self, name: impl Into<String>, value: f64) -> Publish<'_> {
        self.publish_event(&Metric { name: name.into(), value })
    }

    /// A rule was broken or holds again: reaches subscribers of `alerts:{source}` and `alerts`.
    pub fn publish_alert(&self, alert: &Alert) -> Publish<'_> {
        self.publish_event(alert)
    }

    /// How fresh a channel is, on `freshness:{of}`.
    pub fn publish_freshness(&self, freshness: &Freshness) -> Publish<'_> {
        self.publish_event(freshness)
    }

    /// Something a user should see, on `notifications:{user_id}`.
    pub fn publish_notification(&self, user_id: impl Into<String>, title: impl Into<String>) -> Publish<'_> {
        let (user_id, title) = (user_id.into(), title.into());
        self.publish_event(&Notification { user_id, title, body: None, level: None })
    }

    /// A source is alive, on `heartbeat:{source}`.
    pub fn publish_heartbeat(&self, source: impl Into<String>) -> Publish<'_> {
        self.publish_event(&SourceHeartbeat { source: source.into() })
    }

    /// A message that was given up, on `dead_letters:{source}`. A letter about a message of the hub names its channel,
    /// so that an operator can have it published again.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), tapeline::Error> {
    /// use tapeline::events::{DeadLetter, DeadLetterReason};
    /// let bus = tapeline::connect("memory://dead-letters").await?;
    /// # let mut letters = bus.subscribe_stream("dead_letters").await?;
    /// let fill = serde_json::json!({"portfolio_id": "p1", "quantity": 0});
    /// let letter = DeadLetter::of(DeadLetterReason::Validation, "2026-01-01T12:00:00Z", "trades:p1", fill)
    ///     .with_error("a trade of nothing");
    /// bus.publish_dead_letter("risk", &letter).await?;
    /// # let event = letters.next().await.expect("data arrives");
    /// # let heard: DeadLetter = event.message().expect("a message").parse()?;
    /// # assert_eq!((heard.original["channel"].as_str(), &heard), (Some("trades:p1"), &letter));
    /// # Ok(()) }
    /// ```
    pub fn publish_dead_letter(&self, source: impl AsRef<str>, letter: &DeadLetter) -> Publish<'_> {
        self.publish_event_to(source, letter)
    }
}
