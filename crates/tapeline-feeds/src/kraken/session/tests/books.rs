//! Books: shown only while they are whole, fetched anew when they are not.

use std::time::Duration;

use serde_json::Value;

use super::talk::{SECOND, Talk, instruments, settings, status};
use super::venue::{Venue, words};
use crate::kraken::Patience;
use crate::random::Random;
use crate::venue::{Event, Lost, Session as _, Step};

const BTC: &str = "BTC/USD";

struct Trading {
    talk: Talk,
    venue: Venue,
    dice: Random,
}

impl Trading {
    /// One book, whole.
    fn new() -> Self {
        Self::of_depth(10)
    }

    fn of_depth(depth: usize) -> Self {
        let mut dice = Random::new(3);
        let mut settings = settings(&["book"], &[BTC]);
        settings.depth = depth;
        settings.patience = Patience { silence: Vec::new(), ..settings.patience };
        let mut trading =
            Trading { talk: Talk::new(settings), venue: Venue::new(&[BTC], depth, &mut dice), dice };
        trading.connect();
        trading.talk.take_events();
        trading
    }

    fn connect(&mut self) {
        self.talk.connect();
        self.talk.say(status("online"));
        self.answer();
        self.talk.say(instruments());
        self.answer();
        assert_eq!(words(self.talk.session.book(BTC).unwrap()), self.venue.words(BTC));
    }

    /// The venue answers what it is asked now; what that was.
    fn answer(&mut self) -> Vec<Value> {
        let requests = self.talk.sent();
        for request in &requests {
            self.venue.answer(request).into_iter().for_each(|text| self.talk.say(text));
        }
        requests
    }

    /// The next message of the book.
    fn trade(&mut self) -> String {
        loop {
            if let Some(text) = self.venue.trade(BTC, &mut self.dice) {
                return text;
            }
        }
    }

    fn methods(requests: &[Value]) -> Vec<&str> {
        requests.iter().map(|request| request["method"].as_str().unwrap()).collect()
    }
}

#[test]
fn every_book_that_is_told_is_the_venues_and_its_rows_make_it_out_of_the_one_before() {
    let mut trading = Trading::new();
    for _ in 0..500 {
        let text = trading.trade();
        trading.talk.say(text);
        let events = trading.talk.take_events();
        let [Event::Book(change)] = &events[..] else { panic!("{events:?}") };
        assert!(!change.is_snapshot && change.timestamp.is_some());
        assert_eq!(words(trading.talk.session.book(BTC).unwrap()), trading.venue.words(BTC));
    }
    assert_eq!(trading.talk.session.counts().checksum_failures, 0);
}

#[test]
fn after_a_lost_message_the_book_is_told_lost_subscribed_anew_and_told_whole_again() {
    let mut trading = Trading::new();
    trading.trade();
    let next = trading.trade();
    trading.talk.say(next);
    assert!(trading.talk.session.book(BTC).is_none());
    let events = trading.talk.take_events();
    assert!(matches!(&events[..], [Event::BookLost { why: Lost::Checksum { .. }, .. }]), "{events:?}");
    let late = trading.trade();
    trading.talk.say(late);
    assert_eq!((trading.talk.session.counts().ignored, trading.talk.events.len()), (1, 0));
    let end = trading.answer();
    assert_eq!(Trading::methods(&end), ["unsubscribe"]);
    assert_eq!(end[0]["params"]["depth"], 10);
    assert_eq!(Trading::methods(&trading.answer()), ["subscribe"]);
    let events = trading.talk.take_events();
    assert!(matches!(&events[..], [Event::Book(change)] if change.is_snapshot), "{events:?}");
    assert_eq!(words(trading.talk.session.book(BTC).unwrap()), trading.venue.words(BTC));
    let counts = trading.talk.session.counts();
    assert_eq!((counts.checksum_failures, counts.resyncs), (1, 1));
}

#[test]
fn a_book_of_which_a_message_cannot_be_read_is_fetched_anew_though_every_checksum_holds() {
    type Spoil = fn(&str) -> String;
    let spoils: [Spoil; 3] = [
        |text| text.replace("\"checksum\":", "\"checksum\":-"),
        |text| text[..text.len() / 2].to_string(),
        |text| text.replace("BTC/USD", "BTC_USD").replace("\"qty\":", "\"quantity\":"),
    ];
    for spoil in spoils {
        let mut trading = Trading::of_depth(25);
        let text = spoil(&trading.trade());
        trading.talk.say(text);
        assert!(trading.talk.session.book(BTC).is_none());
        let events = trading.talk.take_events();
        assert!(matches!(&events[..], [Event::BookLost { why: Lost::Malformed, .. }]), "{events:?}");
        assert_eq!(Trading::methods(&trading.answer()), ["unsubscribe"]);
        assert_eq!(Trading::methods(&trading.answer()), ["subscribe"]);
        assert_eq!(words(trading.talk.session.book(BTC).unwrap()), trading.venue.words(BTC));
        assert_eq!(trading.talk.session.counts().malformed, 1);
    }
}

#[test]
fn a_snapshot_that_was_not_asked_for_is_ignored() {
    let mut trading = Trading::new();
    let text = wrong(&trading.trade());
    trading.talk.say(text);
    trading.talk.take_events();
    // To be ended, on its way out, and wanted again.
    let request = serde_json::json!({"method": "subscribe", "params": {"channel": "book", "symbol": [BTC]}});
    let snapshot = trading.venue.answer(&request).remove(1);
    trading.talk.say(&snapshot);
    let end = trading.talk.sent().remove(0);
    assert_eq!(end["method"], "unsubscribe");
    trading.talk.say(&snapshot);
    trading.venue.answer(&end).into_iter().for_each(|text| trading.talk.say(text));
    trading.talk.say(&snapshot);
    assert_eq!((trading.talk.session.counts().ignored, trading.talk.events.len()), (3, 0));
    assert!(trading.talk.session.book(BTC).is_none());
    assert_eq!(Trading::methods(&trading.answer()), ["subscribe"]);
    assert!(trading.talk.session.book(BTC).is_some());
}

#[test]
fn a_message_with_more_rows_than_such_a_book_can_have_is_malformed() {
    let mut trading = Trading::new();
    let text = trading.trade();
    let rows = (0..1_100).map(|row| format!(r#"{{"price":{row}.5,"qty":0}}"#)).collect::<Vec<_>>().join(",");
    trading.talk.say(text.replace(r#""asks":["#, &format!(r#""asks":[{rows},"#)).replace(",]", "]"));
    let events = trading.talk.take_events();
    assert!(matches!(&events[..], [Event::BookLost { why: Lost::Malformed, .. }]), "{events:?}");
    assert_eq!(trading.talk.session.counts().malformed, 1);
}

#[test]
fn a_doubled_message_does_no_harm() {
    let mut trading = Trading::new();
    for _ in 0..100 {
        let text = trading.trade();
        trading.talk.say(&text);
        trading.talk.say(&text);
    }
    assert_eq!(words(trading.talk.session.book(BTC).unwrap()), trading.venue.words(BTC));
}

/// A message of this book whose checksum is another.
fn wrong(text: &str) -> String {
    let at = text.find("\"checksum\":").unwrap();
    let after = text[at + 11..].find(',').unwrap() + at + 11;
    format!("{}\"checksum\":1{}", &text[..at], &text[after..])
}

#[test]
fn a_book_that_fails_again_and_again_is_fetched_ever_later() {
    let mut trading = Trading::new();
    let text = wrong(&trading.trade());
    trading.talk.say(text);
    let (mut waits, mut since_us) = (Vec::new(), trading.talk.now.mono_us);
    while waits.len() < 8 {
        for request in trading.talk.sent() {
            let is_book = request["method"] == "subscribe";
            let said = trading.venue.answer(&request);
            if is_book {
                waits.push((trading.talk.now.mono_us - since_us) / 1_000_000);
                since_us = trading.talk.now.mono_us;
            }
            said.iter().for_each(|text| {
                trading.talk.say(if text.contains("snapshot\",\"data") { wrong(text) } else { text.clone() });
            });
        }
        trading.talk.say(super::talk::heartbeat());
        trading.talk.move_by(SECOND / 4);
    }
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60]);
    assert_eq!(trading.talk.session.counts().checksum_failures, 9);
}

#[test]
fn a_snapshot_that_does_not_come_is_asked_for_again() {
    let mut trading = Trading::new();
    trading.talk.close("cut");
    trading.venue.hang_up();
    trading.talk.take_events();
    trading.talk.connect();
    trading.talk.say(status("online"));
    trading.answer();
    trading.talk.say(instruments());
    let requests = trading.talk.sent();
    let ack = trading.venue.answer(&requests[0]).remove(0);
    trading.talk.say(ack);
    for _ in 0..10 {
        assert_eq!(trading.talk.steps(), []);
        trading.talk.move_by(SECOND);
        trading.talk.say(super::talk::heartbeat());
    }
    assert_eq!(Trading::methods(&trading.answer()), ["unsubscribe"]);
    trading.talk.move_by(2 * SECOND);
    trading.answer();
    assert!(trading.talk.session.book(BTC).is_some());
}

#[test]
fn with_the_connection_every_book_is_lost_and_the_next_one_begins_with_a_snapshot() {
    let mut trading = Trading::new();
    trading.talk.close("cut");
    let events = trading.talk.take_events();
    let lost = Event::BookLost { symbol: BTC.into(), why: Lost::Disconnected };
    assert_eq!(format!("{:?}", events[0]), format!("{lost:?}"));
    assert!(matches!(events[1], Event::Disconnected { .. }));
    assert!(trading.talk.session.book(BTC).is_none());
    // What was still under way is not looked at.
    let old = trading.trade();
    trading.talk.say(old);
    assert_eq!((trading.talk.events.len(), trading.talk.session.counts().late), (0, 1));
    trading.venue.hang_up();
    trading.connect();
    let whole = trading.talk.take_events();
    assert!(whole.iter().any(|event| matches!(event, Event::Book(change) if change.is_snapshot)));
}

#[test]
fn a_book_waits_for_precisions_but_not_for_ever() {
    let mut talk = Talk::greeted(settings(&["book"], &[BTC]));
    assert_eq!(talk.accept().len(), 1);
    let mut waited = Duration::ZERO;
    loop {
        let sent = talk.accept();
        if sent.iter().any(|request| request["params"]["channel"] == "book") {
            break;
        }
        assert!(waited < 12 * SECOND, "it waits for ever");
        talk.move_by(SECOND);
        waited += SECOND;
        talk.say(super::talk::heartbeat());
    }
    assert!(waited >= 5 * SECOND);
}

#[test]
fn after_maintenance_books_are_fetched_anew_on_the_same_connection() {
    let mut trading = Trading::new();
    trading.talk.say(status("maintenance"));
    assert_eq!(trading.answer(), Vec::<Value>::new());
    trading.talk.say(status("online"));
    let events = trading.talk.take_events();
    assert!(
        events.iter().any(|event| matches!(event, Event::BookLost { why: Lost::Maintenance, .. })),
        "{events:?}"
    );
    assert_eq!(Trading::methods(&trading.answer()), ["unsubscribe", "unsubscribe"]);
    assert_eq!(Trading::methods(&trading.answer()), ["subscribe", "subscribe"]);
    assert_eq!(words(trading.talk.session.book(BTC).unwrap()), trading.venue.words(BTC));
    assert_eq!(trading.talk.session.counts().disconnects, 0);
}

#[test]
fn the_steps_of_a_session_show_no_token() {
    let step =
        Step::Send(r#"{"method":"subscribe","params":{"channel":"balances","token":"s3cret"}}"#.to_string());
    assert!(!format!("{step:?}").contains("s3cret"));
}
