//! The JSON objects of requests and answers. Only their shapes: the gateway reads and writes them by hand, and a test
//! holds what it answers against these.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tapeline_schema::ops::{IncidentsAnswer, Inspection, PresenceAnswer, StatsAnswer};
use tapeline_schema::{Family, NAME_LIMIT};

use crate::frames::schema_of;

/// A channel's name: printable ASCII without space , * ? [ ] \\
pub(super) const NAME: &str = r"^[\x21-\x29\x2b\x2d-\x3e\x40-\x5a\x5e-\x7e]+$";
/// Bytes, so at least as many characters, of a type, a correlation id, an idempotency key and a client id.
pub(super) const LABEL: usize = 256;

/// One publish.
#[derive(Debug, Serialize, JsonSchema)]
struct PublishRequest {
    /// The channel.
    #[schemars(length(min = 1, max = NAME_LIMIT), regex(pattern = NAME))]
    channel: String,
    /// The message's type, where it is not the family's own.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LABEL))]
    kind: Option<String>,
    /// One JSON value; leaves as it comes.
    data: Value,
    /// Carried end to end.
    #[schemars(length(max = LABEL))]
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    /// A repeat within 5 minutes is not published again.
    #[schemars(length(max = LABEL))]
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    /// Whose channel it is, where the family is read by its channels' owners; the first owner of a channel stays.
    #[schemars(length(min = 1, max = LABEL))]
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
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

/// A publish is held until the message broker is back in reach; it has no place yet, and none if something newer is
/// there by then.
#[derive(Debug, Serialize, JsonSchema)]
struct HeldReceipt {
    /// The channel.
    channel: String,
    /// The message's id.
    id: String,
    /// Always true.
    held: bool,
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
    Held(HeldReceipt),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    /// Instead of `data` where what was published is not JSON: its bytes in base64. Only names that nobody declared take
    /// such, from Redis clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_b64: Option<String>,
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
    /// Another one for each start of a hub.
    instance: String,
    /// `on`, or `off`: then everybody may do everything.
    authentication: String,
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

/// What is taken back: of two one.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is made")]
enum Revoke {
    /// All tokens of this subject that were issued until now; for an API key, `key:ID`.
    Subject(#[schemars(length(min = 1, max = 256))] String),
    /// The token with this id (`jti`).
    TokenId(#[schemars(length(min = 1, max = 256))] String),
}

/// What has been taken back.
#[derive(Debug, Serialize, JsonSchema)]
struct Revocation {
    /// All tokens of this subject that were issued until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The token with this id (`jti`).
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    /// When.
    at: String,
    /// Until when it is remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// What has been taken back, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
struct Revocations {
    revocations: Vec<Revocation>,
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
        named::<HeldReceipt>(),
        named::<BatchAnswer>(),
        named::<BroadcastReceipt>(),
        named::<DeliveredMessage>(),
        named::<HistoryAnswer>(),
        named::<HealthAnswer>(),
        named::<ReadyAnswer>(),
        named::<PresenceAnswer>(),
        named::<StatsAnswer>(),
        named::<Inspection>(),
        named::<IncidentsAnswer>(),
        named::<ChannelsAnswer>(),
        named::<Family>(),
        named::<FamilyAnswer>(),
        named::<ReloadAnswer>(),
        named::<Revoke>(),
        named::<Revocation>(),
        named::<Revocations>(),
        named::<Error>(),
    ]
}
