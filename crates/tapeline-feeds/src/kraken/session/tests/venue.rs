//! A venue that has books: full ones, of which it shows the best levels as the real one does. A level that is pushed out
//! of sight is not told, one that comes into sight is; every message has the checksum of what is in sight after it.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::talk::acks;
use crate::book::{Book, Side};
use crate::random::Random;

/// Price in tenths, quantity in parts of 10^8.
type Levels = BTreeMap<i64, i64>;

/// Levels of a side that a checksum is of.
const CHECKED: usize = 10;

#[derive(Default)]
pub(super) struct Venue {
    /// Levels of a side in sight.
    depth: usize,
    books: BTreeMap<&'static str, [Levels; 2]>,
    subscribed: Vec<&'static str>,
    /// All states that were in sight, as text.
    pub(super) past: HashSet<String>,
}

fn price(tenths: i64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn qty(parts: i64) -> String {
    format!("{}.{:08}", parts / 100_000_000, parts % 100_000_000)
}

/// The levels in sight, best first.
fn sight([bids, asks]: &[Levels; 2], depth: usize) -> [Vec<(i64, i64)>; 2] {
    let level = |(price, qty): (&i64, &i64)| (*price, *qty);
    [bids.iter().rev().take(depth).map(level).collect(), asks.iter().take(depth).map(level).collect()]
}

fn shown([bids, asks]: &[Vec<(i64, i64)>; 2]) -> String {
    let side = |levels: &[(i64, i64)]| {
        levels.iter().map(|(p, q)| format!("{}x{} ", price(*p), qty(*q))).collect::<String>()
    };
    format!("{}| {}", side(bids), side(asks))
}

/// A session's book in the same words.
pub(super) fn words(book: &Book) -> String {
    let side = |side| book.levels(side).map(|(price, qty)| format!("{price}x{qty} ")).collect::<String>();
    format!("{}| {}", side(Side::Bid), side(Side::Ask))
}

fn checksum([bids, asks]: &[Vec<(i64, i64)>; 2]) -> u32 {
    let digits = |text: String| text.replace('.', "").trim_start_matches('0').to_string();
    let level = |(p, q): &(i64, i64)| digits(price(*p)) + &digits(qty(*q));
    let text: String = asks.iter().take(CHECKED).chain(bids.iter().take(CHECKED)).map(level).collect();
    crc32fast::hash(text.as_bytes())
}

fn message(kind: &str, symbol: &str, sides: &[Vec<(i64, i64)>; 2], checksum: u32) -> String {
    let levels = |side: &[(i64, i64)]| {
        let level = |(p, q): &(i64, i64)| format!(r#"{{"price":{},"qty":{}}}"#, price(*p), qty(*q));
        side.iter().map(level).collect::<Vec<_>>().join(",")
    };
    let [bids, asks] = sides;
    format!(
        r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{}],"asks":[{}],"checksum":{checksum},"timestamp":"2024-05-19T16:45:24.204654Z"}}]}}"#,
        levels(bids),
        levels(asks)
    )
}

impl Venue {
    pub(super) fn new(symbols: &[&'static str], depth: usize, dice: &mut Random) -> Self {
        let mut venue = Venue { depth, ..Venue::default() };
        for symbol in symbols {
            let mut book = <[Levels; 2]>::default();
            for tick in 1..=venue.reach() {
                book[0].insert(10_000 - tick, dice.between(1, 500_000_000));
                book[1].insert(10_000 + tick, dice.between(1, 500_000_000));
            }
            venue.past.insert(format!("{symbol} {}", shown(&sight(&book, depth))));
            venue.books.insert(symbol, book);
        }
        venue
    }

    /// How far from the middle levels are: twice what is in sight.
    fn reach(&self) -> i64 {
        2 * i64::try_from(self.depth).unwrap()
    }

    /// The other side hung up.
    pub(super) fn hang_up(&mut self) {
        self.subscribed.clear();
    }

    /// What the venue says to a request: an answer for each symbol, and snapshots.
    pub(super) fn answer(&mut self, request: &Value) -> Vec<String> {
        let mut said: Vec<String> = acks(request).iter().map(Value::to_string).collect();
        if request["params"]["channel"] != "book" {
            return said;
        }
        for symbol in request["params"]["symbol"].as_array().unwrap() {
            let (symbol, book) =
                self.books.iter().find(|(known, _)| **known == symbol.as_str().unwrap()).unwrap();
            self.subscribed.retain(|subscribed| subscribed != symbol);
            if request["method"] == "subscribe" {
                self.subscribed.push(symbol);
                let sides = sight(book, self.depth);
                said.push(message("snapshot", symbol, &sides, checksum(&sides)));
            }
        }
        said
    }

    /// Something happens in this book; the message, if it is subscribed to and anything in sight has changed.
    pub(super) fn trade(&mut self, symbol: &'static str, dice: &mut Random) -> Option<String> {
        let (depth, reach) = (self.depth, self.reach());
        let book = self.books.get_mut(symbol).unwrap();
        let before = sight(book, depth);
        for _ in 0..dice.between(1, 4) {
            let side = usize::try_from(dice.between(0, 1)).unwrap();
            let away = dice.between(1, reach);
            let at = if side == 0 { 10_000 - away } else { 10_000 + away };
            if dice.chance(40) && book[side].len() > depth + 2 {
                book[side].remove(&at);
            } else {
                book[side].insert(at, dice.between(1, 500_000_000));
            }
        }
        let after = sight(book, depth);
        let changed = [0, 1].map(|side| {
            let gone =
                before[side].iter().filter(|(at, _)| !book[side].contains_key(at)).map(|(at, _)| (*at, 0));
            gone.chain(after[side].iter().filter(|level| !before[side].contains(level)).copied()).collect()
        });
        self.past.insert(format!("{symbol} {}", shown(&after)));
        let is_told = self.subscribed.contains(&symbol) && before != after;
        is_told.then(|| message("update", symbol, &changed, checksum(&after)))
    }

    /// Its book of this symbol, in words.
    pub(super) fn words(&self, symbol: &str) -> String {
        shown(&sight(&self.books[symbol], self.depth))
    }
}
