//! The map by example: a venue that says what it is told to, an audience that hears what it is told to.

mod accounts;
mod books;
mod config;
mod market;
mod publisher;
mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tapeline_core::broker::Drafts;
use tapeline_core::feed::UpdateKind;
use tapeline_core::{Draft, Grant, Refusal};

use super::*;
use crate::book::{Book, Decimal, Row, Side};
use crate::intake::fake;
use crate::venue::{BookChange, Counts, Lost, Step};

/// A session that holds the books it is given.
#[derive(Default)]
struct Venue {
    books: BTreeMap<String, Book>,
    counts: Counts,
}

impl Session for Venue {
    fn next(&mut self, _: Now, _: &mut Vec<Event>) -> Step {
        Step::Wait { until_us: u64::MAX }
    }
    fn on_open(&mut self, _: Now) {}
    fn on_text(&mut self, _: &str, _: Now, _: &mut Vec<Event>) {}
    fn on_closed(&mut self, _: &str, _: Now, _: &mut Vec<Event>) {}
    fn on_token(&mut self, _: Result<String, String>, _: Now) {}
    fn book(&self, symbol: &str) -> Option<&Book> {
        self.books.get(symbol)
    }
    fn counts(&self) -> &Counts {
        &self.counts
    }
}

/// Who hears what, and what was said to be lost.
#[derive(Default)]
struct Ears {
    heard: Mutex<BTreeSet<String>>,
    lost: Mutex<Vec<String>>,
}

impl Ears {
    fn hear(&self, channel: &str) {
        self.heard.lock().unwrap().insert(channel.to_owned());
    }

    fn leave(&self, channel: &str) {
        self.heard.lock().unwrap().remove(channel);
    }
}

impl Outside for Ears {
    fn is_heard(&self, channel: &str) -> bool {
        self.heard.lock().unwrap().contains(channel)
    }

    fn on_book_lost(&self, channel: &str) {
        self.lost.lock().unwrap().push(channel.to_owned());
    }
}

/// A map with what is around it.
struct Desk {
    map: Map,
    venue: Venue,
    ears: Ears,
    due: Vec<Publication>,
}

impl Desk {
    fn new() -> Self {
        Self::with(MapConfig::default())
    }

    fn with(config: MapConfig) -> Self {
        let map = Map::new("kraken", &config).unwrap();
        Desk { map, venue: Venue::default(), ears: Ears::default(), due: Vec::new() }
    }

    fn take(&mut self, events: &[Event]) -> Vec<Untold> {
        self.map.take(events, &self.venue, &self.ears, &mut self.due)
    }

    /// What is published of these events.
    fn said(&mut self, events: &[Event]) -> Vec<(String, String)> {
        assert_eq!(self.take(events), []);
        self.due.drain(..).map(told).collect()
    }

    fn tick(&mut self, mono_ms: u64) -> Vec<(String, String)> {
        let now = Now { mono_us: mono_ms * 1_000, wall_us: 0 };
        self.map.tick(now, &self.venue, &self.ears, &mut self.due);
        self.due.drain(..).map(told).collect()
    }

    /// Applies rows to the venue's book and answers the event that tells it.
    fn change(&mut self, symbol: &str, is_snapshot: bool, rows: &[Row]) -> Event {
        let book = self.venue.books.entry(symbol.to_owned()).or_insert_with(|| Book::new(10));
        let mut rows = rows.to_vec();
        if is_snapshot {
            book.replace(&mut rows);
        } else {
            book.apply_in_place(&mut rows);
        }
        Event::Book(BookChange {
            symbol: symbol.into(),
            is_snapshot,
            rows,
            checksum: Some(7),
            timestamp: Some("2024-05-19T16:45:24.204654Z".into()),
            received: Now::default(),
        })
    }
}

fn told(publication: Publication) -> (String, String) {
    let data = String::from_utf8(publication.data.to_vec()).unwrap();
    (publication.channel.into(), data)
}

fn said(channel: &str, data: &str) -> (String, String) {
    (channel.to_owned(), data.to_owned())
}

fn row(side: Side, price: &str, qty: &str) -> Row {
    Row { side, price: Decimal::parse(price).unwrap(), qty: Decimal::parse(qty).unwrap() }
}

fn update(channel: VenueChannel, symbol: Option<&str>, data: &str) -> Update {
    Update {
        source: "kraken".into(),
        channel,
        kind: UpdateKind::Change,
        symbol: symbol.map(Into::into),
        data: data.to_owned().into(),
        id: None,
        sequence: None,
        venue_us: None,
        received: Now::default(),
    }
}

fn event(channel: VenueChannel, symbol: &str, data: &str) -> Event {
    Event::Update(update(channel, Some(symbol), data))
}

/// What the hub makes of a publication.
fn drafted(publication: Publication) -> Result<Draft, Refusal> {
    let (hub, _) = fake::hub();
    let channel = publication.channel.clone();
    let borrowed = Publication {
        channel: &*channel,
        kind: publication.kind,
        data: publication.data,
        correlation_id: None,
        idempotency_key: publication.idempotency_key,
        owner: publication.owner,
        from_plain_name: false,
        raw: false,
    };
    hub.drafter(&Arc::from("feed:kraken"), &Grant::Anyone, hub.now()).draft(borrowed, None)
}

/// Every publication must be of a family, and as the family demands.
fn all_drafted(due: &mut Vec<Publication>) -> Drafts {
    due.drain(..)
        .map(|publication| {
            let name = publication.channel.clone();
            let draft = drafted(publication).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
            assert!(draft.channel.declared(), "{name}");
            draft
        })
        .collect()
}
