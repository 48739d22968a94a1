//! Order books with exact decimals, kept to a depth. What is pushed out of the depth is named, so that rows can be
//! merged later. It does not know how a venue writes a book or checks it.

mod decimal;

use std::cmp::Reverse;
use std::collections::BTreeMap;

pub use decimal::Decimal;

/// A side of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Offers to buy; the highest price is best.
    Bid,
    /// Offers to sell; the lowest price is best.
    Ask,
}

impl Side {
    /// As in rows: `b` or `a`.
    pub fn letter(self) -> char {
        match self {
            Side::Bid => 'b',
            Side::Ask => 'a',
        }
    }
}

/// A level of a book, or that it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its side.
    pub side: Side,
    /// Its price.
    pub price: Decimal,
    /// What waits there; 0 removes the level.
    pub qty: Decimal,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Book {
    depth: usize,
    bids: BTreeMap<Reverse<Decimal>, Decimal>,
    asks: BTreeMap<Decimal, Decimal>,
}

impl Book {
    /// An empty book that keeps so many levels a side.
    pub fn new(depth: usize) -> Self {
        Book { depth, bids: BTreeMap::new(), asks: BTreeMap::new() }
    }

    /// Levels that are kept a side.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Forgets all levels.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Takes in one message's rows in their order, then truncates. What has changed is appended to `changed`: the
    /// rows, and a row of quantity 0 for each level that truncation dropped.
    pub fn apply(&mut self, rows: &[Row], changed: &mut Vec<Row>) {
        for row in rows {
            match (row.side, row.qty.is_zero()) {
                (Side::Bid, true) => self.bids.remove(&Reverse(row.price)),
                (Side::Bid, false) => self.bids.insert(Reverse(row.price), row.qty),
                (Side::Ask, true) => self.asks.remove(&row.price),
                (Side::Ask, false) => self.asks.insert(row.price, row.qty),
            };
            changed.push(*row);
        }
        while self.bids.len() > self.depth {
            let Some((Reverse(price), _)) = self.bids.pop_last() else { break };
            changed.push(Row { side: Side::Bid, price, qty: Decimal::ZERO });
        }
        while self.asks.len() > self.depth {
            let Some((price, _)) = self.asks.pop_last() else { break };
            changed.push(Row { side: Side::Ask, price, qty: Decimal::ZERO });
        }
    }

    /// The levels of a side, best first: price and quantity.
    pub fn levels(&self, side: Side) -> Box<dyn Iterator<Item = (Decimal, Decimal)> + '_> {
        match side {
            Side::Bid => Box::new(self.bids.iter().map(|(Reverse(price), qty)| (*price, *qty))),
            Side::Ask => Box::new(self.asks.iter().map(|(price, qty)| (*price, *qty))),
        }
    }
}
