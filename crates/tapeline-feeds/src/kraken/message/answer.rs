//! Answers to requests. The symbol stands at the top where a request failed, and inside of the result where it
//! succeeded; here it is in one place.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Envelope, Message, Text, Wrong};

/// What became of a request, or of one symbol of it.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// `subscribe`, `unsubscribe`, `add_order`…
    pub method: Text<'a>,
    /// The request's number.
    pub req_id: Option<u64>,
    /// Which instrument, where it is about one.
    pub symbol: Option<Text<'a>>,
    /// What is in effect now, or the venue's words for why not.
    pub outcome: Result<Accepted<'a>, Text<'a>>,
}

/// What is in effect after a request, as far as the answer says; names are the protocol's.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Accepted<'a> {
    /// What was subscribed to.
    #[serde(borrow, default)]
    pub channel: Option<Text<'a>>,
    #[serde(borrow, default)]
    symbol: Option<Text<'a>>,
    /// Levels a side of a book.
    pub depth: Option<usize>,
    /// Minutes of a candle.
    pub interval: Option<u32>,
    /// Whether a snapshot comes first.
    pub snapshot: Option<bool>,
    /// The ceiling of the account's rate counter.
    pub maxratecount: Option<u64>,
    /// What will not work for ever.
    #[serde(borrow, default)]
    pub warnings: Vec<Text<'a>>,
}

pub(super) fn read<'a>(method: Text<'a>, envelope: Envelope<'a>) -> Result<Message<'a>, Wrong> {
    let req_id = envelope.req_id.and_then(|id| id.get().parse().ok());
    let outcome = match (envelope.success, envelope.error) {
        (Some(true), _) => Ok(accepted(envelope.result)?),
        (Some(false), error) => Err(error.unwrap_or_default()),
        (None, Some(error)) => Err(error),
        (None, None) if method == "pong" => return Ok(Message::Pong { req_id }),
        (None, None) => return Ok(Message::Other { name: method }),
    };
    let inside = outcome.as_ref().ok().and_then(|accepted| accepted.symbol.clone());
    Ok(Message::Answer(Answer { method, req_id, symbol: envelope.symbol.or(inside), outcome }))
}

/// Of orders in a batch the result is a list, and there may be none; neither says anything here.
fn accepted(result: Option<&RawValue>) -> Result<Accepted<'_>, Wrong> {
    match result.map(RawValue::get).filter(|result| result.starts_with('{')) {
        Some(result) => Ok(serde_json::from_str(result)?),
        None => Ok(Accepted::default()),
    }
}
