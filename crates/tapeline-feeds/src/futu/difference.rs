//! What differs between two books, as rows: what is new or other, and rows of quantity 0 for what is gone. A venue that
//! sends whole books is so turned into one that sends changes. It does not know how a book came to be.

use std::cmp::Ordering;

use crate::book::{Book, Decimal, Row, Side};

/// The rows that make `after` of `before`.
pub(super) fn difference(before: &Book, after: &Book) -> Vec<Row> {
    let mut rows = Vec::new();
    for side in [Side::Bid, Side::Ask] {
        of_side(before, after, side, &mut rows);
    }
    rows
}

/// Walks both sides from the best level on.
fn of_side(before: &Book, after: &Book, side: Side, rows: &mut Vec<Row>) {
    let (mut old, mut new) = (before.levels(side).peekable(), after.levels(side).peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((gone, _)), Some((come, _))) => nearer(side, *gone, *come),
        };
        let was = if order.is_le() { old.next() } else { None };
        let is = if order.is_ge() { new.next() } else { None };
        match (was, is) {
            (Some((price, _)), None) => rows.push(Row { side, price, qty: Decimal::ZERO }),
            (was, Some((price, qty))) if was.is_none_or(|(_, was)| was != qty) => {
                rows.push(Row { side, price, qty });
            }
            _ => {}
        }
    }
}

/// Which of two prices is the better one.
fn nearer(side: Side, one: Decimal, other: Decimal) -> Ordering {
    match side {
        Side::Bid => other.cmp(&one),
        Side::Ask => one.cmp(&other),
    }
}
