//! Books: the rows that differ go out as they come; the best levels only while somebody hears them. It remembers of each
//! book what the hub's table has: where that may lack rows, nothing more is added to it until the whole book replaced
//! it. It keeps no levels; those are the session's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use tapeline_core::Now;
use tapeline_core::clock::rfc3339;
use tapeline_core::command::Publication;
use tapeline_core::feed::VenueChannel;

use super::config::Plan;
use super::outside::Outside;
use super::table::Making;
use super::template::Filling;
use super::untold::Untold;
use super::write::{Object, push_levels, push_list, push_row};
use super::{MapCounts, price::SYMBOLS_LIMIT};
use crate::book::{Book, Row, Side};
use crate::venue::{BookChange, Lost, Session};

/// How long it is believed whether anybody hears the best levels.
const HEARD_FOR: Duration = Duration::from_millis(100);
/// A table that may lack rows is replaced so much later: what made the hub busy may last.
const OWED_FOR: Duration = Duration::from_secs(1);

/// What the hub's table of rows is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    /// This feed has published nothing to it.
    Untouched,
    /// The book as it is.
    Right,
    /// An old book: the session fetches a new one.
    Lost,
    /// Possibly no book: rows did not arrive. It is replaced at this monotonic time or later.
    Owed { from_us: u64 },
}

/// What goes out of a book, and where.
#[derive(Debug)]
struct Shown {
    name: Box<str>,
    rows: Option<Box<str>>,
    levels: Option<Box<str>>,
    table: Table,
    is_heard: bool,
    last: Last,
}

/// What belongs to the newest state of a book.
#[derive(Clone, Debug, Default)]
struct Last {
    checksum: Option<u32>,
    timestamp: Option<Box<str>>,
    received: Now,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Books {
    shown: HashMap<Arc<str>, Shown, FixedState>,
    asked_us: Option<u64>,
}

impl Books {
    pub(super) fn on_change(&mut self, change: &BookChange, around: &mut Around<'_>) -> Result<(), Untold> {
        let shown = self.shown(&change.symbol, around)?;
        shown.last = Last {
            checksum: change.checksum,
            timestamp: change.timestamp.clone(),
            received: change.received,
        };
        let book = around.session.book(&change.symbol);
        shown.tell_rows(change, book, around);
        if shown.is_heard
            && let Some(book) = book
        {
            shown.tell_levels(book, around);
        }
        Ok(())
    }

    /// The book is fetched anew; told once until it is there.
    pub(super) fn on_lost(&mut self, symbol: &str, why: &Lost, around: &mut Around<'_>) {
        let Some(shown) = self.shown.get_mut(symbol) else { return };
        if matches!(shown.table, Table::Untouched | Table::Lost) {
            return;
        }
        shown.table = Table::Lost;
        for channel in shown.rows.iter().chain(&shown.levels) {
            around.outside.on_book_lost(channel);
        }
        if let Some(channel) = &shown.rows {
            let meta = Object::with_capacity(64).json("resync", "true").text("reason", reason(why)).end();
            around.publish(channel, rows_data(&[], &meta, Extent::Changes));
        }
    }

    /// A message to this channel did not arrive at the hub: from now on its table may be no book.
    pub(super) fn on_unpublished(&mut self, channel: &str, now: Now) {
        let is_it = |shown: &&mut Shown| shown.rows.as_deref() == Some(channel);
        for shown in self.shown.values_mut().filter(is_it) {
            if shown.table == Table::Right {
                shown.table = Table::Owed { from_us: now.after(OWED_FOR) };
            }
        }
    }

    /// Asks anew who hears, and replaces tables that are owed. Cheap where it is too early for that.
    pub(super) fn tick(&mut self, now: Now, around: &mut Around<'_>) {
        let is_early = |asked_us| now.since(asked_us) < HEARD_FOR;
        if self.asked_us.is_some_and(is_early) {
            return;
        }
        self.asked_us = Some(now.mono_us);
        for (symbol, shown) in &mut self.shown {
            let is_heard = shown.ask(around.outside);
            let was_heard = std::mem::replace(&mut shown.is_heard, is_heard);
            let Some(book) = around.session.book(symbol) else { continue };
            if shown.is_heard && !was_heard {
                shown.tell_levels(book, around);
            }
            if shown.is_owed(now) {
                shown.tell_whole(book, around);
            }
        }
    }

    /// Whether the whole book is still to be told.
    #[cfg(test)]
    pub(super) fn is_owed(&self, symbol: &str) -> bool {
        self.shown.get(symbol).is_some_and(|shown| matches!(shown.table, Table::Owed { .. } | Table::Lost))
    }

    fn shown(&mut self, symbol: &Arc<str>, around: &Around<'_>) -> Result<&mut Shown, Untold> {
        if self.shown.len() >= SYMBOLS_LIMIT && !self.shown.contains_key(symbol) {
            return Err(Untold::TooMany { what: "instruments", limit: SYMBOLS_LIMIT });
        }
        let place = match self.shown.entry(symbol.clone()) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(place) => place,
        };
        Ok(place.insert(Shown::new(symbol, around)?))
    }
}

impl Shown {
    fn new(symbol: &str, around: &Around<'_>) -> Result<Self, Untold> {
        let plan = around.plan;
        let name = plan.name_of(symbol);
        let filling = Filling { symbol: name, ..plan.filling() };
        let channel = |making| {
            let filled = plan.making(making).map(|active| active.template.fill(&filling));
            filled.transpose().map_err(|error| Untold::unnameable(&VenueChannel::Book, error))
        };
        let mut shown = Shown {
            name: name.into(),
            rows: channel(Making::BookRows)?,
            levels: channel(Making::BestLevels)?,
            table: Table::Untouched,
            is_heard: false,
            last: Last::default(),
        };
        shown.is_heard = shown.ask(around.outside);
        Ok(shown)
    }

    fn ask(&self, outside: &dyn Outside) -> bool {
        self.levels.as_deref().is_some_and(|channel| outside.is_heard(channel))
    }

    fn is_owed(&self, now: Now) -> bool {
        matches!(self.table, Table::Owed { from_us } if now.mono_us >= from_us)
    }

    fn tell_rows(&mut self, change: &BookChange, book: Option<&Book>, around: &mut Around<'_>) {
        let Some(channel) = &self.rows else {
            self.table = Table::Right;
            return;
        };
        let extent = if change.is_snapshot { Extent::Whole } else { Extent::Changes };
        if change.is_snapshot || self.table == Table::Right {
            around.publish(channel, rows_data(&change.rows, &self.last.meta(book), extent));
            self.table = Table::Right;
            return;
        }
        match book.filter(|_| self.table == Table::Untouched) {
            Some(book) => self.tell_whole(book, around),
            None => around.counts.withheld += 1,
        }
    }

    fn tell_whole(&mut self, book: &Book, around: &mut Around<'_>) {
        let Some(channel) = &self.rows else { return };
        let rows: Vec<Row> = [Side::Bid, Side::Ask]
            .into_iter()
            .flat_map(|side| book.levels(side).map(move |(price, qty)| Row { side, price, qty }))
            .collect();
        around.publish(channel, rows_data(&rows, &self.last.meta(Some(book)), Extent::Whole));
        self.table = Table::Right;
    }

    fn tell_levels(&self, book: &Book, around: &mut Around<'_>) {
        let Some(channel) = &self.levels else { return };
        let count = around.plan.book_levels;
        let object = Object::with_capacity(96 + count.min(book.depth()) * 48)
            .text("symbol", &self.name)
            .with("bids", |out| push_levels(out, book, Side::Bid, count))
            .with("asks", |out| push_levels(out, book, Side::Ask, count));
        around.publish(channel, self.last.stamp(object).bytes());
    }
}

impl Last {
    /// Checksum and time. Where the venue says no time it is when the book came here, and that is said too.
    fn stamp(&self, mut object: Object) -> Object {
        if let Some(checksum) = self.checksum {
            object = object.json("checksum", &checksum.to_string());
        }
        match &self.timestamp {
            Some(timestamp) => object.text("timestamp", timestamp),
            None => {
                object.text("timestamp", &rfc3339(self.received.wall_us)).text("timestamp_source", "local")
            }
        }
    }

    fn meta(&self, book: Option<&Book>) -> Vec<u8> {
        let mut object = Object::with_capacity(128);
        if let Some(book) = book {
            object = object.json("depth", &book.depth().to_string());
        }
        self.stamp(object).end()
    }
}

/// Whether rows are all of a table.
#[derive(Clone, Copy)]
enum Extent {
    Changes,
    Whole,
}

fn rows_data(rows: &[Row], meta: &[u8], extent: Extent) -> Bytes {
    let mut data = Vec::with_capacity(48 + meta.len() + rows.len() * 40);
    data.extend_from_slice(b"{\"rows\":");
    push_list(&mut data, rows, push_row);
    data.extend_from_slice(b",\"meta\":");
    data.extend_from_slice(meta);
    data.extend_from_slice(match extent {
        Extent::Changes => b",\"snapshot\":false}",
        Extent::Whole => b",\"snapshot\":true}",
    });
    data.into()
}

fn reason(why: &Lost) -> &'static str {
    match why {
        Lost::Disconnected => "disconnected",
        Lost::Checksum { .. } => "checksum",
        Lost::Malformed => "malformed",
        Lost::Maintenance => "maintenance",
        Lost::Unanswered => "unanswered",
        Lost::Numbers { .. } => "numbers",
        Lost::Renumbered => "renumbered",
    }
}

/// What books need around them: whom to ask, where to put publications.
pub(super) struct Around<'a> {
    pub(super) plan: &'a Plan,
    pub(super) session: &'a dyn Session,
    pub(super) outside: &'a dyn Outside,
    pub(super) due: &'a mut Vec<Publication>,
    pub(super) counts: &'a mut MapCounts,
}

impl Around<'_> {
    fn publish(&mut self, channel: &str, data: Bytes) {
        self.due.push(Publication { channel: channel.into(), data, ..Publication::default() });
    }
}
