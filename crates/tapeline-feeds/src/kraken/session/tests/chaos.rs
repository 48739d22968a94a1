//! A line that loses, doubles, spoils and cuts at random, and a venue that has its moods: nothing panics, no book is shown
//! that never was, what is told makes the book that is shown, and once all behave every book is whole.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use serde_json::Value;

use super::talk::{SECOND, Talk, heartbeat, instruments, settings, status};
use super::venue::{Venue, words};
use crate::book::{Book, Row};
use crate::kraken::KrakenSettings;
use crate::random::Random;
use crate::venue::{Event, Session as _, Step};

const SYMBOLS: [&str; 2] = ["BTC/USD", "ETH/USD"];

#[derive(Clone, Copy, Debug)]
enum Deed {
    /// Something happens in a book.
    Trade(bool),
    /// The next message to the session is lost, said twice, or has another byte at this place.
    Lose,
    Double,
    Spoil(u16, u8),
    /// The next message of a book has a number that is none.
    Break,
    /// The connection breaks.
    Cut,
    /// It cannot be made.
    Refuse,
    /// Quarters of a second.
    Pass(u8),
    State(u8),
    Stray,
    Hurry,
}

/// What checksums find.
fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        30 => visible(),
        2 => Just(Deed::Lose),
        2 => any::<(u16, u8)>().prop_map(|(at, byte)| Deed::Spoil(at, byte)),
    ];
    prop::collection::vec(deed, 1..200)
}

/// What can be seen without: the checksum of a deep book is of its ten best levels only.
fn visible_deeds() -> impl Strategy<Value = Vec<Deed>> {
    prop::collection::vec(visible(), 1..200)
}

fn visible() -> impl Strategy<Value = Deed> {
    prop_oneof![
        20 => any::<bool>().prop_map(Deed::Trade),
        2 => Just(Deed::Break),
        2 => Just(Deed::Double),
        1 => Just(Deed::Cut),
        1 => Just(Deed::Refuse),
        4 => any::<u8>().prop_map(Deed::Pass),
        1 => any::<u8>().prop_map(Deed::State),
        1 => Just(Deed::Stray),
        1 => Just(Deed::Hurry),
    ]
}

struct Chaos {
    depth: usize,
    talk: Talk,
    venue: Venue,
    dice: Random,
    /// On its way to the session.
    line: VecDeque<String>,
    faults: VecDeque<Deed>,
    /// What somebody who hears the events makes of them.
    mirrors: BTreeMap<String, Book>,
    refuses: bool,
}

impl Chaos {
    fn new(depth: usize, seed: u64) -> Self {
        let mut dice = Random::new(seed);
        let venue = Venue::new(&SYMBOLS, depth, &mut dice);
        let settings = KrakenSettings { depth, ..settings(&["book"], &SYMBOLS) };
        Chaos {
            depth,
            talk: Talk::new(settings),
            venue,
            dice,
            line: VecDeque::new(),
            faults: VecDeque::new(),
            mirrors: BTreeMap::new(),
            refuses: false,
        }
    }

    fn send(&mut self, text: String) {
        match self.faults.pop_front() {
            Some(Deed::Lose) => {}
            Some(Deed::Double) => self.line.extend([text.clone(), text]),
            Some(Deed::Spoil(at, byte)) => {
                let mut bytes = text.into_bytes();
                let at = usize::from(at) % bytes.len();
                bytes[at] = byte % 128;
                self.line.push_back(String::from_utf8(bytes).unwrap());
            }
            Some(Deed::Break) => self.line.push_back(text.replace("\"qty\":", "\"qty\":\"\",\"was\":")),
            _ => self.line.push_back(text),
        }
    }

    fn cut(&mut self, why: &str) {
        self.line.clear();
        self.venue.hang_up();
        self.talk.close(why);
    }

    /// Does what the session wants, and lets it hear what is on its way, until both are at rest.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            match self.talk.session.next(self.talk.now, &mut self.talk.events) {
                Step::Connect { after, .. } => {
                    self.talk.move_by(after);
                    if std::mem::take(&mut self.refuses) {
                        self.talk.close("refused");
                    } else {
                        self.talk.session.on_open(self.talk.now);
                        self.send(status("online").to_string());
                    }
                }
                Step::Send(text) => {
                    let request: Value = serde_json::from_str(&text).unwrap();
                    self.venue.answer(&request).into_iter().for_each(|text| self.send(text));
                    if request["params"]["channel"] == "instrument" && request["method"] == "subscribe" {
                        self.send(instruments().to_string());
                    }
                }
                Step::Close { why } => self.cut(&why),
                Step::FetchToken { .. } => panic!("books need no token"),
                Step::Wait { .. } => match self.line.pop_front() {
                    Some(text) => self.talk.say(text),
                    None => return,
                },
            }
            self.check();
        }
        panic!("there is no end to it");
    }

    fn check(&mut self) {
        for event in self.talk.take_events() {
            match event {
                Event::Book(change) => {
                    let symbol = change.symbol.to_string();
                    let book = self.talk.session.book(&symbol).expect("what is told can be looked at");
                    let told = format!("{symbol} {}", words(book));
                    assert!(self.venue.past.contains(&told), "a book that never was: {told}");
                    let mirror = self.mirrors.entry(symbol.clone()).or_insert_with(|| Book::new(self.depth));
                    if change.is_snapshot {
                        mirror.clear();
                    }
                    apply(mirror, &change.rows);
                    assert_eq!(words(mirror), words(book), "the rows that are told make another book");
                }
                Event::BookLost { symbol, .. } => {
                    self.mirrors.remove(&*symbol);
                    assert!(self.talk.session.book(&symbol).is_none());
                }
                _ => {}
            }
        }
        for symbol in SYMBOLS {
            if let Some(book) = self.talk.session.book(symbol) {
                let shown = format!("{symbol} {}", words(book));
                assert!(self.venue.past.contains(&shown), "a book that never was: {shown}");
            }
        }
    }

    fn trade(&mut self, symbol: &'static str) {
        if let Some(text) = self.venue.trade(symbol, &mut self.dice) {
            self.send(text);
        }
    }

    fn live(&mut self, deed: Deed) {
        match deed {
            Deed::Trade(first) => self.trade(SYMBOLS[usize::from(first)]),
            Deed::Lose | Deed::Double | Deed::Break | Deed::Spoil(..) => self.faults.push_back(deed),
            Deed::Cut => self.cut("cut"),
            Deed::Refuse => self.refuses = true,
            Deed::Pass(quarters) => self.talk.move_by(SECOND / 4 * u32::from(quarters)),
            Deed::State(which) => {
                let words = ["online", "maintenance", "cancel_only", "post_only", "dreaming"];
                self.send(status(words[usize::from(which) % words.len()]).to_string());
            }
            Deed::Stray => self.send("CloudFlare WebSocket proxy restarting".to_string()),
            Deed::Hurry => self.send(r#"{"Error":"Exceeded msg rate"}"#.to_string()),
        }
        self.settle();
    }

    /// Everybody behaves for some minutes.
    fn behave(&mut self) {
        self.faults.clear();
        self.refuses = false;
        self.settle();
        self.send(status("online").to_string());
        for _ in 0..200 {
            self.send(heartbeat().to_string());
            SYMBOLS.into_iter().for_each(|symbol| self.trade(symbol));
            self.settle();
            self.talk.move_by(SECOND);
        }
        self.settle();
    }
}

/// Lives through it, and what is left in the end.
fn live(depth: usize, seed: u64, deeds: Vec<Deed>) -> Result<(), TestCaseError> {
    let mut chaos = Chaos::new(depth, seed);
    chaos.settle();
    for deed in deeds {
        chaos.live(deed);
    }
    chaos.behave();
    for symbol in SYMBOLS {
        let book = chaos.talk.session.book(symbol).expect("every book is whole in the end");
        prop_assert_eq!(words(book), chaos.venue.words(symbol));
    }
    Ok(())
}

fn apply(mirror: &mut Book, rows: &[Row]) {
    mirror.apply(rows, &mut Vec::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_line_does_no_false_book_is_shown_and_all_are_whole_in_the_end(seed: u64, deeds in deeds()) {
        live(10, seed, deeds)?;
    }

    #[test]
    fn so_it_is_with_deep_books_whatever_can_be_seen_without_their_checksum(seed: u64, deeds in visible_deeds()) {
        live(25, seed, deeds)?;
    }
}
