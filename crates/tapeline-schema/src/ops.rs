//! What a hub says about itself over HTTP: `/stats`, `/inspect`, `/incidents`.
//!
//! Owns the shapes, once for the hub that writes them, the documents that describe them and the commands that read them.
//! A reader of an older hub takes what is missing for zero. Refuses to know where the numbers come from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::events::FreshnessState;

mod broker;

pub use broker::{BrokerReport, DiskReport, RedisClient, RedisReport};

/// What the hub is doing, counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StatsAnswer {
    /// Sessions open now.
    pub connections: u64,
    /// Clients connected now.
    pub clients: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
    /// Channels that said something within the hour.
    pub channels_watched: u64,
    /// By name, at most 1,000.
    pub channels: BTreeMap<String, ChannelStats>,
    /// Messages taken.
    pub published: u64,
    /// Messages written to connections.
    pub delivered: u64,
    /// Bytes of frames written to connections.
    pub delivered_bytes: u64,
    /// Messages replaced by newer ones while they waited.
    pub conflated: u64,
    /// The same by cause: `pressure` (a full socket, or an inbox over half), `max_rate` (within a rate's interval).
    pub conflated_by: BTreeMap<String, u64>,
    /// Messages that a subscriber did not get, by cause.
    pub dropped: BTreeMap<String, u64>,
    /// Connections that the hub closed, by cause.
    pub closed: BTreeMap<String, u64>,
    /// What was not let in, by cause: connections (`handshakes`, `handshakes_total`, `connections_per_address`, `memory`),
    /// bodies of requests (`bodies`).
    pub turned_away: BTreeMap<String, u64>,
    /// The memory of the process.
    pub memory: MemoryStats,
    /// Publishes that were refused.
    pub refused: u64,
    /// The same by error code.
    pub refused_by: BTreeMap<String, u64>,
    /// Dead letters taken, by source and reason.
    pub dead_letters: BTreeMap<String, BTreeMap<String, u64>>,
    /// Dead letters that the hub could not write, by source and reason.
    pub dead_letters_lost: BTreeMap<String, BTreeMap<String, u64>>,
    /// Times that a subscription fell behind and was caught up from what is kept.
    pub catch_ups: u64,
    /// Places in channels that clients came back with: `recovered` lack nothing, of `not_recovered` they were told that
    /// something is missing.
    pub resumed: BTreeMap<String, u64>,
    /// What was compressed, each once whatever the number of its receivers.
    pub compressed: BTreeMap<String, u64>,
    /// Bytes waiting in the outboxes now.
    pub waiting_bytes: u64,
    /// By family, where there was anything.
    pub families: BTreeMap<String, FamilyCounts>,
    /// From receipt by the hub to the write, of live messages.
    pub delay: Delay,
    /// Clients that something waits for, the slowest first, at most 10.
    pub slowest: Vec<SlowClient>,
    /// Channels with the most messages, the busiest first, at most 20.
    pub busiest: Vec<BusyChannel>,
    /// Channels that have fallen out of their rhythm, at most 1,000.
    pub late: Vec<LateChannel>,
    /// What became of what feeds brought, by feed.
    pub feeds: BTreeMap<String, FeedCounts>,
    /// How often something went wrong, by kind: see `/incidents`.
    pub incidents: BTreeMap<String, u64>,
    /// Since the start.
    pub uptime_s: u64,
    /// The hub's version.
    pub version: String,
    /// Another one for each start of a hub.
    pub instance: String,
    /// Each hub behind the message broker, this one first. Of several, `connections`, `clients`, `subscriptions`,
    /// `channels`, `published`, `delivered`, `conflated` and `dropped` above are of all of them, the rest is of the one
    /// that answers.
    pub nodes: Vec<NodeStats>,
}

/// Memory in use and its limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MemoryStats {
    /// Resident now.
    pub bytes: u64,
    /// Above it work is refused (`limits.memory_bytes`); 0 for no limit.
    pub limit_bytes: u64,
    /// What is refused: 0 nothing; from 1 new sessions and publishes of low priority, from 2 of medium, from 3 of high.
    pub step: u8,
}

/// What one hub of several is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeStats {
    /// Another one for each start of a hub.
    pub instance: String,
    /// Where it listens first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its version.
    pub version: String,
    /// Since its start.
    pub uptime_s: u64,
    /// Sessions open now.
    pub connections: u64,
    /// Clients connected now.
    pub clients: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
    /// Messages taken.
    pub published: u64,
    /// Messages written to connections.
    pub delivered: u64,
    /// Messages replaced by newer ones while they waited.
    pub conflated: u64,
    /// Messages that a subscriber did not get, by cause.
    pub dropped: BTreeMap<String, u64>,
    /// How long ago it said so, in milliseconds.
    pub seen_ms: u64,
}

/// One channel's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ChannelStats {
    /// Sessions that hear it.
    pub subscribers: u64,
    /// When its newest message came, RFC 3339.
    pub last_at: Option<String>,
    /// The offset of its newest message.
    pub offset: u64,
}

/// One family's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FamilyCounts {
    /// Its priority.
    pub priority: String,
    /// Messages taken.
    pub published: u64,
    /// Publishes that repeated an earlier one and went nowhere.
    pub duplicates: u64,
    /// Messages written to connections.
    pub delivered: u64,
    /// Messages replaced by newer ones, by cause.
    pub conflated: BTreeMap<String, u64>,
    /// Messages that a subscriber did not get, by cause.
    pub dropped: BTreeMap<String, u64>,
    /// Times that a subscription fell behind and was caught up.
    pub catch_ups: u64,
}

impl FamilyCounts {
    /// Adds what was counted of the same family.
    pub fn add(&mut self, more: FamilyCounts) {
        self.priority = more.priority;
        self.published += more.published;
        self.duplicates += more.duplicates;
        self.delivered += more.delivered;
        self.catch_ups += more.catch_ups;
        for (sums, counts) in [(&mut self.conflated, more.conflated), (&mut self.dropped, more.dropped)] {
            for (cause, count) in counts {
                *sums.entry(cause).or_default() += count;
            }
        }
    }
}

/// How long messages took from their receipt to the write: the oldest live one of each write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Delay {
    /// Upper bounds in microseconds; one more bucket takes what is above the last.
    pub bounds_us: Vec<u64>,
    /// By priority: how many fell into each bucket, not added up.
    pub buckets: BTreeMap<String, Vec<u64>>,
}

/// A client that did not take all it was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SlowClient {
    /// Its client id, if it gave one, and its address.
    pub client: String,
    /// Bytes that wait for it.
    pub waiting_bytes: u64,
    /// Messages and answers that wait for it.
    pub waiting_messages: u64,
    /// For how long its socket has taken no byte.
    pub blocked_ms: u64,
    /// Channels in which it catches up from what is kept.
    pub behind: u64,
    /// Messages that newer ones replaced while they waited for it, since it came.
    pub conflated: u64,
}

/// A channel and how much it says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BusyChannel {
    /// Its name.
    pub channel: String,
    /// Messages a second, over the last few seconds.
    pub per_second: f64,
    /// Sessions that hear it.
    pub subscribers: u64,
}

/// A channel that is not as fresh as it should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LateChannel {
    /// Its name.
    pub channel: String,
    /// How it stands.
    pub state: FreshnessState,
    /// How long it has been silent.
    pub age_ms: u64,
    /// How long it usually is.
    pub usual_ms: u64,
}

/// What became of what a feed brought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FeedCounts {
    /// Taken by the hub.
    pub published: u64,
    /// Given way to a newer one of their channel while the hub was busy.
    pub conflated: u64,
    /// Dropped because the hub stayed busy for too long.
    pub dropped: u64,
    /// Refused by the hub.
    pub refused: u64,
    /// Critical ones that found no room for too long and became dead letters; among `dropped`.
    pub spilled: u64,
    /// Critical ones that wait now for the hub or its broker to take them.
    pub critical_waiting: u64,
    /// Of a feed that is connected to a venue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venue: Option<VenueCounts>,
}

/// What a feed meets at its venue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VenueCounts {
    /// Whether it is connected.
    pub connected: bool,
    /// When a message came last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<String>,
    /// Messages of any kind.
    pub messages: u64,
    /// Messages that are none of the venue's, or could not be understood.
    pub strays: u64,
    /// Data that had come before.
    pub repeated: u64,
    /// Books whose checksum did not hold.
    pub checksum_failures: u64,
    /// Books that were fetched anew.
    pub resyncs: u64,
    /// Holes in what is numbered.
    pub gaps: u64,
    /// Times that the connection was lost or could not be made.
    pub disconnects: u64,
    /// Rules whose alerts are on; see `alerts:{source}`.
    pub alerts: Vec<String>,
}

/// Who hears a channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PresenceAnswer {
    /// The channel.
    pub channel: String,
    /// Sessions that hear it, each once: this hub's now, other hubs' as they reported within 2 seconds.
    pub count: u64,
    /// Some of them, those that came first in front; who asked for the channel itself is named before others.
    pub sessions: Vec<PresentSession>,
    /// There where more hear the channel than are named.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// A session that hears a channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PresentSession {
    /// The client id that it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Whose session it is: a token's subject, else an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The hub that it is at, as its `instance`.
    pub node: String,
    /// Since when it hears the channel, RFC 3339.
    pub since: String,
    /// The roll-up or pattern that it asked for; absent where that is the channel itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

/// What went wrong lately, the newest first, at most 256.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IncidentsAnswer {
    /// Each once, with how often it came.
    pub incidents: Vec<Incident>,
}

/// Something went wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Incident {
    /// `publish_refused`, `request_refused`, `connection_refused`, `not_recovered`, `gap` or `closed`.
    pub kind: String,
    /// The error code or the cause.
    pub code: String,
    /// The channel or pattern that it is about, as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Whom it concerned last: a client id and an address, or a feed.
    pub client: String,
    /// What was said about it last.
    pub message: String,
    /// How often.
    pub count: u64,
    /// When it was first seen, RFC 3339.
    pub first_at: String,
    /// When it was last seen, RFC 3339.
    pub last_at: String,
}

/// All that the hub knows of a channel or a pattern.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Inspection {
    /// The name or pattern as it was asked for.
    pub name: String,
    /// Whether it is a pattern.
    pub is_pattern: bool,
    /// Why there can be no such channel or pattern; then the rest is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid: Option<String>,
    /// Whether a family declares the channel.
    pub declared: bool,
    /// Whether undeclared names are refused (`strict_channels`).
    pub strict: bool,
    /// What may have been meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Its family's row, of a channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<InspectedFamily>,
    /// Where it stands, of a channel with messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<InspectedHead>,
    /// Of a roll-up or pattern: channels that it covers now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covers: Option<Covered>,
    /// Who hears it.
    pub subscribers: Audience,
    /// Set where it has fallen out of its rhythm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<LateChannel>,
    /// What went wrong with it lately.
    pub incidents: Vec<Incident>,
    /// Patterns that sessions listen to and that match no channel now.
    pub idle_patterns: Vec<IdlePattern>,
    /// What the message broker rests on, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<BrokerReport>,
}

/// A family's row in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InspectedFamily {
    /// How its channels are called.
    pub template: String,
    /// The type of its messages.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its lane.
    pub priority: String,
    /// Its default.
    pub delivery: String,
    /// Whether this is the name of a roll-up.
    pub is_roll_up: bool,
    /// Messages that are kept.
    pub keep_count: u64,
    /// For how long they are kept; 0 for as long as there is room.
    pub keep_age_s: u64,
    /// Roll-ups that hear it.
    pub rolls_up_to: Vec<String>,
}

/// Where a channel stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InspectedHead {
    /// The newest offset.
    pub offset: u64,
    /// The oldest that is kept.
    pub oldest: u64,
    /// What they count under.
    pub epoch: String,
    /// When the newest came, RFC 3339; absent where it is no longer kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    /// The age of the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}

/// Channels that are covered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Covered {
    /// Some of them, at most 20.
    pub names: Vec<String>,
    /// How many there are, counted up to 1,000.
    pub count: u64,
}

/// Who hears a channel or pattern.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Audience {
    /// Sessions, each once.
    pub sessions: u64,
    /// By its own name.
    pub by_name: u64,
    /// Through roll-ups, by their names.
    pub by_roll_up: BTreeMap<String, u64>,
    /// Through patterns.
    pub by_pattern: BTreeMap<String, u64>,
}

/// A pattern that somebody listens to in vain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IdlePattern {
    /// The pattern.
    pub pattern: String,
    /// Sessions that listen to it.
    pub sessions: u64,
    /// What may have been meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
