//! One side of a book: levels in a row, best first. Most changes are near the best, so little is moved and the first
//! look is there; what is pushed out goes at the other end. It knows no depth.

use std::collections::VecDeque;

use super::{Decimal, Side};

/// So many of the best are looked at one by one, before the rest is halved and halved.
const NEAR: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Level {
    price: Decimal,
    qty: Decimal,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    side: Side,
    levels: VecDeque<Level>,
}

impl Levels {
    pub(super) fn new(side: Side) -> Self {
        Levels { side, levels: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    pub(super) fn clear(&mut self) {
        self.levels.clear();
    }

    /// Sets a level, or removes it where nothing waits there.
    pub(super) fn put(&mut self, price: Decimal, qty: Decimal) {
        let at = self.place(price);
        match self.levels.get_mut(at).filter(|level| level.price == price) {
            Some(level) if !qty.is_zero() => *level = Level { price, qty },
            Some(_) => drop(self.levels.remove(at)),
            None if !qty.is_zero() => self.levels.insert(at, Level { price, qty }),
            None => {}
        }
    }

    /// Removes the level that is farthest from the best.
    pub(super) fn take_worst(&mut self) -> Option<Decimal> {
        self.levels.pop_back().map(|level| level.price)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (Decimal, Decimal)> + Clone + '_ {
        self.levels.iter().map(|level| (level.price, level.qty))
    }

    /// Where the price is, or belongs.
    fn place(&self, price: Decimal) -> usize {
        let is_better = |level: &Level| match self.side {
            Side::Bid => level.price > price,
            Side::Ask => level.price < price,
        };
        let near = self.levels.iter().take(NEAR).position(|level| !is_better(level));
        near.unwrap_or_else(|| self.levels.partition_point(is_better))
    }
}
