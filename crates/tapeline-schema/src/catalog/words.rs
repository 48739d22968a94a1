//! The words of a catalogue row: how urgent, how delivered, whether compressed, who reads, who publishes.
//!
//! Owns their spelling in configuration and on the wire.
//! Refuses to know what a hub does about them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How urgent a family is. A property of the family, never of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Fills, orders, alerts: leaves before all else.
    Critical,
    /// Prices and books.
    High,
    /// The default of undeclared names.
    Medium,
    /// What can wait.
    Low,
}

impl Priority {
    /// Most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The index of its lane: 0 is the most urgent.
    pub fn lane(self) -> usize {
        match self {
            Self::Critical => 0,
            Self::High => 1,
            Self::Medium => 2,
            Self::Low => 3,
        }
    }

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// What a subscriber is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// The newest message per source channel.
    Latest,
    /// Keyed rows, the newest per row.
    Table,
    /// In order, none skipped unsaid.
    Every,
}

impl Delivery {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Table => "table",
            Self::Every => "every",
        }
    }
}

/// Whether a family's messages are compressed for clients that negotiated it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compress {
    /// Where that is worth it.
    #[default]
    Auto,
    /// Not at all: for data that is compressed already, or secrets beside text that others choose.
    Never,
}

/// Who may read a family's channels while authentication is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Readers {
    /// Everybody.
    Public,
    /// Whoever has the channel's key in the token.
    Own,
    /// Whoever is the channel's owner.
    Owner,
    /// Whoever has a grant.
    Operator,
    /// Whoever may read the channel that the key names.
    AsChannel,
}

/// Who may publish on a family's channels while authentication is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Publishers {
    /// The hub's feeds, and whoever has a grant.
    FeedOrGrant,
    /// Whoever has a grant.
    Grant,
    /// Whoever has a grant, and anyone while authentication is off.
    Anyone,
}
