//! What a book is worth is in `tests/kraken.rs`, with what was recorded; here is what no recording holds.

use super::super::message::Message;
use super::*;
use crate::book::Side;

/// The sample of the venue's page, whose formatter took zeros away: only the precision makes it right.
const PAGE: &str = r#"{"channel":"book","type":"snapshot","data":[{"symbol":"MATIC/USD","bids":[{"price":0.5666,"qty":4831.75496356},{"price":0.5665,"qty":6658.22734739},{"price":0.5664,"qty":18724.91513344},{"price":0.5663,"qty":11563.92544914},{"price":0.5662,"qty":14006.65365711},{"price":0.5661,"qty":17454.85679807},{"price":0.566,"qty":18097.1547},{"price":0.5659,"qty":33644.89175666},{"price":0.5658,"qty":148.3464},{"price":0.5657,"qty":606.70854372}],"asks":[{"price":0.5668,"qty":4410.79769741},{"price":0.5669,"qty":4655.40412487},{"price":0.567,"qty":49844.89424998},{"price":0.5671,"qty":24306.41678},{"price":0.5672,"qty":29783.25223475},{"price":0.5673,"qty":57234.71239278},{"price":0.5674,"qty":45065.04744},{"price":0.5675,"qty":5912.76380354},{"price":0.5676,"qty":42514.92434778},{"price":0.5677,"qty":36304.0847022}],"checksum":2439117997}]}"#;

const PAIR: &str = r#"{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[{"symbol":"MATIC/USD","price_precision":4,"qty_precision":8}]}}"#;

fn handle(books: &mut Books, text: &str) -> Outcome {
    match Message::parse(text).unwrap() {
        Message::Book(message) => books.handle(message, Now::default()),
        Message::Instrument(instruments) => {
            books.handle_instruments(&instruments);
            Outcome::Ignored
        }
        other => panic!("{other:?}"),
    }
}

fn matic() -> Arc<str> {
    Arc::from("MATIC/USD")
}

#[test]
fn the_precision_of_a_pair_counts_whether_it_comes_before_or_after_the_wish() {
    let (mut before, mut after) = (Books::new(), Books::new());
    handle(&mut before, PAIR);
    before.watch(&matic(), 10);
    after.watch(&matic(), 10);
    handle(&mut after, PAIR);
    assert!(matches!(handle(&mut before, PAGE), Outcome::Applied(_)));
    assert!(matches!(handle(&mut after, PAGE), Outcome::Applied(_)));
    let mut without = Books::new();
    without.watch(&matic(), 10);
    assert!(matches!(handle(&mut without, PAGE), Outcome::Mismatch { expected: 2_439_117_997, .. }));
    assert!(without.book("MATIC/USD").is_none(), "a snapshot that does not hold is not shown");
}

#[test]
fn a_book_that_nobody_asked_for_is_ignored() {
    let mut books = Books::new();
    assert!(matches!(handle(&mut books, PAGE), Outcome::Ignored));
    books.watch(&matic(), 10);
    books.forget("MATIC/USD");
    assert!(matches!(handle(&mut books, PAGE), Outcome::Ignored));
    assert_eq!(books.state("MATIC/USD"), None);
}

#[test]
fn after_the_connection_is_gone_no_book_is_shown_before_its_snapshot() {
    let mut books = Books::new();
    handle(&mut books, PAIR);
    books.watch(&matic(), 10);
    handle(&mut books, PAGE);
    assert_eq!(books.book("MATIC/USD").map(|book| book.levels(Side::Bid).len()), Some(10));
    books.wait_for_snapshots();
    assert!(books.book("MATIC/USD").is_none());
    assert_eq!(books.state("MATIC/USD"), Some(BookState::Waiting));
    let update = PAGE.replace("snapshot", "update");
    assert!(matches!(handle(&mut books, &update), Outcome::Ignored));
    assert!(matches!(handle(&mut books, PAGE), Outcome::Applied(change) if change.rows.len() == 20));
}

#[test]
fn a_snapshot_with_more_levels_than_the_depth_is_cut() {
    let mut books = Books::new();
    handle(&mut books, PAIR);
    books.watch(&matic(), 10);
    let more = PAGE.replace(r#"{"price":0.5666,"#, r#"{"price":0.4,"qty":1},{"price":0.5666,"#);
    let Outcome::Applied(change) = handle(&mut books, &more) else { panic!("the ten best are the same") };
    assert_eq!(change.rows.len(), 20);
    assert!(change.rows.iter().all(|row| !row.qty.is_zero() && row.price.to_string() != "0.4"));
}
