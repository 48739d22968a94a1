//! `POST /admin/dead-letters/redrive`: originals are published again on their own channels, the oldest first, the way that
//! every publish goes. A letter that was published again is noted as such on its own channel, for everybody to see; one
//! that was refused stays as it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tapeline_core::broker::NEWEST;
use tapeline_core::command::Publication;
use tapeline_core::dead_letters::source_of;
use tapeline_core::rights::Grant;
use tapeline_core::settings::Rate;
use tapeline_core::{Channel, Draft, Hub, Receipt, Refusal};
use tapeline_schema::events::{DEAD_LETTER_REDRIVEN, DEAD_LETTERS};
use tapeline_schema::{Delivery, ErrorCode};

use super::scan::{Found, Notes, find, oldest, read};
use super::{channel_of, invalid, look};
use crate::admin::Local;
use crate::app::App;
use crate::bodies::body;
use crate::caller::Caller;
use crate::envelope::Envelope;
use crate::error::Failure;
use crate::form;
use crate::peer::Peer;

/// Bytes of a request.
const REQUEST_BYTES: usize = 64 << 10;
/// Letters of one request.
const LETTERS: usize = 100;
/// Offsets that may be named.
const OFFSETS: usize = 1_000;
/// Who publishes again; repeats are told by it and their key, whoever asks.
const PRINCIPAL: &str = "redrive";

/// Which letters are published again: those at these offsets, of this reason, or all that are outstanding.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedriveRequest {
    /// Whose letters.
    pub source: String,
    /// Those at these places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsets: Option<Vec<u64>>,
    /// Those with this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// All of them.
    #[serde(default)]
    pub all: bool,
    /// What the offsets count under; of another epoch nothing is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Only those after this offset.
    #[serde(default)]
    pub after: u64,
    /// At most so many, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Say what would be done, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of each letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveAnswer {
    /// Oldest first.
    pub results: Vec<Redrive>,
    /// As `after`, asks for the letters that may be left; absent where none are.
    pub next: Option<u64>,
    /// Milliseconds to wait before those are asked for: a limit of publishes a second has been reached. Absent where none
    /// was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// What became of one letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    /// The letter.
    pub offset: u64,
    /// `redriven`, `would_redrive`, `already_redriven`, `refused` or `missing`.
    pub outcome: Outcome,
    /// Where the original belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Its place there, where it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_offset: Option<u64>,
    /// Why it was refused, or why it could not be noted that it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RedriveError>,
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was published again.
    Redriven,
    /// It would be.
    WouldRedrive,
    /// It was before.
    AlreadyRedriven,
    /// The hub does not take it; the letter stays.
    Refused,
    /// There is no letter.
    Missing,
}

/// A refusal inside an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveError {
    /// Its code.
    pub code: String,
    /// A sentence.
    pub message: String,
}

impl From<Refusal> for RedriveError {
    fn from(refusal: Refusal) -> Self {
        RedriveError { code: refusal.code.to_string(), message: refusal.message }
    }
}

impl Redrive {
    fn new(offset: u64, outcome: Outcome) -> Self {
        Redrive { offset, outcome, channel: None, published_offset: None, error: None }
    }

    fn refused(offset: u64, channel: Option<String>, refusal: Refusal) -> Self {
        Redrive { channel, error: Some(refusal.into()), ..Redrive::new(offset, Outcome::Refused) }
    }
}

/// `POST /admin/dead-letters/redrive`.
pub(crate) async fn redrive(
    _: Local,
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Result<Response, Failure> {
    let bytes = body(&app, request, REQUEST_BYTES, "a redrive").await?;
    let asked: RedriveRequest = form::object_in(&bytes)?;
    check(&asked)?;
    let dry_run = asked.dry_run;
    let (found, mut answer) = look(&app, move |hub| select(hub, &asked)).await?;
    for letter in found {
        let offset = letter.message.offset;
        let Some(result) = one(&app, &peer, letter, dry_run).await else {
            // It is the first of those that are left; what is missing among them is said when they are asked for.
            answer.results.retain(|result| result.offset < offset);
            answer.next = Some(offset - 1);
            answer.retry_after_ms = Some(pause_ms(app.hub.settings().publishes));
            break;
        };
        answer.results.push(result);
    }
    answer.results.sort_by_key(|result| result.offset);
    let done = answer.results.iter().filter(|result| result.outcome == Outcome::Redriven).count();
    tracing::info!(asked = answer.results.len(), done, "dead letters were redriven");
    Ok(Json(answer).into_response())
}

/// How long until as many publishes may come as ever come at once, or as many as come in a second.
fn pause_ms(rate: Rate) -> u64 {
    let full_ms = (u64::from(rate.burst.max(1)) * 1_000).div_ceil(u64::from(rate.per_second.max(1)));
    full_ms.min(1_000)
}

fn check(asked: &RedriveRequest) -> Result<(), Refusal> {
    let ways = [asked.offsets.is_some(), asked.reason.is_some(), asked.all];
    if ways.into_iter().filter(|way| *way).count() != 1 {
        return Err(invalid("name offsets, a reason, or all: true; one of them"));
    }
    let offsets = asked.offsets.as_ref().map_or(0, Vec::len);
    if offsets > OFFSETS {
        return Err(invalid(format!("{offsets} offsets, at most {OFFSETS} may be named")));
    }
    match asked.limit {
        Some(limit) if !(1..=LETTERS).contains(&limit) => {
            Err(invalid(format!("limit is {limit}, it must be between 1 and {LETTERS}")))
        }
        _ => Ok(()),
    }
}

/// The letters that are asked for, oldest first, and the answer for those that need nothing.
fn select(hub: &Hub, asked: &RedriveRequest) -> Result<(Vec<Found>, RedriveAnswer), Refusal> {
    let channel = channel_of(hub, &asked.source)?;
    let head = read(hub, &channel, 0, 0)?.head;
    if let Some(epoch) = asked.epoch.as_deref().filter(|epoch| *epoch != &*head.epoch) {
        let message = format!("{} counts under the epoch {}, not {epoch}", channel.name(), &*head.epoch);
        return Err(invalid(message));
    }
    // As a place to read from, the greatest number would mean the newest.
    let (after, limit) = (asked.after.min(head.top), asked.limit.unwrap_or(LETTERS));
    if let Some(offsets) = &asked.offsets {
        return named(hub, &channel, offsets, (after, limit));
    }
    let of_reason = |found: &Found| asked.reason.as_deref().is_none_or(|reason| reason == &*found.reason);
    let wanted = |found: &Found| found.redriven.is_none() && of_reason(found);
    let (found, next) = oldest(hub, &channel, (after, limit), wanted)?;
    Ok((found, RedriveAnswer { results: Vec::new(), next, retry_after_ms: None }))
}

/// The letters at these places; what is not there is answered at once.
fn named(
    hub: &Hub,
    channel: &Channel,
    offsets: &[u64],
    (after, limit): (u64, usize),
) -> Result<(Vec<Found>, RedriveAnswer), Refusal> {
    let offsets: BTreeSet<u64> = offsets.iter().copied().filter(|offset| *offset > after).collect();
    let mut notes = Notes::of_channel(hub, channel)?;
    let (mut letters, mut results) = (Vec::new(), Vec::new());
    let mut last = None;
    for offset in offsets.iter().copied().take(limit) {
        match find(hub, channel, offset, &mut notes)? {
            Some(found) => letters.push(found),
            None => results.push(Redrive::new(offset, Outcome::Missing)),
        }
        last = Some(offset);
    }
    let next = last.filter(|_| offsets.len() > limit);
    Ok((letters, RedriveAnswer { results, next, retry_after_ms: None }))
}

/// What an original says of itself, if it can be published.
#[derive(Default, Deserialize)]
struct Form<'a> {
    #[serde(default)]
    channel: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    cut_bytes: Option<u64>,
}

/// Publishes one original, or says why not; nothing where the publisher has to wait.
async fn one(app: &Arc<App>, peer: &Peer, found: Found, dry_run: bool) -> Option<Redrive> {
    let offset = found.message.offset;
    if let Some(before) = &found.redriven {
        let place = (Some(before.channel.clone()), Some(before.offset));
        let done = Redrive::new(offset, Outcome::AlreadyRedriven);
        return Some(Redrive { channel: place.0, published_offset: place.1, ..done });
    }
    let draft = match draft(app, &found).await {
        Ok(draft) => draft,
        Err((channel, refusal)) => return Some(Redrive::refused(offset, channel, refusal)),
    };
    let channel = draft.channel.name().to_string();
    if dry_run {
        return Some(Redrive { channel: Some(channel), ..Redrive::new(offset, Outcome::WouldRedrive) });
    }
    if !peer.takes_publish(&app.hub) {
        return None;
    }
    Some(match app.publish_one(draft, PRINCIPAL).await {
        Err(refusal) => Redrive::refused(offset, Some(channel), refusal),
        Ok(receipt) => {
            let error = note(app, &found, &channel, &receipt).await.err().map(|mut refusal| {
                refusal.message = format!("published, but it could not be noted: {}", refusal.message);
                refusal.into()
            });
            let published_offset = Some(receipt.offset);
            Redrive {
                channel: Some(channel),
                published_offset,
                error,
                ..Redrive::new(offset, Outcome::Redriven)
            }
        }
    })
}

type Unfit = (Option<String>, Refusal);

/// What is refused here was no publish, and does not count as one.
async fn draft(app: &Arc<App>, found: &Found) -> Result<Draft, Unfit> {
    let original = found.original().map_err(|refusal| (None, refusal))?;
    let form: Form<'_> = serde_json::from_str(original.get()).unwrap_or_default();
    let Some(name) = form.channel else {
        return Err((None, invalid_data("the original names no channel")));
    };
    let told = |refusal: Refusal| (Some(name.clone()), refusal);
    if source_of(&name).is_some() {
        return Err(told(invalid_data("dead letters are not published to dead_letters again")));
    }
    if form.data.is_none() {
        let why = match form.cut_bytes {
            Some(bytes) => format!("the original had {bytes} bytes, which were too many to keep"),
            None => "the original has no data, or its data was not JSON".to_string(),
        };
        return Err(told(invalid_data(why)));
    }
    let envelope: Envelope<'_> = form::object(original.get()).map_err(told)?;
    let letter = &found.message;
    let source = source_of(letter.channel.name()).unwrap_or_default();
    let key = format!("dead_letter:{source}:{}:{}", &*letter.epoch, letter.offset);
    let publication = envelope.publication().map_err(told)?;
    let publication = Publication { idempotency_key: Some(key.into()), ..publication };
    let principal = PRINCIPAL.into();
    let mut drafter = app.hub.drafter(&principal, &Grant::Anyone, app.hub.now()).uncounted();
    let draft = drafter.draft(publication, None).map_err(told)?;
    check_newer(app, &draft, found).await.map_err(told)?;
    Ok(draft)
}

/// Where only the newest counts, what came before it would take its place.
async fn check_newer(app: &Arc<App>, draft: &Draft, found: &Found) -> Result<(), Refusal> {
    if draft.channel.spec().delivery == Delivery::Every {
        return Ok(());
    }
    let (channel, letters, tried_us) =
        (draft.channel.clone(), found.message.channel.clone(), found.tried_us());
    let is_newer = move |hub: &Hub| {
        let Some(newest) = read(hub, &channel, NEWEST, 1)?.messages.into_iter().next() else {
            return Ok(false);
        };
        if newest.timestamp_us <= tried_us {
            return Ok(false);
        }
        // It may be an original itself, which is as old as its own letter says.
        let mut notes = Notes::of_channel(hub, &letters)?;
        let Some(offset) = notes.letter_of(&newest) else { return Ok(true) };
        let letter = find(hub, &letters, offset, &mut notes)?;
        Ok(letter.is_none_or(|letter| letter.tried_us() > tried_us))
    };
    if look(app, is_newer).await.map_err(|failure| failure.0)? {
        let name = draft.channel.name();
        let message = format!("{name} has a newer message, whose place the original would take");
        return Err(invalid_data(message));
    }
    Ok(())
}

/// Says on the letter's own channel that it was published again.
async fn note(app: &App, found: &Found, channel: &str, receipt: &Receipt) -> Result<(), Refusal> {
    let letter = &found.message;
    let data = json!({
        "offset": letter.offset,
        "epoch": &*letter.epoch,
        "published": {
            "channel": channel, "offset": receipt.offset, "epoch": &*receipt.epoch, "id": receipt.id.to_string()
        },
    });
    let publication = Publication {
        channel: letter.channel.name(),
        kind: Some(DEAD_LETTER_REDRIVEN.into()),
        data: data.to_string().into(),
        idempotency_key: Some(format!("{DEAD_LETTERS}:{}:{}", &*letter.epoch, letter.offset).into()),
        ..Publication::default()
    };
    let draft = app.draft(publication, &Caller::hub(PRINCIPAL), app.hub.now())?;
    app.publish_one(draft, PRINCIPAL).await.map(|_| ())
}

fn invalid_data(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidData, message)
}
