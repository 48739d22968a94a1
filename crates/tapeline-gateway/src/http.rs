//! Publishing and reading over plain HTTP: `/publish`, `/broadcast/{family}`, `/last`, `/history`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::broker::{NEWEST, Page};
use tapeline_core::channel::push_json_string;
use tapeline_core::command::Publication;
use tapeline_core::incidents::IncidentKind;
use tapeline_core::message::push_number;
use tapeline_core::{Channel, Receipt};
use tapeline_schema::ErrorCode;

use crate::app::App;
use crate::asking;
use crate::bodies::body;
use crate::caller::Caller;
use crate::envelope::{Answers, Envelope};
use crate::error::Failure;
use crate::extract::{Asking, Tail};
use crate::form;
use crate::native::ENVELOPE_BYTES;
use crate::peer::Peer;

/// Messages of one history answer.
const HISTORY_LIMIT: usize = 1_000;

pub(crate) fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Whether the body is JSON (`false`) or JSON lines (`true`), by its type; no type means JSON.
pub(crate) fn is_lines(headers: &HeaderMap) -> Result<bool, Failure> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(false) };
    let kind = kind.to_str().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(false),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(true),
        other if other.starts_with("application/") && other.ends_with("+json") => Ok(false),
        other => {
            let message = format!("content-type {other:?} is not taken; send application/json");
            Err(Failure::new(ErrorCode::UnsupportedMediaType, message))
        }
    }
}

/// `POST /publish`.
pub(crate) async fn publish(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Failure> {
    is_lines(request.headers())?;
    let limit = app.hub.settings().publish_bytes + ENVELOPE_BYTES;
    let body = body(&app, request, limit, "limits.publish_bytes").await?;
    let envelope: Envelope<'_> = form::object_in(&body)?;
    peer.take_publishes(&app.hub, &caller.principal, 1)?;
    let draft = app.draft(envelope.publication()?, &caller, app.hub.now())?;
    let receipt = app.publish_one(draft, &caller.principal).await?;
    let mut out = Vec::with_capacity(192);
    Answers::new(envelope.name(), &receipt.epoch, &app.hub).push(&mut out, &receipt);
    Ok(taken(&receipt, out))
}

/// The answer to a publish: 202 where it is only held for now.
fn taken(receipt: &Receipt, body: Vec<u8>) -> Response {
    let status = if receipt.held { StatusCode::ACCEPTED } else { StatusCode::OK };
    (status, json(body)).into_response()
}

/// `POST /broadcast/{family}?KEY=…`: the body is the data.
pub(crate) async fn broadcast(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(caller): Extension<Caller>,
    Tail(family): Tail,
    Asking(query): Asking<Vec<(String, String)>>,
    request: Request,
) -> Result<Response, Failure> {
    is_lines(request.headers())?;
    let family = family.unwrap_or_default();
    let catalog = app.hub.catalog();
    let Some(spec) = catalog.family(&family) else {
        return Err(Failure::new(ErrorCode::NotFound, format!("no family is called {family}")));
    };
    if let Some((unknown, _)) = query.iter().find(|(name, _)| !spec.keys.contains(name)) {
        let message = format!("query parameter {unknown:?} is no key of {}", spec.template);
        return Err(Failure::new(ErrorCode::InvalidRequest, message));
    }
    let value = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let name = spec.name_for(value).map_err(|error| Failure::new(error.code(), error.to_string()))?;
    let limit = app.hub.settings().publish_bytes;
    let data = body(&app, request, limit, "limits.publish_bytes").await?;
    let text = form::text(&data)?;
    let parsed: &RawValue = serde_json::from_str(text).map_err(|error| form::refusal(&error, text))?;
    if !parsed.get().starts_with('{') {
        return Err(Failure::new(ErrorCode::InvalidData, "the body must be a JSON object"));
    }
    let data = Bytes::copy_from_slice(parsed.get().as_bytes());
    peer.take_publishes(&app.hub, &caller.principal, 1)?;
    let publication = Publication { channel: &*name, data, ..Publication::default() };
    let draft = app.draft(publication, &caller, app.hub.now())?;
    let channel = draft.channel.clone();
    let receipt = app.publish_one(draft, &caller.principal).await?;
    let mut out = Vec::with_capacity(96);
    if receipt.held {
        Answers::new(channel.name(), &receipt.epoch, &app.hub).push(&mut out, &receipt);
        return Ok(taken(&receipt, out));
    }
    out.extend_from_slice(b"{\"subscribers\":");
    push_number(&mut out, app.hub.subscribers(&channel) as u64);
    out.extend_from_slice(b",\"channel\":");
    push_json_string(&mut out, channel.name());
    out.extend_from_slice(b",\"offset\":");
    push_number(&mut out, receipt.offset);
    out.push(b'}');
    Ok(json(out))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    channel: Option<String>,
    since: Option<u64>,
    epoch: Option<String>,
    limit: Option<usize>,
}

fn asked_channel(app: &App, path: Option<String>, asked: &Asked) -> Result<Channel, Failure> {
    let name = path.or_else(|| asked.channel.clone());
    let name = name.ok_or_else(|| Failure::new(ErrorCode::InvalidRequest, "channel is missing"))?;
    Ok(app.hub.channel(&name)?)
}

/// A piece of what a channel keeps, for who may read it.
async fn readable(
    app: &App,
    caller: &Caller,
    channel: &Channel,
    after: u64,
    limit: usize,
) -> Result<Page, Failure> {
    let allowed = || {
        app.hub.may_read(&caller.grant, channel).inspect_err(|refusal| {
            app.report(IncidentKind::RequestRefused, &caller.principal, channel.name(), refusal);
        })
    };
    if let Some(about) = app.hub.owner_to_learn(&caller.grant, channel) {
        asking::page(&app.hub, &about, NEWEST, 1).await?;
    }
    if !channel.takes_owner() {
        allowed()?;
    }
    let page = asking::page(&app.hub, channel, after, limit).await?;
    // Whose the channel is may only be known now.
    allowed()?;
    Ok(page)
}

/// `GET /last/{*channel}`.
pub(crate) async fn last(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Tail(path): Tail,
    Asking(asked): Asking<Asked>,
) -> Result<Response, Failure> {
    let channel = asked_channel(&app, path, &asked)?;
    let page = readable(&app, &caller, &channel, NEWEST, 1).await?;
    let Some(message) = page.messages.first() else {
        return Err(Failure::new(ErrorCode::NoValue, format!("{} has no value", channel.name())));
    };
    let mut out = Vec::with_capacity(message.weight());
    message.push_json(&mut out);
    Ok(json(out))
}

/// `GET /history/{*channel}?since=&epoch=&limit=`.
pub(crate) async fn history(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Tail(path): Tail,
    Asking(asked): Asking<Asked>,
) -> Result<Response, Failure> {
    let channel = asked_channel(&app, path, &asked)?;
    if channel.is_roll_up() && !channel.counts_for_itself() {
        let message = format!("{} is a roll-up of last values and has no history", channel.name());
        return Err(Failure::new(ErrorCode::NoHistory, message));
    }
    let limit = asked.limit.unwrap_or(100);
    if !(1..=HISTORY_LIMIT).contains(&limit) {
        let message = format!("limit is {limit}, it must be between 1 and {HISTORY_LIMIT}");
        return Err(Failure::new(ErrorCode::InvalidRequest, message));
    }
    let mut page = readable(&app, &caller, &channel, asked.since.unwrap_or(0), limit).await?;
    if asked.epoch.is_some_and(|epoch| *epoch != *page.head.epoch) {
        // Offsets of another epoch mean nothing here: everything kept is news.
        page = readable(&app, &caller, &channel, 0, limit).await?;
    }
    Ok(json(history_answer(&channel, &page)))
}

fn history_answer(channel: &Channel, page: &Page) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(b"{\"channel\":");
    push_json_string(&mut out, channel.name());
    out.extend_from_slice(b",\"epoch\":");
    push_json_string(&mut out, &page.head.epoch);
    out.extend_from_slice(b",\"messages\":[");
    for (n, message) in page.messages.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        message.push_json(&mut out);
    }
    out.extend_from_slice(b"]}");
    out
}
