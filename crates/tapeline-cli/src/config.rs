//! The configuration file: limits and families. Unknown keys are errors; a value that is left out has its default.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use tapeline_core::Settings;
use tapeline_core::settings::Rate;
use tapeline_schema::{Catalog, ChannelSpec, Compress, Delivery, Priority};

use crate::family_schema;

/// What a machine has to give; where the file does not say otherwise, bounds follow from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub memory_bytes: usize,
    /// Files that a process may have open, without those that it needs for itself.
    pub sockets: usize,
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// `[limits]`
    pub limits: Limits,
    /// `[drain]`
    pub drain: Drain,
    /// `[http]`
    pub http: Http,
    /// Names that no family declares are refused.
    pub strict_channels: bool,
    /// `[[channel]]`
    pub channel: Vec<Family>,
    /// Where the file lies: paths in it begin there.
    #[serde(skip)]
    folder: PathBuf,
}

/// Bounds; see `Settings` in the core for what each means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    pub outbox_bytes: usize,
    pub outbox_messages: usize,
    pub outboxes_bytes: Option<usize>,
    pub inbox_messages: usize,
    pub publish_bytes: usize,
    pub batch_bytes: usize,
    pub batch_items: usize,
    pub frame_bytes: usize,
    pub frame_fragments: u32,
    pub connections_per_client: usize,
    pub subscriptions_per_client: usize,
    pub subscriptions_per_connection: usize,
    pub channels_per_request: usize,
    pub requests_per_second: u32,
    pub requests_burst: u32,
    pub publishes_per_second: u32,
    pub publishes_burst: Option<u32>,
    pub connections: Option<usize>,
    pub header_bytes: usize,
    pub handshake_timeout_s: u64,
    pub body_timeout_s: u64,
    pub idle_timeout_s: u64,
    pub unsubscribed_grace_s: u64,
    pub slow_close_s: u64,
    pub heartbeat_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let settings = Settings::default();
        Limits {
            outbox_bytes: settings.outbox_bytes,
            outbox_messages: settings.outbox_messages,
            outboxes_bytes: None,
            inbox_messages: settings.inbox_messages,
            publish_bytes: settings.publish_bytes,
            batch_bytes: settings.batch_bytes,
            batch_items: settings.batch_items,
            frame_bytes: settings.frame_bytes,
            frame_fragments: settings.frame_fragments,
            connections_per_client: settings.connections_per_client,
            subscriptions_per_client: settings.subscriptions_per_client,
            subscriptions_per_connection: settings.subscriptions_per_connection,
            channels_per_request: settings.channels_per_request,
            requests_per_second: settings.requests.per_second,
            requests_burst: settings.requests.burst,
            publishes_per_second: settings.publishes.per_second,
            publishes_burst: None,
            connections: None,
            header_bytes: settings.header_bytes,
            handshake_timeout_s: settings.handshake_timeout.as_secs(),
            body_timeout_s: settings.body_timeout.as_secs(),
            idle_timeout_s: settings.idle_timeout.as_secs(),
            unsubscribed_grace_s: settings.unsubscribed_grace.as_secs(),
            slow_close_s: settings.slow_close.as_secs(),
            heartbeat_s: settings.heartbeat.as_secs(),
        }
    }
}

/// How long a stop may take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Drain {
    pub window_s: u64,
    pub flush_s: u64,
}

impl Default for Drain {
    fn default() -> Self {
        let settings = Settings::default();
        Drain { window_s: settings.drain_window.as_secs(), flush_s: settings.drain_flush.as_secs() }
    }
}

/// What browsers may do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Whole origins beside the hub's own and loopback ones.
    pub allowed_origins: Vec<String>,
    /// Whether WebSocket clients that offer permessage-deflate get it.
    pub compression: bool,
}

impl Default for Http {
    fn default() -> Self {
        Http { allowed_origins: Vec::new(), compression: true }
    }
}

/// A family of the user's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Family {
    template: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default = "medium")]
    priority: Priority,
    #[serde(default = "every")]
    delivery: Delivery,
    keep: Option<Keep>,
    #[serde(default)]
    rolls_up_to: Vec<String>,
    #[serde(default)]
    row_key: Vec<String>,
    max_rate: Option<u32>,
    #[serde(default)]
    compress: Compress,
    idle_ttl_s: Option<u64>,
    schema: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keep {
    count: Option<usize>,
    age_s: Option<u64>,
    bytes: Option<usize>,
}

fn medium() -> Priority {
    Priority::Medium
}

fn every() -> Delivery {
    Delivery::Every
}

impl Config {
    /// Reads a file, or answers the defaults without one.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Config::default()) };
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let config: Config = toml::from_str(&text)
            .with_context(|| format!("{} is not a valid configuration", path.display()))?;
        Ok(Config { folder: path.parent().map(Path::to_owned).unwrap_or_default(), ..config })
    }

    /// The built-in families and the file's.
    pub(crate) fn catalog(&self) -> anyhow::Result<Catalog> {
        let mut catalog = Catalog::built_in();
        for family in &self.channel {
            let about = || format!("[[channel]] {}", family.template);
            let mut spec = family.spec();
            if let Some(given) = &family.schema {
                let schema = family_schema::read(&spec.family, given, &self.folder);
                spec = spec.schema(schema.with_context(about)?);
            }
            catalog.add(spec).with_context(about)?;
        }
        Ok(catalog)
    }

    /// The bounds for a hub of this many shards on this machine.
    pub(crate) fn settings(&self, shards: usize, machine: Machine) -> Settings {
        let limits = &self.limits;
        let outboxes_bytes = limits.outboxes_bytes.unwrap_or(machine.memory_bytes / 4);
        Settings {
            outbox_bytes: limits.outbox_bytes,
            outbox_messages: limits.outbox_messages,
            outboxes_bytes: outboxes_bytes / shards.max(1),
            inbox_messages: limits.inbox_messages,
            publish_bytes: limits.publish_bytes,
            batch_bytes: limits.batch_bytes,
            batch_items: limits.batch_items,
            frame_bytes: limits.frame_bytes,
            frame_fragments: limits.frame_fragments,
            connections_per_client: limits.connections_per_client,
            subscriptions_per_client: limits.subscriptions_per_client,
            subscriptions_per_connection: limits.subscriptions_per_connection,
            channels_per_request: limits.channels_per_request,
            requests: Rate { per_second: limits.requests_per_second, burst: limits.requests_burst },
            publishes: Rate {
                per_second: limits.publishes_per_second,
                burst: limits.publishes_burst.unwrap_or(limits.publishes_per_second),
            },
            connections: limits.connections.unwrap_or(machine.sockets),
            header_bytes: limits.header_bytes,
            handshake_timeout: Duration::from_secs(limits.handshake_timeout_s),
            body_timeout: Duration::from_secs(limits.body_timeout_s),
            idle_timeout: Duration::from_secs(limits.idle_timeout_s),
            unsubscribed_grace: Duration::from_secs(limits.unsubscribed_grace_s),
            slow_close: Duration::from_secs(limits.slow_close_s),
            heartbeat: Duration::from_secs(limits.heartbeat_s),
            drain_window: Duration::from_secs(self.drain.window_s),
            drain_flush: Duration::from_secs(self.drain.flush_s),
            strict_channels: self.strict_channels,
            ..Settings::default()
        }
    }
}

impl Family {
    fn spec(&self) -> ChannelSpec {
        let mut spec = ChannelSpec::of(&self.template, &self.kind, self.priority, self.delivery);
        if let Some(keep) = &self.keep {
            let count = keep.count.unwrap_or(spec.keep.count);
            spec = spec.keep(count, keep.age_s.map(Duration::from_secs));
            if let Some(bytes) = keep.bytes {
                spec = spec.keep_bytes(bytes);
            }
        }
        let roll_ups: Vec<&str> = self.rolls_up_to.iter().map(String::as_str).collect();
        let row_key: Vec<&str> = self.row_key.iter().map(String::as_str).collect();
        spec = spec.rolls_up_to(&roll_ups).keyed_by(&row_key).compress(self.compress);
        if let Some(rate) = self.max_rate {
            spec = spec.max_rate(rate);
        }
        if let Some(seconds) = self.idle_ttl_s {
            spec = spec.idle_ttl(Duration::from_secs(seconds));
        }
        spec
    }
}
