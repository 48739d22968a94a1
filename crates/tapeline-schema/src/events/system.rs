//! The system about itself: health, metrics, alerts, freshness; and what it tells its users.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Time;

/// A row: how a component is. Its key is `component`. Published by the components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemHealth {
    /// The component.
    pub component: String,
    /// In one word, such as `ok`, `degraded`, `down`.
    pub status: String,
}

/// A row: a measure's newest value. Its key is `name`. Published by the components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// The measure, with its unit: `order_latency_ms`.
    pub name: String,
    /// The value.
    pub value: f64,
}

/// Whether an alert is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It is on.
    Raised,
    /// It is over.
    Resolved,
}

/// A rule was broken, or holds again; published by monitors and the hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Who raises it, as the channel's key names it.
    pub source: String,
    /// The rule that was broken.
    pub rule: String,
    /// Raised or resolved.
    pub state: AlertState,
    /// What was measured.
    pub value: f64,
    /// What the rule allows, in the same unit.
    pub threshold: f64,
    /// When it was raised.
    pub since: Time,
}

/// How old a channel's newest message is, against what is usual for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FreshnessState {
    /// As it should be.
    Fresh,
    /// Late.
    Delayed,
    /// Too late to rely on.
    Stale,
    /// It comes, but nothing in it changes.
    Frozen,
}

impl FreshnessState {
    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            FreshnessState::Fresh => "fresh",
            FreshnessState::Delayed => "delayed",
            FreshnessState::Stale => "stale",
            FreshnessState::Frozen => "frozen",
        }
    }

    /// Whether a value must not be taken for a live one.
    pub fn is_stale(self) -> bool {
        matches!(self, FreshnessState::Stale | FreshnessState::Frozen)
    }
}

/// How fresh a channel is, published by the hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Freshness {
    /// The channel.
    pub of: String,
    /// How fresh.
    pub state: FreshnessState,
    /// The age of its newest message, in milliseconds.
    pub age_ms: u64,
}

/// Who came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PresenceEvent {
    /// A session hears the channel from now on.
    Joined,
    /// A session no longer hears it.
    Left,
    /// More came and went than are told one by one: `missed` says how many.
    Changed,
}

/// A session came to a channel or left it, published by its hub where `presence.events` asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Presence {
    /// The channel.
    pub of: String,
    /// What happened.
    pub event: PresenceEvent,
    /// The session's client id, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Whose session it is: a token's subject, else an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The hub that the session is at, as its `instance`.
    pub node: String,
    /// Sessions that hear the channel when this is written, of all hubs.
    pub count: u64,
    /// Comings and goings since the channel's last event that are not told one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
}

/// Something a user should see, published by whatever has something to tell them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// The user, as the channel's key names them.
    pub user_id: String,
    /// In a few words.
    pub title: String,
    /// In full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// `info`, `warning` or `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
}

/// A source is alive, published by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceHeartbeat {
    /// The source, as the channel's key names it.
    pub source: String,
}
