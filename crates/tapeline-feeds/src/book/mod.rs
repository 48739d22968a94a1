//! Order books with exact decimals, kept to a depth. What is pushed out of the depth is named, so that rows can be
//! merged later. It does not know how a venue writes a book or checks it.

mod decimal;
mod side;
#[cfg(test)]
mod tests;

use side::Levels;

pub use decimal::Decimal;

/// A side of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    bids: Levels,
    asks: Levels,
}

impl Book {
    /// An empty book that keeps so many levels a side.
    pub fn new(depth: usize) -> Self {
        Book { depth, bids: Levels::new(Side::Bid), asks: Levels::new(Side::Ask) }
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
    ///
    /// Rows of several messages may be merged, the newest of a side and price before those older: they then say
    /// what all of them said, also to somebody who does not know the depth.
    pub fn apply(&mut self, rows: &[Row], changed: &mut Vec<Row>) {
        changed.extend_from_slice(rows);
        self.merge(rows);
        self.truncate(changed);
    }

    /// As [`Book::apply`], for rows that are in a list already: it becomes the list of what has changed.
    pub fn apply_in_place(&mut self, rows: &mut Vec<Row>) {
        self.merge(rows);
        self.truncate(rows);
    }

    /// Puts these levels in the place of all that were there. What exceeds the depth is left out; `rows` becomes the
    /// list of all levels, bids before asks, best first.
    pub fn replace(&mut self, rows: &mut Vec<Row>) {
        self.clear();
        self.apply_in_place(rows);
        rows.clear();
        for side in [Side::Bid, Side::Ask] {
            rows.extend(self.levels(side).map(|(price, qty)| Row { side, price, qty }));
        }
    }

    /// The levels of a side, best first: price and quantity.
    pub fn levels(&self, side: Side) -> impl ExactSizeIterator<Item = (Decimal, Decimal)> + Clone + '_ {
        match side {
            Side::Bid => self.bids.iter(),
            Side::Ask => self.asks.iter(),
        }
    }

    fn merge(&mut self, rows: &[Row]) {
        for row in rows {
            let levels = match row.side {
                Side::Bid => &mut self.bids,
                Side::Ask => &mut self.asks,
            };
            levels.put(row.price, row.qty);
        }
    }

    /// Drops what is beyond the depth, and says so.
    fn truncate(&mut self, changed: &mut Vec<Row>) {
        for (side, levels) in [(Side::Bid, &mut self.bids), (Side::Ask, &mut self.asks)] {
            while levels.len() > self.depth {
                let Some(price) = levels.take_worst() else { break };
                changed.push(Row { side, price, qty: Decimal::ZERO });
            }
        }
    }
}
