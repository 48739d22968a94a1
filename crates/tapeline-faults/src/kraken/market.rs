//! Where the stand-in's market comes from: a recording in the venue's own shape, or made up from a seed. Either is a list
//! of steps, with the time since its begin.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::book::{Row, Side};
use super::synthetic::Synthetic;

/// What can be traded, and how exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// `BTC/USD`
    pub symbol: String,
    /// Digits after the point of prices.
    pub price_places: usize,
    /// Digits after the point of quantities.
    pub qty_places: usize,
}

impl Pair {
    /// A pair with so many digits after the point of prices; quantities have eight.
    pub fn new(symbol: &str, price_places: usize) -> Pair {
        Pair { symbol: symbol.to_string(), price_places, qty_places: 8 }
    }
}

/// What happens in the market.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Of a book; after a `snapshot` there is nothing else.
    Book { symbol: String, snapshot: bool, rows: Vec<Row>, timestamp: Option<String> },
    /// A trade, as JSON.
    Trade { symbol: String, data: String },
    /// A ticker, as JSON.
    Ticker { symbol: String, data: String },
}

/// Steps with their times.
pub(super) type Steps = Box<dyn Iterator<Item = (Duration, Step)> + Send>;

/// See the module.
pub struct Market {
    pub(super) pairs: Vec<Pair>,
    /// How deep its books are known.
    pub(super) depth: usize,
    /// What there is when it begins.
    pub(super) first: Vec<Step>,
    pub(super) steps: Steps,
}

impl Market {
    /// Made up, endless, the same for the same seed, with so many levels a side of each book. Each pair has a book that
    /// moves, trades and a ticker; its steps are 10 ms apart.
    pub fn synthetic(seed: u64, pairs: &[Pair], levels: usize) -> Market {
        let (synthetic, first) = Synthetic::new(seed, pairs, levels);
        Market { pairs: pairs.to_vec(), depth: usize::MAX, first, steps: Box::new(synthetic) }
    }

    /// A recording of messages in the venue's shape: one JSON message a line, with the nanoseconds since the start before it
    /// or not (then they are 10 ms apart). A name that ends in `.gz` is unpacked. Of its books, so many levels are known.
    pub fn recorded(path: &Path, depth: usize) -> Market {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is_packed = path.extension().is_some_and(|ending| ending == "gz");
        let reader: Box<dyn Read> = if is_packed { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
        let lines = BufReader::new(reader).lines().map(|line| line.expect("a recording is text"));
        let mut steps = Vec::new();
        for (line, number) in lines.zip(0_u32..) {
            let (at, json) = match line.split_once(' ') {
                Some((at, json)) if json.starts_with('{') => {
                    (Duration::from_nanos(at.parse().expect("a time is in nanoseconds")), json)
                }
                _ => (Duration::from_millis(10) * number, &*line),
            };
            steps.extend(read(json).into_iter().map(|step| (at, step)));
        }
        Market::of(steps, depth)
    }

    /// The first snapshot of each book, and the first ticker, are there from the beginning.
    fn of(mut steps: Vec<(Duration, Step)>, depth: usize) -> Market {
        let mut pairs: Vec<Pair> = Vec::new();
        let mut first = Vec::new();
        steps.retain(|(_, step)| {
            let Step::Book { symbol, snapshot: true, rows, .. } = step else { return true };
            if pairs.iter().any(|pair| pair.symbol == *symbol) {
                return true;
            }
            let places = |of: fn(&Row) -> &str| {
                rows.iter()
                    .map(|row| of(row).split_once('.').map_or(0, |(_, f)| f.len()))
                    .max()
                    .unwrap_or_default()
            };
            let pair = Pair {
                symbol: symbol.clone(),
                price_places: places(|row| &row.level.price),
                qty_places: places(|row| &row.level.qty),
            };
            pairs.push(pair);
            first.push(step.clone());
            false
        });
        let tickers = steps.iter().position(|(_, step)| matches!(step, Step::Ticker { .. }));
        first.extend(tickers.map(|at| steps.remove(at).1));
        Market { pairs, depth, first, steps: Box::new(steps.into_iter()) }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    channel: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct BookData<'a> {
    symbol: &'a str,
    #[serde(borrow)]
    bids: Vec<LevelData<'a>>,
    #[serde(borrow)]
    asks: Vec<LevelData<'a>>,
    timestamp: Option<&'a str>,
}

#[derive(Deserialize)]
struct LevelData<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
}

#[derive(Deserialize)]
struct About<'a> {
    symbol: &'a str,
}

/// The steps of one message.
fn read(json: &str) -> Vec<Step> {
    let Envelope { channel, kind, data } =
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let step = |data: &RawValue| {
        let json = data.get().to_string();
        let symbol =
            || serde_json::from_str::<About<'_>>(data.get()).expect("it names its pair").symbol.to_string();
        match channel {
            "book" => Some(book(data.get(), kind == "snapshot")),
            "trade" => Some(Step::Trade { symbol: symbol(), data: json }),
            "ticker" => Some(Step::Ticker { symbol: symbol(), data: json }),
            _ => None,
        }
    };
    data.into_iter().filter_map(step).collect()
}

fn book(json: &str, snapshot: bool) -> Step {
    let data: BookData<'_> = serde_json::from_str(json).expect("a book is a book");
    let rows = |side, levels: &[LevelData<'_>]| -> Vec<Row> {
        levels.iter().map(|level| Row::new(side, level.price.get(), level.qty.get())).collect()
    };
    let rows = [rows(Side::Bid, &data.bids), rows(Side::Ask, &data.asks)].concat();
    let timestamp = data.timestamp.map(str::to_string);
    Step::Book { symbol: data.symbol.to_string(), snapshot, rows, timestamp }
}
