//! Events as lines for eyes: when it came, which pair, what, and what it says.

use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::Now;
use tapeline_core::clock::rfc3339;
use tapeline_core::feed::{Update, VenueChannel};
use tapeline_feeds::book::{Book, Side};
use tapeline_feeds::venue::{BookChange, Event, Lost, Session, VenueState};

use super::super::output::{counted, shown};

/// The line of an event; nothing for what only programs care for.
pub(super) fn line(event: &Event, session: &dyn Session, now: Now) -> Option<String> {
    let (symbol, kind, text) = match event {
        Event::Update(update) => {
            let symbol = update.symbol.as_deref().unwrap_or_default();
            (symbol, update.channel.name(), of_update(update)?)
        }
        Event::Book(change) => (&*change.symbol, "book", of_book(change, session.book(&change.symbol))),
        Event::BookLost { symbol, why } => {
            (&**symbol, "book", format!("LOST: {}; it is fetched anew", reason(why)))
        }
        Event::Gap { channel, symbol, why } => {
            (symbol.as_deref().unwrap_or_default(), channel.name(), format!("GAP: {}", reason(why)))
        }
        Event::Connected => ("", "connected", String::new()),
        Event::Disconnected { why } => ("", "disconnected", format!("{why}; trying again")),
        Event::State(state) => ("", "status", state_word(*state).to_string()),
        Event::Refused { channel, symbol, error } => {
            (symbol.as_deref().unwrap_or_default(), channel.name(), format!("REFUSED: {error}"))
        }
        Event::Unanswered { channel, symbol, error } => {
            let error = error.as_deref().unwrap_or("the venue says nothing");
            (
                symbol.as_deref().unwrap_or_default(),
                channel.name(),
                format!("NOT SUBSCRIBED: {error}; trying again"),
            )
        }
        Event::Held { channel, symbol } => {
            (symbol.as_deref().unwrap_or_default(), channel.name(), "subscribed after all".to_string())
        }
        Event::Silent { channel, symbol, .. } => {
            let text = "SILENT: no data for too long, although the connection lives".to_string();
            (symbol.as_deref().unwrap_or_default(), channel.name(), text)
        }
        Event::Resumed { channel, symbol } => {
            (symbol.as_deref().unwrap_or_default(), channel.name(), "data is back".to_string())
        }
    };
    let time = rfc3339(now.wall_us);
    // Hours to milliseconds.
    let time = time.get(11..23).unwrap_or_default();
    Some(shown(&format!("{time}  {symbol:<9} {kind:<9} {text}")).trim_end().to_string())
}

/// Why something is missing, in words.
pub(super) fn reason(why: &Lost) -> String {
    match why {
        Lost::Disconnected => "the connection was lost".to_string(),
        Lost::Checksum { expected, found } => format!("its checksum is {found}, the venue says {expected}"),
        Lost::Malformed => "a message of it cannot be read".to_string(),
        Lost::Maintenance => "the venue was in maintenance".to_string(),
        Lost::Unanswered => "the venue did not send it".to_string(),
        Lost::Numbers { from, to } if from == to => format!("number {from} is missing"),
        Lost::Numbers { from, to } => format!("numbers {from} to {to} are missing"),
        Lost::Renumbered => "its numbers begin anew".to_string(),
    }
}

/// The venue's state, in a word.
pub(super) fn state_word(state: VenueState) -> &'static str {
    match state {
        VenueState::Online => "online",
        VenueState::Limited => "limited",
        VenueState::Maintenance => "maintenance",
        VenueState::Unknown => "unknown",
    }
}

fn of_book(change: &BookChange, book: Option<&Book>) -> String {
    let best = |side| {
        let level = book.and_then(|book| book.levels(side).next());
        level.map_or_else(|| "none".to_string(), |(price, qty)| format!("{price} × {qty}"))
    };
    let what = if change.is_snapshot { "snapshot of " } else { "" };
    let rows = counted(change.rows.len() as u64, "row");
    // What does not hold is no change of a book.
    let checksum = change.checksum.map(|checksum| format!(", checksum {checksum} holds")).unwrap_or_default();
    format!("bid {}  ask {}  ({what}{rows}{checksum})", best(Side::Bid), best(Side::Ask))
}

/// What lines show of a venue's data, whatever the channel.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow)]
    bid: Option<&'a RawValue>,
    #[serde(borrow)]
    ask: Option<&'a RawValue>,
    #[serde(borrow)]
    last: Option<&'a RawValue>,
    #[serde(borrow)]
    volume: Option<&'a RawValue>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    qty: Option<&'a RawValue>,
    #[serde(borrow)]
    side: Option<&'a RawValue>,
    #[serde(borrow)]
    trade_id: Option<&'a RawValue>,
    #[serde(borrow)]
    open: Option<&'a RawValue>,
    #[serde(borrow)]
    high: Option<&'a RawValue>,
    #[serde(borrow)]
    low: Option<&'a RawValue>,
    #[serde(borrow)]
    close: Option<&'a RawValue>,
    #[serde(borrow)]
    interval: Option<&'a RawValue>,
    #[serde(borrow)]
    interval_begin: Option<&'a RawValue>,
    #[serde(borrow)]
    order_id: Option<&'a RawValue>,
    #[serde(borrow)]
    exec_type: Option<&'a RawValue>,
    #[serde(borrow)]
    order_status: Option<&'a RawValue>,
    #[serde(borrow)]
    last_qty: Option<&'a RawValue>,
    #[serde(borrow)]
    last_price: Option<&'a RawValue>,
}

fn of_update(update: &Update) -> Option<String> {
    let parsed = serde_json::from_slice::<Fields<'_>>(&update.data);
    let as_sent = || String::from_utf8_lossy(&update.data).into_owned();
    let (Ok(fields), true) = (parsed, update.data.first() == Some(&b'{')) else { return Some(as_sent()) };
    let word = |name: &str, value: Option<&RawValue>| {
        let text = value.map(|value| value.get().trim_matches('"'))?;
        Some(if name.is_empty() { text.to_string() } else { format!("{name} {text}") })
    };
    let words = match update.channel {
        VenueChannel::Heartbeat => return None,
        VenueChannel::Ticker => vec![
            word("last", fields.last),
            word("bid", fields.bid),
            word("ask", fields.ask),
            word("volume", fields.volume),
        ],
        VenueChannel::Trade => vec![
            word("", fields.side),
            word("", fields.qty),
            word("at", fields.price),
            word("number", fields.trade_id),
        ],
        VenueChannel::Ohlc => vec![
            word("minutes", fields.interval),
            word("from", fields.interval_begin),
            word("open", fields.open),
            word("high", fields.high),
            word("low", fields.low),
            word("close", fields.close),
            word("volume", fields.volume),
        ],
        VenueChannel::Executions => vec![
            word("", fields.order_id),
            word("", fields.exec_type),
            word("", fields.side),
            word("", fields.last_qty),
            word("at", fields.last_price),
            word("now", fields.order_status),
        ],
        _ => return Some(as_sent()),
    };
    Some(words.into_iter().flatten().collect::<Vec<_>>().join("  "))
}
