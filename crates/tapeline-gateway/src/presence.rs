//! `GET /presence/{channel}`: who hears a channel, by its name, through a roll-up or a pattern.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tapeline_core::audience::Hearer;
use tapeline_core::clock::rfc3339;
use tapeline_schema::ErrorCode;
use tapeline_schema::ops::{PresenceAnswer, PresentSession};

use crate::app::App;
use crate::error::Failure;
use crate::extract::{Asking, Tail};
use crate::nodes;

/// Sessions that are named where nothing is said, and at most.
const USUAL: usize = 100;
const MOST: usize = 1_000;

/// What may be asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    channel: Option<String>,
    limit: Option<usize>,
}

/// `GET /presence/{*channel}?limit=`, and `?channel=`.
pub(crate) async fn presence(
    State(app): State<Arc<App>>,
    Tail(path): Tail,
    Asking(asked): Asking<Asked>,
) -> Result<Json<PresenceAnswer>, Failure> {
    let name = path.or(asked.channel);
    let name = name.ok_or_else(|| Failure::new(ErrorCode::InvalidRequest, "channel is missing"))?;
    let limit = asked.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        let message = format!("limit is {limit}, it must be between 1 and {MOST}");
        return Err(Failure::new(ErrorCode::InvalidRequest, message));
    }
    let channel = app.hub.channel(&name)?;
    let heard = app.hub.hearers(&channel, limit);
    let node = app.hub.instance();
    let mut sessions: Vec<_> = heard.sessions.into_iter().map(|hearer| present(hearer, node)).collect();
    let elsewhere = nodes::hearers(&app.hub, &channel, limit - sessions.len()).await;
    sessions.extend(elsewhere.sessions);
    let count = heard.count + elsewhere.count;
    let partial = sessions.len() < count;
    let channel = channel.name().to_string();
    Ok(Json(PresenceAnswer { channel, count: count as u64, sessions, partial }))
}

fn present(hearer: Hearer, node: &str) -> PresentSession {
    PresentSession {
        client: hearer.who.client.as_deref().map(str::to_string),
        principal: Some(hearer.who.principal.to_string()),
        node: node.to_string(),
        since: rfc3339(hearer.since_us),
        via: hearer.via.map(String::from),
    }
}
