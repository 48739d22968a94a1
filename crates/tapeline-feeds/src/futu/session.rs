//! The state machine of a connection to the process that writes pushes: whole books in, changes out. The newest push of
//! an instrument wins; one that is older than the last, as the gateway sends from its memory after a reconnect, is
//! dropped. It does not do I/O, and nothing is ever said to the other side.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_core::Now;
use tapeline_core::backoff::Backoff;
use tapeline_core::clock::rfc3339;

use super::LINE_BYTES;
use super::difference::difference;
use super::push::{NoPush, Push};
use crate::book::Book;
use crate::venue::{BookChange, Counts, Event, Lost, Session, Step};

/// Instruments at most; the vendor lets nobody subscribe to more than 2,000.
const SYMBOLS_LIMIT: usize = 10_000;
/// The first wait before connecting again is at most so long.
const BACKOFF: Duration = Duration::from_secs(1);
/// A push may be of a time so far ahead of our clock; one further ahead has no time that could be believed.
const AHEAD_US: u64 = 300_000_000;
/// No wait is longer.
const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// What can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FutuSettings {
    /// Where lines come from: `-` for standard input, or `tcp://HOST:PORT`.
    pub url: String,
    /// Levels that are kept a side. The vendor sends 10 or 40.
    pub depth: usize,
}

impl Default for FutuSettings {
    fn default() -> Self {
        FutuSettings { url: "-".to_owned(), depth: 40 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// To be made, not at once where one was lost.
    Wanted,
    Opening,
    /// It stands, which was not told yet.
    Opened,
    Open,
}

#[derive(Debug)]
struct Held {
    symbol: Arc<str>,
    book: Book,
    /// Whether what was published of it is what it is.
    is_whole: bool,
    time_us: Option<u64>,
}

/// See the module.
pub struct Futu {
    settings: FutuSettings,
    link: Link,
    backoff: Backoff,
    random: Box<dyn FnMut() -> f64 + Send>,
    had_link: bool,
    held: HashMap<Arc<str>, Held, FixedState>,
    counts: Counts,
}

impl Futu {
    /// A session with these settings. `random` gives fractions in `0.0..=1.0`, for waits.
    pub fn new(settings: FutuSettings, random: impl FnMut() -> f64 + Send + 'static) -> Self {
        Futu {
            settings,
            link: Link::Wanted,
            backoff: Backoff::new(BACKOFF, BACKOFF_CAP),
            random: Box::new(random),
            had_link: false,
            held: HashMap::default(),
            counts: Counts::default(),
        }
    }

    fn connect(&mut self) -> Step {
        let is_again = std::mem::replace(&mut self.had_link, true);
        let after = if is_again { self.backoff.next((self.random)()) } else { Duration::ZERO };
        self.link = Link::Opening;
        Step::Connect { url: self.settings.url.clone(), after }
    }

    fn take(&mut self, push: Push, now: Now, events: &mut Vec<Event>) {
        let Some(held) = held(&mut self.held, &push.symbol, self.settings.depth) else {
            self.counts.ignored += 1;
            return;
        };
        let latest_us = now.wall_us.saturating_add(AHEAD_US);
        let time_us = push.time_us.filter(|time_us| *time_us <= latest_us);
        let is_older = held.time_us.zip(time_us).is_some_and(|(last, this)| this < last);
        let (mut book, mut rows) = (Book::new(held.book.depth()), push.rows);
        book.replace(&mut rows);
        let is_snapshot = !held.is_whole;
        if !is_snapshot {
            rows = difference(&held.book, &book);
        }
        let is_same = !is_snapshot && rows.is_empty() && held.time_us == time_us;
        if is_older || is_same {
            self.counts.repeated += 1;
            return;
        }
        held.book = book;
        held.is_whole = true;
        held.time_us = time_us.or(held.time_us);
        events.push(Event::Book(BookChange {
            symbol: held.symbol.clone(),
            is_snapshot,
            rows,
            checksum: None,
            timestamp: time_us.map(|time_us| rfc3339(time_us).into()),
            received: now,
        }));
    }
}

/// What is held of an instrument; of too many, nothing.
fn held<'a>(
    all: &'a mut HashMap<Arc<str>, Held, FixedState>,
    symbol: &str,
    depth: usize,
) -> Option<&'a mut Held> {
    if !all.contains_key(symbol) {
        if all.len() >= SYMBOLS_LIMIT {
            return None;
        }
        let symbol: Arc<str> = symbol.into();
        let book = Book::new(depth);
        all.insert(symbol.clone(), Held { symbol, book, is_whole: false, time_us: None });
    }
    all.get_mut(symbol)
}

impl Session for Futu {
    fn next(&mut self, _: Now, events: &mut Vec<Event>) -> Step {
        match self.link {
            Link::Wanted => return self.connect(),
            Link::Opened => {
                self.link = Link::Open;
                events.push(Event::Connected);
            }
            Link::Opening | Link::Open => {}
        }
        Step::Wait { until_us: u64::MAX }
    }

    fn on_open(&mut self, _: Now) {
        self.link = Link::Opened;
        self.counts.connections += 1;
    }

    fn on_text(&mut self, text: &str, now: Now, events: &mut Vec<Event>) {
        if text.trim().is_empty() {
            return;
        }
        self.counts.messages += 1;
        if text.len() > LINE_BYTES {
            self.counts.malformed += 1;
            return;
        }
        match Push::parse(text) {
            Ok(push) => {
                // Only a gateway that sends books is one that works.
                self.backoff.reset();
                self.take(push, now, events);
            }
            Err(NoPush::Stray) => self.counts.strays += 1,
            Err(NoPush::Malformed) => self.counts.malformed += 1,
        }
    }

    fn on_closed(&mut self, why: &str, _: Now, events: &mut Vec<Event>) {
        self.link = Link::Wanted;
        self.counts.disconnects += 1;
        for held in self.held.values_mut().filter(|held| held.is_whole) {
            held.is_whole = false;
            events.push(Event::BookLost { symbol: held.symbol.clone(), why: Lost::Disconnected });
        }
        events.push(Event::Disconnected { why: why.into() });
    }

    fn on_token(&mut self, _: Result<String, String>, _: Now) {}

    fn book(&self, symbol: &str) -> Option<&Book> {
        self.held.get(symbol).filter(|held| held.is_whole).map(|held| &held.book)
    }

    fn counts(&self) -> &Counts {
        &self.counts
    }
}
