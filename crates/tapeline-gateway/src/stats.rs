//! `GET /stats`: what the hub has counted, gathered from its shards. It counts nothing itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tapeline_core::board;
use tapeline_core::broker::{Interest, Sources};
use tapeline_core::clock::rfc3339;
use tapeline_core::families::FamilyNumber;
use tapeline_core::stats::{BOUNDS_US, Count, FamilyStats, Histogram, ShardStats, VenueStats};
use tapeline_core::{Channel, Hub};
use tapeline_schema::ops::{
    BusyChannel, ChannelStats, Delay, FamilyCounts, FeedCounts, LateChannel, SlowClient, StatsAnswer,
    VenueCounts,
};
use tapeline_schema::{ErrorCode, Pattern, Priority};

use crate::app::App;
use crate::asking;
use crate::dead_letters::counted;
use crate::error::Failure;
use crate::extract::Asking;
use crate::native::NATIVE_DEFLATE;
use crate::nodes;

/// Channels that `/stats` names.
const STATS_CHANNELS: usize = 1_000;
/// Slow clients that it names.
const SLOWEST: usize = 10;

/// A cause and its count.
pub(crate) type Cause = (&'static str, fn(&FamilyStats) -> &Count);

/// Why messages are replaced.
pub(crate) const CONFLATED: [Cause; 2] =
    [("pressure", |family| &family.conflated_pressure), ("max_rate", |family| &family.conflated_rate)];
/// Why messages are missing.
pub(crate) const DROPPED: [Cause; 3] = [
    ("trimmed", |family| &family.dropped_trimmed),
    ("overflow", |family| &family.dropped_overflow),
    ("epoch", |family| &family.dropped_epoch),
];

/// The sum over all shards.
pub(crate) fn sum(hub: &Hub, count: impl Fn(&ShardStats) -> u64) -> u64 {
    hub.shard_stats().iter().map(|shard| count(shard)).sum()
}

/// The sum over all shards of one family.
pub(crate) fn of_family(hub: &Hub, number: FamilyNumber, count: fn(&FamilyStats) -> &Count) -> u64 {
    sum(hub, |shard| count(shard.families.of(number)).read())
}

/// Why connections were closed by the hub.
pub(crate) fn closed(app: &App) -> [(&'static str, u64); 8] {
    [
        ("slow", sum(&app.hub, |shard| shard.closed_slow.read()) + app.closed_slow.read()),
        ("idle", sum(&app.hub, |shard| shard.closed_idle.read())),
        ("unidentified", sum(&app.hub, |shard| shard.closed_unidentified.read())),
        ("token_expired", sum(&app.hub, |shard| shard.closed_expired.read())),
        ("revoked", sum(&app.hub, |shard| shard.closed_revoked.read())),
        ("overloaded", sum(&app.hub, |shard| shard.closed_overloaded.read())),
        ("unfinished", sum(&app.hub, |shard| shard.closed_unfinished.read())),
        ("rate_limited", sum(&app.hub, |shard| shard.closed_impatient.read())),
    ]
}

pub(crate) fn named<'a, N: ToString>(
    counts: impl IntoIterator<Item = (N, u64)> + 'a,
) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(name, count)| (name.to_string(), count)).collect()
}

/// The sum of each cause over all families and shards.
pub(crate) fn by_cause(hub: &Hub, causes: &[Cause]) -> BTreeMap<String, u64> {
    named(causes.iter().map(|(name, count)| (name, sum(hub, |shard| shard.total(count)))))
}

/// What may be asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    node: Option<String>,
}

/// `GET /stats`, of this node alone with `?node=local`.
pub(crate) async fn stats(
    State(app): State<Arc<App>>,
    Asking(asked): Asking<Asked>,
) -> Result<Json<StatsAnswer>, Failure> {
    let mut answer = answer(&app).await;
    match asked.node.as_deref() {
        None => nodes::add_others(&app.hub, &mut answer),
        Some("local") => {}
        Some(other) => {
            let message = format!("node is {other:?}, it can only be local");
            return Err(Failure::new(ErrorCode::InvalidRequest, message));
        }
    }
    Ok(Json(answer))
}

async fn answer(app: &App) -> StatsAnswer {
    let (hub, counts) = (&app.hub, app.hub.stats());
    let conflated_by = by_cause(hub, &CONFLATED);
    let sessions = sum(hub, |shard| shard.sessions.read());
    let [dead_letters, dead_letters_lost] = counted(hub);
    StatsAnswer {
        connections: sessions,
        clients: sessions,
        subscriptions: sum(hub, |shard| shard.subscriptions.read()),
        channels_watched: hub.board().watched() as u64,
        channels: channels(hub).await,
        published: counts.published(),
        delivered: sum(hub, |shard| shard.total(|family| &family.delivered)),
        delivered_bytes: sum(hub, |shard| shard.bytes.read()),
        conflated: conflated_by.values().sum(),
        conflated_by,
        dropped: by_cause(hub, &DROPPED),
        closed: named(closed(app)),
        turned_away: named(app.addresses.turned_away.list()),
        memory: app.memory(),
        refused: counts.refused(),
        refused_by: named(counts.refused_by().map(|(code, count)| (code.name(), count))),
        dead_letters,
        dead_letters_lost,
        catch_ups: sum(hub, |shard| shard.total(|family| &family.catch_ups)),
        resumed: named([
            ("recovered", sum(hub, |shard| shard.recovered.read())),
            ("not_recovered", sum(hub, |shard| shard.not_recovered.read())),
        ]),
        compressed: named([("messages", NATIVE_DEFLATE.messages()), ("replies", NATIVE_DEFLATE.replies())]),
        waiting_bytes: sum(hub, |shard| shard.waiting_bytes.read()),
        families: families(hub),
        delay: delay(hub),
        slowest: slowest(hub),
        busiest: busiest(hub),
        late: hub.board().late().into_iter().take(STATS_CHANNELS).map(late_channel).collect(),
        feeds: feeds(hub),
        incidents: named(hub.incidents().counts().map(|(kind, count)| (kind.name(), count))),
        uptime_s: app.started.elapsed().as_secs(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        instance: hub.instance().to_string(),
        nodes: vec![nodes::own(app)],
    }
}

/// Families with anything to say. Where a family has had two priorities, the counts of both are one.
fn families(hub: &Hub) -> BTreeMap<String, FamilyCounts> {
    let mut families = BTreeMap::<String, FamilyCounts>::new();
    for (number, family) in hub.families().list() {
        let published = hub.stats().families.of(number);
        let count = |count| of_family(hub, number, count);
        let told = |causes: &[Cause]| named(causes.iter().map(|(name, cause)| (name, count(*cause))));
        let counts = FamilyCounts {
            priority: family.priority.name().to_string(),
            published: published.published(),
            duplicates: published.duplicates.read(),
            delivered: count(|family| &family.delivered),
            conflated: told(&CONFLATED),
            dropped: told(&DROPPED),
            catch_ups: count(|family| &family.catch_ups),
        };
        if counts.published + counts.duplicates + counts.delivered > 0 {
            families.entry(family.name.into()).or_default().add(counts);
        }
    }
    families
}

fn delay(hub: &Hub) -> Delay {
    let mut buckets = BTreeMap::new();
    for priority in Priority::ALL {
        let shards = hub.shard_stats().iter().filter_map(|shard| shard.delays.get(priority.lane()));
        buckets.insert(priority.name().to_string(), Histogram::added_up(shards).to_vec());
    }
    Delay { bounds_us: BOUNDS_US.to_vec(), buckets }
}

fn slowest(hub: &Hub) -> Vec<SlowClient> {
    let mut slowest: Vec<_> = hub.shard_stats().iter().flat_map(|shard| shard.slowest()).collect();
    slowest.sort_unstable_by_key(|slow| std::cmp::Reverse((slow.waiting_bytes, slow.behind)));
    let told = slowest.into_iter().take(SLOWEST).map(|slow| SlowClient {
        client: slow.client,
        waiting_bytes: slow.waiting_bytes as u64,
        waiting_messages: slow.waiting_messages as u64,
        blocked_ms: slow.blocked_us / 1_000,
        behind: slow.behind as u64,
        conflated: slow.conflated,
    });
    told.collect()
}

fn busiest(hub: &Hub) -> Vec<BusyChannel> {
    let rounded = |rate: f64| (rate * 10.0).round() / 10.0;
    let told = hub.board().busiest().into_iter();
    let one = |busy: board::BusyChannel| BusyChannel {
        subscribers: hub.channel(&busy.channel).map_or(0, |channel| hub.subscribers(&channel) as u64),
        channel: busy.channel.into(),
        per_second: rounded(busy.per_second),
    };
    told.map(one).collect()
}

pub(crate) fn late_channel(late: board::LateChannel) -> LateChannel {
    let board::LateChannel { channel, state, age_ms, usual_ms } = late;
    LateChannel { channel: channel.into(), state, age_ms, usual_ms }
}

fn feeds(hub: &Hub) -> BTreeMap<String, FeedCounts> {
    let told = hub.stats().feeds().into_iter().map(|(name, feed)| {
        let counts = FeedCounts {
            published: feed.published.read(),
            conflated: feed.conflated.read(),
            dropped: feed.dropped.read(),
            refused: feed.refused.read(),
            spilled: feed.spilled.read(),
            critical_waiting: feed.critical_waiting.read(),
            venue: feed.find_venue().map(venue),
        };
        (name.into(), counts)
    });
    told.collect()
}

fn venue(stats: &VenueStats) -> VenueCounts {
    let heard_us = stats.heard_us.read();
    VenueCounts {
        connected: stats.connected.read() > 0,
        heard_at: (heard_us > 0).then(|| rfc3339(heard_us)),
        messages: stats.messages.read(),
        strays: stats.strays.read(),
        repeated: stats.repeated.read(),
        checksum_failures: stats.checksum_failures.read(),
        resyncs: stats.resyncs.read(),
        gaps: stats.gaps.read(),
        disconnects: stats.disconnects.read(),
        alerts: stats.raised().list().into_iter().map(str::to_string).collect(),
    }
}

/// Channels with a message or a subscriber, by name; those with a subscriber only where the broker is out of reach.
async fn channels(hub: &Hub) -> BTreeMap<String, ChannelStats> {
    let mut told = BTreeMap::new();
    let sources = match Pattern::parse("*") {
        Ok(all) => asking::sources(hub, &Interest::Pattern(all), STATS_CHANNELS).await.unwrap_or_default(),
        Err(_) => Sources::default(),
    };
    let known: Vec<Channel> = sources.heads.into_iter().map(|(channel, _)| channel).collect();
    let pages = asking::newest(hub, &known).await.unwrap_or_default();
    for (channel, page) in known.iter().zip(pages) {
        let last_at = page.messages.first().map(|message| rfc3339(message.timestamp_us));
        let subscribers = hub.subscribers(channel) as u64;
        told.insert(channel.name().to_string(), ChannelStats { subscribers, last_at, offset: page.head.top });
    }
    for (channel, subscribers) in hub.subscribed_channels().take(STATS_CHANNELS) {
        let subscribers = subscribers as u64;
        told.entry(channel.name().to_string())
            .or_insert(ChannelStats { subscribers, ..ChannelStats::default() });
    }
    told
}
