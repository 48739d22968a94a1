//! What balancers and operators look at first: `/health` and `/ready`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tapeline_core::broker::Condition;
use tapeline_schema::ErrorCode;
use tapeline_schema::ops::MemoryStats;

use crate::app::App;
use crate::caller::Caller;
use crate::door::{Door, STOPPING};
use crate::error::Failure;
use crate::memory::refused;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    instance: String,
    /// `on`, or `off`: then everybody may do everything.
    authentication: &'static str,
    broker: Part,
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Part>,
    shards: Part,
    memory: Part,
    /// Those that are connected to a venue.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    feeds: BTreeMap<String, Part>,
}

#[derive(Serialize)]
struct Part {
    status: &'static str,
    /// For operators: it names machines and numbers.
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl Health {
    /// Leaves away what is not everybody's.
    fn keep_to_oneself(&mut self) {
        let Health { broker, registry, tls, shards, memory, feeds, .. } = self;
        let parts = [Some(broker), registry.as_mut(), tls.as_mut(), Some(shards), Some(memory)];
        parts.into_iter().flatten().chain(feeds.values_mut()).for_each(|part| part.detail.clear());
    }
}

/// `GET /health`.
pub(crate) async fn health(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Response {
    let broker = app.hub.broker().health();
    let step = app.hub.pressure().step();
    let ok = broker.condition == Condition::Ok && step == 0;
    let shards = format!("{} running", app.hub.shard_stats().len());
    let mut health = Health {
        status: if step > 0 { Condition::Degraded.name() } else { broker.condition.name() },
        version: env!("CARGO_PKG_VERSION"),
        instance: app.hub.instance().to_string(),
        authentication: if app.hub.authority().is_off() { "off" } else { "on" },
        broker: Part { status: broker.condition.name(), detail: broker.detail },
        registry: app
            .hub
            .registry()
            .health()
            .map(|registry| Part { status: registry.condition.name(), detail: registry.detail }),
        tls: app.tls.as_ref().map(|tls| match tls.state() {
            Ok(detail) => Part { status: Condition::Ok.name(), detail },
            Err(detail) => Part { status: Condition::Degraded.name(), detail },
        }),
        shards: Part { status: "ok", detail: shards },
        memory: memory_part(&app),
        feeds: feeds(&app),
    };
    if caller.grant.may_operate().is_err() {
        health.keep_to_oneself();
    }
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

/// A feed that is not well is the venue's fault or the network's: the hub goes on serving, and is not taken for ill.
fn feeds(app: &App) -> BTreeMap<String, Part> {
    let feeds = app.hub.stats().feeds().into_iter();
    let venues = feeds.filter_map(|(name, feed)| {
        let venue = feed.find_venue()?;
        let (connected, raised) = (venue.connected.read() > 0, venue.raised().list());
        let condition = if connected && raised.is_empty() { Condition::Ok } else { Condition::Degraded };
        let state = if connected { "connected" } else { "not connected" };
        let detail = [state].into_iter().chain(raised).collect::<Vec<_>>().join(", ");
        Some((name.into(), Part { status: condition.name(), detail }))
    });
    venues.collect()
}

fn memory_part(app: &App) -> Part {
    let MemoryStats { bytes, limit_bytes, step } = app.memory();
    let status = if step > 0 { Condition::Degraded } else { Condition::Ok };
    let mib = |bytes: u64| bytes >> 20;
    let limit = if limit_bytes > 0 { format!(" of {}", mib(limit_bytes)) } else { String::new() };
    Part { status: status.name(), detail: format!("{}{limit} MiB; {}", mib(bytes), refused(step)) }
}

/// `GET /ready`.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    if *app.door().borrow() != Door::Open {
        return Failure::new(ErrorCode::Overloaded, STOPPING).into_response();
    }
    Json(serde_json::json!({ "ready": true })).into_response()
}

/// Any other path.
pub(crate) async fn not_found(uri: Uri) -> Response {
    Failure::new(ErrorCode::NotFound, format!("nothing is served at {}", uri.path())).into_response()
}

/// A known path with another method.
pub(crate) async fn method_not_allowed() -> Response {
    Failure::new(ErrorCode::MethodNotAllowed, "this path takes another method").into_response()
}
