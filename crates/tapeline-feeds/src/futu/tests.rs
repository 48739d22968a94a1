//! Lines of a gateway by example, and that what the changes add up to is the book that was pushed.

use proptest::prelude::*;
use tapeline_core::Now;

use super::*;
use crate::book::{Book, Row, Side};
use crate::venue::{Event, Lost, Session, Step};

/// After all the times of the pushes below: the sixth of January 2024, 00:13 UTC.
const NOW: Now = Now { mono_us: 1_000_000, wall_us: 1_704_500_000_000_000 };

fn session() -> Futu {
    let mut session = Futu::new(FutuSettings { url: "tcp://127.0.0.1:7".to_owned(), depth: 10 }, || 1.0);
    let mut events = Vec::new();
    assert!(
        matches!(session.next(Now::default(), &mut events), Step::Connect { after, .. } if after.is_zero())
    );
    session.on_open(Now::default());
    session.next(Now::default(), &mut events);
    assert!(matches!(events[..], [Event::Connected]));
    session
}

fn said(session: &mut Futu, line: &str) -> Vec<Event> {
    let mut events = Vec::new();
    session.on_text(line, NOW, &mut events);
    events
}

/// Symbol, whether it is a snapshot, rows, time.
fn change(events: &[Event]) -> (String, bool, Vec<String>, Option<String>) {
    let [Event::Book(change)] = events else { panic!("{events:?}") };
    let row = |row: &Row| format!("{} {} {}", row.side.letter(), row.price, row.qty);
    let timestamp = change.timestamp.as_deref().map(str::to_owned);
    (change.symbol.to_string(), change.is_snapshot, change.rows.iter().map(row).collect(), timestamp)
}

fn push(code: &str, time: &str, bids: &str, asks: &str) -> String {
    format!(
        r#"{{"code":"{code}","name":"x","svr_recv_time_bid":"{time}","svr_recv_time_ask":"","Bid":[{bids}],"Ask":[{asks}]}}"#
    )
}

const TIME: &str = "2024-01-05 10:00:01.123";

#[test]
fn the_first_push_is_a_snapshot_and_the_next_ones_say_what_differs() {
    let mut session = session();
    let first = push("HK.00700", TIME, "[320.2,1200,5,{\"17\":500}],[320.0,800,3]", "[320.4,500]");
    let rows = ["b 320.2 1200", "b 320.0 800", "a 320.4 500"].map(str::to_owned).to_vec();
    let time = Some("2024-01-05T02:00:01.123000Z".to_owned());
    assert_eq!(change(&said(&mut session, &first)), ("HK.00700".to_owned(), true, rows, time));
    let next = push("HK.00700", "2024-01-05 10:00:02", "[320.2,1100,5],[319.8,100,1]", "[320.4,500,1]");
    let (_, is_snapshot, rows, _) = change(&said(&mut session, &next));
    assert_eq!(
        (is_snapshot, rows),
        (false, vec!["b 320.2 1100".into(), "b 320.0 0".into(), "b 319.8 100".into()])
    );
    // Nothing but the time is new: that too is worth saying.
    let later = next.replace("10:00:02", "10:00:03");
    assert_eq!(change(&said(&mut session, &later)).2, Vec::<String>::new());
    assert_eq!(said(&mut session, &later).len(), 0);
    assert_eq!(session.counts().repeated, 1);
}

#[test]
fn the_protocols_own_json_is_read_too() {
    let line = r#"{"retType":0,"s2c":{"security":{"market":11,"code":"BRK.B"},"orderBookBidList":[{"price":400.01,"volume":"25","orederCount":1,"detailList":[{"orderID":"9","volume":"25"}]}],"orderBookAskList":[],"svrRecvTimeBid":"2024-01-05 09:30:00","svrRecvTimeBidTimestamp":1704465000.5}}"#;
    let (symbol, is_snapshot, rows, time) = change(&said(&mut session(), line));
    assert_eq!((symbol.as_str(), is_snapshot, rows), ("US.BRK.B", true, vec!["b 400.01 25".to_owned()]));
    assert_eq!(time.as_deref(), Some("2024-01-05T14:30:00.500000Z"));
}

#[test]
fn levels_that_only_fill_up_are_left_away_and_crossed_and_empty_books_are_books() {
    let mut session = session();
    let filled = push("HK.1", "", "[0,0,0],[10.5,0,0],[-1.0,5,0]", "[10.6,7,1],[0.0,9,1]");
    let (_, _, rows, time) = change(&said(&mut session, &filled));
    assert_eq!((rows, time), (vec!["a 10.6 7".to_owned()], None));
    let crossed = push("HK.1", "", "[10.7,1,1]", "[10.6,7,1]");
    assert_eq!(change(&said(&mut session, &crossed)).2, ["b 10.7 1"]);
    let empty = push("HK.1", "", "", "");
    assert_eq!(change(&said(&mut session, &empty)).2, ["b 10.7 0", "a 10.6 0"]);
    assert!(session.book("HK.1").is_some());
}

#[test]
fn a_push_that_is_older_than_the_last_one_is_dropped_and_one_without_a_time_is_not() {
    let mut session = session();
    said(&mut session, &push("HK.1", TIME, "[10,1]", ""));
    let older = push("HK.1", "2024-01-05 09:59:59", "[9,1]", "");
    assert_eq!(said(&mut session, &older).len(), 0);
    assert_eq!(session.counts().repeated, 1);
    assert_eq!(said(&mut session, &push("HK.1", "", "[9,1]", "")).len(), 1);
    assert_eq!(said(&mut session, &older).len(), 0, "and the last time that was known still counts");
    assert_eq!(said(&mut session, &push("HK.2", "2024-01-05 09:59:59", "[9,1]", "")).len(), 1);
}

#[test]
fn a_push_of_a_time_far_ahead_does_not_make_all_later_ones_old() {
    let mut session = session();
    let ahead = change(&said(&mut session, &push("HK.1", "2034-01-05 10:00:00", "[10,1]", "")));
    assert_eq!(ahead.3, None);
    let now = change(&said(&mut session, &push("HK.1", TIME, "[9,1]", "")));
    assert_eq!(now.3.as_deref().map(|time| &time[..4]), Some("2024"));
    // Clocks are never quite the same: HK is eight hours before UTC.
    let soon = change(&said(&mut session, &push("HK.1", "2024-01-06 08:17:00", "[8,1]", "")));
    assert!(soon.3.is_some());
}

#[test]
fn a_lost_connection_loses_the_books_until_they_are_pushed_again() {
    let mut session = session();
    let line = push("HK.1", TIME, "[10,1]", "");
    said(&mut session, &line);
    let mut events = Vec::new();
    session.on_closed("gone", Now::default(), &mut events);
    assert!(matches!(
        events[..],
        [Event::BookLost { why: Lost::Disconnected, .. }, Event::Disconnected { .. }]
    ));
    assert!(session.book("HK.1").is_none());
    let step = session.next(Now::default(), &mut events);
    assert!(matches!(step, Step::Connect { after, .. } if !after.is_zero()), "{step:?}");
    // The gateway sends what it remembers: as old as what we had, and right.
    assert!(change(&said(&mut session, &line)).1);
}

#[test]
fn what_is_no_push_is_counted_by_cause_and_never_a_panic() {
    let mut session = session();
    let long = format!("{{\"code\":\"{}\"}}", "x".repeat(LINE_BYTES));
    for stray in ["hello", "[1]", "{", "{}", "{\"a\":NaN}", "null"] {
        assert_eq!(said(&mut session, stray).len(), 0, "{stray}");
    }
    for malformed in [
        r#"{"code":"00700"}"#,
        r#"{"code":".00700"}"#,
        r#"{"code":"HK."}"#,
        r#"{"code":7}"#,
        r#"{"code":"HK.1","Bid":[[1]]}"#,
        r#"{"code":"HK.1","Bid":[["x",1]]}"#,
        r#"{"code":"HK.1","Bid":{}}"#,
        r#"{"retType":-1,"retMsg":"no quota"}"#,
        r#"{"s2c":{"security":{"market":99,"code":"1"}}}"#,
        &long,
    ] {
        assert_eq!(said(&mut session, malformed).len(), 0, "{malformed}");
    }
    said(&mut session, " \n");
    assert_eq!((session.counts().strays, session.counts().malformed, session.counts().messages), (6, 10, 16));
}

fn levels() -> impl Strategy<Value = String> {
    let level =
        (1_u32..40, 0_u32..5).prop_map(|(price, qty)| format!("[{}.{},{qty},1]", price / 4, price % 4));
    proptest::collection::vec(level, 0..14).prop_map(|levels| levels.join(","))
}

proptest! {
    #[test]
    fn the_changes_add_up_to_the_book_that_was_pushed_last(
        pushes in proptest::collection::vec((levels(), levels(), any::<bool>()), 1..20)
    ) {
        let mut session = session();
        let mut held = Book::new(1_000);
        for (bids, asks, is_cut) in pushes {
            if is_cut {
                session.on_closed("cut", Now::default(), &mut Vec::new());
            }
            for event in said(&mut session, &push("HK.1", "", &bids, &asks)) {
                let Event::Book(change) = event else { continue };
                if change.is_snapshot {
                    held.clear();
                }
                held.apply(&change.rows, &mut Vec::new());
            }
            let book = session.book("HK.1").unwrap();
            for side in [Side::Bid, Side::Ask] {
                prop_assert!(held.levels(side).eq(book.levels(side)));
                prop_assert!(book.levels(side).len() <= 10);
            }
        }
    }
}
