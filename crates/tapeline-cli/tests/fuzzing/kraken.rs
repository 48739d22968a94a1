//! Any text as frames of Kraken: read, kept as books, and told on. A byte that UTF-8 does not have (0xff) stands between
//! two frames.

use std::sync::Arc;

use serde_json::value::RawValue;
use tapeline_core::Now;
use tapeline_feeds::book::{Book, Side};
use tapeline_feeds::kraken::books::{BookState, Books, Outcome};
use tapeline_feeds::kraken::message::{BookMessage, Message};

/// Levels a side; small, so that much is pushed out.
const DEPTH: usize = 3;

/// The symbol whose checksums are put right; no fuzzer guesses them.
const HELD: &str = "AAA";

/// The check of the target `kraken`.
pub(crate) fn check(input: &[u8]) {
    let mut books = Books::new();
    let mut heard = Book::new(usize::MAX);
    for frame in input.split(|byte| *byte == 0xff).filter_map(|frame| std::str::from_utf8(frame).ok()) {
        same_in_any_form(frame);
        match Message::parse(frame) {
            Ok(Message::Book(message)) => {
                let symbol: Arc<str> = Arc::from(&*message.symbol);
                if symbol.len() == 3 && books.state(&symbol).is_none() {
                    books.watch(&symbol, DEPTH);
                }
                let message = if &*symbol == HELD { corrected(message, &books) } else { message };
                let before = books.state(&symbol);
                let outcome = books.handle(message, Now::default());
                judge(&symbol, before, &outcome, &books, &mut heard);
            }
            Ok(Message::Instrument(instruments)) => books.handle_instruments(&instruments),
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// With the checksum that holds.
fn corrected<'a>(message: BookMessage<'a>, books: &Books) -> BookMessage<'a> {
    match books.clone().handle(message.clone(), Now::default()) {
        Outcome::Mismatch { found, .. } => BookMessage { checksum: found, ..message },
        _ => message,
    }
}

/// A space before it keeps a frame from being read in one pass; that must not make another message of it.
fn same_in_any_form(frame: &str) {
    let spaced = format!(" {frame}");
    match (Message::parse(frame), Message::parse(&spaced)) {
        (Ok(one), Ok(other)) => assert_eq!(format!("{one:?}"), format!("{other:?}")),
        (Err(one), Err(other)) => assert_eq!(one.is_stray(), other.is_stray(), "{frame}"),
        (one, other) => panic!("{one:?} but behind a space {other:?}"),
    }
    if Message::parse(frame).is_ok() {
        serde_json::from_str::<&RawValue>(frame).expect("what is read is JSON");
    }
}

/// A book is shown if and only if it is whole; who hears only the rows of [`HELD`] has the same book.
fn judge(symbol: &str, before: Option<BookState>, outcome: &Outcome, books: &Books, heard: &mut Book) {
    let after = books.state(symbol);
    assert_eq!(books.book(symbol).is_some(), after == Some(BookState::Whole));
    match outcome {
        Outcome::Applied(change) => {
            assert_eq!(after, Some(BookState::Whole));
            assert!(change.is_snapshot || before == Some(BookState::Whole), "a change of what was not known");
            let book = books.book(symbol).expect("it is whole");
            let sides =
                [Side::Bid, Side::Ask].map(|side| book.levels(side).map(|level| level.0).collect::<Vec<_>>());
            assert!(sides.iter().all(|prices| prices.len() <= DEPTH));
            assert!(
                sides[0].is_sorted_by(|one, next| one > next)
                    && sides[1].is_sorted_by(|one, next| one < next)
            );
            if symbol == HELD {
                if change.is_snapshot {
                    heard.clear();
                }
                heard.apply(&change.rows, &mut Vec::new());
                assert_eq!(levels(heard), levels(book), "after {:?}", change.rows);
            }
        }
        Outcome::Ignored => assert_eq!(after, before),
        Outcome::Mismatch { expected, found } => {
            assert!(expected != found && after == Some(BookState::Lost) && symbol != HELD);
        }
    }
}

fn levels(book: &Book) -> Vec<String> {
    let each =
        [Side::Bid, Side::Ask].map(|side| book.levels(side).map(|(price, qty)| format!("{price}={qty}")));
    each.into_iter().flatten().collect()
}
