//! Trades of anybody's to `market_trade`. Their ids become idempotency keys, so that one that comes again is one.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::feed::Update;

use super::untold::{Untold, malformed, number};
use super::write::Object;

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(borrow)]
    trade_id: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
}

/// The data of a trade; `symbol` is the hub's name.
pub(super) fn data(update: &Update, symbol: &str) -> Result<Bytes, Untold> {
    let trade: Trade<'_> = update.json().map_err(|error| malformed(update, error))?;
    let object = Object::with_capacity(192)
        .text("symbol", symbol)
        .json("price", number(update, "price", trade.price)?)
        .json("quantity", number(update, "qty", trade.qty)?)
        .text("side", &trade.side)
        .json_if("trade_id", trade.trade_id)
        .text("time", &trade.timestamp);
    Ok(object.bytes())
}
