//! One text frame of Kraken's protocol as Rust values that borrow from it. Digits stay as they were written; what is
//! not known (channels, methods, fields) is tolerated; what is no message is an error, never a panic. It does not know
//! what was asked for.

mod answer;
mod book;
mod data;
mod quick;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;
use tapeline_core::feed::UpdateKind;

pub use answer::{Accepted, Answer};
pub use book::BookMessage;
pub use data::{
    Asset, Balances, Candle, Execution, Holding, Instruments, Item, Items, LedgerEntry, Pair, Status, Ticker,
    Trade,
};

/// What Kraken says in one frame.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// What became of a request; one for each symbol of it.
    Answer(Answer<'a>),
    /// The answer to a `ping`.
    Pong {
        /// The request's number.
        req_id: Option<u64>,
    },
    /// `{"Error":…}`: about the connection, not about a request.
    Error(Text<'a>),
    /// The connection lives.
    Heartbeat,
    /// How the venue is.
    Status(Status<'a>),
    /// A book, or what has changed in it.
    Book(BookMessage<'a>),
    /// Prices of a day.
    Ticker(Items<'a, Ticker<'a>>),
    /// Trades of anybody.
    Trade(Items<'a, Trade<'a>>),
    /// Candles.
    Ohlc(Items<'a, Candle<'a>>),
    /// What can be traded, and how exactly.
    Instrument(Instruments<'a>),
    /// What becomes of an account's orders.
    Executions(Items<'a, Execution<'a>>),
    /// What an account holds, or an entry of its ledger.
    Balances(Balances<'a>),
    /// A channel or a method that is not known here.
    Other {
        /// Its name.
        name: Text<'a>,
    },
}

/// Why a frame is no [`Message`].
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The text is no JSON object; proxies on the way are known to write plain text.
    #[error("the frame is no JSON object")]
    Stray,
    /// An object without `channel`, `method` and `Error`, such as version 1 sends.
    #[error("the frame is none of version 2's: it has neither channel nor method")]
    Foreign,
    /// A message of a known kind with something else in it than there should be.
    #[error("the message of {name} cannot be read: {error}")]
    Malformed {
        /// The channel or method, as far as it is known.
        name: Box<str>,
        /// What is wrong.
        error: Box<str>,
    },
}

impl Unreadable {
    /// Whether it is none of the venue's messages at all.
    pub fn is_stray(&self) -> bool {
        !matches!(self, Unreadable::Malformed { .. })
    }

    /// Whether the frame, which is `text`, was a message of the channel `book`, as far as can be seen.
    pub fn is_of_book(&self, text: &str) -> bool {
        let is_named = matches!(self, Unreadable::Malformed { name, .. } if **name == *"book");
        is_named || text.trim_ascii_start().starts_with(r#"{"channel":"book""#)
    }
}

/// A string out of a frame; borrowed, unless there are escapes in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

/// What any frame may have at its top.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    channel: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    sequence: Option<u64>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    req_id: Option<&'a RawValue>,
    success: Option<bool>,
    #[serde(borrow)]
    error: Option<Text<'a>>,
    #[serde(borrow)]
    symbol: Option<Text<'a>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow, rename = "Error")]
    failure: Option<Text<'a>>,
}

impl<'a> Message<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`Unreadable`]: it is none of this protocol's, or not as it should be.
    pub fn parse(text: &'a str) -> Result<Self, Unreadable> {
        if let Some(book) = quick::read(text) {
            return Ok(Message::Book(book));
        }
        // A struct would be read from an array too, which is what version 1 sends.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Unreadable::Stray);
        }
        let mut envelope: Envelope<'a> =
            serde_json::from_str(text).map_err(|error| match error.classify() {
                Category::Data => Wrong::from(error).of("unknown"),
                _ => Unreadable::Stray,
            })?;
        if let Some(channel) = envelope.channel.take() {
            data::read(channel.clone(), envelope).map_err(|wrong| wrong.of(&channel))
        } else if let Some(method) = envelope.method.take() {
            answer::read(method.clone(), envelope).map_err(|wrong| wrong.of(&method))
        } else {
            envelope.failure.map(Message::Error).ok_or(Unreadable::Foreign)
        }
    }
}

impl<'a> Envelope<'a> {
    fn kind(&self) -> Result<UpdateKind, Wrong> {
        match self.kind.as_deref() {
            Some("snapshot") => Ok(UpdateKind::Snapshot),
            Some("update") => Ok(UpdateKind::Change),
            Some(_) => Err(Wrong("its type is neither snapshot nor update".into())),
            None => Err(Wrong("it has no type".into())),
        }
    }

    fn data(&self) -> Result<&'a str, Wrong> {
        self.data.map(RawValue::get).ok_or_else(|| Wrong("it has no data".into()))
    }
}

/// What is wrong with a message of a known name.
struct Wrong(Box<str>);

impl Wrong {
    fn of(self, name: &str) -> Unreadable {
        Unreadable::Malformed { name: name.into(), error: self.0 }
    }
}

impl From<serde_json::Error> for Wrong {
    fn from(error: serde_json::Error) -> Self {
        Wrong(error.to_string().into())
    }
}

#[cfg(test)]
mod tests;
