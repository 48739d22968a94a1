//! What people say: sentiment, news, posts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Extra;

/// What people are found to think of an instrument, published by workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SentimentUpdate {
    /// The instrument, as the channel's key names it: `AAPL`, `BTC/USD`.
    pub symbol: String,
    /// From -1, all against it, to 1, all for it.
    pub score: f64,
    /// Where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A piece of news, published by workers. Any object is taken; these are the usual fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewsItem {
    /// Its headline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    /// The instrument it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whatever else the publisher sends.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A post, published by workers. Any object is taken; these are the usual fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SocialPost {
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The instrument it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Whatever else the publisher sends.
    #[serde(flatten)]
    pub extra: Extra,
}
