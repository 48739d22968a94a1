//! What a client asks of the hub. `req` comes back in the answer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A place to go on from: the offset of the last message that was seen, and what it counts under.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Place {
    /// The offset.
    pub offset: u64,
    /// What it counts under.
    pub epoch: String,
}

/// Where to go on from: of one channel a place or a bare offset, of a pattern a place a channel and perhaps the `time`
/// of its confirmation.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Since {
    /// An offset of whatever epoch there is.
    Offset(u64),
    /// A place.
    Place(Place),
    /// Places by channel, and `time`.
    Each(BTreeMap<String, Value>),
}

/// Hear a channel, several channels or a pattern.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Subscribe {
    /// A channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Up to 500 channels; each is confirmed or refused by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// A Redis glob over whole channel names: `training.*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Short for the channel `orderbook:SYMBOL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Where to go on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// With a pattern: replay channels that `since` does not name from this time on, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// At most so many messages a second of each source channel; rounded down to 1, 2, 5, 10, 20, 50 or 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<f64>,
    /// Another delivery than the family's own.
    #[schemars(schema_with = "super::deliveries")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// Any JSON up to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// Hear it no longer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Unsubscribe {
    /// A channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Several channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// A pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Short for the channel `orderbook:SYMBOL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// Any JSON up to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// Publish one message. It is answered only where `req` is given; refusals always.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Publish {
    /// The channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Short for the channel `orderbook:SYMBOL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// The message's type, where it is not the family's own.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// One JSON value; leaves as it comes.
    pub data: Value,
    /// Carried end to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// A repeat within 5 minutes is not published again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Whose channel it is, where the family is read by its channels' owners; the first owner of a channel stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Any JSON up to 256 bytes; asks for an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// Kept messages of a channel.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HistoryRequest")]
pub struct AskHistory {
    /// The channel.
    pub channel: String,
    /// After this place; without it from the oldest kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// At most so many, up to 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Any JSON up to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// The newest message of a channel.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LastRequest")]
pub struct AskLast {
    /// The channel.
    pub channel: String,
    /// Any JSON up to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// What this connection is subscribed to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct List {
    /// Any JSON up to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// Say who this is, as the first message or before the token in use ends.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TokenRequest")]
pub struct GiveToken {
    /// A token (JWT) or an API key.
    pub token: String,
    /// Any JSON up to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}

/// Is the hub there?
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ping {
    /// Any JSON up to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<Value>,
}
