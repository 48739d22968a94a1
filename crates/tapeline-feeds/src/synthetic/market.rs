//! The five symbols: prices that wander around a home, with the quotes, books, prints and moods that fit them.
//! Prices are whole ticks and quantities whole lots, so nothing needs rounding.

use serde_json::{Value, json};

use super::event::{Moment, decimal};
use crate::random::Random;

/// Levels on each side of a book.
pub const BOOK_LEVELS: usize = 25;

/// The part of a minute, in seconds, in which [`QUIET_SYMBOL`] says nothing.
pub const QUIET: std::ops::Range<u64> = 30..50;
/// The symbol that stops for a while every minute, so that a stale price can be seen.
pub const QUIET_SYMBOL: &str = "EUR/USD";

/// What makes a symbol itself.
struct Traits {
    symbol: &'static str,
    /// Ticks that make 1 of the currency.
    tick_scale: i64,
    home: i64,
    /// The farthest that one step goes, in ticks.
    reach: i64,
    half_spread: i64,
    /// The widest gap between two levels of the book, in ticks.
    gap: i64,
    /// Lots that make 1 of the instrument.
    lot_scale: i64,
    /// The largest print, in lots.
    largest: i64,
    day_volume: i64,
}

#[rustfmt::skip]
const SYMBOLS: [Traits; 5] = [
    Traits { symbol: "AAPL",       tick_scale: 100,     home: 19_240,    reach: 6,   half_spread: 1,  gap: 2,   lot_scale: 1,      largest: 400,       day_volume: 41_250_000 },
    Traits { symbol: "TSLA",       tick_scale: 100,     home: 24_410,    reach: 12,  half_spread: 2,  gap: 4,   lot_scale: 1,      largest: 600,       day_volume: 88_900_000 },
    Traits { symbol: "MSFT",       tick_scale: 100,     home: 42_170,    reach: 9,   half_spread: 1,  gap: 3,   lot_scale: 1,      largest: 250,       day_volume: 19_600_000 },
    Traits { symbol: "BTC/USD",    tick_scale: 100,     home: 6_678_000, reach: 900, half_spread: 10, gap: 160, lot_scale: 10_000, largest: 9_000,     day_volume: 31_870_000 },
    Traits { symbol: QUIET_SYMBOL, tick_scale: 100_000, home: 108_420,   reach: 6,   half_spread: 1,  gap: 2,   lot_scale: 1,      largest: 2_000_000, day_volume: 940_000_000 },
];

/// One symbol and where its price is.
pub(super) struct Instrument {
    traits: &'static Traits,
    ticks: i64,
    open: i64,
    volume: i64,
    prints: u64,
}

/// All symbols, before their first step.
pub(super) fn instruments(random: &mut Random) -> Vec<Instrument> {
    let start = |traits: &'static Traits| {
        let one_percent = traits.home / 100;
        let open = traits.home + random.between(-one_percent, one_percent);
        Instrument { traits, ticks: traits.home, open, volume: traits.day_volume, prints: 0 }
    };
    SYMBOLS.iter().map(start).collect()
}

impl Instrument {
    pub(super) fn symbol(&self) -> &'static str {
        self.traits.symbol
    }

    /// The price in ticks, of which 100 make 1 for everything a portfolio holds.
    pub(super) fn ticks(&self) -> i64 {
        self.ticks
    }

    pub(super) fn lot_scale(&self) -> i64 {
        self.traits.lot_scale
    }

    pub(super) fn is_quiet(&self, moment: &Moment<'_>) -> bool {
        self.symbol() == QUIET_SYMBOL && QUIET.contains(&(moment.elapsed.as_secs() % 60))
    }

    pub(super) fn price(&self, ticks: i64) -> Value {
        decimal(ticks, self.traits.tick_scale)
    }

    pub(super) fn quantity(&self, lots: i64) -> Value {
        decimal(lots, self.traits.lot_scale)
    }

    fn bid(&self) -> i64 {
        self.ticks - self.traits.half_spread
    }

    fn ask(&self) -> i64 {
        self.ticks + self.traits.half_spread
    }

    /// One step of the price.
    pub(super) fn quote(&mut self, moment: &mut Moment<'_>) {
        let before = self.ticks;
        // The pull keeps a demo that runs for weeks near prices that look like these.
        let pull = (self.traits.home - before) / 400;
        self.ticks = before + moment.random.around_zero(self.traits.reach) + pull;
        let day = self.ticks - self.open;
        let day_basis_points = day * 10_000 / self.open.max(1);
        moment.publish(
            format!("market_data:{}", self.symbol()),
            [
                ("symbol", json!(self.symbol())),
                ("price", self.price(self.ticks)),
                ("change", self.price(self.ticks - before)),
                ("volume", self.quantity(self.volume)),
                ("bid", self.price(self.bid())),
                ("ask", self.price(self.ask())),
                ("change_24h", self.price(day)),
                ("change_24h_pct", decimal(day_basis_points, 100)),
                ("source_time", json!(moment.time())),
            ],
        );
    }

    /// The whole book around the price.
    pub(super) fn book(&self, moment: &mut Moment<'_>) {
        let bids = self.side(self.bid(), -1, moment.random);
        let asks = self.side(self.ask(), 1, moment.random);
        let timestamp = moment.time();
        moment.publish(
            format!("orderbook:{}", self.symbol()),
            [
                ("symbol", json!(self.symbol())),
                ("bids", bids),
                ("asks", asks),
                ("timestamp", json!(timestamp)),
            ],
        );
    }

    fn side(&self, best: i64, away: i64, random: &mut Random) -> Value {
        let mut ticks = best;
        let mut levels = Vec::with_capacity(BOOK_LEVELS);
        for _ in 0..BOOK_LEVELS {
            let lots = random.between(1, self.traits.largest * 3);
            levels.push(json!([self.price(ticks), self.quantity(lots)]));
            ticks += away * random.between(1, self.traits.gap);
        }
        Value::from(levels)
    }

    /// A trade of somebody's at the bid or the ask.
    pub(super) fn print(&mut self, moment: &mut Moment<'_>) {
        let lots = moment.random.between(1, self.traits.largest);
        let (side, ticks) = if moment.random.chance(50) { ("buy", self.ask()) } else { ("sell", self.bid()) };
        self.volume += lots;
        self.prints += 1;
        let time = moment.time();
        moment.publish(
            format!("market_trades:{}", self.symbol()),
            [
                ("symbol", json!(self.symbol())),
                ("price", self.price(ticks)),
                ("quantity", self.quantity(lots)),
                ("side", json!(side)),
                ("trade_id", json!(self.prints)),
                ("time", json!(time)),
            ],
        );
    }

    /// What people are said to think of it, from -1 to 1.
    pub(super) fn mood(&self, moment: &mut Moment<'_>) {
        let leaning = (self.ticks - self.open).signum() * 20;
        let score = (leaning + moment.random.around_zero(100)).clamp(-100, 100);
        moment.publish(
            format!("sentiment:{}", self.symbol()),
            [
                ("symbol", json!(self.symbol())),
                ("score", decimal(score, 100)),
                ("source", json!("synthetic")),
            ],
        );
    }
}
