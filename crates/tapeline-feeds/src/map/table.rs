//! Which of a venue's channels becomes which channels of the hub: the rows, to be read as a table. A configuration
//! changes a row's template by the row's name, or switches the row off. How data is made is not said here; each
//! [`Making`] has a file of its own.

use tapeline_core::feed::VenueChannel;

use super::template::Field;

use Field::{Channel, Interval, OrderId, Symbol};

/// How a row's data is made of what a venue says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Making {
    /// A price with what belongs to it (`price.rs`).
    Price,
    /// The best levels of a book, only while somebody hears them (`books.rs`).
    BestLevels,
    /// The rows of a book that differ (`books.rs`).
    BookRows,
    /// A trade of anybody's (`trade.rs`).
    Trade,
    /// A row of a table of candles (`candle.rs`).
    Candle,
    /// What the venue says of an order (`orders.rs`).
    Execution,
    /// Where an order stands (`orders.rs`).
    OrderStatus,
    /// Rows of a table of assets (`balances.rs`).
    Balances,
    /// That the source lives.
    Heartbeat,
    /// What the venue sent, unchanged.
    AsSent,
}

/// A row of the map.
#[derive(Debug)]
pub struct MapRow {
    /// Its name in a configuration.
    pub name: &'static str,
    /// What the venue calls the channel; `None` for all that have no row of their own.
    pub channel: Option<VenueChannel>,
    /// The hub's channel, where the configuration names no other; `None` where the row is off by itself.
    pub template: Option<&'static str>,
    /// How the data is made.
    pub making: Making,
    /// Fields that its template may not lack, or things that differ would take each other's place.
    pub needs: &'static [Field],
    /// Fields that its template may have besides, beside those that are always known.
    pub takes: &'static [Field],
}

/// All rows.
#[rustfmt::skip]
pub static MAP_ROWS: [MapRow; 12] = [
    row("ticker",       Some(VenueChannel::Ticker),     Some("market_data:{symbol}"),     Making::Price,       &[Symbol],           &[]),
    row("book",         Some(VenueChannel::Book),       Some("orderbook:{symbol}"),       Making::BestLevels,  &[Symbol],           &[]),
    row("book_rows",    Some(VenueChannel::Book),       Some("orderbook_rows:{symbol}"),  Making::BookRows,    &[Symbol],           &[]),
    row("trade",        Some(VenueChannel::Trade),      Some("market_trades:{symbol}"),   Making::Trade,       &[],                 &[Symbol]),
    row("ohlc",         Some(VenueChannel::Ohlc),       Some("ohlc:{symbol}:{interval}"), Making::Candle,      &[Symbol, Interval], &[]),
    row("executions",   Some(VenueChannel::Executions), Some("executions:{account}"),     Making::Execution,   &[],                 &[]),
    row("order_status", Some(VenueChannel::Executions), Some("order_status:{order_id}"),  Making::OrderStatus, &[OrderId],          &[]),
    row("balances",     Some(VenueChannel::Balances),   Some("balances:{account}"),       Making::Balances,    &[],                 &[]),
    row("heartbeat",    Some(VenueChannel::Heartbeat),  Some("heartbeat:{source}"),       Making::Heartbeat,   &[],                 &[]),
    row("instrument",   Some(VenueChannel::Instrument), None,                             Making::AsSent,      &[],                 &[Symbol]),
    row("status",       Some(VenueChannel::Status),     None,                             Making::AsSent,      &[],                 &[]),
    row("other",        None,                           None,                             Making::AsSent,      &[Channel],          &[Symbol]),
];

const fn row(
    name: &'static str,
    channel: Option<VenueChannel>,
    template: Option<&'static str>,
    making: Making,
    needs: &'static [Field],
    takes: &'static [Field],
) -> MapRow {
    MapRow { name, channel, template, making, needs, takes }
}

impl MapRow {
    /// Whether it is about this channel of the venue.
    pub fn is_about(&self, channel: &VenueChannel) -> bool {
        match &self.channel {
            Some(own) => own == channel,
            None => matches!(channel, VenueChannel::Other(_)),
        }
    }
}
