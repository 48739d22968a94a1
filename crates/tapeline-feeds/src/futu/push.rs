//! One line: a push of a book as Python's SDK hands it out, or as the protocol's JSON. Digits stay as they were written,
//! details of single orders are skipped. It does not know what the book was before.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::time::utc_us;
use crate::book::{Decimal, Row, Side};

/// A whole book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Push {
    /// `HK.00700`
    pub(super) symbol: String,
    /// Levels with something in them, bids and asks in the order in which they came.
    pub(super) rows: Vec<Row>,
    /// The later one of the times of both sides, microseconds since 1970; `None` where the gateway knows none.
    pub(super) time_us: Option<u64>,
}

/// Why a line is no push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPush {
    /// None of the gateway's.
    Stray,
    /// One that cannot be understood.
    Malformed,
}

/// Both forms; which one it is, its names say.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    svr_recv_time_bid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    svr_recv_time_ask: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "Bid", default)]
    bids: Vec<Level<'a>>,
    #[serde(borrow, rename = "Ask", default)]
    asks: Vec<Level<'a>>,
    #[serde(rename = "retType")]
    ret_type: Option<i64>,
    #[serde(borrow)]
    s2c: Option<S2c<'a>>,
}

#[derive(Deserialize)]
struct S2c<'a> {
    #[serde(borrow)]
    security: Security<'a>,
    #[serde(borrow, rename = "orderBookBidList", default)]
    bids: Vec<Level<'a>>,
    #[serde(borrow, rename = "orderBookAskList", default)]
    asks: Vec<Level<'a>>,
    #[serde(borrow, rename = "svrRecvTimeBid")]
    time_bid: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "svrRecvTimeAsk")]
    time_ask: Option<Cow<'a, str>>,
    #[serde(rename = "svrRecvTimeBidTimestamp", default)]
    seconds_bid: f64,
    #[serde(rename = "svrRecvTimeAskTimestamp", default)]
    seconds_ask: f64,
}

#[derive(Deserialize)]
struct Security<'a> {
    market: i64,
    #[serde(borrow)]
    code: Cow<'a, str>,
}

/// A price and a volume; what follows in a tuple, or stands beside them in an object, is skipped.
struct Level<'a> {
    price: &'a RawValue,
    volume: &'a RawValue,
}

impl<'de: 'a, 'a> Deserialize<'de> for Level<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Reader {
    type Value = Level<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a level: [price, volume, …] or {\"price\":…,\"volume\":…}")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let missing = |place| serde::de::Error::invalid_length(place, &self);
        let price = seq.next_element()?.ok_or_else(|| missing(0))?;
        let volume = seq.next_element()?.ok_or_else(|| missing(1))?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Level { price, volume })
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let (mut price, mut volume) = (None, None);
        while let Some(name) = map.next_key::<Name<'de>>()? {
            match &*name.0 {
                "price" => price = Some(map.next_value()?),
                "volume" => volume = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let missing = serde::de::Error::missing_field;
        Ok(Level {
            price: price.ok_or_else(|| missing("price"))?,
            volume: volume.ok_or_else(|| missing("volume"))?,
        })
    }
}

impl Push {
    /// Reads a line.
    pub(super) fn parse(line: &str) -> Result<Self, NoPush> {
        if !line.trim_start().starts_with('{') {
            return Err(NoPush::Stray);
        }
        let line: Line<'_> = serde_json::from_str(line)
            .map_err(|error| if error.is_data() { NoPush::Malformed } else { NoPush::Stray })?;
        match (line.code, line.s2c) {
            (Some(code), _) => {
                let market = split(&code)?.0;
                let clocks = [line.svr_recv_time_bid.as_deref(), line.svr_recv_time_ask.as_deref()];
                let time_us = later(market, clocks);
                Ok(Push { rows: rows(&line.bids, &line.asks)?, time_us, symbol: code.into() })
            }
            (None, Some(s2c)) => s2c.push(),
            // The gateway says that something failed.
            (None, None) if line.ret_type.is_some() => Err(NoPush::Malformed),
            (None, None) => Err(NoPush::Stray),
        }
    }
}

impl S2c<'_> {
    fn push(&self) -> Result<Push, NoPush> {
        let market = market(self.security.market).ok_or(NoPush::Malformed)?;
        let symbol = format!("{market}.{}", self.security.code);
        split(&symbol)?;
        let seconds = self.seconds_bid.max(self.seconds_ask);
        let clocks = [self.time_bid.as_deref(), self.time_ask.as_deref()];
        let time_us = in_micros(seconds).or_else(|| later(market, clocks));
        Ok(Push { rows: rows(&self.bids, &self.asks)?, time_us, symbol })
    }
}

/// Market and code, parted at the first point: `US.BRK.B` is `BRK.B` of `US`.
fn split(symbol: &str) -> Result<(&str, &str), NoPush> {
    let parts = symbol.split_once('.').filter(|(market, code)| !market.is_empty() && !code.is_empty());
    parts.ok_or(NoPush::Malformed)
}

/// As symbols name the markets that the protocol numbers.
fn market(number: i64) -> Option<&'static str> {
    Some(match number {
        1 => "HK",
        2 => "HK_FUTURE",
        11 => "US",
        21 => "SH",
        22 => "SZ",
        31 => "SG",
        41 => "JP",
        51 => "AU",
        61 => "MY",
        71 => "CA",
        81 => "FX",
        _ => return None,
    })
}

fn later(market: &str, clocks: [Option<&str>; 2]) -> Option<u64> {
    clocks.into_iter().flatten().filter_map(|clock| utc_us(market, clock)).max()
}

/// Seconds since 1970, where they are a time at all.
fn in_micros(seconds: f64) -> Option<u64> {
    let micros = std::time::Duration::try_from_secs_f64(seconds).ok()?.as_micros();
    u64::try_from(micros).ok().filter(|micros| *micros > 0)
}

fn rows(bids: &[Level<'_>], asks: &[Level<'_>]) -> Result<Vec<Row>, NoPush> {
    let side = |side, levels: &[Level<'_>]| -> Result<Vec<Row>, NoPush> {
        let read = |level: &Level<'_>| {
            let Some(price) = number(level.price)? else { return Ok(None) };
            Ok(number(level.volume)?.map(|qty| Row { side, price, qty }))
        };
        levels.iter().filter_map(|level| read(level).transpose()).collect()
    };
    let mut rows = side(Side::Bid, bids)?;
    rows.extend(side(Side::Ask, asks)?);
    Ok(rows)
}

/// A number, or its text; `None` where it is nothing or less: levels that only fill up the depth.
fn number(json: &RawValue) -> Result<Option<Decimal>, NoPush> {
    let text = json.get().trim_matches('"');
    if text.starts_with('-') {
        return Ok(None);
    }
    let number = Decimal::parse(text).ok_or(NoPush::Malformed)?;
    Ok(Some(number).filter(|number| !number.is_zero()))
}
