//! Books that are being fetched anew: at once the first time, then ever later while one goes on failing; and those
//! whose snapshot does not come. It does not know levels.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_core::Now;
use tapeline_core::clock::micros;

/// So long a book must be whole for its next loss to count as the first.
const STEADY: Duration = Duration::from_secs(60);
/// The longest wait, in seconds.
const LONGEST_S: u64 = 60;

#[derive(Debug, Default)]
struct Rebuild {
    /// In a row, without a steady time between.
    losses: u32,
    /// Since when it is whole.
    whole_us: Option<u64>,
    /// When its snapshot is overdue.
    due_us: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rebuilds {
    books: HashMap<Arc<str>, Rebuild, FixedState>,
    /// The earliest of the books' `due_us`, or earlier.
    due_us: Option<u64>,
}

impl Rebuilds {
    /// It was asked for, and its snapshot is to come by then.
    pub(super) fn on_asked(&mut self, symbol: &Arc<str>, by_us: u64) {
        let book = self.books.entry(symbol.clone()).or_default();
        if book.whole_us.is_none() {
            book.due_us = Some(by_us);
            self.due_us = Some(self.due_us.map_or(by_us, |due_us| due_us.min(by_us)));
        }
    }

    /// A snapshot has made it whole.
    pub(super) fn on_whole(&mut self, symbol: &Arc<str>, now: Now) {
        let book = self.books.entry(symbol.clone()).or_default();
        (book.whole_us, book.due_us) = (book.whole_us.or(Some(now.mono_us)), None);
    }

    /// It is lost; when to ask for it again, by the monotonic clock.
    pub(super) fn on_lost(&mut self, symbol: &Arc<str>, now: Now) -> u64 {
        let book = self.books.entry(symbol.clone()).or_default();
        if book.whole_us.take().is_some_and(|since_us| now.since(since_us) >= STEADY) {
            book.losses = 0;
        }
        book.due_us = None;
        let seconds = match book.losses {
            0 => 0,
            losses => 1_u64.checked_shl(losses - 1).unwrap_or(LONGEST_S).min(LONGEST_S),
        };
        book.losses = book.losses.saturating_add(1);
        now.after(Duration::from_secs(seconds))
    }

    /// All books are void; those that were whole. How often each was lost before stays known.
    pub(super) fn lose_all(&mut self) -> Vec<Arc<str>> {
        self.due_us = None;
        let mut lost = Vec::new();
        for (symbol, book) in &mut self.books {
            book.due_us = None;
            if book.whole_us.take().is_some() {
                lost.push(symbol.clone());
            }
        }
        lost.sort_unstable();
        lost
    }

    /// Those whose snapshot is overdue, once.
    pub(super) fn take_overdue(&mut self, now: Now) -> Vec<Arc<str>> {
        if self.due_us.is_none_or(|due_us| now.mono_us < due_us) {
            return Vec::new();
        }
        let mut overdue = Vec::new();
        for (symbol, book) in &mut self.books {
            if book.due_us.is_some_and(|due_us| due_us <= now.mono_us) {
                book.due_us = None;
                overdue.push(symbol.clone());
            }
        }
        self.due_us = self.books.values().filter_map(|book| book.due_us).min();
        overdue.sort_unstable();
        overdue
    }

    /// When the next one is overdue.
    pub(super) fn due_us(&self) -> u64 {
        self.due_us.unwrap_or(u64::MAX)
    }
}

/// The time of [`Rebuilds::on_asked`] for this patience.
pub(super) fn overdue_us(now: Now, patience: Duration) -> u64 {
    now.mono_us.saturating_add(micros(patience))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now { mono_us: seconds * 1_000_000, wall_us: 0 }
    }

    fn wait(rebuilds: &mut Rebuilds, seconds: u64) -> u64 {
        rebuilds.on_lost(&"A/B".into(), at(seconds)) / 1_000_000 - seconds
    }

    #[test]
    fn the_first_loss_is_made_good_at_once_and_the_next_ever_later_up_to_a_minute() {
        let mut rebuilds = Rebuilds::default();
        let waits: Vec<_> = (0..9).map(|_| wait(&mut rebuilds, 10)).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_book_that_was_whole_for_a_minute_begins_anew_and_one_that_was_not_does_not() {
        let mut rebuilds = Rebuilds::default();
        let symbol: Arc<str> = "A/B".into();
        wait(&mut rebuilds, 10);
        rebuilds.on_whole(&symbol, at(10));
        assert_eq!(wait(&mut rebuilds, 69), 1);
        rebuilds.on_whole(&symbol, at(70));
        assert_eq!(wait(&mut rebuilds, 130), 0);
    }

    #[test]
    fn a_snapshot_that_does_not_come_is_overdue_once() {
        let mut rebuilds = Rebuilds::default();
        let (late, whole): (Arc<str>, Arc<str>) = ("A/B".into(), "C/D".into());
        rebuilds.on_asked(&late, 5_000_000);
        rebuilds.on_asked(&whole, 5_000_000);
        rebuilds.on_whole(&whole, at(1));
        assert_eq!(rebuilds.take_overdue(at(4)), Vec::<Arc<str>>::new());
        assert_eq!(rebuilds.take_overdue(at(5)), [late]);
        assert_eq!(rebuilds.take_overdue(at(6)), Vec::<Arc<str>>::new());
        assert_eq!(rebuilds.due_us(), u64::MAX);
    }
}
