//! The JSON objects of requests and answers. Only their shapes: the gateway reads and writes them by hand, and a test
//! holds what it answers against these.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tapeline_schema::Family;

use crate::frames::schema_of;

/// One publish.
#[derive(Debug, Serialize, JsonSchema)]
struct PublishRequest {
    /// The channel.
    channel: String,
    /// The message's type, where it is not the family's own.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// One JSON value; leaves as it comes.
    data: Value,
    /// Carried end to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    /// A repeat within 5 minutes is not published again.
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
}

/// A publish is done, as durable as the hub is told to be.
#[derive(Debug, Serialize, JsonSchema)]
struct PublishReceipt {
    /// The channel.
    channel: String,
    /// Its place.
    offset: u64,
    /// What the offset counts under.
    epoch: String,
    /// The message's id; of a repeat, the first one's.
    id: String,
    /// Sessions that hear the channel.
    subscribers: u64,
    /// There where it repeats an earlier publish and went nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
}

/// What became of each publish, in order.
#[derive(Debug, Serialize, JsonSchema)]
struct BatchAnswer {
    /// A receipt or a refusal each.
    results: Vec<BatchResult>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its shape is wanted")]
enum BatchResult {
    Done(PublishReceipt),
    Refused(Error),
}

/// A broadcast is done.
#[derive(Debug, Serialize, JsonSchema)]
struct BroadcastReceipt {
    /// Sessions that hear the channel.
    subscribers: u64,
    /// The channel made of the family and the keys.
    channel: String,
    /// Its place.
    offset: u64,
}

/// A message as it was delivered.
#[derive(Debug, Serialize, JsonSchema)]
struct DeliveredMessage {
    /// Its type.
    #[serde(rename = "type")]
    kind: String,
    /// Where it was published; the channel's keys stand beside it under their own names.
    channel: String,
    /// As it was published; of a table, rows.
    data: Value,
    /// Receipt by the hub, RFC 3339.
    timestamp: String,
    /// A UUID of version 7.
    id: String,
    /// As the publisher gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    /// Its place in its channel.
    offset: u64,
    /// What the offset counts under.
    epoch: String,
    /// Its places in the roll-ups that count for themselves, by their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollup: Option<BTreeMap<String, RollUpPlace>>,
}

/// A place in a roll-up.
#[derive(Debug, Serialize, JsonSchema)]
struct RollUpPlace {
    /// Its place in the roll-up.
    offset: u64,
    /// What the offset counts under.
    epoch: String,
}

/// Kept messages, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
struct HistoryAnswer {
    /// The channel.
    channel: String,
    /// What offsets count under.
    epoch: String,
    /// After `since`, or the oldest kept.
    messages: Vec<DeliveredMessage>,
}

/// How the hub and its parts are.
#[derive(Debug, Serialize, JsonSchema)]
struct HealthAnswer {
    /// `ok` or `degraded`.
    status: String,
    /// The hub's version.
    version: String,
    /// Each part's own status and a sentence.
    #[serde(flatten)]
    parts: BTreeMap<String, Value>,
}

/// The hub takes connections.
#[derive(Debug, Serialize, JsonSchema)]
struct ReadyAnswer {
    /// True.
    ready: bool,
}

/// What the hub is doing, counted since it started.
#[derive(Debug, Serialize, JsonSchema)]
struct StatsAnswer {
    /// Open now.
    connections: u64,
    /// Clients connected now.
    clients: u64,
    /// Subscriptions now.
    subscriptions: u64,
    /// By name, at most 1,000.
    channels: BTreeMap<String, ChannelStats>,
    /// Messages taken.
    published: u64,
    /// Messages given to connections.
    delivered: u64,
    /// Bytes of frames given to connections.
    delivered_bytes: u64,
    /// Messages replaced by newer ones while they waited.
    conflated: u64,
    /// The same by cause.
    conflated_by: BTreeMap<String, u64>,
    /// Messages that a subscriber did not get, by cause.
    dropped: BTreeMap<String, u64>,
    /// Connections that the hub closed, by cause.
    closed: BTreeMap<String, u64>,
    /// Publishes that were refused.
    refused: u64,
    /// Dead letters taken, by source and reason.
    dead_letters: BTreeMap<String, BTreeMap<String, u64>>,
    /// Dead letters that the hub could not write, by source and reason.
    dead_letters_lost: BTreeMap<String, BTreeMap<String, u64>>,
    /// Times that a subscription fell behind and was caught up from what is kept.
    catch_ups: u64,
    /// What was compressed, each once whatever the number of its receivers.
    compressed: BTreeMap<String, u64>,
    /// Waiting in the outboxes now.
    waiting_bytes: u64,
    /// Since the start.
    uptime_s: u64,
    /// The hub's version.
    version: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ChannelStats {
    /// Sessions that hear it.
    subscribers: u64,
    /// When its newest message came, RFC 3339.
    last_at: Option<String>,
}

/// Every family.
#[derive(Debug, Serialize, JsonSchema)]
struct ChannelsAnswer {
    /// In the order of their declaration, the built-in ones first.
    channels: Vec<ListedFamily>,
}

/// A family and how much it is used; the keys of its row stand beside these.
#[derive(Debug, Serialize, JsonSchema)]
struct ListedFamily {
    /// Its name.
    family: String,
    /// `built_in`, `file` or `live`.
    origin: String,
    /// Channels in use.
    channels: u64,
    /// Subscriptions to its channels by their names.
    subscribers: u64,
    /// As in a request to add it, every key written out.
    #[serde(flatten)]
    row: Family,
}

/// What adding or removing a family did.
#[derive(Debug, Serialize, JsonSchema)]
struct FamilyAnswer {
    /// Its name.
    family: String,
    /// Channels that begin anew for that.
    channels_ended: u64,
    /// What happens to it when the hub is started again.
    note: String,
}

/// What a reload did.
#[derive(Debug, Serialize, JsonSchema)]
struct ReloadAnswer {
    /// Settings that have taken effect.
    changed: Vec<SettingChange>,
    /// Settings that wait until the hub is started again.
    restart: Vec<SettingChange>,
    /// Families that are new.
    families_added: Vec<String>,
    /// Families whose row is another.
    families_changed: Vec<String>,
    /// Families that are gone.
    families_removed: Vec<String>,
    /// Channels that begin anew for that.
    channels_ended: u64,
}

/// A setting whose value is another; both are TOML, without secrets.
#[derive(Debug, Serialize, JsonSchema)]
struct SettingChange {
    /// `limits.frame_bytes`
    name: String,
    /// Before.
    from: String,
    /// Now.
    to: String,
}

/// A refusal.
#[derive(Debug, Serialize, JsonSchema)]
struct Error {
    /// Why.
    error: Why,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Why {
    /// Decide by this.
    #[schemars(schema_with = "crate::frames::error_codes")]
    code: String,
    /// Names the thing and the limit, for people.
    message: String,
}

pub(super) fn named<T: JsonSchema>() -> (String, Value) {
    (T::schema_name().into_owned(), schema_of::<T>())
}

/// All of them, by name.
pub(super) fn all() -> Vec<(String, Value)> {
    vec![
        named::<PublishRequest>(),
        named::<PublishReceipt>(),
        named::<BatchAnswer>(),
        named::<BroadcastReceipt>(),
        named::<DeliveredMessage>(),
        named::<HistoryAnswer>(),
        named::<HealthAnswer>(),
        named::<ReadyAnswer>(),
        named::<StatsAnswer>(),
        named::<ChannelsAnswer>(),
        named::<Family>(),
        named::<FamilyAnswer>(),
        named::<ReloadAnswer>(),
        named::<Error>(),
    ]
}
