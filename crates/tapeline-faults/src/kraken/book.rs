//! The book that the stand-in takes for true, and what of it is seen at a depth: the rows that the venue sends for a
//! change there. It does not know who is subscribed.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::digits::{checksum, is_zero, rank};

/// A side of a book: offers to buy, offers to sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Bid,
    Ask,
}

impl Side {
    pub(super) const BOTH: [Side; 2] = [Side::Bid, Side::Ask];

    /// As rows of a table say it.
    fn letter(self) -> char {
        if self == Side::Bid { 'b' } else { 'a' }
    }

    /// The better price first.
    fn order(self, one: u128, other: u128) -> Ordering {
        if self == Side::Bid { other.cmp(&one) } else { one.cmp(&other) }
    }
}

/// A price and what waits there, as the venue writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub price: Arc<str>,
    pub qty: Arc<str>,
    /// What orders it among others.
    rank: u128,
}

/// A level as it is now; of quantity 0 where it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub side: Side,
    pub level: Level,
}

impl Row {
    pub(super) fn new(side: Side, price: &str, qty: &str) -> Row {
        Row { side, level: Level { price: price.into(), qty: qty.into(), rank: rank(price) } }
    }

    fn is_same_level(&self, other: &Row) -> bool {
        self.side == other.side && self.level.rank == other.level.rank
    }

    fn text(&self) -> (char, &str, &str) {
        (self.side.letter(), &self.level.price, &self.level.qty)
    }
}

/// All levels there are.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    bids: BTreeMap<u128, Level>,
    asks: BTreeMap<u128, Level>,
}

impl World {
    fn side(&mut self, side: Side) -> &mut BTreeMap<u128, Level> {
        if side == Side::Bid { &mut self.bids } else { &mut self.asks }
    }

    pub(super) fn clear(&mut self) {
        *self = World::default();
    }

    /// Takes in rows in their order.
    pub(super) fn apply(&mut self, rows: &[Row]) {
        for Row { side, level } in rows {
            let rank = level.rank;
            match is_zero(&level.qty) {
                true => self.side(*side).remove(&rank),
                false => self.side(*side).insert(rank, level.clone()),
            };
        }
    }

    /// Forgets what is worse than so many levels: a recording does not know them any more.
    pub(super) fn truncate(&mut self, depth: usize) {
        while self.bids.len() > depth {
            self.bids.pop_first();
        }
        while self.asks.len() > depth {
            self.asks.pop_last();
        }
    }

    /// The best, best first.
    pub(super) fn best(&self, side: Side, depth: usize) -> Vec<Level> {
        match side {
            Side::Bid => self.bids.values().rev().take(depth).cloned().collect(),
            Side::Ask => self.asks.values().take(depth).cloned().collect(),
        }
    }
}

/// A book as a subscriber of some depth has it.
#[derive(Clone, Debug)]
pub(super) struct View {
    depth: usize,
    bids: Vec<Level>,
    asks: Vec<Level>,
    digest: u64,
}

impl View {
    pub(super) fn of(world: &World, depth: usize) -> View {
        let mut view =
            View { depth, bids: world.best(Side::Bid, depth), asks: world.best(Side::Ask, depth), digest: 0 };
        let rows = view.rows();
        view.digest = digest(rows.iter().map(Row::text));
        view
    }

    pub(super) fn side(&self, side: Side) -> &[Level] {
        if side == Side::Bid { &self.bids } else { &self.asks }
    }

    /// All of it.
    pub(super) fn rows(&self) -> Vec<Row> {
        let of = |side| self.side(side).iter().map(move |level| Row { side, level: level.clone() });
        Side::BOTH.into_iter().flat_map(of).collect()
    }

    pub(super) fn checksum(&self) -> u32 {
        fn text(level: &Level) -> (&str, &str) {
            (&level.price, &level.qty)
        }
        checksum(self.asks.iter().map(text), self.bids.iter().map(text))
    }

    /// What tells this book from any other, digit by digit.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Becomes what the world is after `rows` were applied to it; answers the rows that say so. Nothing is said of levels
    /// that were pushed out of the depth; those that come back into it are.
    pub(super) fn follow(&mut self, world: &World, rows: &[Row]) -> Vec<Row> {
        let is_named = |row: &Row| rows.iter().any(|named| named.is_same_level(row));
        let mut next = View {
            depth: self.depth,
            bids: world.best(Side::Bid, self.depth),
            asks: world.best(Side::Ask, self.depth),
            digest: self.digest,
        };
        let mut said: Vec<Row> = rows.iter().filter(|row| self.has(row) || next.has(row)).cloned().collect();
        let (mut entered, mut left) = (Vec::new(), Vec::new());
        for side in Side::BOTH {
            differ(side, self.side(side), next.side(side), &mut left, &mut entered);
        }
        let sum = |rows: &[Row]| digest(rows.iter().map(Row::text));
        next.digest = next.digest.wrapping_sub(sum(&left)).wrapping_add(sum(&entered));
        said.extend(entered.iter().filter(|row| !self.has(row) && !is_named(row)).cloned());
        let gone = left.iter().filter(|row| !next.has(row) && !is_named(row) && !next.pushed_out(row));
        said.extend(gone.map(|row| Row::new(row.side, &row.level.price, "0")));
        *self = next;
        said
    }

    fn has(&self, row: &Row) -> bool {
        self.side(row.side).binary_search_by(|level| row.side.order(level.rank, row.level.rank)).is_ok()
    }

    /// Whether there is no room for it.
    fn pushed_out(&self, row: &Row) -> bool {
        let levels = self.side(row.side);
        let is_worse =
            levels.last().is_some_and(|worst| row.side.order(worst.rank, row.level.rank) == Ordering::Less);
        levels.len() == self.depth && is_worse
    }
}

/// What is in one list of levels, best first, and not in the other, or with another quantity; and the other way round.
fn differ(side: Side, old: &[Level], new: &[Level], left: &mut Vec<Row>, entered: &mut Vec<Row>) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let row = |level: &Level| Row { side, level: level.clone() };
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => side.order(one.rank, other.rank),
        };
        let one = if order == Ordering::Greater { None } else { old.next() };
        let other = if order == Ordering::Less { None } else { new.next() };
        let is_same = |(one, other): (&Level, &Level)| one.qty == other.qty && one.price == other.price;
        if !one.zip(other).is_some_and(is_same) {
            left.extend(one.map(row));
            entered.extend(other.map(row));
        }
    }
}

/// A number for a book: the same for the same levels, in any order, written the same. Sides are `b` and `a`.
pub(super) fn digest<'a>(levels: impl IntoIterator<Item = (char, &'a str, &'a str)>) -> u64 {
    let one = |(side, price, qty): (char, &str, &str)| {
        let bytes = [side as u8].into_iter().chain(price.bytes()).chain([b' ']).chain(qty.bytes());
        // FNV-1a, then mixed once more, since it is summed.
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    levels.into_iter().map(one).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(bids: &[(&str, &str)]) -> World {
        let mut world = World::default();
        let rows: Vec<Row> = bids.iter().map(|(price, qty)| Row::new(Side::Bid, price, qty)).collect();
        world.apply(&rows);
        world
    }

    #[test]
    fn nothing_is_said_of_what_is_pushed_out_and_it_is_said_again_when_it_is_back() {
        let mut world = world(&[("3", "1"), ("2", "1"), ("1", "1")]);
        let mut view = View::of(&world, 2);
        let better = [Row::new(Side::Bid, "4", "1")];
        world.apply(&better);
        assert_eq!(view.follow(&world, &better), better);
        let gone = [Row::new(Side::Bid, "4", "0"), Row::new(Side::Bid, "1", "5")];
        world.apply(&gone);
        assert_eq!(view.follow(&world, &gone), [gone[0].clone(), Row::new(Side::Bid, "2", "1")]);
    }

    #[test]
    fn what_a_recording_forgets_is_said_to_who_sees_deeper() {
        let mut world = world(&[("3", "1"), ("2", "1")]);
        let mut view = View::of(&world, 25);
        let better = [Row::new(Side::Bid, "4", "1")];
        world.apply(&better);
        world.truncate(2);
        assert_eq!(view.follow(&world, &better), [better[0].clone(), Row::new(Side::Bid, "2", "0")]);
    }

    #[test]
    fn a_view_that_follows_is_the_one_that_is_looked_at_anew() {
        let mut world = world(&[("5", "1"), ("4", "1"), ("3", "1"), ("2", "1")]);
        let mut view = View::of(&world, 3);
        for (price, qty) in
            [("4", "2"), ("6", "1"), ("5", "0"), ("6", "0"), ("4", "0"), ("9", "0"), ("1", "3")]
        {
            let rows = [Row::new(Side::Bid, price, qty), Row::new(Side::Ask, "8", qty)];
            world.apply(&rows);
            view.follow(&world, &rows);
            let anew = View::of(&world, 3);
            assert_eq!((view.digest(), view.rows()), (anew.digest(), anew.rows()), "{price} {qty}");
        }
    }

    #[test]
    fn a_digest_does_not_know_the_order_but_every_digit() {
        let (one, other) = (('b', "1.0", "2"), ('a', "1.1", "3"));
        assert_eq!(digest([one, other]), digest([other, one]));
        assert_ne!(digest([one]), digest([('b', "1.00", "2")]));
        assert_ne!(digest([one]), digest([('a', "1.0", "2")]));
    }
}
