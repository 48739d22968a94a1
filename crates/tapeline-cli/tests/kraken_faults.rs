//! Books through a hub while the exchange breaks: a stand-in for Kraken loses, doubles and spoils messages, cuts
//! connections, falls silent, refuses. Whatever a client holds is always a book that there was, its checksum holds, and it
//! is the newest again by itself: for a client that reads fast, one that asked for few messages, and one that does not read
//! for a while.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::Duration;

use support::venue::{Desk, Looked, PAIRS, fed, market};
use support::{Hub, eventually};
use tapeline_faults::kraken::{Fault, Kraken, Pace};

/// Outboxes are small, so that who does not read falls behind soon.
const CONFIG: &str = "[limits]\noutbox_bytes = 65536\noutbox_messages = 64\n";

/// A count of what the feed met.
fn met(hub: &Hub, what: &str) -> u64 {
    hub.stats()["feeds"]["feed:kraken"]["venue"][what].as_u64().unwrap_or_default()
}

/// Each fault once with each pair, a whole book after each.
fn spoil(desk: &Desk<'_>, faults: &[Fault]) {
    desk.go_on("the begin");
    for (fault, symbol) in faults.iter().zip(PAIRS.iter().cycle()) {
        desk.kraken.spoil("book", Some(symbol), *fault, 1);
        assert!(eventually(|| desk.kraken.is_sound()), "nothing was spoiled by {fault:?}");
        desk.go_on(&format!("{fault:?} of {symbol}"));
    }
}

#[test]
fn a_book_survives_lost_doubled_and_spoiled_messages_and_clients_are_told() {
    let kraken = market(40);
    let hub = fed(&kraken, 10, CONFIG);
    let told = Desk::hold_through(&kraken, &hub, 10, Looked::Whole, |desk| {
        spoil(desk, &[Fault::Lost, Fault::WrongChecksum, Fault::Doubled, Fault::Halved, Fault::WrongRow]);
        desk.kraken.say("CloudFlare WebSocket proxy restarting");
        desk.kraken.say(r#"{"channel":"weather","type":"update","data":[{"rain":true}]}"#);
        desk.go_on("stray text");
    });
    assert_eq!(Vec::from_iter(told), PAIRS.map(|symbol| format!("orderbook_rows:{symbol}")));
    assert!(met(&hub, "checksum_failures") >= 3, "{}", hub.stats()["feeds"]);
    // And the one that breaks off, which is not read as far as its checksum.
    assert!(met(&hub, "resyncs") >= 4, "{}", hub.stats()["feeds"]);
    assert!(met(&hub, "strays") >= 2, "{}", hub.stats()["feeds"]);
    assert_eq!(met(&hub, "disconnects"), 0);
}

#[test]
fn a_deep_book_survives_what_its_checksum_can_tell_and_its_rows_come_whole() {
    let kraken = market(1_100);
    let hub = fed(&kraken, 1_000, CONFIG);
    Desk::hold_through(&kraken, &hub, 1_000, Looked::Whole, |desk| {
        spoil(desk, &[Fault::WrongChecksum, Fault::Doubled, Fault::WrongRow]);
        desk.kraken.cut();
        desk.go_on("a cut");
    });
    assert!(met(&hub, "checksum_failures") >= 2);
}

#[test]
fn of_a_deep_book_the_best_ten_survive_a_lost_message() {
    let kraken = market(1_100);
    let hub = fed(&kraken, 1_000, CONFIG);
    Desk::hold_through(&kraken, &hub, 1_000, Looked::TopTen, |desk| {
        spoil(desk, &[Fault::Lost, Fault::Halved, Fault::Lost]);
    });
}

#[test]
fn a_book_survives_lost_connections_and_an_exchange_that_is_away_for_a_while() {
    let kraken = market(40);
    let hub = fed(&kraken, 10, CONFIG);
    Desk::hold_through(&kraken, &hub, 10, Looked::Whole, |desk| {
        desk.go_on("the begin");
        desk.kraken.cut();
        desk.go_on("a cut");
        desk.kraken.refuse_connections(1);
        desk.kraken.close(1_012);
        desk.go_on("a close and a refused connection");
        desk.kraken.stop();
        assert!(eventually(|| met(desk.hub, "connected") == 0));
        desk.kraken.open();
        desk.go_on("a restart");
    });
    assert!(met(&hub, "disconnects") >= 3, "{}", hub.stats()["feeds"]);
    assert_eq!(met(&hub, "checksum_failures"), 0);
}

#[test]
fn a_book_survives_a_connection_that_says_nothing_any_more() {
    let kraken = market(40);
    let hub = fed(&kraken, 10, CONFIG);
    Desk::hold_through(&kraken, &hub, 10, Looked::Whole, |desk| {
        desk.go_on("the begin");
        desk.kraken.freeze();
        desk.go_on("a connection that is dead and open");
    });
    assert_eq!(met(&hub, "checksum_failures"), 0);
}

#[test]
fn a_book_survives_maintenance_and_a_quiet_market_is_no_fault() {
    let kraken = market(40);
    let hub = fed(&kraken, 10, CONFIG);
    Desk::hold_through(&kraken, &hub, 10, Looked::Whole, |desk| {
        desk.go_on("the begin");
        desk.kraken.be("maintenance");
        desk.kraken.be("online");
        desk.go_on("maintenance");
        let heard = met(desk.hub, "messages");
        desk.kraken.pace(Pace::Still);
        assert!(eventually(|| met(desk.hub, "messages") > heard + 2), "heartbeats are heard");
        desk.kraken.pace(Pace::PerSecond(150.0));
        desk.go_on("a quiet market");
    });
    assert_eq!(met(&hub, "disconnects"), 0, "{}", hub.log());
}

#[test]
fn a_book_comes_although_the_exchange_answers_late_or_not_at_first() {
    let kraken = market(40);
    kraken.answer_after(Duration::from_millis(300));
    kraken.exceed_rate(1);
    kraken.refuse_subscriptions("book", "EService:Busy", 1);
    let hub = fed(&kraken, 10, CONFIG);
    Desk::hold_through(&kraken, &hub, 10, Looked::Whole, |desk| desk.go_on("late answers"));
    assert_batched(&kraken);
}

/// All pairs of a channel are asked for at once, the instruments before the books, and no number comes twice.
fn assert_batched(kraken: &Kraken) {
    let requests = kraken.requests();
    let channel = |at: usize| requests[at].json["params"]["channel"].as_str().unwrap_or_default().to_string();
    let first = |wanted: &str| (0..requests.len()).find(|at| channel(*at) == wanted);
    assert!(first("instrument") < first("book"), "{requests:?}");
    let book = first("book").expect("books are asked for");
    assert_eq!(requests[book].json["params"]["symbol"].as_array().map(Vec::len), Some(PAIRS.len()));
    let mut ids: Vec<u64> = requests.iter().filter_map(|request| request.json["req_id"].as_u64()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), count), (count, requests.len()), "{requests:?}");
}
