//! What the hub says beside messages: answers, gaps, notices.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tapeline_schema::events::FreshnessState;

/// A subscription stands. What comes after it is what was published after it, or what `since` asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SubscriptionConfirmed {
    /// The channel; its key fields stand beside it under their own names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The newest message's place when it was confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What the offset counts under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Where `since` was given: whether nothing is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// Whether a family declares the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<bool>,
    /// What the name was probably meant to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Of a roll-up or pattern: the templates and names that it collects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covers: Option<Vec<String>>,
    /// `partial` where there were more last values than are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// When it was confirmed, RFC 3339.
    pub time: String,
    /// The rate that is kept to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::rates")]
    pub max_rate: Option<u32>,
    /// As it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// A subscription is over.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UnsubscriptionConfirmed {
    /// The channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// As it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// A publish is done, as durable as the hub is told to be.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Published {
    /// The channel.
    pub channel: String,
    /// The message's id; of a repeat, the first one's.
    pub id: String,
    /// Its place; absent while it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What the offset counts under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Whether it repeats an earlier publish and went nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<bool>,
    /// There where the message broker is out of reach: it is published when that is back, unless something newer is there
    /// by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
    /// Sessions that hear the channel.
    pub subscribers: u64,
    /// As it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// The newest message of a channel.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Last {
    /// The channel; its key fields stand beside it under their own names.
    pub channel: String,
    /// The message as it was delivered, or null.
    pub message: Option<Value>,
    /// As it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// Kept messages of a channel, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct History {
    /// The channel; its key fields stand beside it under their own names.
    pub channel: String,
    /// What their offsets count under.
    pub epoch: String,
    /// The messages as they were delivered.
    pub messages: Vec<Value>,
    /// The offset to ask for more from, or null at the end.
    pub next: Option<u64>,
    /// As it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// What this connection is subscribed to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Subscriptions {
    /// Channels.
    pub channels: Vec<String>,
    /// Patterns.
    pub patterns: Vec<String>,
    /// As it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// The hub is there.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pong {
    /// The hub's time, RFC 3339.
    pub time: String,
    /// As it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// The hub is there; sent after 15 s of silence.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Heartbeat {
    /// The hub's time, RFC 3339.
    pub time: String,
}

/// Messages of a channel are missing here, and why.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Gap {
    /// The channel; its key fields stand beside it under their own names.
    pub channel: String,
    /// The first one's offset.
    pub from: u64,
    /// The last one's, or null where it is not known.
    pub to: Option<u64>,
    /// `trimmed`: no longer kept; `epoch`: counted anew; `overflow`: more than could wait; `broker`: lost between
    /// hubs.
    #[schemars(schema_with = "super::gap_reasons")]
    pub reason: String,
}

/// Something worth knowing that loses nothing by being ignored. At most one a second and channel; off with
/// `?notices=0`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Notice {
    /// What it is about.
    #[schemars(schema_with = "super::notices")]
    pub notice: String,
    /// The channel it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Of `stale`: `stale` if nothing has come for too long, `frozen` if the same comes again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<FreshnessState>,
    /// Of `stale`: the age of the newest message, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}

/// The hub is about to stop: connect anew after this pause and resume.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Reconnect {
    /// The pause, in milliseconds.
    pub after_ms: u64,
}

/// A token was taken.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenOk {
    /// When it ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// As it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// The connection's token ends soon: send another.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenExpiring {
    /// In how many seconds.
    pub in_s: u64,
}

/// What was asked is refused. The connection lives on unless the code says otherwise.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ErrorFrame")]
pub struct Refused {
    /// Decide by this.
    #[schemars(schema_with = "super::error_codes")]
    pub code: String,
    /// Names the thing and the limit, for people.
    pub message: String,
    /// After so many milliseconds the same may succeed; not said where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u32>,
    /// What was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// As it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}
