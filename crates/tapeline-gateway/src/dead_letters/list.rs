//! `GET /dead-letters`: what is outstanding, newest first, in pages; `GET /dead-letters/letter`: one of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tapeline_core::{Hub, Refusal};
use tapeline_schema::ErrorCode;

use super::scan::{Found, Notes, find, scan};
use super::{Letters, channel_of, invalid, look};
use crate::app::App;
use crate::error::Failure;
use crate::extract::Asking;

/// Letters of one page, and about their bytes.
const PAGE: usize = 1_000;
const PAGE_BYTES: usize = 4 << 20;

/// What may be asked of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    source: Option<String>,
    reason: Option<String>,
    limit: Option<usize>,
    before: Option<u64>,
    all: Option<String>,
}

/// `GET /dead-letters`. Places are those of the source's channel, or without a source those of the roll-up.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Asking(asked): Asking<Asked>,
) -> Result<Response, Failure> {
    let limit = asked.limit.unwrap_or(100);
    if !(1..=PAGE).contains(&limit) {
        return Err(invalid(format!("limit is {limit}, it must be between 1 and {PAGE}")).into());
    }
    let all = match asked.all.as_deref() {
        None | Some("0" | "false") => false,
        Some("" | "1" | "true") => true,
        Some(other) => return Err(invalid(format!("all is {other:?}, it must be 0 or 1")).into()),
    };
    let letters = look(&app, move |hub| page(hub, &asked, limit, all)).await?;
    Ok(Json(letters).into_response())
}

fn page(hub: &Hub, asked: &Asked, limit: usize, all: bool) -> Result<Letters, Refusal> {
    let channel = channel_of(hub, asked.source.as_deref().unwrap_or_default())?;
    let before = asked.before.unwrap_or(u64::MAX);
    let (mut count, mut bytes) = (0, 0);
    let mut next = None;
    let found = scan(hub, &channel, |place, found| {
        let elsewhere = asked.source.as_deref() == Some("") && found.message.channel != channel;
        let hidden = (!all && found.redriven.is_some())
            || asked.reason.as_deref().is_some_and(|reason| reason != &*found.reason);
        if place >= before || next.is_some() || elsewhere || hidden {
            return false;
        }
        bytes += found.message.data.len();
        if count == limit || (count > 0 && bytes > PAGE_BYTES) {
            // This one begins the next page.
            next = Some(place + 1);
            return false;
        }
        count += 1;
        true
    })?;
    let letters = found.found.into_iter().map(Found::listed).collect();
    Ok(Letters { letters, next, totals: found.totals, complete: found.complete })
}

/// Which letter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    source: String,
    offset: u64,
    epoch: Option<String>,
}

/// `GET /dead-letters/letter?source=&offset=`.
pub(crate) async fn letter(
    State(app): State<Arc<App>>,
    Asking(place): Asking<Place>,
) -> Result<Response, Failure> {
    let letter = look(&app, move |hub| {
        let Place { source, offset, epoch } = place;
        let channel = channel_of(hub, &source)?;
        let mut notes = Notes::of_channel(hub, &channel)?;
        let found = find(hub, &channel, offset, &mut notes)?;
        let found = found.filter(|found| epoch.is_none_or(|epoch| *epoch == *found.message.epoch));
        let missing = || {
            let message = format!("{} keeps no letter at offset {offset}", channel.name());
            Refusal::new(ErrorCode::NotFound, message)
        };
        found.ok_or_else(missing)?.letter()
    });
    Ok(Json(letter.await?).into_response())
}
