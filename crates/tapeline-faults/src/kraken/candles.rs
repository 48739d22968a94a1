//! Running candles, made from trades as they happen: the venue rewrites the running one with each trade and never says that
//! one is closed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::digits::{units, written};

/// Minutes that a candle may last.
pub(super) const INTERVALS: [u64; 9] = [1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600];
/// Candles that are told of an interval at first.
const KEPT: usize = 50;

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
    timestamp: &'a str,
}

/// Numbers in units of their last place.
#[derive(Clone, Debug)]
struct Candle {
    open: u64,
    high: u64,
    low: u64,
    close: u64,
    trades: u64,
    volume: u64,
    price_places: usize,
    qty_places: usize,
}

/// The candles of all pairs: by symbol and minutes, then by when they began.
#[derive(Debug, Default)]
pub(super) struct Candles(BTreeMap<(String, u64), BTreeMap<i64, Candle>>);

impl Candles {
    /// Takes in a trade, as JSON.
    pub(super) fn trade(&mut self, symbol: &str, data: &str) {
        let Trade { price, qty, timestamp } = serde_json::from_str(data).expect("a trade is a trade");
        let at: Timestamp = timestamp.parse().expect("it has a time");
        let ((price, price_places), (qty, qty_places)) = (units(price.get()), units(qty.get()));
        for minutes in INTERVALS {
            let length = i64::try_from(minutes * 60).unwrap_or(60);
            let begin = at.as_second() - at.as_second().rem_euclid(length);
            let candles = self.0.entry((symbol.to_string(), minutes)).or_default();
            let candle = candles.entry(begin).or_insert(Candle {
                open: price,
                high: price,
                low: price,
                close: price,
                trades: 0,
                volume: 0,
                price_places,
                qty_places,
            });
            (candle.high, candle.low) = (candle.high.max(price), candle.low.min(price));
            (candle.close, candle.trades, candle.volume) = (price, candle.trades + 1, candle.volume + qty);
            while candles.len() > KEPT {
                candles.pop_first();
            }
        }
    }

    /// The candles of an interval as JSON, the running one last.
    pub(super) fn all(&self, symbol: &str, minutes: u64) -> Vec<String> {
        let candles = self.0.get(&(symbol.to_string(), minutes));
        let text = |(begin, candle): (&i64, &Candle)| candle.text(symbol, *begin, minutes);
        candles.map(|candles| candles.iter().map(text).collect()).unwrap_or_default()
    }

    /// The running one.
    pub(super) fn running(&self, symbol: &str, minutes: u64) -> Option<String> {
        self.all(symbol, minutes).pop()
    }
}

impl Candle {
    fn text(&self, symbol: &str, begin: i64, minutes: u64) -> String {
        let price = |units| written(units, self.price_places);
        let time =
            |second: i64| Timestamp::from_second(second).map(|at| format!("{at:.9}")).unwrap_or_default();
        let end = begin + i64::try_from(minutes * 60).unwrap_or(60);
        format!(
            r#"{{"symbol":"{symbol}","open":{},"high":{},"low":{},"close":{},"trades":{},"volume":{},"vwap":{},"interval_begin":"{}","interval":{minutes},"timestamp":"{}"}}"#,
            price(self.open),
            price(self.high),
            price(self.low),
            price(self.close),
            self.trades,
            written(self.volume, self.qty_places),
            price(self.close),
            time(begin),
            time(end),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candle_follows_its_trades_and_the_next_minute_begins_another() {
        let mut candles = Candles::default();
        for (price, time) in [("10.0", "00:00:01"), ("12.0", "00:00:59"), ("11.0", "00:01:00")] {
            let data = format!(r#"{{"price":{price},"qty":0.50,"timestamp":"2026-01-01T{time}.000000Z"}}"#);
            candles.trade("A/B", &data);
        }
        let minutes = candles.all("A/B", 1);
        assert_eq!(minutes.len(), 2);
        assert!(
            minutes[0]
                .contains(r#""open":10.0,"high":12.0,"low":10.0,"close":12.0,"trades":2,"volume":1.00"#)
        );
        assert!(
            candles
                .running("A/B", 1)
                .unwrap()
                .contains(r#""interval_begin":"2026-01-01T00:01:00.000000000Z""#)
        );
        assert_eq!(candles.all("A/B", 5).len(), 1);
    }
}
