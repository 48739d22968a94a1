//! One line of the file: a letter, or the names of letters that are gone. Data that is not text is in Base64, so that
//! its bytes come back as they came.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tapeline_core::clock::Now;
use tapeline_core::feed::{Update, UpdateKind, VenueChannel};
use tapeline_schema::events::DeadLetterReason;

use crate::dead_letters::{Earlier, Letter, LetterId};

/// What a line says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Put(Box<Put>),
    Gone(Vec<LetterId>),
}

#[derive(Serialize, Deserialize)]
struct Put {
    id: LetterId,
    component: Arc<str>,
    reason: String,
    error: Box<str>,
    attempts: u32,
    first_us: u64,
    last_us: u64,
    redriven: u32,
    history: Vec<Before>,
    run: u64,
    serial: u64,
    source: Arc<str>,
    channel: String,
    is_snapshot: bool,
    symbol: Option<Arc<str>>,
    name: Option<Box<str>>,
    sequence: Option<u64>,
    venue_us: Option<u64>,
    received_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Before {
    reason: String,
    attempts: u32,
    last_us: u64,
}

/// What a line has told.
pub(super) enum Told {
    Put(LetterId, Letter),
    Gone(Vec<LetterId>),
}

fn line(line: &Line) -> Vec<u8> {
    // Strings and numbers always can be written.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

pub(super) fn encode_gone(gone: &[LetterId]) -> Vec<u8> {
    line(&Line::Gone(gone.to_vec()))
}

pub(super) fn encode_put(id: LetterId, letter: &Letter) -> Vec<u8> {
    let update = &*letter.update;
    let text = std::str::from_utf8(&update.data).ok().map(str::to_owned);
    let before = |earlier: &Earlier| Before {
        reason: earlier.reason.name().to_owned(),
        attempts: earlier.attempts,
        last_us: earlier.last_us,
    };
    line(&Line::Put(Box::new(Put {
        id,
        component: letter.component.clone(),
        reason: letter.reason.name().to_owned(),
        error: letter.error.clone(),
        attempts: letter.attempts,
        first_us: letter.first_us,
        last_us: letter.last_us,
        redriven: letter.redriven,
        history: letter.history.iter().map(before).collect(),
        run: letter.run,
        serial: letter.serial,
        source: update.source.clone(),
        channel: update.channel.name().to_owned(),
        is_snapshot: update.kind == UpdateKind::Snapshot,
        symbol: update.symbol.clone(),
        name: update.id.clone(),
        sequence: update.sequence,
        venue_us: update.venue_us,
        received_us: update.received.wall_us,
        base64: text.is_none().then(|| STANDARD.encode(&update.data)),
        text,
    })))
}

fn reason(name: &str) -> Option<DeadLetterReason> {
    DeadLetterReason::ALL.iter().copied().find(|reason| reason.name() == name)
}

/// What a line tells; `None` where it is none of ours.
pub(super) fn decode(bytes: &[u8]) -> Option<Told> {
    let put = match serde_json::from_slice(bytes).ok()? {
        Line::Gone(gone) => return Some(Told::Gone(gone)),
        Line::Put(put) => *put,
    };
    let data = match (put.text, put.base64) {
        (Some(text), _) => text.into_bytes(),
        (None, base64) => STANDARD.decode(base64?).ok()?,
    };
    let earlier = |before: Before| {
        let reason = reason(&before.reason)?;
        Some(Earlier { reason, attempts: before.attempts, last_us: before.last_us })
    };
    let update = Update {
        source: put.source,
        channel: VenueChannel::named(&put.channel),
        kind: if put.is_snapshot { UpdateKind::Snapshot } else { UpdateKind::Change },
        symbol: put.symbol,
        data: data.into(),
        id: put.name,
        sequence: put.sequence,
        venue_us: put.venue_us,
        // A monotonic reading means nothing in another life.
        received: Now { mono_us: 0, wall_us: put.received_us },
    };
    let letter = Letter {
        component: put.component,
        reason: reason(&put.reason)?,
        error: put.error,
        attempts: put.attempts,
        first_us: put.first_us,
        last_us: put.last_us,
        update: Arc::new(update),
        redriven: put.redriven,
        history: put.history.into_iter().filter_map(earlier).collect(),
        run: put.run,
        serial: put.serial,
    };
    Some(Told::Put(put.id, letter))
}
