//! Publishing and reading over plain HTTP: `/publish`, `/publish/batch`, `/broadcast/{family}`, `/last`, `/history`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::broker::{NEWEST, Page};
use tapeline_core::channel::push_json_string;
use tapeline_core::command::Publication;
use tapeline_core::message::push_number;
use tapeline_core::{Channel, Receipt, Refusal};
use tapeline_schema::ErrorCode;
use tokio::sync::oneshot;

use crate::app::App;
use crate::error::{Failure, push_error};
use crate::extract::{Asking, Tail};
use crate::native::{Text, json_refusal, raw};
use crate::publish::Outcome;

/// Room for the rest of a publish beside its data.
const ENVELOPE_BYTES: usize = 4 << 10;
/// Messages of one history answer.
const HISTORY_LIMIT: usize = 1_000;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
    #[serde(borrow, default, deserialize_with = "raw")]
    data: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    correlation_id: Option<Text<'a>>,
    #[serde(borrow)]
    idempotency_key: Option<Text<'a>>,
}

impl Envelope<'_> {
    fn publication(self) -> Result<Publication, Refusal> {
        let data = self.data.ok_or_else(|| Refusal::new(ErrorCode::InvalidData, "data is missing"))?;
        Ok(Publication {
            channel: self.channel.boxed(),
            kind: self.kind.map(Text::boxed),
            data: Bytes::copy_from_slice(data.get().as_bytes()),
            correlation_id: self.correlation_id.map(Text::boxed),
            idempotency_key: self.idempotency_key.map(Text::boxed),
        })
    }
}

fn principal(peer: SocketAddr) -> Arc<str> {
    peer.ip().to_string().into()
}

fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Whether the body is JSON (`false`) or JSON lines (`true`), by its type; no type means JSON.
fn is_lines(headers: &HeaderMap) -> Result<bool, Failure> {
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

async fn body(body: Body, limit: usize, setting: &str) -> Result<Bytes, Failure> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            let message = format!("body is over {limit} bytes, the limit ({setting})");
            Err(Failure::new(ErrorCode::TooLarge, message))
        }
        Err(error) => Err(Failure::new(ErrorCode::InvalidRequest, format!("body ended early: {error}"))),
    }
}

/// `POST /publish`.
pub(crate) async fn publish(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Failure> {
    is_lines(request.headers())?;
    let limit = app.hub.settings().publish_bytes + ENVELOPE_BYTES;
    let body = body(request.into_body(), limit, "limits.publish_bytes").await?;
    let envelope: Envelope<'_> = serde_json::from_slice(&body).map_err(|error| json_refusal(&error))?;
    let draft = app.draft(envelope.publication()?, &principal(peer), app.hub.now())?;
    let receipt = app.publish_one(draft).await?;
    let mut out = Vec::with_capacity(192);
    push_receipt(&mut out, &receipt, app.hub.subscribers(&receipt.channel));
    Ok(json(out))
}

fn push_receipt(out: &mut Vec<u8>, receipt: &Receipt, subscribers: usize) {
    out.extend_from_slice(b"{\"channel\":");
    push_json_string(out, receipt.channel.name());
    out.extend_from_slice(b",\"offset\":");
    push_number(out, receipt.offset);
    out.extend_from_slice(b",\"epoch\":");
    push_json_string(out, &receipt.epoch);
    out.extend_from_slice(b",\"id\":\"");
    let mut text = [0; 36];
    out.extend_from_slice(receipt.id.hyphenated().encode_lower(&mut text).as_bytes());
    out.extend_from_slice(b"\",\"subscribers\":");
    push_number(out, subscribers as u64);
    if receipt.duplicate {
        out.extend_from_slice(b",\"duplicate\":true");
    }
    out.push(b'}');
}

/// `POST /publish/batch`: an array, or one envelope a line.
pub(crate) async fn publish_batch(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Failure> {
    let lines = is_lines(request.headers())?;
    let body = body(request.into_body(), app.hub.settings().batch_bytes, "limits.batch_bytes").await?;
    let publications = if lines { read_lines(&body) } else { read_array(&body)? };
    let (principal, now) = (principal(peer), app.hub.now());
    let mut drafts = Vec::with_capacity(publications.len());
    let mut refused = Vec::new();
    for (at, publication) in publications.into_iter().enumerate() {
        match publication.and_then(|publication| app.draft(publication, &principal, now)) {
            Ok(draft) => drafts.push(draft),
            Err(refusal) => refused.push((at, refusal)),
        }
    }
    let outcomes = app.publish_all(drafts).await;
    Ok(json(batch_answer(&app, outcomes, refused)))
}

type Publications = Vec<Result<Publication, Refusal>>;

fn read_lines(body: &[u8]) -> Publications {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines.map(|line| read_envelope(serde_json::from_slice(line))).collect()
}

fn read_envelope(parsed: serde_json::Result<Envelope<'_>>) -> Result<Publication, Refusal> {
    parsed.map_err(|error| json_refusal(&error)).and_then(Envelope::publication)
}

/// The whole array at once; only if one item does not fit are they looked at one by one.
fn read_array(body: &[u8]) -> Result<Publications, Failure> {
    if let Ok(envelopes) = serde_json::from_slice::<Vec<Envelope<'_>>>(body) {
        return Ok(envelopes.into_iter().map(Envelope::publication).collect());
    }
    let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| json_refusal(&error))?;
    Ok(items.into_iter().map(|item| read_envelope(serde_json::from_str(item.get()))).collect())
}

fn batch_answer(app: &App, outcomes: Vec<Outcome>, refused: Vec<(usize, Refusal)>) -> Vec<u8> {
    let mut out = Vec::with_capacity((outcomes.len() + refused.len()) * 160 + 16);
    out.extend_from_slice(b"{\"results\":[");
    let mut outcomes = outcomes.into_iter();
    let mut refused = refused.into_iter().peekable();
    let mut at = 0;
    // Batches often name one channel many times over.
    let mut counted: Option<(Channel, usize)> = None;
    loop {
        let outcome = match refused.next_if(|(place, _)| *place == at) {
            Some((_, refusal)) => Err(refusal),
            None => match outcomes.next() {
                Some(outcome) => outcome,
                None => break,
            },
        };
        if at > 0 {
            out.push(b',');
        }
        match outcome {
            Ok(receipt) => {
                if counted.as_ref().is_none_or(|(channel, _)| *channel != receipt.channel) {
                    counted = Some((receipt.channel.clone(), app.hub.subscribers(&receipt.channel)));
                }
                push_receipt(&mut out, &receipt, counted.as_ref().map_or(0, |(_, subscribers)| *subscribers));
            }
            Err(refusal) => push_error(&mut out, &refusal),
        }
        at += 1;
    }
    out.extend_from_slice(b"]}");
    out
}

/// `POST /broadcast/{family}?KEY=…`: the body is the data.
pub(crate) async fn broadcast(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Tail(family): Tail,
    Asking(query): Asking<Vec<(String, String)>>,
    request: Request,
) -> Result<Response, Failure> {
    is_lines(request.headers())?;
    let family = family.unwrap_or_default();
    let Some(spec) = app.hub.catalog().family(&family) else {
        return Err(Failure::new(ErrorCode::NotFound, format!("no family is called {family}")));
    };
    if let Some((unknown, _)) = query.iter().find(|(name, _)| !spec.keys.contains(name)) {
        let message = format!("query parameter {unknown:?} is no key of {}", spec.template);
        return Err(Failure::new(ErrorCode::InvalidRequest, message));
    }
    let value = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let name = spec.name_for(value).map_err(|error| Failure::new(error.code(), error.to_string()))?;
    let limit = app.hub.settings().publish_bytes;
    let data = body(request.into_body(), limit, "limits.publish_bytes").await?;
    let parsed: &RawValue = serde_json::from_slice(&data).map_err(|error| json_refusal(&error))?;
    if !parsed.get().starts_with('{') {
        return Err(Failure::new(ErrorCode::InvalidData, "the body must be a JSON object"));
    }
    let data = Bytes::copy_from_slice(parsed.get().as_bytes());
    let publication = Publication { channel: name.into(), data, ..Publication::default() };
    let receipt = app.publish_one(app.draft(publication, &principal(peer), app.hub.now())?).await?;
    let mut out = Vec::with_capacity(96);
    out.extend_from_slice(b"{\"subscribers\":");
    push_number(&mut out, app.hub.subscribers(&receipt.channel) as u64);
    out.extend_from_slice(b",\"channel\":");
    push_json_string(&mut out, receipt.channel.name());
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

async fn read(app: &App, channel: &Channel, after: u64, limit: usize) -> Result<Page, Failure> {
    let (answer, answered) = oneshot::channel();
    let send = Box::new(move |page| {
        let _ = answer.send(page);
    });
    app.hub.broker().read(channel, after, limit, send);
    answered.await.map_err(|_| Failure::new(ErrorCode::Internal, "the message broker gave no answer"))
}

/// `GET /last/{*channel}`.
pub(crate) async fn last(
    State(app): State<Arc<App>>,
    Tail(path): Tail,
    Asking(asked): Asking<Asked>,
) -> Result<Response, Failure> {
    let channel = asked_channel(&app, path, &asked)?;
    let page = read(&app, &channel, NEWEST, 1).await?;
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
    let mut page = read(&app, &channel, asked.since.unwrap_or(0), limit).await?;
    if asked.epoch.is_some_and(|epoch| *epoch != *page.head.epoch) {
        // Offsets of another epoch mean nothing here: everything kept is news.
        page = read(&app, &channel, 0, limit).await?;
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
