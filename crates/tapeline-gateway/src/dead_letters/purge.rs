//! `POST /admin/dead-letters/purge`: kept letters are forgotten, in the roll-up too, up to a place or an age. Whoever
//! hears the channel notices nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tapeline_core::broker::Interest;
use tapeline_core::dead_letters::source_of;
use tapeline_core::{Channel, Hub, Refusal};
use tapeline_schema::events::DEAD_LETTERS;

use super::scan::read;
use super::{channel_of, invalid, look};
use crate::admin::Local;
use crate::app::App;
use crate::asking;
use crate::bodies::body;
use crate::error::Failure;
use crate::form;

/// Bytes of a request.
const REQUEST_BYTES: usize = 64 << 10;
/// Sources that are purged at once.
const SOURCES: usize = 100_000;
/// Messages looked at together.
const WINDOW: usize = 256;

/// Which letters go; all of a source's, or of every source's, unless an end is named.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeRequest {
    /// One source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Every source's.
    #[serde(default)]
    pub all: bool,
    /// Only up to this offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<u64>,
    /// What that offset counts under; of another epoch nothing is purged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Only those that are older than so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than_s: Option<u64>,
}

/// What was purged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Letters, and notes about them.
    pub purged: u64,
    /// Sources that lost some, at most 1,000 of them.
    pub sources: Vec<PurgedSource>,
}

/// What one source lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgedSource {
    /// The source.
    pub source: String,
    /// Letters, and notes about them.
    pub purged: u64,
    /// Up to this offset nothing is kept any more.
    pub through: u64,
}

/// `POST /admin/dead-letters/purge`.
pub(crate) async fn purge(
    _: Local,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Failure> {
    let bytes = body(&app, request, REQUEST_BYTES, "a purge").await?;
    let asked: PurgeRequest = form::object_in(&bytes)?;
    let purged = look(&app, move |hub| run(hub, &asked)).await?;
    tracing::info!(purged = purged.purged, sources = purged.sources.len(), "dead letters were purged");
    Ok(Json(purged).into_response())
}

fn run(hub: &Hub, asked: &PurgeRequest) -> Result<Purged, Refusal> {
    match (&asked.source, asked.all) {
        (Some(source), false) if source.is_empty() => {
            Err(invalid("letters that were published to dead_letters itself go when all are purged"))
        }
        (Some(source), false) => {
            let channel = channel_of(hub, source)?;
            let through = end(hub, &channel, asked)?;
            Ok(told(vec![(source.clone(), through, forget(hub, &channel, through)?)]))
        }
        (None, true) if asked.through.is_none() && asked.epoch.is_none() => every(hub, asked),
        (None, true) => Err(invalid("through and epoch are a source's; name one")),
        _ => Err(invalid("name one source, or all: true")),
    }
}

/// Every source's, then what the roll-up keeps besides: what was there before the first source was looked at, and no more.
fn every(hub: &Hub, asked: &PurgeRequest) -> Result<Purged, Refusal> {
    let roll_up = hub.channel(DEAD_LETTERS)?;
    let own = end(hub, &roll_up, asked)?;
    let interest = Interest::RollUp(roll_up.clone());
    let sources = asking::wait(asking::sources(hub, &interest, SOURCES))?;
    if sources.partial {
        return Err(invalid(format!("there are more than {SOURCES} sources; purge them by their names")));
    }
    let mut lost = Vec::new();
    for (channel, _) in sources.heads.into_iter().filter(|(channel, _)| *channel != roll_up) {
        let through = end(hub, &channel, asked)?;
        let source = source_of(channel.name()).unwrap_or_default().to_string();
        lost.push((source, through, forget(hub, &channel, through)?));
    }
    lost.push((String::new(), own, forget(hub, &roll_up, own)?));
    Ok(told(lost))
}

/// The last offset that goes. What comes while this runs stays.
fn end(hub: &Hub, channel: &Channel, asked: &PurgeRequest) -> Result<u64, Refusal> {
    let head = read(hub, channel, 0, 0)?.head;
    if let Some(epoch) = asked.epoch.as_deref().filter(|epoch| *epoch != &*head.epoch) {
        let message = format!("{} counts under the epoch {}, not {epoch}", channel.name(), &*head.epoch);
        return Err(invalid(message));
    }
    let top = asked.through.map_or(head.top, |through| through.min(head.top));
    let Some(age_s) = asked.older_than_s else { return Ok(top) };
    let cutoff_us = hub.now().wall_us.saturating_sub(age_s.saturating_mul(1_000_000));
    let mut end = 0;
    loop {
        let page = read(hub, channel, end, WINDOW)?;
        let old = page.messages.iter().take_while(|message| message.timestamp_us < cutoff_us);
        let Some(last) = old.last().and_then(|message| message.offset_in(channel)) else {
            return Ok(end.min(top));
        };
        end = last;
    }
}

fn forget(hub: &Hub, channel: &Channel, through: u64) -> Result<u64, Refusal> {
    asking::wait(asking::forgotten(hub, channel, through))
}

fn told(lost: Vec<(String, u64, u64)>) -> Purged {
    let purged = lost.iter().map(|(_, _, purged)| purged).sum();
    let some = lost.into_iter().filter(|(_, _, purged)| *purged > 0).take(1_000);
    let sources = some.map(|(source, through, purged)| PurgedSource { source, purged, through });
    Purged { purged, sources: sources.collect() }
}
