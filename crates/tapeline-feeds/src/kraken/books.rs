//! The books of a connection, each held to its depth and to the venue's checksum. What fails is not shown to anybody
//! until a snapshot has made it right again. It does not know how one asks for a snapshot.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_core::Now;
use tapeline_core::feed::UpdateKind;

use super::checksum::{Checksum, Precision};
use super::message::{BookMessage, Instruments};
use crate::book::Book;
use crate::venue::BookChange;

/// Pairs at most whose precision is kept. The venue has some 1,300.
const PAIRS_LIMIT: usize = 20_000;

/// How a book is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookState {
    /// Nothing is known until a snapshot comes.
    Waiting,
    /// It is what the venue has.
    Whole,
    /// Its checksum did not hold; nothing is known until a snapshot comes.
    Lost,
}

/// What a message has done.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The book has changed, and the venue's checksum held.
    Applied(BookChange),
    /// Nobody asked for this book, or a snapshot of it has to come first.
    Ignored,
    /// The checksum did not hold: the book is lost until a snapshot comes.
    Mismatch {
        /// As the venue says.
        expected: u32,
        /// Of what the message made of the book.
        found: u32,
    },
}

#[derive(Clone, Debug)]
struct Held {
    symbol: Arc<str>,
    book: Book,
    state: BookState,
    precision: Precision,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Books {
    held: HashMap<Arc<str>, Held, FixedState>,
    precisions: HashMap<Box<str>, Precision, FixedState>,
    checksum: Checksum,
}

impl Books {
    /// No book.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the book of this symbol at this depth from its next snapshot on; one that was kept is begun anew.
    pub fn watch(&mut self, symbol: &Arc<str>, depth: usize) {
        let precision = self.precisions.get(&**symbol).copied().unwrap_or_default();
        let book = Book::new(depth);
        let held = Held { symbol: symbol.clone(), book, state: BookState::Waiting, precision };
        self.held.insert(symbol.clone(), held);
    }

    /// Keeps the book of this symbol no longer.
    pub fn forget(&mut self, symbol: &str) {
        self.held.remove(symbol);
    }

    /// The connection is gone: no book is shown before its next snapshot.
    pub fn wait_for_snapshots(&mut self) {
        for held in self.held.values_mut() {
            held.state = BookState::Waiting;
        }
    }

    /// Takes in how exactly pairs are written.
    pub fn handle_instruments(&mut self, instruments: &Instruments<'_>) {
        for pair in instruments.pairs.iter().map(|item| &item.fields) {
            let both = pair.price_precision.zip(pair.qty_precision);
            let Some(precision) = both.and_then(|(price, qty)| Precision::new(price, qty)) else { continue };
            if let Some(held) = self.held.get_mut(&*pair.symbol) {
                held.precision = precision;
            }
            if self.precisions.len() < PAIRS_LIMIT || self.precisions.contains_key(&*pair.symbol) {
                self.precisions.insert((*pair.symbol).into(), precision);
            }
        }
    }

    /// Takes in a message; a book that it breaks cannot be read any more.
    pub fn handle(&mut self, message: BookMessage<'_>, received: Now) -> Outcome {
        let Some(held) = self.held.get_mut(&*message.symbol) else { return Outcome::Ignored };
        let is_snapshot = message.kind == UpdateKind::Snapshot;
        if !is_snapshot && held.state != BookState::Whole {
            return Outcome::Ignored;
        }
        let mut rows = message.rows;
        if is_snapshot {
            held.book.replace(&mut rows);
        } else {
            held.book.apply_in_place(&mut rows);
        }
        let found = self.checksum.of(&held.book, held.precision);
        if found != message.checksum {
            held.state = BookState::Lost;
            return Outcome::Mismatch { expected: message.checksum, found };
        }
        held.state = BookState::Whole;
        Outcome::Applied(BookChange {
            symbol: held.symbol.clone(),
            is_snapshot,
            rows,
            checksum: Some(message.checksum),
            timestamp: message.timestamp.map(|timestamp| (*timestamp).into()),
            received,
        })
    }

    /// The book of this symbol, while it is whole.
    pub fn book(&self, symbol: &str) -> Option<&Book> {
        self.held.get(symbol).filter(|held| held.state == BookState::Whole).map(|held| &held.book)
    }

    /// Those that are whole, by name.
    pub fn whole(&self) -> Vec<Arc<str>> {
        let whole = self.held.values().filter(|held| held.state == BookState::Whole);
        let mut symbols: Vec<_> = whole.map(|held| held.symbol.clone()).collect();
        symbols.sort_unstable();
        symbols
    }

    /// How the book of this symbol is; nothing where it is not kept.
    pub fn state(&self, symbol: &str) -> Option<BookState> {
        self.held.get(symbol).map(|held| held.state)
    }
}

#[cfg(test)]
mod tests;
