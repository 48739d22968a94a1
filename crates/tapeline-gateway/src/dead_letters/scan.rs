//! Kept letters, looked through from the newest to the oldest: a note that a letter was redriven comes after it, so it is
//! met first; or from the oldest on, when the notes have been read before. What is looked into in one call is bounded.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::broker::Page;
use tapeline_core::clock::{micros, rfc3339};
use tapeline_core::dead_letters::{reason_in, source_of};
use tapeline_core::{Channel, Epoch, Hub, Message, Refusal};
use tapeline_schema::ErrorCode;
use tapeline_schema::events::{DEAD_LETTER_REDRIVEN, Time};

use super::{Letter, Redriven, Total};
use crate::asking;
use crate::native::parse_time;

/// Messages asked of the broker at once.
const PAGE: usize = 256;
const WINDOW: u64 = PAGE as u64;
/// Bytes of letters looked into in one call.
const SCAN_BYTES: usize = 32 << 20;
/// Totals told apart; what is beyond is `other`.
const TOTALS: usize = 1_000;

/// Outstanding and redriven, by source and reason.
type Sums = BTreeMap<(Box<str>, Box<str>), (u64, u64)>;

/// A kept letter.
pub(super) struct Found {
    pub message: Arc<Message>,
    pub reason: Box<str>,
    pub redriven: Option<Redriven>,
}

/// What a channel keeps.
pub(super) struct Scan {
    /// Those that were wanted, newest first.
    pub found: Vec<Found>,
    pub totals: Vec<Total>,
    pub complete: bool,
}

/// Asks the broker, and waits.
pub(super) fn read(hub: &Hub, channel: &Channel, after: u64, limit: usize) -> Result<Page, Refusal> {
    asking::wait(asking::page(hub, channel, after, limit))
}

/// Looks through a channel or the roll-up; `wanted` is asked about each letter, with its place in that.
pub(super) fn scan(
    hub: &Hub,
    channel: &Channel,
    mut wanted: impl FnMut(u64, &Found) -> bool,
) -> Result<Scan, Refusal> {
    let head = read(hub, channel, 0, 0)?.head;
    let mut scan = Scan { found: Vec::new(), totals: Vec::new(), complete: true };
    let mut notes = Notes::default();
    let mut totals = Sums::new();
    let (mut high, mut bytes) = (head.top, 0_usize);
    while high >= head.oldest.max(1) {
        let low = (high + 1).saturating_sub(WINDOW).max(head.oldest).max(1);
        let page = read(hub, channel, low - 1, usize::try_from(high + 1 - low).unwrap_or_default())?;
        if page.head.epoch != head.epoch {
            break;
        }
        for message in page.messages.into_iter().rev() {
            let place = message.offset_in(channel).unwrap_or_default();
            if place > high || notes.take(&message) || !is_letter(&message) {
                continue;
            }
            bytes += message.data.len();
            if bytes > SCAN_BYTES {
                scan.complete = false;
                scan.totals = told(totals);
                return Ok(scan);
            }
            let found = notes.found(message);
            count(&mut totals, &found);
            if wanted(place, &found) {
                scan.found.push(found);
            }
        }
        high = low - 1;
    }
    scan.totals = told(totals);
    Ok(scan)
}

/// Letters of a source after a place, oldest first, and where to go on if there may be more.
pub(super) fn oldest(
    hub: &Hub,
    channel: &Channel,
    (mut after, limit): (u64, usize),
    mut wanted: impl FnMut(&Found) -> bool,
) -> Result<(Vec<Found>, Option<u64>), Refusal> {
    let mut notes = Notes::of_channel(hub, channel)?;
    let (mut found, mut looked, mut bytes) = (Vec::new(), 0, 0_usize);
    loop {
        let page = read(hub, channel, after, PAGE)?;
        if page.messages.is_empty() {
            return Ok((found, None));
        }
        for message in page.messages {
            let place = message.offset_in(channel).unwrap_or_default();
            if message.channel == *channel && is_letter(&message) {
                bytes += message.data.len();
                if found.len() == limit || (bytes > SCAN_BYTES && looked > 0) {
                    return Ok((found, Some(after)));
                }
                looked += 1;
                let letter = notes.found(message);
                if wanted(&letter) {
                    found.push(letter);
                }
            }
            after = place;
        }
    }
}

/// The letter at this place of its channel.
pub(super) fn find(
    hub: &Hub,
    channel: &Channel,
    offset: u64,
    notes: &mut Notes,
) -> Result<Option<Found>, Refusal> {
    let Some(before) = offset.checked_sub(1) else { return Ok(None) };
    let page = read(hub, channel, before, 1)?;
    let is_it = |message: &Arc<Message>| {
        message.channel == *channel && message.offset_in(channel) == Some(offset) && is_letter(message)
    };
    Ok(page.messages.into_iter().next().filter(is_it).map(|message| notes.found(message)))
}

fn is_letter(message: &Message) -> bool {
    message.kind.is_none() && source_of(message.channel.name()).is_some()
}

fn count(totals: &mut Sums, found: &Found) {
    let mut key = (Box::from(source(&found.message)), found.reason.clone());
    if totals.len() >= TOTALS && !totals.contains_key(&key) {
        key = ("other".into(), "other".into());
    }
    let (outstanding, redriven) = totals.entry(key).or_default();
    match found.redriven {
        None => *outstanding += 1,
        Some(_) => *redriven += 1,
    }
}

fn told(totals: Sums) -> Vec<Total> {
    let total = |((source, reason), (outstanding, redriven)): ((Box<str>, Box<str>), _)| Total {
        source: source.into(),
        reason: reason.into(),
        outstanding,
        redriven,
    };
    totals.into_iter().map(total).collect()
}

fn source(message: &Message) -> &str {
    source_of(message.channel.name()).unwrap_or_default()
}

/// Notes met so far, by the letter that each is about. Of several the one taken last counts.
#[derive(Default)]
pub(super) struct Notes(HashMap<(Channel, Epoch, u64), Redriven>);

/// The data of a note.
#[derive(Deserialize)]
struct Note<'a> {
    offset: u64,
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    published: Published,
}

#[derive(Deserialize)]
struct Published {
    channel: String,
    offset: u64,
    epoch: String,
    id: String,
}

impl Notes {
    /// Those that a channel keeps. Letters are passed over unread.
    pub(super) fn of_channel(hub: &Hub, channel: &Channel) -> Result<Self, Refusal> {
        let mut notes = Notes::default();
        let mut after = 0;
        loop {
            let page = read(hub, channel, after, PAGE)?;
            let Some(last) = page.messages.last().and_then(|last| last.offset_in(channel)) else {
                return Ok(notes);
            };
            for message in &page.messages {
                notes.take(message);
            }
            after = last;
        }
    }

    /// The place of the letter whose original this message is, if one of these notes says so.
    pub(super) fn letter_of(&self, message: &Message) -> Option<u64> {
        let id = message.id.to_string();
        let is_it = |redriven: &Redriven| redriven.id == id && *redriven.epoch == *message.epoch;
        let mut letters = self.0.iter().filter(|(_, redriven)| is_it(redriven));
        letters.next().map(|((_, _, offset), _)| *offset)
    }

    /// A letter with what its note says.
    fn found(&mut self, message: Arc<Message>) -> Found {
        let redriven = self.0.remove(&(message.channel.clone(), message.epoch.clone(), message.offset));
        Found { reason: reason_in(&message.data), redriven, message }
    }

    /// Remembers a note; `false` if it is none.
    fn take(&mut self, message: &Message) -> bool {
        if message.kind.as_deref() != Some(DEAD_LETTER_REDRIVEN) {
            return false;
        }
        // Anybody may publish under this type; what cannot be read says nothing.
        if let Ok(note) = serde_json::from_slice::<Note<'_>>(&message.data) {
            let Published { channel, offset, epoch, id } = note.published;
            let redriven = Redriven { at: rfc3339(message.timestamp_us), channel, offset, epoch, id };
            let letter = (message.channel.clone(), Epoch::from(&*note.epoch), note.offset);
            self.0.insert(letter, redriven);
        }
        true
    }
}

/// What of a letter's data is passed on as it came.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    attempts: &'a RawValue,
    #[serde(borrow)]
    first_at: &'a RawValue,
    #[serde(borrow)]
    last_at: &'a RawValue,
    #[serde(borrow)]
    original: &'a RawValue,
    #[serde(default)]
    error: Option<String>,
}

impl Found {
    /// The original's JSON.
    pub(super) fn original(&self) -> Result<&RawValue, Refusal> {
        self.data().map(|data| data.original)
    }

    /// When the original was first tried, microseconds since 1970: what the letter says, unless that is later than the
    /// letter itself.
    pub(super) fn tried_us(&self) -> u64 {
        let said = self.data().ok().and_then(|data| serde_json::from_str::<Time>(data.first_at.get()).ok());
        let first_us = match said {
            Some(Time::Text(text)) => parse_time(&text).ok(),
            Some(Time::Millis(millis)) => Duration::try_from_secs_f64(millis / 1_000.0).ok().map(micros),
            None => None,
        };
        first_us.unwrap_or(u64::MAX).min(self.message.timestamp_us)
    }

    fn data(&self) -> Result<Data<'_>, Refusal> {
        self.parsed().map_err(|error| {
            let (source, offset) = (source(&self.message), self.message.offset);
            Refusal::new(
                ErrorCode::InvalidData,
                format!("letter {offset} of {source:?} cannot be read: {error}"),
            )
        })
    }

    fn parsed(&self) -> Result<Data<'_>, serde_json::Error> {
        serde_json::from_slice(&self.message.data)
    }

    /// As it is told.
    pub(super) fn letter(&self) -> Result<Letter, Refusal> {
        self.data().map(|data| self.told(data))
    }

    /// As it is told among others. Anybody may publish letters, and what one of them has wrong must not hide the rest: of
    /// one that cannot be read each field is told that can.
    pub(super) fn listed(self) -> Letter {
        match self.parsed() {
            Ok(data) => self.told(data),
            Err(error) => {
                let fields: BTreeMap<String, &RawValue> =
                    serde_json::from_slice(&self.message.data).unwrap_or_default();
                let field = |name| fields.get(name).copied().unwrap_or(RawValue::NULL);
                self.told(Data {
                    attempts: field("attempts"),
                    first_at: field("first_at"),
                    last_at: field("last_at"),
                    original: field("original"),
                    error: Some(format!("cannot be read: {error}")),
                })
            }
        }
    }

    fn told(&self, data: Data<'_>) -> Letter {
        let message = &self.message;
        Letter {
            source: source(message).to_string(),
            offset: message.offset,
            epoch: message.epoch.to_string(),
            id: message.id.to_string(),
            timestamp: rfc3339(message.timestamp_us),
            attempts: data.attempts.to_owned(),
            first_at: data.first_at.to_owned(),
            last_at: data.last_at.to_owned(),
            error: data.error,
            original: data.original.to_owned(),
            reason: self.reason.to_string(),
            redriven: self.redriven.clone(),
        }
    }
}
