//! What a venue says becomes what the hub publishes. [`MAP_ROWS`] is the whole of it as a table; [`MapConfig`] changes
//! it. Numbers keep the digits that the venue wrote. It does not know sockets, nor how a hub takes what it is given.

mod balances;
mod books;
mod candle;
mod config;
mod make;
mod number;
mod orders;
mod outside;
mod price;
mod table;
mod template;
mod trade;
mod untold;
mod write;

use tapeline_core::Now;
use tapeline_core::command::Publication;
use tapeline_core::feed::{Update, VenueChannel};

pub use config::{BOOK_LEVELS, BOOK_LEVELS_LIMIT, MapConfig, MapError, OFF};
pub use outside::Outside;
pub use table::{MAP_ROWS, Making, MapRow};
pub use template::Field;
pub use untold::Untold;

use crate::venue::{Event, Session};
use balances::Balances;
use books::{Around, Books};
use config::Plan;
use make::{Maker, Out};
use price::Prices;
use template::Filling;

/// What has become of what the venue said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapCounts {
    /// Publications that were made.
    pub published: u64,
    /// Updates without a row that is on.
    pub off: u64,
    /// Updates that lack something, or have it as something else.
    pub malformed: u64,
    /// Updates that name what cannot be in a channel's name.
    pub unnameable: u64,
    /// Updates about more things than can be remembered.
    pub too_many: u64,
    /// Changes of books that are not added to a table which is not the book before; the whole book follows.
    pub withheld: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Map {
    plan: Plan,
    prices: Prices,
    balances: Balances,
    books: Books,
    counts: MapCounts,
}

impl Map {
    /// The map of a feed of this name.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(source: &str, config: &MapConfig) -> Result<Self, MapError> {
        Ok(Map {
            plan: Plan::new(source, config)?,
            prices: Prices::default(),
            balances: Balances::default(),
            books: Books::default(),
            counts: MapCounts::default(),
        })
    }

    /// Whether what the venue says of this instrument can be published; to be asked before it is subscribed.
    ///
    /// # Errors
    /// Its name cannot be in a channel's name, and the configuration gives it no other.
    pub fn check_symbol(&self, symbol: &str) -> Result<(), MapError> {
        self.plan.check_symbol(symbol)
    }

    /// The same of all instruments that are to be subscribed, among one another too.
    ///
    /// # Errors
    /// As of one; or two of them have one name at the hub.
    pub fn check_symbols(&self, symbols: &[&str]) -> Result<(), MapError> {
        self.plan.check_symbols(symbols)
    }

    /// The hub's channels that what the venue says on this channel goes to; to tell what a gap is about. Channels whose
    /// names need more than the instrument (candles, orders) are named by their template.
    pub fn channels_of(&self, channel: &VenueChannel, symbol: Option<&str>) -> Vec<String> {
        let symbol = symbol.map_or("{symbol}", |symbol| self.plan.name_of(symbol));
        let filling = Filling { symbol, interval: "{interval}", order_id: "{order_id}", ..self.filling() };
        let filling = Filling { channel: channel.name(), ..filling };
        self.plan.about(channel).map(|active| active.template.show(&filling)).collect()
    }

    /// What was counted.
    pub fn counts(&self) -> &MapCounts {
        &self.counts
    }

    /// Appends what is to be published of these events to `due`; what cannot be is answered. The session is as it was
    /// when it told them.
    pub fn take(
        &mut self,
        events: &[Event],
        session: &dyn Session,
        outside: &dyn Outside,
        due: &mut Vec<Publication>,
    ) -> Vec<Untold> {
        let before = due.len();
        let mut out = Out::new(due);
        for event in events {
            match event {
                Event::Update(update) => self.take_update(update, &mut out),
                Event::Book(change) => {
                    let (books, mut around) = self.around(session, outside, out.due);
                    let taken = books.on_change(change, &mut around);
                    out.untold.extend(taken.err());
                }
                Event::BookLost { symbol, why } => {
                    let (books, mut around) = self.around(session, outside, out.due);
                    books.on_lost(symbol, why, &mut around);
                }
                _ => {}
            }
        }
        out.end_candles();
        let untold = out.untold;
        untold.iter().for_each(|untold| self.count(untold));
        self.counts.published = self.counts.published.saturating_add((due.len() - before) as u64);
        untold
    }

    /// To be called about ten times a second: somebody may have begun to hear a book, a table may have to be replaced.
    pub fn tick(
        &mut self,
        now: Now,
        session: &dyn Session,
        outside: &dyn Outside,
        due: &mut Vec<Publication>,
    ) {
        let before = due.len();
        let (books, mut around) = self.around(session, outside, due);
        books.tick(now, &mut around);
        self.counts.published = self.counts.published.saturating_add((due.len() - before) as u64);
    }

    /// The hub did not take a message of this channel after all. If it is the table of a book, the whole book follows.
    pub fn on_unpublished(&mut self, channel: &str, now: Now) {
        self.books.on_unpublished(channel, now);
    }

    fn around<'a>(
        &'a mut self,
        session: &'a dyn Session,
        outside: &'a dyn Outside,
        due: &'a mut Vec<Publication>,
    ) -> (&'a mut Books, Around<'a>) {
        let Map { plan, books, counts, .. } = self;
        (books, Around { plan, session, outside, due, counts })
    }

    fn filling(&self) -> Filling<'_> {
        self.plan.filling()
    }

    fn count(&mut self, untold: &Untold) {
        let count = match untold {
            Untold::Malformed { .. } => &mut self.counts.malformed,
            Untold::Name { .. } => &mut self.counts.unnameable,
            Untold::TooMany { .. } => &mut self.counts.too_many,
        };
        *count += 1;
    }

    fn take_update(&mut self, update: &Update, out: &mut Out<'_>) {
        let Map { plan, prices, balances, .. } = self;
        let mut is_off = true;
        for active in plan.about(&update.channel) {
            is_off = false;
            let maker = Maker { plan, active, update };
            if let Err(untold) = maker.make(prices, balances, out) {
                out.untold.push(untold);
            }
        }
        self.counts.off += u64::from(is_off);
    }
}

#[cfg(test)]
mod tests;
