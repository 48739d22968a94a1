//! Values that several events share, where publishers write one meaning in two JSON kinds.
//!
//! Owns which kinds those are. Refuses to convert: what was published is what is read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fields beside the declared ones, as they came.
pub type Extra = serde_json::Map<String, serde_json::Value>;

/// A point in time: RFC 3339 text, or a number of milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Time {
    /// RFC 3339, such as `2026-01-01T12:00:00.000001Z`.
    Text(String),
    /// Milliseconds since 1970.
    Millis(f64),
}

/// A name that some write as text and others as a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Id {
    /// `"T-17"`
    Text(String),
    /// `17`
    Number(u64),
}

impl From<&str> for Time {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Time {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Time {
    fn from(millis: f64) -> Self {
        Self::Millis(millis)
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Id {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}
