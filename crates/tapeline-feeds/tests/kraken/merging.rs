//! Rows that were merged on their way to a slow subscriber: whatever the groups, what it holds at the end of one is the
//! venue's book, checksum and all, although it knows nothing of the depth.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tapeline_core::Now;
use tapeline_feeds::book::{Book, Decimal, Row, Side};
use tapeline_feeds::kraken::books::{Books, Outcome};
use tapeline_feeds::kraken::checksum::{Checksum, Precision};
use tapeline_feeds::venue::BookChange;

use super::data::{books, captured, recording};
use super::{book, watching};

/// A table of rows: the newest of each side and price.
#[derive(Default)]
struct Table(BTreeMap<(Side, Decimal), Row>);

impl Table {
    fn put(&mut self, row: Row) {
        // The key is taken out too, for its digits.
        self.0.remove(&(row.side, row.price));
        self.0.insert((row.side, row.price), row);
    }

    fn apply(&mut self, rows: impl IntoIterator<Item = Row>) {
        rows.into_iter().for_each(|row| self.put(row));
        self.0.retain(|_, row| !row.qty.is_zero());
    }

    fn levels(&self, side: Side) -> Vec<String> {
        let own = self.0.values().filter(|row| row.side == side);
        let mut levels: Vec<String> = own.map(|row| format!("{}/{}", row.price, row.qty)).collect();
        if side == Side::Bid {
            levels.reverse();
        }
        levels
    }

    fn checksum(&self) -> u32 {
        let mut book = Book::new(usize::MAX);
        let rows: Vec<Row> = self.0.values().copied().collect();
        book.apply(&rows, &mut Vec::new());
        Checksum::default().of(&book, Precision::default())
    }
}

/// One symbol's messages: what changed with each, and the book after it.
struct Played {
    change: BookChange,
    after: Book,
}

fn played(messages: &[&str], depth: usize, symbol: &str) -> Vec<Played> {
    let mut books: Books = watching(messages, depth);
    let own = messages.iter().map(|text| book(text)).filter(|message| message.symbol == *symbol);
    let applied = own.map(|message| match books.handle(message, Now::default()) {
        Outcome::Applied(change) => Played { change, after: books.book(symbol).unwrap().clone() },
        other => panic!("{other:?}"),
    });
    applied.collect()
}

fn levels(book: &Book, side: Side) -> Vec<String> {
    book.levels(side).map(|(price, qty)| format!("{price}/{qty}")).collect()
}

/// Groups of these sizes, over and over; compares at each end.
fn follow(played: &[Played], sizes: &[usize]) {
    let mut table = Table::default();
    let (mut rest, mut sizes) = (played, sizes.iter().cycle());
    while !rest.is_empty() {
        let (group, more) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
        let mut merged = Table::default();
        group.iter().flat_map(|played| &played.change.rows).for_each(|row| merged.put(*row));
        table.apply(merged.0.into_values());
        let last = group.last().unwrap();
        for side in [Side::Bid, Side::Ask] {
            assert_eq!(table.levels(side), levels(&last.after, side));
        }
        assert_eq!(Some(table.checksum()), last.change.checksum);
        rest = more;
    }
}

fn any_groups(played: &[Played], cases: u32) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let sizes = prop::collection::vec(prop_oneof![1_usize..6, 1_usize..60, 1_usize..400], 1..40);
    runner
        .run(&sizes, |sizes| {
            follow(played, &sizes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn any_grouping_of_a_captured_piece_gives_the_venues_book() {
    any_groups(&played(&books(&captured("book-depth10.jsonl")), 10, "BTC/USD"), 100);
    any_groups(&played(&books(&captured("book-depth1000.jsonl")), 1_000, "GRT/ETH"), 20);
}

#[test]
fn any_grouping_of_the_recordings_gives_the_venues_book() {
    if let Some(text) = recording("kraken-v2-python-kraken-sdk/book-btcusd-depth10-part1.jsonl") {
        any_groups(&played(&books(&text), 10, "BTC/USD"), 40);
    }
    if let Some(text) = recording("kraken-v2-from-binance/btcusdt-depth10.txt.gz") {
        any_groups(&played(&books(&text), 10, "BTC/USDT"), 10);
    }
    if let Some(text) = recording("kraken-v2-from-cryptofeed-v1/book-depth1000-5pairs.jsonl") {
        for symbol in ["ADA/BTC", "BTC/CHF", "GRT/ETH", "SC/EUR", "XMR/USD"] {
            any_groups(&played(&books(&text), 1_000, symbol), 2);
        }
    }
}

/// Of groups of ten updates, how many make something else of the right book, if only the rows that the venue sent are
/// merged; and how many groups there are.
fn wrong_without_zero_rows(messages: &[&str], depth: usize) -> (usize, usize) {
    let (first, rest) = messages.split_first().unwrap();
    let (mut right, mut checksum) = (Book::new(depth), Checksum::default());
    right.apply(&book(first).rows, &mut Vec::new());
    let mut is_wrong = |texts: &[&str]| {
        let (mut merged, mut heard) = (Table::default(), right.clone());
        for text in texts {
            let rows = book(text).rows;
            right.apply(&rows, &mut Vec::new());
            rows.into_iter().for_each(|row| merged.put(row));
        }
        heard.apply(&merged.0.into_values().collect::<Vec<_>>(), &mut Vec::new());
        let mut sum = |book: &Book| checksum.of(book, Precision::default());
        assert_eq!(sum(&right), book(texts[9]).checksum);
        sum(&right) != sum(&heard)
    };
    let groups = rest.chunks_exact(10);
    (groups.clone().filter(|texts| is_wrong(texts)).count(), groups.len())
}

#[test]
fn without_the_explicit_zero_rows_merged_books_are_wrong_even_for_who_truncates() {
    let text = captured("book-depth10.jsonl");
    assert_eq!(wrong_without_zero_rows(&books(&text), 10), (1, 14));
    let Some(text) = recording("kraken-v2-from-binance/btcusdt-depth10.txt.gz") else { return };
    assert_eq!(wrong_without_zero_rows(&books(&text), 10), (61, 314));
}
