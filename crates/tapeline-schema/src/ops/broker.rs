//! What a message broker says of what it rests on, as `/inspect` tells it: a Redis and who else uses it, a directory on
//! disk. Refuses to know who asks and what is judged of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the message broker rests on, as it was found when it was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BrokerReport {
    /// Of a broker over Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisReport>,
    /// Of a broker on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskReport>,
}

/// A Redis and who else uses it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RedisReport {
    /// Host and port.
    pub address: String,
    /// Why it gave no answer; then the rest is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
    /// Its version.
    pub version: String,
    /// From a question to its answer, in microseconds; the least of several.
    pub round_trip_us: u64,
    /// Bytes in use.
    pub used_memory: u64,
    /// Bytes that it may use; 0 for all there are.
    pub maxmemory: u64,
    /// What it does when they are used up.
    pub maxmemory_policy: String,
    /// Whether what it holds survives its restart: snapshots or an append-only file. Absent where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
    /// Bytes that may wait for a subscriber before it is cut off; 0 for any number. Absent where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pubsub_limit: Option<u64>,
    /// What a hub needs and is refused, in Redis' words.
    pub denied: Vec<String>,
    /// What could not be looked at, in Redis' words.
    pub unseen: Vec<String>,
    /// Hubs whose lease holds, this one included.
    pub hubs: u64,
    /// Connections that are no hub's and subscribe, at most 20.
    pub listeners: Vec<RedisClient>,
    /// Connections that are no hub's and published last, at most 20.
    pub publishers: Vec<RedisClient>,
    /// Channels of this hub's catalogue that are subscribed under their plain names, with how many do, at most 50.
    pub plain_names: BTreeMap<String, u64>,
}

/// A connection to Redis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RedisClient {
    /// As it calls itself; empty where it does not.
    pub name: String,
    /// Where it comes from.
    pub address: String,
    /// Channels and patterns that it subscribes to.
    pub subscriptions: u64,
}

/// A directory that messages are kept in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DiskReport {
    /// Its path.
    pub directory: String,
    /// Bytes that are free where it lies.
    pub free_bytes: u64,
    /// How durable an acknowledged message is, as it was set.
    pub durability: String,
    /// Why the last write or flush failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}
