//! What brings an exchange's data in: the words that feeds, the hub's side and pipelines share. It does not know how
//! any venue writes; that is `tapeline-feeds`.
//!
//! A feed never waits for the hub; what a full hub does not take, the feed conflates, or gives up as a dead letter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tapeline_schema::Priority;

use crate::clock::Now;
use crate::command::Publication;

/// A source of publications that is asked, not called.
pub trait Feed: Send {
    /// What is due at `elapsed` since the feed's start, in order; and when to ask again, also as time
    /// elapsed since the start; `None` at its end.
    fn next(&mut self, elapsed: Duration, due: &mut Vec<Publication>) -> Option<Duration>;
}

/// What a venue calls a channel: a kind of data. What the hub calls a channel is a name with a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VenueChannel {
    /// Prices of a day: best bid and ask, last price, volume.
    Ticker,
    /// Order books.
    Book,
    /// Trades of anybody.
    Trade,
    /// Candles.
    Ohlc,
    /// What can be traded, and how exactly.
    Instrument,
    /// How the venue itself is.
    Status,
    /// That the connection lives.
    Heartbeat,
    /// What an account holds.
    Balances,
    /// What becomes of an account's orders.
    Executions,
    /// Any other, by its name.
    Other(Arc<str>),
}

impl VenueChannel {
    /// Those with a name of their own.
    pub const ALL: [Self; 9] = [
        Self::Ticker,
        Self::Book,
        Self::Trade,
        Self::Ohlc,
        Self::Instrument,
        Self::Status,
        Self::Heartbeat,
        Self::Balances,
        Self::Executions,
    ];

    /// The channel of this name; `orderbook` is `book`.
    pub fn named(name: &str) -> Self {
        if name == "orderbook" {
            return Self::Book;
        }
        let known = Self::ALL.into_iter().find(|channel| channel.name() == name);
        known.unwrap_or_else(|| Self::Other(name.into()))
    }

    /// As venues write it.
    pub fn name(&self) -> &str {
        match self {
            Self::Ticker => "ticker",
            Self::Book => "book",
            Self::Trade => "trade",
            Self::Ohlc => "ohlc",
            Self::Instrument => "instrument",
            Self::Status => "status",
            Self::Heartbeat => "heartbeat",
            Self::Balances => "balances",
            Self::Executions => "executions",
            Self::Other(name) => name,
        }
    }

    /// How urgent it is, as the document on the pipeline says (seeds/004); of others, medium.
    pub fn priority(&self) -> Priority {
        match self {
            Self::Balances | Self::Executions => Priority::Critical,
            Self::Ticker | Self::Book => Priority::High,
            Self::Heartbeat => Priority::Low,
            _ => Priority::Medium,
        }
    }

    /// Whether an account's owner alone may read it.
    pub fn is_private(&self) -> bool {
        matches!(self, Self::Balances | Self::Executions)
    }

    /// Whether the newest of a symbol makes those before it worthless, so that they may give way to it.
    pub fn is_latest(&self) -> bool {
        matches!(self, Self::Ticker | Self::Book | Self::Status | Self::Heartbeat)
    }
}

impl fmt::Display for VenueChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether an update is the whole state or what has changed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpdateKind {
    /// Everything; what was before is void.
    Snapshot,
    /// What has changed, or simply the next one.
    Change,
}

/// One thing that a venue says.
#[derive(Clone, Debug)]
pub struct Update {
    /// The feed: `kraken`.
    pub source: Arc<str>,
    /// What it is about.
    pub channel: VenueChannel,
    /// Snapshot or change.
    pub kind: UpdateKind,
    /// The instrument, where it is about one.
    pub symbol: Option<Arc<str>>,
    /// One JSON value with its digits as the venue wrote them: an element of what the venue sent, except for
    /// `balances`, where it is the whole list. A `book` is never what has changed but the best levels as they are now,
    /// best first: `{"symbol","bids":[{"price","qty"}…],"asks":[…],"checksum","timestamp"?}`; so the newest is enough.
    pub data: Bytes,
    /// What the venue calls this very thing: the same id again is the same thing again.
    pub id: Option<Box<str>>,
    /// Its number among the updates of this source, channel and symbol; it only grows.
    pub sequence: Option<u64>,
    /// When the venue says that it was so, microseconds since 1970.
    pub venue_us: Option<u64>,
    /// When it came.
    pub received: Now,
}

impl Update {
    /// The data as a Rust value.
    ///
    /// # Errors
    /// The data is not JSON, or of another shape.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_is_found_by_its_name_and_orderbook_is_book() {
        for channel in VenueChannel::ALL {
            assert_eq!(VenueChannel::named(channel.name()), channel);
        }
        assert_eq!(VenueChannel::named("orderbook"), VenueChannel::Book);
        assert_eq!(VenueChannel::named("level3"), VenueChannel::Other("level3".into()));
    }

    #[test]
    fn priorities_are_the_documents() {
        let of = |name: &str| VenueChannel::named(name).priority();
        assert_eq!(["balances", "executions"].map(of), [Priority::Critical; 2]);
        assert_eq!(["ticker", "book"].map(of), [Priority::High; 2]);
        assert_eq!(["ohlc", "trade"].map(of), [Priority::Medium; 2]);
        assert_eq!(of("heartbeat"), Priority::Low);
    }
}
