//! Kraken's messages and books against what was recorded of them, through the public interface only.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

#[path = "kraken/data.rs"]
mod data;
#[path = "kraken/merging.rs"]
mod merging;
#[path = "kraken/messages.rs"]
mod messages;

use std::collections::BTreeMap;
use std::sync::Arc;

use data::{books, captured, recording};
use tapeline_core::Now;
use tapeline_feeds::book::{Book, Side};
use tapeline_feeds::kraken::books::{BookState, Books, Outcome};
use tapeline_feeds::kraken::checksum::{Checksum, Precision};
use tapeline_feeds::kraken::message::{BookMessage, Message};
use tapeline_feeds::venue::BookChange;

fn book(text: &str) -> BookMessage<'_> {
    match Message::parse(text) {
        Ok(Message::Book(message)) => message,
        other => panic!("no book: {other:?}"),
    }
}

/// The books of all symbols in the messages, at this depth.
fn watching(messages: &[&str], depth: usize) -> Books {
    let mut books = Books::new();
    for message in messages {
        books.watch(&Arc::from(&*book(message).symbol), depth);
    }
    books
}

/// Every message must hold; answers how many there were of each symbol.
fn replay(messages: &[&str], depth: usize) -> BTreeMap<Arc<str>, usize> {
    let (mut books, mut counts) = (watching(messages, depth), BTreeMap::new());
    for (number, message) in messages.iter().enumerate() {
        match books.handle(book(message), Now::default()) {
            Outcome::Applied(BookChange { symbol, .. }) => *counts.entry(symbol).or_insert(0) += 1,
            other => panic!("message {number}: {other:?}"),
        }
    }
    counts
}

fn counted(counts: &BTreeMap<Arc<str>, usize>) -> Vec<(&str, usize)> {
    counts.iter().map(|(symbol, count)| (&**symbol, *count)).collect()
}

#[test]
fn every_checksum_of_the_captured_pieces_holds() {
    assert_eq!(counted(&replay(&books(&captured("book-depth10.jsonl")), 10)), [("BTC/USD", 150)]);
    assert_eq!(counted(&replay(&books(&captured("book-depth1000.jsonl")), 1_000)), [("GRT/ETH", 21)]);
    assert_eq!(counted(&replay(&books(&captured("worked-example.json")), 10)), [("BTC/USD", 1)]);
}

#[test]
fn every_checksum_of_the_venues_own_recording_holds() {
    let Some(text) = recording("kraken-v2-python-kraken-sdk/book-btcusd-depth10-part1.jsonl") else { return };
    assert_eq!(counted(&replay(&books(&text), 10)), [("BTC/USD", 300)]);
}

#[test]
fn every_checksum_of_the_long_recording_holds_at_depth_10() {
    let Some(text) = recording("kraken-v2-from-binance/btcusdt-depth10.txt.gz") else { return };
    assert_eq!(counted(&replay(&books(&text), 10)), [("BTC/USDT", 3_150)]);
}

#[test]
fn every_checksum_of_five_pairs_holds_at_depth_1000() {
    let Some(text) = recording("kraken-v2-from-cryptofeed-v1/book-depth1000-5pairs.jsonl") else { return };
    let expected = [("ADA/BTC", 348), ("BTC/CHF", 290), ("GRT/ETH", 21), ("SC/EUR", 819), ("XMR/USD", 847)];
    assert_eq!(counted(&replay(&books(&text), 1_000)), expected);
}

/// How many checksums hold for a reader that makes this of each message before it is applied, and goes on regardless.
fn held(messages: &[&str], depth: usize, damage: impl Fn(&mut BookMessage<'_>)) -> usize {
    let (mut kept, mut checksum) = (Book::new(depth), Checksum::default());
    let mut holds = |text: &&&str| {
        let mut message = book(text);
        damage(&mut message);
        kept.apply(&message.rows, &mut Vec::new());
        checksum.of(&kept, Precision::default()) == message.checksum
    };
    messages.iter().filter(|text| holds(text)).count()
}

#[test]
fn who_does_not_truncate_or_goes_through_floats_fails() {
    let text = captured("book-depth10.jsonl");
    let messages = books(&text);
    assert_eq!(held(&messages, 10, |_| {}), 150);
    assert_eq!(held(&messages, 1_000, |_| {}), 60, "ghosts of levels that were pushed out stay");
    let floats = |message: &mut BookMessage<'_>| {
        for row in &mut message.rows {
            let float: f64 = row.qty.to_string().parse().unwrap();
            row.qty = tapeline_feeds::book::Decimal::parse(&float.to_string()).unwrap();
        }
    };
    assert_eq!(held(&messages, 10, floats), 0, "zeros at the end are lost");
}

#[test]
fn a_lost_message_is_found_and_the_book_is_not_shown_until_a_snapshot_has_come() {
    let text = captured("book-depth10.jsonl");
    let messages = books(&text);
    let mut books = watching(&messages, 10);
    let handle = |books: &mut Books, text: &str| books.handle(book(text), Now::default());
    assert!(matches!(handle(&mut books, messages[1]), Outcome::Ignored), "no snapshot yet");
    assert!(matches!(handle(&mut books, messages[0]), Outcome::Applied(change) if change.is_snapshot));
    let best = |books: &Books| books.book("BTC/USD").and_then(|book| book.levels(Side::Ask).next());
    assert!(best(&books).is_some());
    let lost = handle(&mut books, messages[2]);
    let Outcome::Mismatch { expected, found } = lost else { panic!("a message is missing: {lost:?}") };
    assert_eq!((expected, expected == found), (3_111_681_483, false));
    assert_eq!((books.state("BTC/USD"), best(&books)), (Some(BookState::Lost), None));
    assert!(matches!(handle(&mut books, messages[3]), Outcome::Ignored));
    assert!(matches!(handle(&mut books, messages[0]), Outcome::Applied(_)));
    assert!(matches!(handle(&mut books, messages[1]), Outcome::Applied(change) if !change.is_snapshot));
    assert_eq!(books.state("BTC/USD"), Some(BookState::Whole));
}
