//! A message of the channel `book`: levels as rows of exact decimals, read from the digits as they were sent. It does
//! not know what the book was before.

use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::feed::UpdateKind;

use super::{Envelope, Text, Wrong};
use crate::book::{Decimal, Row, Side};

/// A book, or what has changed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookMessage<'a> {
    /// Whether it replaces what was.
    pub kind: UpdateKind,
    /// The instrument.
    pub symbol: Text<'a>,
    /// Bids, then asks, each in the order in which they were sent.
    pub rows: Vec<Row>,
    /// CRC-32 of the ten best levels of each side after this message.
    pub checksum: u32,
    /// When the venue says that it was so; a snapshot may not say.
    pub timestamp: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    #[serde(borrow)]
    bids: Vec<Level<'a>>,
    #[serde(borrow)]
    asks: Vec<Level<'a>>,
    checksum: u32,
    #[serde(borrow, default)]
    timestamp: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Level<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
}

pub(super) fn read<'a>(envelope: &Envelope<'a>) -> Result<BookMessage<'a>, Wrong> {
    let kind = envelope.kind()?;
    let [data]: [Data<'a>; 1] = serde_json::from_str(envelope.data()?)?;
    let mut rows = Vec::with_capacity(data.bids.len() + data.asks.len());
    for (side, levels) in [(Side::Bid, &data.bids), (Side::Ask, &data.asks)] {
        for level in levels {
            rows.push(Row { side, price: number(level.price)?, qty: number(level.qty)? });
        }
    }
    Ok(BookMessage { kind, symbol: data.symbol, rows, checksum: data.checksum, timestamp: data.timestamp })
}

fn number(raw: &RawValue) -> Result<Decimal, Wrong> {
    Decimal::parse(raw.get())
        .ok_or_else(|| Wrong("a price or quantity is no number of at most 38 digits".into()))
}
