//! A market made up from a seed: books that thin out, fill up and move, trades that eat into them, tickers that follow.
//! Quantities end in zeros now and then, since those are what careless readers lose.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::book::{Row, Side};
use super::digits::written;
use super::market::{Pair, Step};

/// When it begins, in seconds since 1970: the time of its first message.
const BEGIN_S: i64 = 1_767_225_600;
/// Between two steps.
const APART: Duration = Duration::from_millis(10);

/// One pair's market; prices are in ticks.
struct Desk {
    pair: Pair,
    bids: BTreeMap<u64, u64>,
    asks: BTreeMap<u64, u64>,
    trades: u64,
    last: u64,
}

/// See the module.
pub(super) struct Synthetic {
    state: u64,
    desks: Vec<Desk>,
    levels: usize,
    steps: u32,
    /// What follows from the step before.
    due: Vec<Step>,
}

impl Synthetic {
    /// The market, and the books that it begins with.
    pub(super) fn new(seed: u64, pairs: &[Pair], levels: usize) -> (Synthetic, Vec<Step>) {
        let mut synthetic = Synthetic { state: seed, desks: Vec::new(), levels, steps: 0, due: Vec::new() };
        let mut first = Vec::new();
        for pair in pairs {
            let middle = 500_000 + synthetic.below(400_000);
            let mut desk = Desk {
                pair: pair.clone(),
                bids: BTreeMap::new(),
                asks: BTreeMap::new(),
                trades: 0,
                last: middle,
            };
            let mut rows = Vec::new();
            while desk.bids.len() < levels {
                let price = desk.bids.keys().next().unwrap_or(&middle) - 1 - synthetic.below(3);
                rows.push(desk.set(Side::Bid, price, synthetic.quantity()));
            }
            while desk.asks.len() < levels {
                let price = desk.asks.keys().last().unwrap_or(&middle) + 1 + synthetic.below(3);
                rows.push(desk.set(Side::Ask, price, synthetic.quantity()));
            }
            let symbol = pair.symbol.clone();
            first.push(Step::Book { symbol, snapshot: true, rows, timestamp: Some(synthetic.time()) });
            first.push(desk.ticker());
            synthetic.desks.push(desk);
        }
        (synthetic, first)
    }

    /// Splitmix64.
    fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }

    fn quantity(&mut self) -> u64 {
        let zeros = 10_u64.pow(u32::try_from(self.below(7)).unwrap_or(0));
        (1 + self.below(900_000_000 / zeros)) * zeros
    }

    fn time(&self) -> String {
        let at = Timestamp::from_second(BEGIN_S).map(|begin| begin + APART * self.steps);
        at.map(|at| format!("{at:.6}")).unwrap_or_default()
    }

    /// Several levels near the top change; sometimes the deep ones.
    fn moves(&mut self, desk: &mut Desk) -> Vec<Row> {
        let mut rows = Vec::new();
        for _ in 0..1 + self.below(4) {
            let side = if self.below(2) == 0 { Side::Bid } else { Side::Ask };
            let reach = if self.below(4) == 0 { self.levels as u64 } else { 12.min(self.levels as u64) };
            let nth = usize::try_from(self.below(reach)).unwrap_or(0);
            let is_full = desk.side(side).len() >= self.levels;
            let Some(price) = desk.nth(side, nth) else { continue };
            match self.below(3) {
                0 if is_full => rows.push(desk.set(side, price, 0)),
                1 => rows.push(desk.set(side, price, self.quantity())),
                // A new one: between two, or better than the best where there is room.
                _ => {
                    let better = match side {
                        Side::Bid => (price + 1).min(desk.best(Side::Ask).unwrap_or(u64::MAX) - 1),
                        Side::Ask => (price - 1).max(desk.best(Side::Bid).unwrap_or(0) + 1),
                    };
                    rows.push(desk.set(side, better, self.quantity()));
                }
            }
        }
        self.fill(desk, &mut rows);
        rows
    }

    /// Far out there is always more.
    fn fill(&mut self, desk: &mut Desk, rows: &mut Vec<Row>) {
        while desk.bids.len() < self.levels {
            let price = desk.bids.keys().next().map_or(desk.last - 1, |worst| worst - 1 - self.below(3));
            rows.push(desk.set(Side::Bid, price, self.quantity()));
        }
        while desk.asks.len() < self.levels {
            let price = desk.asks.keys().last().map_or(desk.last + 1, |worst| worst + 1 + self.below(3));
            rows.push(desk.set(Side::Ask, price, self.quantity()));
        }
    }

    /// Somebody takes from one side, level after level.
    fn trade(&mut self, desk: &mut Desk) -> Option<(Vec<Row>, Step)> {
        let side = if self.below(2) == 0 { Side::Bid } else { Side::Ask };
        let mut rows = Vec::new();
        for _ in 0..self.below(3) {
            let price = desk.best(side)?;
            rows.push(desk.set(side, price, 0));
        }
        let price = desk.best(side)?;
        let waits = desk.side(side).get(&price).copied()?;
        let taken = 1 + self.below(waits);
        rows.push(desk.set(side, price, waits - taken));
        self.fill(desk, &mut rows);
        desk.trades += 1;
        desk.last = price;
        let taker = if side == Side::Bid { "sell" } else { "buy" };
        let data = format!(
            r#"{{"symbol":"{}","side":"{taker}","price":{},"qty":{},"ord_type":"market","trade_id":{},"timestamp":"{}"}}"#,
            desk.pair.symbol,
            desk.price(price),
            written(taken, desk.pair.qty_places),
            desk.trades,
            self.time(),
        );
        Some((rows, Step::Trade { symbol: desk.pair.symbol.clone(), data }))
    }
}

impl Iterator for Synthetic {
    type Item = (Duration, Step);

    fn next(&mut self) -> Option<(Duration, Step)> {
        self.steps += 1;
        let at = APART * self.steps;
        if let Some(step) = self.due.pop() {
            return Some((at, step));
        }
        let chosen = usize::try_from(self.below(self.desks.len() as u64)).unwrap_or(0);
        let mut desk = self.desks.swap_remove(chosen);
        let traded = if self.below(5) == 0 { self.trade(&mut desk) } else { None };
        let rows = match traded {
            Some((rows, trade)) => {
                self.due = vec![desk.ticker(), trade];
                rows
            }
            None => self.moves(&mut desk),
        };
        let symbol = desk.pair.symbol.clone();
        self.desks.push(desk);
        Some((at, Step::Book { symbol, snapshot: false, rows, timestamp: Some(self.time()) }))
    }
}

impl Desk {
    fn side(&mut self, side: Side) -> &mut BTreeMap<u64, u64> {
        if side == Side::Bid { &mut self.bids } else { &mut self.asks }
    }

    fn best(&self, side: Side) -> Option<u64> {
        self.nth(side, 0)
    }

    fn nth(&self, side: Side, n: usize) -> Option<u64> {
        match side {
            Side::Bid => self.bids.keys().rev().nth(n).copied(),
            Side::Ask => self.asks.keys().nth(n).copied(),
        }
    }

    fn price(&self, ticks: u64) -> String {
        written(ticks, self.pair.price_places)
    }

    fn set(&mut self, side: Side, price: u64, qty: u64) -> Row {
        match qty {
            0 => self.side(side).remove(&price),
            qty => self.side(side).insert(price, qty),
        };
        Row::new(side, &self.price(price), &written(qty, self.pair.qty_places))
    }

    fn ticker(&self) -> Step {
        let best = |side| self.best(side).unwrap_or(self.last);
        let qty = |side, levels: &BTreeMap<u64, u64>| levels.get(&best(side)).copied().unwrap_or(0);
        let data = format!(
            r#"{{"symbol":"{}","bid":{},"bid_qty":{},"ask":{},"ask_qty":{},"last":{last},"volume":{},"vwap":{last},"low":{last},"high":{last},"change":0.0,"change_pct":0.00}}"#,
            self.pair.symbol,
            self.price(best(Side::Bid)),
            written(qty(Side::Bid, &self.bids), self.pair.qty_places),
            self.price(best(Side::Ask)),
            written(qty(Side::Ask, &self.asks), self.pair.qty_places),
            written(self.trades * 1_000, self.pair.qty_places),
            last = self.price(self.last),
        );
        Step::Ticker { symbol: self.pair.symbol.clone(), data }
    }
}
