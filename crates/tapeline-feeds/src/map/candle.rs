//! Candles to rows of `ohlc`, told apart by when they begin. What a snapshot says of one channel goes out as one
//! message. A snapshot is the newest candles, not all that there are, so it replaces no table.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::feed::Update;

use super::untold::{Untold, malformed, number};
use super::write::Object;

#[derive(Deserialize)]
struct Candle<'a> {
    #[serde(borrow)]
    interval: &'a RawValue,
    #[serde(borrow)]
    interval_begin: Cow<'a, str>,
    #[serde(borrow)]
    open: &'a RawValue,
    #[serde(borrow)]
    high: &'a RawValue,
    #[serde(borrow)]
    low: &'a RawValue,
    #[serde(borrow)]
    close: &'a RawValue,
    #[serde(borrow)]
    volume: &'a RawValue,
    #[serde(borrow)]
    vwap: Option<&'a RawValue>,
    #[serde(borrow)]
    trades: Option<&'a RawValue>,
}

/// A candle: its interval as a channel names it, and its row.
pub(super) struct CandleRow {
    pub(super) interval: String,
    pub(super) row: Vec<u8>,
}

/// The row of a candle; `symbol` is the hub's name.
pub(super) fn row(update: &Update, symbol: &str) -> Result<CandleRow, Untold> {
    let candle: Candle<'_> = update.json().map_err(|error| malformed(update, error))?;
    let text = candle.interval.get();
    let interval = match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map_err(|error| malformed(update, error))?,
        _ => number(update, "interval", candle.interval)?.to_owned(),
    };
    let row = Object::with_capacity(256)
        .text("symbol", symbol)
        .json("interval", text)
        .text("begin", &candle.interval_begin)
        .json("open", number(update, "open", candle.open)?)
        .json("high", number(update, "high", candle.high)?)
        .json("low", number(update, "low", candle.low)?)
        .json("close", number(update, "close", candle.close)?)
        .json("volume", number(update, "volume", candle.volume)?)
        .json_if("vwap", candle.vwap)
        .json_if("trades", candle.trades);
    Ok(CandleRow { interval, row: row.end() })
}
