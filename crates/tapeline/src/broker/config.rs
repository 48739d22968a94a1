//! What a program may say of its message broker. What is `None` is asked of the variables.

use std::fmt;
use std::str::FromStr;

use crate::address::without_login;

/// Where messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BrokerType {
    /// In this process; for tests and first steps.
    Memory,
    /// In Redis, which many processes share.
    Redis,
    /// At a hub elsewhere.
    Hub,
}

impl BrokerType {
    /// As in `MESSAGE_BROKER_TYPE`.
    pub fn name(self) -> &'static str {
        match self {
            BrokerType::Memory => "memory",
            BrokerType::Redis => "redis",
            BrokerType::Hub => "hub",
        }
    }

    /// Whether a URL leads to one of this type.
    pub(super) fn is_at(self, url: &str) -> bool {
        let scheme = url.split(':').next().unwrap_or_default();
        match self {
            BrokerType::Memory => scheme == "memory",
            BrokerType::Redis => matches!(scheme, "redis" | "rediss"),
            BrokerType::Hub => matches!(scheme, "ws" | "wss" | "http" | "https"),
        }
    }
}

impl FromStr for BrokerType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [BrokerType::Memory, BrokerType::Redis, BrokerType::Hub];
        let found = known.into_iter().find(|known| known.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("{text:?} is no type of message broker; known: memory, redis, hub"))
    }
}

/// A message broker's settings; `MessageBrokerConfig { max_subscribers: 10, ..Default::default() }` changes one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageBrokerConfig {
    /// Where messages are kept.
    pub broker_type: Option<BrokerType>,
    /// A URL that [`crate::connect`] takes, which says all of it.
    pub url: Option<String>,
    /// `localhost` where nothing says another.
    pub redis_host: Option<String>,
    /// 6379 where nothing says another.
    pub redis_port: Option<u16>,
    /// 0 where nothing says another.
    pub redis_db: Option<u32>,
    /// None where nothing says one.
    pub redis_password: Option<String>,
    /// Messages that may wait for one subscriber; then `latest` ones are replaced by newer ones, others read again later.
    pub max_queue_size: usize,
    /// Subscribers at once; one more is [`crate::Error::TooManySubscribers`].
    pub max_subscribers: usize,
}

impl Default for MessageBrokerConfig {
    fn default() -> Self {
        MessageBrokerConfig {
            broker_type: None,
            url: None,
            redis_host: None,
            redis_port: None,
            redis_db: None,
            redis_password: None,
            max_queue_size: 10_000,
            max_subscribers: 1_000,
        }
    }
}

impl fmt::Debug for MessageBrokerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageBrokerConfig")
            .field("broker_type", &self.broker_type)
            .field("url", &self.url.as_deref().map(without_login))
            .field("redis_host", &self.redis_host)
            .field("redis_port", &self.redis_port)
            .field("redis_db", &self.redis_db)
            .field("redis_password", &self.redis_password.as_ref().map(|_| "***"))
            .field("max_queue_size", &self.max_queue_size)
            .field("max_subscribers", &self.max_subscribers)
            .finish()
    }
}
