//! The rights that a token or a key is made with, as flags.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use serde_json::{Map, Value, json};
use tapeline_auth::api_key::KeySettings;
use tapeline_auth::rights;

/// What it may.
#[derive(clap::Args)]
pub(super) struct Grant {
    /// Channels that may be read beside the public ones, as patterns.
    #[arg(long, value_name = "PATTERN")]
    read: Vec<String>,
    /// Channels that may be published to, as patterns.
    #[arg(long, value_name = "PATTERN")]
    publish: Vec<String>,
    /// Keys of the store that may be read, as patterns.
    #[arg(long, value_name = "PATTERN")]
    store_read: Vec<String>,
    /// Keys of the store that may be written, as patterns.
    #[arg(long, value_name = "PATTERN")]
    store_write: Vec<String>,
    /// Values of a channel's key, which open its channels: portfolio_id=p1,p2.
    #[arg(long, value_name = "NAME=VALUE,...")]
    key: Vec<String>,
    /// Look at the hub's inside: statistics, incidents, presence, dead letters.
    #[arg(long)]
    operator: bool,
    /// Change the hub.
    #[arg(long)]
    admin: bool,
}

impl Grant {
    /// As a token's claim; none where it may nothing.
    pub(super) fn claim(&self) -> anyhow::Result<Option<Value>> {
        let mut claim = Map::new();
        let mut put = |name: &str, value: Value, is_some: bool| {
            if is_some {
                claim.insert(name.to_string(), value);
            }
        };
        let keys = self.keys()?;
        put("read", json!(self.read), !self.read.is_empty());
        put("publish", json!(self.publish), !self.publish.is_empty());
        put("keys", json!(keys), !keys.is_empty());
        let store = json!({"read": self.store_read, "write": self.store_write});
        put("store", store, !self.store_read.is_empty() || !self.store_write.is_empty());
        put("operator", true.into(), self.operator);
        put("admin", true.into(), self.admin);
        let claim = Value::Object(claim);
        // What a hub would refuse is not made.
        rights::read(&claim).map_err(|told| anyhow!(told))?;
        Ok(claim.as_object().is_some_and(|claim| !claim.is_empty()).then_some(claim))
    }

    /// As the configuration of a key that is made of nothing else.
    pub(super) fn of_key(self) -> anyhow::Result<KeySettings> {
        Ok(KeySettings {
            keys: self.keys()?,
            read: self.read,
            publish: self.publish,
            store_read: self.store_read,
            store_write: self.store_write,
            operator: self.operator,
            admin: self.admin,
            ..KeySettings::default()
        })
    }

    fn keys(&self) -> anyhow::Result<BTreeMap<Box<str>, Vec<Box<str>>>> {
        let mut keys: BTreeMap<Box<str>, Vec<Box<str>>> = BTreeMap::new();
        for text in &self.key {
            let (name, values) =
                text.split_once('=').context("--key is NAME=VALUE,..., as portfolio_id=p1,p2")?;
            keys.entry(name.into()).or_default().extend(values.split(',').map(Into::into));
        }
        Ok(keys)
    }
}
