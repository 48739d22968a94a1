//! Books: rows with their digits, the best levels while they are heard, and that what a subscriber holds is always a book
//! that the venue had.

use proptest::prelude::*;
use tapeline_core::table::{Extent, Rows};

use super::*;

fn bid(price: &str, qty: &str) -> Row {
    row(Side::Bid, price, qty)
}

fn ask(price: &str, qty: &str) -> Row {
    row(Side::Ask, price, qty)
}

fn lost(symbol: &str) -> Event {
    Event::BookLost { symbol: symbol.into(), why: Lost::Checksum { expected: 1, found: 2 } }
}

#[test]
fn rows_go_out_with_the_digits_as_sent_and_what_belongs_to_them() {
    let mut desk = Desk::new();
    let change = desk.change("BTC/USD", true, &[bid("66787.7", "0.12440000"), ask("66788.10", "1.0")]);
    let meta = r#"{"depth":10,"checksum":7,"timestamp":"2024-05-19T16:45:24.204654Z"}"#;
    let data =
        format!(r#"{{"rows":[["b",66787.7,0.12440000],["a",66788.10,1.0]],"meta":{meta},"snapshot":true}}"#);
    assert_eq!(desk.said(&[change]), [said("orderbook_rows:BTC/USD", &data)]);
    let change = desk.change("BTC/USD", false, &[ask("66788.1", "0.00000000")]);
    let data = format!(r#"{{"rows":[["a",66788.1,0.00000000]],"meta":{meta},"snapshot":false}}"#);
    assert_eq!(desk.said(&[change]), [said("orderbook_rows:BTC/USD", &data)]);
    assert_eq!(desk.tick(1), []);
}

#[test]
fn where_the_venue_says_no_time_it_is_when_the_book_came_and_that_is_said() {
    let mut desk = Desk::new();
    let Event::Book(change) = desk.change("A", true, &[bid("1", "2")]) else { unreachable!() };
    let received = Now { mono_us: 0, wall_us: 1_767_268_800_000_001 };
    let told = desk.said(&[Event::Book(BookChange { timestamp: None, checksum: None, received, ..change })]);
    let meta = r#""meta":{"depth":10,"timestamp":"2026-01-01T12:00:00.000001Z","timestamp_source":"local"}"#;
    assert!(told[0].1.contains(meta), "{}", told[0].1);
}

#[test]
fn the_best_levels_go_out_only_while_somebody_hears_them_and_at_once_when_somebody_begins_to() {
    let mut desk = Desk::with(MapConfig { book_levels: 2, ..MapConfig::default() });
    let levels = "orderbook:A";
    let is_levels = |told: &[(String, String)]| told.iter().any(|(channel, _)| channel == levels);
    let change = desk.change("A", true, &[bid("3", "1"), bid("2.50", "1"), bid("2", "1"), ask("4", "0.10")]);
    assert!(!is_levels(&desk.said(&[change])), "nobody hears it");
    assert_eq!(desk.tick(0), []);
    desk.ears.hear(levels);
    assert_eq!(desk.tick(50), [], "it is looked at ten times a second");
    let data = r#"{"symbol":"A","bids":[[3,1],[2.50,1]],"asks":[[4,0.10]],"checksum":7,"timestamp":"2024-05-19T16:45:24.204654Z"}"#;
    assert_eq!(desk.tick(100), [said(levels, data)]);
    assert_eq!(desk.tick(200), [], "it is there already");
    let change = desk.change("A", false, &[bid("3", "2")]);
    assert!(is_levels(&desk.said(&[change])));
    desk.ears.leave(levels);
    desk.tick(300);
    let change = desk.change("A", false, &[bid("3", "3")]);
    assert!(!is_levels(&desk.said(&[change])));
}

#[test]
fn a_lost_book_is_told_once_and_nothing_more_until_it_is_whole() {
    let mut desk = Desk::new();
    assert_eq!(desk.said(&[lost("A")]), [], "nothing was published that could be wrong");
    let change = desk.change("A", true, &[bid("1", "2")]);
    desk.said(&[change]);
    let held = desk.venue.books.remove("A").unwrap();
    let data = r#"{"rows":[],"meta":{"resync":true,"reason":"checksum"},"snapshot":false}"#;
    assert_eq!(desk.said(&[lost("A"), lost("A")]), [said("orderbook_rows:A", data)]);
    assert_eq!(*desk.ears.lost.lock().unwrap(), ["orderbook_rows:A", "orderbook:A"]);
    desk.ears.hear("orderbook:A");
    assert_eq!(desk.tick(1_000), [], "there is no book to show");
    desk.venue.books.insert("A".to_owned(), held);
    let change = desk.change("A", true, &[bid("1", "3")]);
    assert!(desk.said(&[change])[0].1.ends_with("\"snapshot\":true}"));
    assert_eq!(desk.said(&[lost("A")]).len(), 1, "and may be lost again");
}

#[test]
fn a_table_that_may_lack_rows_gets_none_more_until_the_whole_book_replaces_it() {
    let mut desk = Desk::new();
    let first = desk.change("A", true, &[bid("1", "2")]);
    desk.said(&[first]);
    desk.map.on_unpublished("orderbook_rows:B", Now::default());
    desk.map.on_unpublished("orderbook_rows:A", Now::default());
    let change = desk.change("A", false, &[ask("2", "1")]);
    assert_eq!(desk.said(&[change]), []);
    assert_eq!(desk.map.counts().withheld, 1);
    assert_eq!(desk.tick(999), [], "what made the hub busy may last");
    let told = desk.tick(1_100);
    assert!(told[0].1.starts_with(r#"{"rows":[["b",1,2],["a",2,1]],"#), "{}", told[0].1);
    assert!(told[0].1.ends_with("\"snapshot\":true}"));
    let change = desk.change("A", false, &[ask("2", "0")]);
    assert_eq!(desk.said(&[change]).len(), 1);
}

/// What a subscriber of the table holds: by side and price, the row as it is written.
#[derive(Clone, Debug, Default, PartialEq)]
struct Screen(BTreeMap<String, String>);

impl Screen {
    fn show(&mut self, rows: &Rows, data: &[u8]) {
        if rows.extent == Extent::Whole {
            self.0.clear();
        }
        for row in rows.iter() {
            let key = format!("{:?}", row.key);
            if row.removed {
                self.0.remove(&key);
            } else {
                self.0.insert(key, String::from_utf8(rows.bytes(row, data).to_vec()).unwrap());
            }
        }
    }

    fn of(book: &Book) -> BTreeSet<String> {
        let side = |side: Side| {
            book.levels(side).map(move |(price, qty)| format!("[\"{}\",{price},{qty}]", side.letter()))
        };
        side(Side::Bid).chain(side(Side::Ask)).collect()
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let one = (any::<bool>(), 1_u32..60, prop_oneof![1 => Just(0_u32), 3 => 1_u32..9]);
    let row = one.prop_map(|(is_bid, price, qty)| {
        let side = if is_bid { Side::Bid } else { Side::Ask };
        row(side, &format!("{}.{}", price / 2, if price % 2 == 0 { "50" } else { "0" }), &format!("{qty}.00"))
    });
    proptest::collection::vec(row, 0..12)
}

#[derive(Clone, Debug)]
enum Act {
    Change(Vec<Row>),
    Snapshot(Vec<Row>),
    Lose,
    /// The hub does not take the next message.
    Drop,
    Tick,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => rows().prop_map(Act::Change),
        1 => rows().prop_map(Act::Snapshot),
        1 => Just(Act::Lose),
        1 => Just(Act::Drop),
        2 => Just(Act::Tick),
    ];
    proptest::collection::vec(act, 0..40)
}

proptest! {
    #[test]
    fn what_a_subscriber_of_the_table_holds_is_the_book_whenever_the_feed_owes_it_nothing(acts in acts()) {
        let (mut desk, mut screen, mut drops, mut ms) = (Desk::new(), Screen::default(), false, 0);
        let mut kept: Option<Book> = None;
        let mut past: Vec<BTreeSet<String>> = vec![BTreeSet::new()];
        for act in acts {
            match act {
                Act::Drop => drops = true,
                Act::Tick => {
                    ms += 600;
                    let now = Now { mono_us: ms * 1_000, wall_us: 0 };
                    desk.map.tick(now, &desk.venue, &desk.ears, &mut desk.due);
                }
                Act::Lose => {
                    kept = desk.venue.books.remove("A").or(kept);
                    desk.take(&[lost("A")]);
                }
                Act::Snapshot(rows) => {
                    let event = desk.change("A", true, &rows);
                    desk.take(&[event]);
                }
                // Before its first snapshot, and while it is lost, a session tells nothing.
                Act::Change(rows) if desk.venue.books.contains_key("A") => {
                    let event = desk.change("A", false, &rows);
                    desk.take(&[event]);
                }
                Act::Change(_) => {}
            }
            if let Some(book) = desk.venue.book("A") {
                past.push(Screen::of(book));
            }
            let mut owes = false;
            for publication in std::mem::take(&mut desk.due) {
                if std::mem::take(&mut drops) {
                    let now = Now { mono_us: ms * 1_000, wall_us: 0 };
                    desk.map.on_unpublished(&publication.channel, now);
                    owes = true;
                    continue;
                }
                let draft = drafted(publication).unwrap();
                screen.show(draft.rows.as_ref().unwrap(), &draft.data);
            }
            let shown: BTreeSet<String> = screen.0.values().cloned().collect();
            prop_assert!(past.contains(&shown), "a table that never was a book: {shown:?}");
            let is_right = !owes && !desk.map.books.is_owed("A");
            if let Some(book) = desk.venue.book("A").filter(|_| is_right) {
                prop_assert_eq!(shown, Screen::of(book));
            }
        }
    }
}
