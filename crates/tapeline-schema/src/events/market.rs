//! Market data: prices, books, prints, candles.
//!
//! Prices are in the instrument's quote currency, quantities in its base unit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Extra, Id, Time};

/// A new price of an instrument, published by feeds and workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PriceUpdate {
    /// The instrument, as the channel's key names it: `AAPL`, `BTC/USD`.
    pub symbol: String,
    /// The last price, in the quote currency.
    pub price: f64,
    /// The price less the price of the update before; 0 at first.
    pub change: f64,
    /// What was traded in the last 24 hours, in units of the instrument.
    pub volume: f64,
    /// The best price that somebody pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid: Option<f64>,
    /// The best price that somebody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<f64>,
    /// The price less the price 24 hours ago, as the venue says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_24h: Option<f64>,
    /// The same in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_24h_pct: Option<f64>,
    /// When the venue says it was so; the message's timestamp is when the hub received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_time: Option<Time>,
}

/// A price of a book and the quantity that waits there, in units of the instrument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Level(
    /// The price.
    pub f64,
    /// The quantity.
    pub f64,
);

/// A whole order book, published by feeds and workers. Any object is taken; these are the fields of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderBook {
    /// The instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Offers to buy, best price first; 25 levels unless the feed is told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bids: Option<Vec<Level>>,
    /// Offers to sell, best price first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<Vec<Level>>,
    /// The venue's CRC-32 of its ten best levels a side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<u32>,
    /// When the venue says it was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Time>,
    /// Whatever else the publisher sends.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A side of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BookSide {
    /// Bids: offers to buy.
    B,
    /// Asks: offers to sell.
    A,
}

/// A level of a book as a row: its key is side and price; a quantity of 0 removes it. Published by feeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BookRow(
    /// The side: `b` for bids, `a` for asks.
    pub BookSide,
    /// The price.
    pub f64,
    /// The quantity, in units of the instrument.
    pub f64,
);

/// A trade of somebody's at a venue, published by feeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MarketTrade {
    /// The instrument, as the channel's key names it: `AAPL`, `BTC/USD`.
    pub symbol: String,
    /// The price, in the quote currency.
    pub price: f64,
    /// How much, in units of the instrument.
    pub quantity: f64,
    /// The side of whoever took the offer, as the venue says it: `buy` or `sell`.
    pub side: String,
    /// The venue's number or name of the trade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade_id: Option<Id>,
    /// When it was traded, as the venue says.
    pub time: Time,
}

/// A row: what prices did in one interval. Its key is `begin`; the newest row is still open. Published by feeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candle {
    /// The instrument, as the channel's key names it: `AAPL`, `BTC/USD`.
    pub symbol: String,
    /// How long it lasts, as the channel's key names it: `1m`, `5`.
    pub interval: Id,
    /// When the interval begins.
    pub begin: Time,
    /// The first price.
    pub open: f64,
    /// The highest price.
    pub high: f64,
    /// The lowest price.
    pub low: f64,
    /// The last price so far.
    pub close: f64,
    /// What was traded, in units of the instrument.
    pub volume: f64,
}
