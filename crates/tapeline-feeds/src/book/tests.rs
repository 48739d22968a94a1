//! Books against a model that is written down plainly, and merged rows against both.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn row(side: Side, price: &str, qty: &str) -> Row {
    Row { side, price: decimal(price), qty: decimal(qty) }
}

fn written(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| format!("{}{}={}", row.side.letter(), row.price, row.qty)).collect()
}

fn levels(book: &Book, side: Side) -> Vec<String> {
    book.levels(side).map(|(price, qty)| format!("{price}={qty}")).collect()
}

#[test]
fn levels_come_best_first_on_either_side() {
    let mut book = Book::new(10);
    let rows = [("1.1", "5"), ("1.3", "6"), ("1.2", "7")];
    let both =
        [Side::Bid, Side::Ask].into_iter().flat_map(|side| rows.map(|(price, qty)| row(side, price, qty)));
    book.apply(&both.collect::<Vec<_>>(), &mut Vec::new());
    assert_eq!(levels(&book, Side::Bid), ["1.3=6", "1.2=7", "1.1=5"]);
    assert_eq!(levels(&book, Side::Ask), ["1.1=5", "1.2=7", "1.3=6"]);
}

#[test]
fn a_zero_removes_a_level_and_does_no_harm_where_there_is_none() {
    let mut book = Book::new(10);
    let mut changed = Vec::new();
    book.apply(&[row(Side::Bid, "1.10", "5"), row(Side::Bid, "2", "0.000")], &mut changed);
    book.apply(&[row(Side::Bid, "1.1", "0")], &mut changed);
    assert_eq!(book.levels(Side::Bid).len(), 0);
    assert_eq!(written(&changed), ["b1.10=5", "b2=0.000", "b1.1=0"]);
}

#[test]
fn the_same_price_twice_in_a_message_is_taken_in_order() {
    let mut book = Book::new(10);
    book.apply(
        &[row(Side::Ask, "3", "1"), row(Side::Ask, "3", "0"), row(Side::Ask, "3.0", "2")],
        &mut Vec::new(),
    );
    assert_eq!(levels(&book, Side::Ask), ["3.0=2"]);
}

#[test]
fn what_truncation_drops_is_said_with_a_zero_row_also_of_the_same_message() {
    let mut book = Book::new(2);
    book.apply(&[row(Side::Ask, "1", "1"), row(Side::Ask, "2", "1")], &mut Vec::new());
    let mut changed = Vec::new();
    book.apply(&[row(Side::Ask, "0.5", "4"), row(Side::Ask, "7", "4")], &mut changed);
    assert_eq!(written(&changed), ["a0.5=4", "a7=4", "a7=0", "a2=0"]);
    assert_eq!(levels(&book, Side::Ask), ["0.5=4", "1=1"]);
}

#[test]
fn truncation_is_at_the_end_of_a_message_and_never_within() {
    let mut book = Book::new(1);
    book.apply(&[row(Side::Bid, "1", "1")], &mut Vec::new());
    let mut changed = Vec::new();
    book.apply(&[row(Side::Bid, "2", "1"), row(Side::Bid, "2", "0")], &mut changed);
    assert_eq!(
        levels(&book, Side::Bid),
        ["1=1"],
        "the level was not lost to one that was there for a moment"
    );
    assert_eq!(written(&changed), ["b2=1", "b2=0"]);
}

#[test]
fn a_snapshot_replaces_all_and_keeps_to_the_depth() {
    let mut book = Book::new(2);
    book.apply(&[row(Side::Bid, "9", "1"), row(Side::Ask, "10", "1")], &mut Vec::new());
    let mut rows = vec![row(Side::Ask, "3", "1"), row(Side::Ask, "1", "2"), row(Side::Bid, "1", "0")];
    rows.push(row(Side::Ask, "2", "3"));
    book.replace(&mut rows);
    assert_eq!(written(&rows), ["a1=2", "a2=3"]);
    assert_eq!((levels(&book, Side::Bid).len(), levels(&book, Side::Ask).len()), (0, 2));
}

/// A book as one would write it down: all that is known, cut off at each message's end.
#[derive(Default)]
struct Model(BTreeMap<(Side, Decimal), Decimal>);

impl Model {
    fn apply(&mut self, rows: &[Row], depth: usize) {
        self.merge(rows);
        for side in [Side::Bid, Side::Ask] {
            let own: Vec<Decimal> = self.0.keys().filter(|key| key.0 == side).map(|key| key.1).collect();
            let excess = own.len().saturating_sub(depth);
            let worst = if side == Side::Bid { &own[..excess] } else { &own[own.len() - excess..] };
            worst.iter().for_each(|price| assert!(self.0.remove(&(side, *price)).is_some()));
        }
    }

    fn merge(&mut self, rows: &[Row]) {
        for row in rows {
            self.0.insert((row.side, row.price), row.qty);
        }
        self.0.retain(|_, qty| !qty.is_zero());
    }

    fn levels(&self, side: Side) -> Vec<String> {
        let own = self.0.iter().filter(|(key, _)| key.0 == side);
        let mut all: Vec<String> = own.map(|(key, qty)| format!("{}={qty}", key.1)).collect();
        if side == Side::Bid {
            all.reverse();
        }
        all
    }
}

/// Newest per side and price. With the same value the digits are the older row's, as in a map; so they are taken out.
fn merged(rows: &[Row]) -> Vec<Row> {
    let mut newest = BTreeMap::new();
    for row in rows {
        newest.remove(&(row.side, row.price));
        newest.insert((row.side, row.price), *row);
    }
    newest.into_values().collect()
}

fn some_row() -> impl Strategy<Value = Row> {
    let side = prop_oneof![Just(Side::Bid), Just(Side::Ask)];
    (side, 1_u32..40, 0_u32..3).prop_map(|(side, price, qty)| {
        row(side, &format!("{}.{}0", price / 10, price % 10), &format!("{qty}.00"))
    })
}

proptest! {
    #[test]
    fn a_book_is_what_the_model_says(
        depth in 1_usize..20,
        messages in prop::collection::vec(prop::collection::vec(some_row(), 0..8), 0..40),
    ) {
        let (mut book, mut model) = (Book::new(depth), Model::default());
        for rows in &messages {
            book.apply(rows, &mut Vec::new());
            model.apply(rows, depth);
            for side in [Side::Bid, Side::Ask] {
                prop_assert_eq!(levels(&book, side), model.levels(side));
            }
        }
    }

    #[test]
    fn changes_merged_in_any_groups_give_the_book_to_who_knows_no_depth(
        depth in 1_usize..8,
        messages in prop::collection::vec((prop::collection::vec(some_row(), 0..6), any::<bool>()), 1..60),
    ) {
        let (mut book, mut heard, mut waiting) = (Book::new(depth), Model::default(), Vec::new());
        for (rows, is_end_of_group) in &messages {
            book.apply(rows, &mut waiting);
            if *is_end_of_group {
                heard.merge(&merged(&std::mem::take(&mut waiting)));
                for side in [Side::Bid, Side::Ask] {
                    prop_assert_eq!(levels(&book, side), heard.levels(side));
                }
            }
        }
    }
}
