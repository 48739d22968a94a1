//! `POST /publish/batch`: many publishes in one request, published in slices and answered item by item.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tapeline_core::broker::{Drafts, SLICE};
use tapeline_core::{Drafter, Hub, Receipt, Refusal};
use tapeline_schema::ErrorCode;

use crate::app::App;
use crate::bodies::body;
use crate::caller::Caller;
use crate::envelope::{Answers, Envelope};
use crate::error::{Failure, push_error};
use crate::form::{self, Object};
use crate::http::{is_lines, json};
use crate::peer::Peer;
use crate::publish::Outcome;

/// About the bytes that answer one item.
const ANSWER_BYTES: usize = 160;

/// One publish of the batch, or why it is none.
pub(crate) type Item<'a> = Result<Envelope<'a>, Refusal>;

/// An array, or one envelope a line.
pub(crate) async fn publish_batch(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Failure> {
    let lines = is_lines(request.headers())?;
    let bytes = app.hub.settings().batch_bytes;
    let body = body(&app, request, bytes, "limits.batch_bytes").await?;
    let limit = app.hub.settings().batch_items;
    let items = read(&body, lines, limit)?;
    // As a whole: half a batch would be for the client to sort out.
    peer.take_publishes(&app.hub, &caller.principal, items.len())?;
    let mut drafter = app.hub.drafter(&caller.principal, &caller.grant, app.hub.now()).in_bulk();
    let mut answer = Answer::new(&app.hub, items.len());
    for slice in items.chunks(SLICE) {
        let (drafts, refused) = draft(&mut drafter, slice);
        let outcomes =
            if drafts.is_empty() { Vec::new() } else { app.publish_slice(drafts, &caller.principal).await };
        answer.push_slice(slice, &outcomes, &refused);
    }
    Ok(json(answer.end()))
}

/// Each item, or why it is none.
pub(crate) fn read(body: &[u8], lines: bool, limit: usize) -> Result<Vec<Item<'_>>, Failure> {
    if lines { read_lines(body, limit) } else { read_array(body, limit) }
}

fn read_lines(body: &[u8], limit: usize) -> Result<Vec<Item<'_>>, Failure> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let items: Vec<_> = lines.take(limit + 1).map(form::object_in).collect();
    if items.len() > limit { Err(too_many(limit)) } else { Ok(items) }
}

/// The whole array at once; only if one item does not fit are they looked at one by one.
fn read_array(body: &[u8], limit: usize) -> Result<Vec<Item<'_>>, Failure> {
    let text = form::text(body)?;
    if let Ok(envelopes) = Bounded::read(text, limit) {
        let envelopes: Vec<Object<Envelope<'_>>> = envelopes.ok_or_else(|| too_many(limit))?;
        return Ok(envelopes.into_iter().map(|Object(envelope)| Ok(envelope)).collect());
    }
    let items: Option<Vec<&RawValue>> =
        Bounded::read(text, limit).map_err(|error| form::refusal(&error, text))?;
    let items = items.ok_or_else(|| too_many(limit))?;
    Ok(items.into_iter().map(|item| form::object(item.get())).collect())
}

fn too_many(limit: usize) -> Failure {
    let message = format!("more than {limit} publishes in one batch (limits.batch_items)");
    Failure::new(ErrorCode::TooLarge, message)
}

/// An array of at most so many items, so that the memory they take is bounded too.
struct Bounded<'a, T> {
    limit: usize,
    is_over: &'a Cell<bool>,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Bounded<'_, T> {
    /// The items, or `None` if there are more.
    fn read(text: &'de str, limit: usize) -> serde_json::Result<Option<Vec<T>>> {
        let mut json = serde_json::Deserializer::from_str(text);
        let is_over = Cell::new(false);
        let read = json.deserialize_seq(Bounded { limit, is_over: &is_over, item: PhantomData });
        match read.and_then(|items| json.end().map(|()| items)) {
            Err(_) if is_over.get() => Ok(None),
            read => read.map(Some),
        }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of publishes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() >= self.limit {
                self.is_over.set(true);
                return Err(A::Error::custom("too many items"));
            }
            items.push(item);
        }
        Ok(items)
    }
}

/// The drafts of a slice, and the places in it of those that are refused.
fn draft(drafter: &mut Drafter<'_>, slice: &[Item<'_>]) -> (Drafts, Vec<(usize, Refusal)>) {
    let mut drafts = Drafts::with_capacity(slice.len());
    let mut refused = Vec::new();
    for (at, item) in slice.iter().enumerate() {
        let publication = item.as_ref().map_err(Clone::clone).and_then(Envelope::publication);
        match publication.and_then(|publication| drafter.draft(publication, drafts.last())) {
            Ok(draft) => drafts.push(draft),
            Err(refusal) => refused.push((at, refusal)),
        }
    }
    (drafts, refused)
}

/// The answer as it grows. Batches often name one channel many times over, so the last one's answers are remembered.
struct Answer<'a> {
    hub: &'a Hub,
    out: Vec<u8>,
    last: Option<Answers<'a>>,
}

impl<'a> Answer<'a> {
    fn new(hub: &'a Hub, items: usize) -> Self {
        let mut out = Vec::with_capacity(items * ANSWER_BYTES + 16);
        out.extend_from_slice(b"{\"results\":[");
        Answer { hub, out, last: None }
    }

    /// One answer an item: of refused ones, whose places are given, the refusal; of the others, the next outcome.
    fn push_slice(&mut self, slice: &'a [Item<'a>], outcomes: &[Outcome], refused: &[(usize, Refusal)]) {
        let mut outcomes = outcomes.iter();
        let mut refused = refused.iter().peekable();
        for (at, item) in slice.iter().enumerate() {
            let name = item.as_ref().map(Envelope::name).unwrap_or_default();
            match refused.next_if(|(place, _)| *place == at) {
                Some((_, refusal)) => push_error(&mut self.out, refusal),
                None => match outcomes.next() {
                    Some(Ok(receipt)) => self.push_receipt(name, receipt),
                    Some(Err(refusal)) => push_error(&mut self.out, refusal),
                    None => return,
                },
            }
            self.out.push(b',');
        }
    }

    fn push_receipt(&mut self, name: &'a str, receipt: &Receipt) {
        match &self.last {
            Some(answers) if answers.fit(name, receipt) => answers.push(&mut self.out, receipt),
            _ => {
                let answers = self.last.insert(Answers::new(name, &receipt.epoch, self.hub));
                answers.push(&mut self.out, receipt);
            }
        }
    }

    fn end(mut self) -> Vec<u8> {
        if self.out.ends_with(b",") {
            self.out.pop();
        }
        self.out.extend_from_slice(b"]}");
        self.out
    }
}
