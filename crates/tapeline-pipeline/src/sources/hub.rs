//! A hub's messages as updates: the family says the venue's channel, the key the symbol. Data stays as it was published,
//! but for what [`Update::data`] promises: a book's levels are objects, balances are a list, and each candle is an update.
//!
//! | family | channel |
//! |---|---|
//! | `market_data:{symbol}` | ticker |
//! | `orderbook:{symbol}` | book |
//! | `market_trades:{symbol}` | trade |
//! | `ohlc:{symbol}:{interval}` | ohlc, an update a row |
//! | `executions:{account}` | executions |
//! | `balances:{account}` | balances, the rows as a list |
//! | `heartbeat:{source}` | heartbeat |
//! | any other | its family's name |

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tapeline_core::Now;
use tapeline_core::feed::{Update, UpdateKind, VenueChannel};

/// A message of a hub, as any client gets it.
#[derive(Clone, Debug)]
pub struct HubMessage<'a> {
    /// The channel it was published on: `market_data:BTC/USD`.
    pub channel: &'a str,
    /// Its data, digit for digit.
    pub data: Bytes,
    /// Its id, by which it is known again.
    pub id: &'a str,
    /// Its number in the channel.
    pub offset: u64,
    /// When it came, by the pipeline's clock ([`crate::Pipeline::clock`]).
    pub received: Now,
}

/// What a table's subscribers get.
#[derive(Deserialize)]
struct Table<'a> {
    #[serde(borrow)]
    rows: Vec<&'a RawValue>,
    #[serde(default)]
    snapshot: bool,
}

#[derive(Deserialize)]
struct Symbol<'a> {
    #[serde(borrow)]
    symbol: Option<Cow<'a, str>>,
}

/// The updates that a message of this source stands for; most are one. Data of another shape than its family's goes on as
/// it is, and is judged where it is taken in.
pub fn from_hub(source: &Arc<str>, message: &HubMessage<'_>) -> Vec<Update> {
    let (family, key) = message.channel.split_once(':').unwrap_or((message.channel, ""));
    let channel = match family {
        "market_data" => VenueChannel::Ticker,
        "orderbook" => VenueChannel::Book,
        "market_trades" => VenueChannel::Trade,
        "ohlc" | "executions" | "balances" | "heartbeat" => VenueChannel::named(family),
        // The names of venues' channels mean something else as names of families.
        other => VenueChannel::Other(other.into()),
    };
    let table = serde_json::from_slice::<Table<'_>>(&message.data).ok();
    let kind = match &table {
        Some(Table { snapshot: true, .. }) => UpdateKind::Snapshot,
        _ => UpdateKind::Change,
    };
    let one = Update {
        source: source.clone(),
        symbol: symbol(&channel, key, &message.data),
        kind,
        data: message.data.clone(),
        id: Some(message.id.into()),
        sequence: Some(message.offset),
        venue_us: None,
        received: message.received,
        channel,
    };
    match (&one.channel, table) {
        (VenueChannel::Book, _) => vec![Update { data: book(&message.data).unwrap_or(one.data), ..one }],
        (VenueChannel::Balances, Some(table)) => {
            vec![Update { data: list(&table.rows).unwrap_or(one.data), ..one }]
        }
        (VenueChannel::Ohlc, Some(table)) => rows(&one, &table.rows),
        _ => vec![one],
    }
}

/// What an update is about: the key, where it names an instrument, else the data's own field.
fn symbol(channel: &VenueChannel, key: &str, data: &[u8]) -> Option<Arc<str>> {
    let named = match channel {
        VenueChannel::Ticker | VenueChannel::Book | VenueChannel::Trade => key,
        VenueChannel::Ohlc => key.rsplit_once(':').map_or(key, |(symbol, _)| symbol),
        VenueChannel::Balances | VenueChannel::Heartbeat => "",
        _ => return serde_json::from_slice::<Symbol<'_>>(data).ok()?.symbol.map(|symbol| (*symbol).into()),
    };
    (!named.is_empty()).then(|| named.into())
}

/// Each row is told apart by its place behind the message's id, and has no number: the next has the same.
fn rows(one: &Update, rows: &[&RawValue]) -> Vec<Update> {
    let id = one.id.as_deref().unwrap_or_default();
    let row = |(row, place): (&&RawValue, usize)| Update {
        data: Bytes::copy_from_slice(row.get().as_bytes()),
        id: Some(format!("{id}#{place}").into()),
        sequence: None,
        ..one.clone()
    };
    rows.iter().zip(0..).map(row).collect()
}

fn list(rows: &[&RawValue]) -> Option<Bytes> {
    serde_json::to_vec(rows).ok().map(Bytes::from)
}

type Level<'a> = (&'a RawValue, &'a RawValue);

/// `"bids":[[187.20,5]]` → `"bids":[{"price":187.20,"qty":5}]`; other fields stay. `None` where it is no such book.
fn book(data: &[u8]) -> Option<Bytes> {
    // Whatever else there is keeps its digits as raw text.
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(data).ok()?;
    let mut made = vec![b'{'];
    for (name, value) in &fields {
        if made.len() > 1 {
            made.push(b',');
        }
        serde_json::to_writer(&mut made, name).ok()?;
        made.push(b':');
        match &**name {
            "bids" | "asks" => levels(&mut made, value)?,
            _ => made.extend_from_slice(value.get().as_bytes()),
        }
    }
    made.push(b'}');
    Some(made.into())
}

fn levels(made: &mut Vec<u8>, side: &RawValue) -> Option<()> {
    let levels: Vec<Level<'_>> = serde_json::from_str(side.get()).ok()?;
    made.push(b'[');
    for (place, (price, qty)) in levels.iter().enumerate() {
        if place > 0 {
            made.push(b',');
        }
        let level = format!(r#"{{"price":{},"qty":{}}}"#, price.get(), qty.get());
        made.extend_from_slice(level.as_bytes());
    }
    made.push(b']');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updates(channel: &str, data: &str) -> Vec<Update> {
        let data = Bytes::copy_from_slice(data.as_bytes());
        from_hub(&"hub".into(), &HubMessage { channel, data, id: "01a", offset: 7, received: Now::default() })
    }

    fn text(update: &Update) -> &str {
        std::str::from_utf8(&update.data).unwrap()
    }

    #[test]
    fn families_become_the_channels_of_a_venue() {
        for (channel, expected, symbol) in [
            ("market_data:BTC/USD", "ticker", Some("BTC/USD")),
            ("orderbook:BTC/USD", "book", Some("BTC/USD")),
            ("market_trades:BTC/USD", "trade", Some("BTC/USD")),
            ("ohlc:FX:EUR/USD:1m", "ohlc", Some("FX:EUR/USD")),
            ("executions:acc", "executions", Some("ETH/USD")),
            ("balances:acc", "balances", None),
            ("heartbeat:kraken", "heartbeat", None),
            ("sentiment:BTC", "sentiment", Some("ETH/USD")),
            ("news", "news", Some("ETH/USD")),
        ] {
            let [update] = updates(channel, r#"{"symbol":"ETH/USD"}"#).try_into().unwrap();
            assert_eq!((update.channel.name(), update.symbol.as_deref()), (expected, symbol), "{channel}");
            assert_eq!((update.id.as_deref(), update.sequence), (Some("01a"), Some(7)));
        }
        let [other] = updates("ticker", "1").try_into().unwrap();
        assert_eq!(other.channel, VenueChannel::Other("ticker".into()));
    }

    #[test]
    fn a_books_levels_become_objects_with_their_digits() {
        let [book] = updates("orderbook:A", r#"{"bids":[[187.20,5.0],[187.1,1]],"asks":[],"checksum":7.0}"#)
            .try_into()
            .unwrap();
        let made =
            r#"{"asks":[],"bids":[{"price":187.20,"qty":5.0},{"price":187.1,"qty":1}],"checksum":7.0}"#;
        assert_eq!(text(&book), made);
        let strange = r#"{"bids":[{"price":1}]}"#;
        assert_eq!(
            text(&updates("orderbook:A", strange)[0]),
            strange,
            "what is another book goes on as it is"
        );
    }

    #[test]
    fn a_table_of_balances_is_a_list_and_each_candle_an_update() {
        let table =
            r#"{"rows":[{"asset":"BTC","balance":1.20},{"asset":"USD","balance":3}],"snapshot":true}"#;
        let [balances] = updates("balances:acc", table).try_into().unwrap();
        assert_eq!(text(&balances), r#"[{"asset":"BTC","balance":1.20},{"asset":"USD","balance":3}]"#);
        assert_eq!(balances.kind, UpdateKind::Snapshot);
        let candles =
            updates("ohlc:BTC/USD:1", r#"{"rows":[{"begin":1,"open":1.0},{"begin":2}],"snapshot":false}"#);
        let told: Vec<_> = candles.iter().map(|row| (row.id.as_deref().unwrap(), text(row))).collect();
        assert_eq!(told, [("01a#0", r#"{"begin":1,"open":1.0}"#), ("01a#1", r#"{"begin":2}"#)]);
        assert!(candles.iter().all(|row| row.sequence.is_none() && row.symbol.as_deref() == Some("BTC/USD")));
    }
}
