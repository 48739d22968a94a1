//! One node: what all its shards and gateways share. It gives a publication its channel, id and time and hands it
//! to the broker (hop 3 of eight); it does not route, queue or keep anything itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tapeline_schema::{Catalog, ErrorCode, is_reserved_type};
use uuid::Uuid;

use crate::audience::Audience;
use crate::broker::{Broker, Busy, Drafts, Receipts};
use crate::channel::{Channel, Directory};
use crate::clock::{Clock, Now};
use crate::command::Publication;
use crate::error::Refusal;
use crate::message::{Draft, IdempotencyKey};
use crate::registry::Registry;
use crate::session::Grant;
use crate::settings::Settings;
use crate::stats::{HubStats, ShardStats};

/// The longest `type`, correlation id or idempotency key, in bytes.
pub const LABEL_LIMIT: usize = 256;

/// A publication that was refused.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The channel's name, as it was given.
    pub channel: Box<str>,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        refused.refusal
    }
}

/// What a hub is made of.
pub struct HubParts {
    /// The families.
    pub catalog: Catalog,
    /// Bounds.
    pub settings: Settings,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where messages are kept.
    pub broker: Arc<dyn Broker>,
    /// Who is connected.
    pub registry: Arc<dyn Registry>,
    /// Makes ids differ between hubs.
    pub seed: u64,
    /// How many shards will attach.
    pub shards: usize,
}

/// See the module.
pub struct Hub {
    directory: Directory,
    settings: Settings,
    clock: Arc<dyn Clock>,
    broker: Arc<dyn Broker>,
    registry: Arc<dyn Registry>,
    audience: Audience,
    ids: Ids,
    stats: Arc<HubStats>,
    shards: Box<[Arc<ShardStats>]>,
}

impl Hub {
    /// Puts the parts together. The broker must be attached to the shards' inboxes before the first publish.
    pub fn new(parts: HubParts) -> Self {
        Hub {
            directory: Directory::new(parts.catalog),
            settings: parts.settings,
            clock: parts.clock,
            broker: parts.broker,
            registry: parts.registry,
            audience: Audience::default(),
            ids: Ids { seed: parts.seed, count: AtomicU64::new(0) },
            stats: Arc::default(),
            shards: (0..parts.shards).map(|_| Arc::default()).collect(),
        }
    }

    /// The channel of this name; refuses names outside the rules, and undeclared ones if the hub is strict.
    pub fn channel(&self, name: &str) -> Result<Channel, Refusal> {
        let channel = self.directory.channel(name)?;
        if self.settings.strict_channels && !channel.declared() {
            let hint = self.catalog().suggest(name).map(|near| format!("; did you mean {near}?"));
            let message = format!("no family declares channel {name}{}", hint.unwrap_or_default());
            return Err(Refusal::new(ErrorCode::UndeclaredChannel, message));
        }
        Ok(channel)
    }

    /// Checks a publication and makes its draft; what is refused is counted.
    pub fn draft(
        &self,
        publication: Publication,
        principal: &Arc<str>,
        grant: &Grant,
        now: Now,
    ) -> Result<Draft, Refused> {
        let refuse = |refusal, channel| {
            self.stats.refused.add(1);
            Refused { refusal, channel }
        };
        let channel = match self.channel(&publication.channel) {
            Ok(channel) => channel,
            Err(refusal) => return Err(refuse(refusal, publication.channel)),
        };
        if let Err(refusal) = grant.may_publish(&channel).and_then(|()| self.check(&publication)) {
            return Err(refuse(refusal, publication.channel));
        }
        let Publication { kind, data, correlation_id, idempotency_key, .. } = publication;
        let kind = kind.filter(|kind| **kind != *channel.spec().kind);
        let idempotency =
            idempotency_key.map(|key| Box::new(IdempotencyKey { principal: principal.clone(), key }));
        let timestamp_us = now.wall_us;
        Ok(Draft { channel, kind, data, correlation_id, idempotency, id: self.ids.next(now), timestamp_us })
    }

    fn check(&self, publication: &Publication) -> Result<(), Refusal> {
        let (len, limit) = (publication.data.len(), self.settings.publish_bytes);
        if len > limit {
            let message = format!("data is {len} bytes, the limit is {limit} (limits.publish_bytes)");
            return Err(Refusal::new(ErrorCode::TooLarge, message));
        }
        label("type", publication.kind.as_deref())?;
        label("correlation_id", publication.correlation_id.as_deref())?;
        label("idempotency_key", publication.idempotency_key.as_deref())?;
        match publication.kind.as_deref().filter(|kind| is_reserved_type(kind)) {
            Some(kind) => {
                let message = format!("type {kind} is the hub's own; publish under another");
                Err(Refusal::new(ErrorCode::ReservedType, message))
            }
            None => Ok(()),
        }
    }

    /// Hands drafts to the broker; at most [`crate::broker::SLICE`] at once.
    pub fn publish(&self, drafts: Drafts, receipts: Option<Receipts>) -> Result<(), Box<Busy>> {
        let count = drafts.len() as u64;
        let outcome = self.broker.publish(drafts, receipts);
        match outcome {
            Ok(()) => self.stats.taken.add(count),
            Err(_) => self.stats.waited.add(1),
        }
        outcome
    }

    /// Sessions that hear the channel now.
    pub fn subscribers(&self, channel: &Channel) -> usize {
        self.audience.count(channel)
    }

    pub(crate) fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Channels subscribed by name, with the number of sessions.
    pub fn subscribed_channels(&self) -> impl Iterator<Item = (Channel, usize)> {
        self.audience.channels().into_iter()
    }

    /// The families.
    pub fn catalog(&self) -> &Catalog {
        self.directory.catalog()
    }

    /// Bounds.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Time.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Where messages are kept.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.broker
    }

    /// Who is connected.
    pub fn registry(&self) -> &Arc<dyn Registry> {
        &self.registry
    }

    /// The hub's own counters.
    pub fn stats(&self) -> &Arc<HubStats> {
        &self.stats
    }

    /// The shards' counters.
    pub fn shard_stats(&self) -> &[Arc<ShardStats>] {
        &self.shards
    }

    /// Forgets what nobody uses; call every few seconds.
    pub fn sweep(&self) {
        self.directory.sweep();
        self.registry.sweep();
    }
}

fn label(name: &str, value: Option<&str>) -> Result<(), Refusal> {
    match value {
        Some(value) if value.len() > LABEL_LIMIT => {
            let message = format!("{name} is {} bytes, the limit is {LABEL_LIMIT}", value.len());
            Err(Refusal::new(ErrorCode::InvalidData, message))
        }
        _ => Ok(()),
    }
}

/// UUIDs of version 7: the time in milliseconds, then a count, then this hub's seed.
struct Ids {
    seed: u64,
    count: AtomicU64,
}

impl Ids {
    fn next(&self, now: Now) -> Uuid {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // 26 bits of the count, around the bits that the version and the variant take; then the seed.
        let byte = |shift: u32, mask: u64| u8::try_from((count >> shift) & mask).unwrap_or_default();
        let [_, _, seed @ ..] = self.seed.to_be_bytes();
        let mut random = [0; 10];
        let head = [byte(22, 0x0f), byte(14, 0xff), byte(8, 0x3f), byte(0, 0xff)];
        for (to, from) in random.iter_mut().zip(head.into_iter().chain(seed)) {
            *to = from;
        }
        uuid::Builder::from_unix_timestamp_millis(now.wall_us / 1_000, &random).into_uuid()
    }
}
