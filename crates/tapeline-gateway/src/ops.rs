//! What operators and newcomers look at: `/health`, `/ready`, `/stats` and the live page at `/`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tapeline_core::broker::{Interest, NEWEST};
use tapeline_core::clock::rfc3339;
use tapeline_core::stats::{Count, ShardStats};
use tapeline_schema::{ErrorCode, Pattern};

use crate::app::App;
use crate::dead_letters::counted;
use crate::door::{Door, STOPPING};
use crate::error::Failure;
use crate::native::NATIVE_DEFLATE;

/// Channels that `/stats` names.
const STATS_CHANNELS: usize = 1_000;

/// `GET /`.
pub(crate) async fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, include_str!("page.html")).into_response()
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    broker: Part,
    shards: Part,
}

#[derive(Serialize)]
struct Part {
    status: &'static str,
    detail: String,
}

/// `GET /health`.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    let broker = app.hub.broker().health();
    let word = |ok: bool| if ok { "ok" } else { "degraded" };
    let shards = format!("{} running", app.hub.shard_stats().len());
    let health = Health {
        status: word(broker.ok),
        version: env!("CARGO_PKG_VERSION"),
        broker: Part { status: word(broker.ok), detail: broker.detail },
        shards: Part { status: "ok", detail: shards },
    };
    let status = if broker.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

/// `GET /ready`.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    if *app.door().borrow() != Door::Open {
        return Failure::new(ErrorCode::Overloaded, STOPPING).into_response();
    }
    Json(serde_json::json!({ "ready": true })).into_response()
}

#[derive(Serialize)]
struct Stats {
    connections: u64,
    clients: u64,
    subscriptions: u64,
    channels: BTreeMap<String, ChannelStats>,
    published: u64,
    delivered: u64,
    delivered_bytes: u64,
    conflated: u64,
    conflated_by: BTreeMap<&'static str, u64>,
    dropped: BTreeMap<&'static str, u64>,
    closed: BTreeMap<&'static str, u64>,
    refused: u64,
    /// Letters taken, by source and reason.
    dead_letters: BTreeMap<String, BTreeMap<String, u64>>,
    /// Letters that could not be written.
    dead_letters_lost: BTreeMap<String, BTreeMap<String, u64>>,
    catch_ups: u64,
    /// What was compressed, each once; `messages` whatever the number of their receivers.
    compressed: BTreeMap<&'static str, u64>,
    waiting_bytes: u64,
    uptime_s: u64,
    version: &'static str,
}

#[derive(Serialize, Default)]
struct ChannelStats {
    subscribers: usize,
    last_at: Option<String>,
}

/// `GET /stats`.
pub(crate) async fn stats(State(app): State<Arc<App>>) -> Response {
    let shards = app.hub.shard_stats();
    let sum = |count: fn(&ShardStats) -> &Count| shards.iter().map(|shard| count(shard).read()).sum::<u64>();
    let hub = app.hub.stats();
    let conflated_by = BTreeMap::from([
        ("pressure", sum(|s| &s.conflated_pressure)),
        ("max_rate", sum(|s| &s.conflated_rate)),
    ]);
    let [dead_letters, dead_letters_lost] = counted(&app.hub);
    Json(Stats {
        connections: sum(|s| &s.sessions),
        clients: sum(|s| &s.sessions),
        subscriptions: sum(|s| &s.subscriptions),
        channels: channels(&app),
        published: hub.published(),
        delivered: sum(|s| &s.delivered),
        delivered_bytes: sum(|s| &s.bytes),
        conflated: conflated_by.values().sum(),
        conflated_by,
        dropped: BTreeMap::from([
            ("trimmed", sum(|s| &s.dropped_trimmed)),
            ("overflow", sum(|s| &s.dropped_overflow)),
            ("epoch", sum(|s| &s.dropped_epoch)),
        ]),
        closed: BTreeMap::from([
            ("slow", sum(|s| &s.closed_slow) + app.closed_slow.read()),
            ("idle", sum(|s| &s.closed_idle)),
            ("overloaded", sum(|s| &s.closed_overloaded)),
        ]),
        refused: hub.refused.read(),
        dead_letters,
        dead_letters_lost,
        catch_ups: sum(|s| &s.catch_ups),
        compressed: BTreeMap::from([
            ("messages", NATIVE_DEFLATE.messages()),
            ("replies", NATIVE_DEFLATE.replies()),
        ]),
        waiting_bytes: sum(|s| &s.waiting_bytes),
        uptime_s: app.started.elapsed().as_secs(),
        version: env!("CARGO_PKG_VERSION"),
    })
    .into_response()
}

/// Channels with a message or a subscriber, by name.
fn channels(app: &App) -> BTreeMap<String, ChannelStats> {
    let found = Arc::new(Mutex::new(BTreeMap::<String, ChannelStats>::new()));
    if let Ok(all) = Pattern::parse("*") {
        let (sink, hub) = (found.clone(), app.hub.clone());
        let answer = Box::new(move |sources: tapeline_core::broker::Sources| {
            for (channel, _) in sources.heads {
                let (sink, named) = (sink.clone(), channel.clone());
                let subscribers = hub.subscribers(&channel);
                let note = Box::new(move |page: tapeline_core::broker::Page| {
                    let last_at = page.messages.first().map(|message| rfc3339(message.timestamp_us));
                    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                    sink.insert(named.name().to_string(), ChannelStats { subscribers, last_at });
                });
                hub.broker().read(&channel, NEWEST, 1, note);
            }
        });
        app.hub.broker().sources(&Interest::Pattern(all), STATS_CHANNELS, answer);
    }
    let mut found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    for (channel, subscribers) in app.hub.subscribed_channels().take(STATS_CHANNELS) {
        found.entry(channel.name().to_string()).or_insert(ChannelStats { subscribers, last_at: None });
    }
    found
}

/// Any other path.
pub(crate) async fn not_found(uri: Uri) -> Response {
    Failure::new(ErrorCode::NotFound, format!("nothing is served at {}", uri.path())).into_response()
}

/// A known path with another method.
pub(crate) async fn method_not_allowed() -> Response {
    Failure::new(ErrorCode::MethodNotAllowed, "this path takes another method").into_response()
}
