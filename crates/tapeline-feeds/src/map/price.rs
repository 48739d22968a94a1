//! Ticker to `price_update`: the last price, and how it differs from the update before. It remembers one price a
//! symbol.

use std::borrow::Cow;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::feed::Update;

use super::number::Number;
use super::untold::{Untold, malformed, number};
use super::write::Object;

/// Instruments whose last price is remembered; a venue that names more is not believed.
pub(super) const SYMBOLS_LIMIT: usize = 65_536;

#[derive(Deserialize)]
struct Ticker<'a> {
    #[serde(borrow)]
    last: &'a RawValue,
    #[serde(borrow)]
    volume: &'a RawValue,
    #[serde(borrow)]
    bid: Option<&'a RawValue>,
    #[serde(borrow)]
    ask: Option<&'a RawValue>,
    #[serde(borrow)]
    change: Option<&'a RawValue>,
    #[serde(borrow)]
    change_pct: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<Cow<'a, str>>,
}

/// The last price of each symbol.
#[derive(Debug, Default)]
pub(super) struct Prices(HashMap<Box<str>, Number, FixedState>);

impl Prices {
    /// The data of a price; `symbol` is the hub's name.
    pub(super) fn data(&mut self, update: &Update, symbol: &str) -> Result<Bytes, Untold> {
        let ticker: Ticker<'_> = update.json().map_err(|error| malformed(update, error))?;
        let price = number(update, "last", ticker.last)?;
        let volume = number(update, "volume", ticker.volume)?;
        let now = Number::parse(price)
            .ok_or_else(|| malformed(update, format!("last is {price}, which has too many digits")))?;
        let change = self.replace(symbol, now)?.and_then(|before| now.minus(before));
        let mut object = Object::with_capacity(256)
            .text("symbol", symbol)
            .json("price", price)
            .json("change", &change.map_or_else(|| "0".to_owned(), |change| change.to_string()))
            .json("volume", volume)
            .json_if("bid", ticker.bid)
            .json_if("ask", ticker.ask)
            .json_if("change_24h", ticker.change)
            .json_if("change_24h_pct", ticker.change_pct);
        if let Some(time) = &ticker.timestamp {
            object = object.text("source_time", time);
        }
        Ok(object.bytes())
    }

    fn replace(&mut self, symbol: &str, now: Number) -> Result<Option<Number>, Untold> {
        if let Some(last) = self.0.get_mut(symbol) {
            return Ok(Some(std::mem::replace(last, now)));
        }
        if self.0.len() >= SYMBOLS_LIMIT {
            return Err(Untold::TooMany { what: "instruments", limit: SYMBOLS_LIMIT });
        }
        self.0.insert(symbol.into(), now);
        Ok(None)
    }
}
