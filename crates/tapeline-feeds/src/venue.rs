//! What every venue's room has in common: a session without I/O, and what it tells. A driver owns the socket and the
//! clock; it does what [`Session::next`] says and hands in what comes. It does not know what a hub or a pipeline makes
//! of an event.

mod update;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tapeline_core::Now;
use tapeline_core::feed::{Update, VenueChannel};

use crate::book::{Book, Row};

/// What the driver is to do next.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// Open a connection, after so long; then call [`Session::on_open`] or [`Session::on_closed`]. Asked before that,
    /// a session says to wait.
    Connect {
        /// `ws://` or `wss://`, or what else the venue's driver knows.
        url: String,
        /// From now on; full jitter is in it already.
        after: Duration,
    },
    /// Fetch a token, after so long, then call [`Session::on_token`]; the connection is served meanwhile. What comes of
    /// it after the connection is gone is to be dropped.
    FetchToken {
        /// From now on.
        after: Duration,
    },
    /// Send this text. It may hold a token, so it is never shown.
    Send(String),
    /// Close the connection, then call [`Session::on_closed`]. What still comes on it is not looked at.
    Close {
        /// For the log.
        why: String,
    },
    /// Nothing until something comes, or this monotonic time in microseconds.
    Wait {
        /// By [`Now::mono_us`].
        until_us: u64,
    },
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Connect { url, after } => write!(f, "Connect({url} after {after:?})"),
            Step::FetchToken { after } => write!(f, "FetchToken(after {after:?})"),
            Step::Send(text) if text.contains("\"token\"") => {
                write!(f, "Send({} bytes with a token)", text.len())
            }
            Step::Send(text) => write!(f, "Send({text})"),
            Step::Close { why } => write!(f, "Close({why})"),
            Step::Wait { until_us } => write!(f, "Wait(until {until_us} us)"),
        }
    }
}

/// Why the data of a channel has a hole, or had to be thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The connection broke.
    Disconnected,
    /// The checksum of a book did not hold.
    Checksum {
        /// As the venue says.
        expected: u32,
        /// Of what we hold.
        found: u32,
    },
    /// A message of it could not be read.
    Malformed,
    /// The venue was in maintenance; everything is asked for anew.
    Maintenance,
    /// The venue did not send it though it was asked for.
    Unanswered,
    /// Numbers are missing: from `from` up to and with `to`.
    Numbers {
        /// The first that is missing.
        from: u64,
        /// The last.
        to: u64,
    },
    /// Numbers begin anew: what is missing between cannot be told.
    Renumbered,
}

/// How a venue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VenueState {
    /// Everything goes.
    Online,
    /// Orders can only be cancelled, or only be added: quiet data is no fault.
    Limited,
    /// Nothing goes; the connection is kept.
    Maintenance,
    /// A word that is not known.
    Unknown,
}

/// A book has changed, and its checksum held (or the venue sends none).
#[derive(Clone, Debug)]
pub struct BookChange {
    /// The instrument.
    pub symbol: Arc<str>,
    /// Whether the rows are all of the book; what was before is void.
    pub is_snapshot: bool,
    /// The rows that differ, with quantity 0 for those that are gone, also for those that were pushed out of the depth.
    pub rows: Vec<Row>,
    /// The venue's checksum after it.
    pub checksum: Option<u32>,
    /// When the venue says that it was so, as it wrote it.
    pub timestamp: Option<Box<str>>,
    /// When it came.
    pub received: Now,
}

/// What a session tells.
#[derive(Clone, Debug)]
pub enum Event {
    /// Something other than a book.
    Update(Update),
    /// A book has changed; [`Session::book`] is the book after it, until the session is shown more.
    Book(BookChange),
    /// The book is not to be used any more: it is fetched anew. What follows for it begins with a snapshot.
    BookLost {
        /// The instrument.
        symbol: Arc<str>,
        /// Why.
        why: Lost,
    },
    /// Messages of a channel are missing for good.
    Gap {
        /// Which.
        channel: VenueChannel,
        /// Of which instrument, where it is about one.
        symbol: Option<Arc<str>>,
        /// What is missing.
        why: Lost,
    },
    /// Everything that was asked for is on its way (again).
    Connected,
    /// The connection is lost, or could not be made. What is lost with it (books, gaps) is told before.
    Disconnected {
        /// In a sentence.
        why: Box<str>,
    },
    /// The venue is so now.
    State(VenueState),
    /// The venue refuses a subscription and will not change its mind.
    Refused {
        /// Which channel.
        channel: VenueChannel,
        /// Of which instrument.
        symbol: Option<Arc<str>>,
        /// In the venue's words.
        error: Box<str>,
    },
    /// A subscription was tried several times without success. It goes on being tried, and this is said once.
    Unanswered {
        /// Which channel.
        channel: VenueChannel,
        /// Of which instrument.
        symbol: Option<Arc<str>>,
        /// The venue's last words, if it said any.
        error: Option<Box<str>>,
    },
    /// A subscription that was told with [`Event::Unanswered`] has come about after all.
    /// [`Event::Disconnected`] ends all such tales too.
    Held {
        /// Which channel.
        channel: VenueChannel,
        /// Of which instrument.
        symbol: Option<Arc<str>>,
    },
    /// The connection lives and the venue is online, and yet a channel has had no data for longer than it may. Said
    /// once; [`Event::Resumed`], [`Event::Disconnected`] or a state other than online ends it.
    Silent {
        /// Which channel.
        channel: VenueChannel,
        /// Of which instrument.
        symbol: Option<Arc<str>>,
        /// Since when, by [`Now::mono_us`].
        since_us: u64,
    },
    /// A silent channel has data again.
    Resumed {
        /// Which channel.
        channel: VenueChannel,
        /// Of which instrument.
        symbol: Option<Arc<str>>,
    },
}

/// A connection to a venue, as a state machine.
pub trait Session: Send {
    /// What to do now; call it after every other call and when a wait is over, until it says [`Step::Wait`]. What time
    /// has brought about is appended to `events`.
    fn next(&mut self, now: Now, events: &mut Vec<Event>) -> Step;

    /// The connection stands.
    fn on_open(&mut self, now: Now);

    /// Something other than text has come: the connection lives. Venues that do not care need not say anything.
    fn on_alive(&mut self, _now: Now) {}

    /// A text message has come. What it says is appended to `events`.
    fn on_text(&mut self, text: &str, now: Now, events: &mut Vec<Event>);

    /// The connection is gone, or was never made.
    fn on_closed(&mut self, why: &str, now: Now, events: &mut Vec<Event>);

    /// A token was fetched, or why not. Venues without tokens never ask.
    fn on_token(&mut self, token: Result<String, String>, now: Now);

    /// The book of this instrument, if it is whole.
    fn book(&self, symbol: &str) -> Option<&Book>;

    /// What was counted.
    fn counts(&self) -> &Counts;
}

/// What a session has met since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages of any kind.
    pub messages: u64,
    /// Messages that are none of the venue's.
    pub strays: u64,
    /// Messages of the venue's that could not be understood.
    pub malformed: u64,
    /// Data that was there already, after a reconnect or doubled by the venue.
    pub repeated: u64,
    /// Data of a book that is being fetched anew.
    pub ignored: u64,
    /// Books whose checksum did not hold.
    pub checksum_failures: u64,
    /// Books that were fetched anew.
    pub resyncs: u64,
    /// Numbers that are missing.
    pub gaps: u64,
    /// Times that the connection was lost or could not be made.
    pub disconnects: u64,
    /// Connections that stood.
    pub connections: u64,
    /// Messages of a connection that was to be closed, not looked at.
    pub late: u64,
    /// Subscriptions that the venue refused for good.
    pub refused: u64,
    /// Requests that were sent again because nothing came back, or something that may pass.
    pub retries: u64,
    /// Times that a channel fell silent though the connection lived.
    pub silences: u64,
}
