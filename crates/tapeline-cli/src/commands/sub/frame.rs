//! What came from the hub: a message with its place, or something the hub says itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tapeline_schema::is_reserved_type;

/// A place in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Place {
    pub offset: u64,
    pub epoch: String,
}

/// See the module.
pub(super) enum Frame<'a> {
    Message(Heard<'a>),
    Said(Said),
}

/// A message's header and its data as it came.
#[derive(Deserialize)]
pub(super) struct Heard<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    #[serde(borrow)]
    pub timestamp: Cow<'a, str>,
    /// In base64 where it is not JSON.
    #[serde(borrow, alias = "data_b64")]
    pub data: &'a RawValue,
    pub offset: u64,
    #[serde(borrow)]
    pub epoch: Cow<'a, str>,
    #[serde(default)]
    pub rollup: BTreeMap<String, Place>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

/// A frame of the hub's own.
pub(super) struct Said(Value);

impl<'a> Frame<'a> {
    /// `None` for what no hub sends.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let Kind { kind } = serde_json::from_str(text).ok()?;
        if is_reserved_type(&kind) {
            return serde_json::from_str(text).ok().map(|value| Frame::Said(Said(value)));
        }
        serde_json::from_str(text).ok().map(Frame::Message)
    }
}

impl Said {
    pub(super) fn kind(&self) -> &str {
        self.text("type").unwrap_or_default()
    }

    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    pub(super) fn number(&self, field: &str) -> Option<u64> {
        self.0.get(field)?.as_u64()
    }

    pub(super) fn flag(&self, field: &str) -> Option<bool> {
        self.0.get(field)?.as_bool()
    }

    pub(super) fn list(&self, field: &str) -> impl Iterator<Item = &str> {
        self.0.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// The channel or pattern that it is about.
    pub(super) fn about(&self) -> &str {
        self.text("channel").or_else(|| self.text("pattern")).unwrap_or_default()
    }

    /// Where the channel stands, if it has a counter of its own.
    pub(super) fn place(&self) -> Option<Place> {
        Some(Place { offset: self.number("offset")?, epoch: self.text("epoch")?.to_string() })
    }
}
