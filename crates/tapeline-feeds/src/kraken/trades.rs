//! Which trades were seen: the venue numbers them by instrument without holes, so what comes again and what is missing
//! can be told. It does not know prices.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_core::feed::UpdateKind;

/// Changes in a row with only old numbers that make a new beginning out of what looked repeated.
const TOO_OLD: u32 = 8;

/// What is known of an instrument's trades.
#[derive(Debug)]
struct Known {
    last: u64,
    old_in_a_row: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Trades {
    known: HashMap<Arc<str>, Known, FixedState>,
}

/// What a trade is, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The first, or the one after the last.
    Next,
    /// It was there already.
    Repeated,
    /// From the first of these numbers up to the second are missing before it.
    After(u64, u64),
}

impl Trades {
    /// Takes in the highest number of an instrument's trades in a message, before they are. Whether its numbers begin
    /// anew: its snapshot ends below what was known, or nothing has been new for several changes. A doubled message ends
    /// where the last one did, and is neither.
    pub(super) fn begins_anew(&mut self, symbol: &str, highest: u64, kind: UpdateKind) -> bool {
        let Some(known) = self.known.get_mut(symbol) else { return false };
        if highest > known.last {
            known.old_in_a_row = 0;
        }
        if highest >= known.last {
            return false;
        }
        known.old_in_a_row += 1;
        let begins_anew = kind == UpdateKind::Snapshot || known.old_in_a_row >= TOO_OLD;
        if begins_anew {
            self.known.remove(symbol);
        }
        begins_anew
    }

    /// Takes in a number.
    pub(super) fn handle(&mut self, symbol: &Arc<str>, trade_id: u64) -> Place {
        let Some(Known { last, .. }) = self.known.get_mut(symbol) else {
            self.known.insert(symbol.clone(), Known { last: trade_id, old_in_a_row: 0 });
            return Place::Next;
        };
        if trade_id <= *last {
            return Place::Repeated;
        }
        let first_missing = last.saturating_add(1);
        *last = trade_id;
        if trade_id == first_missing { Place::Next } else { Place::After(first_missing, trade_id - 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_what_is_next_what_was_there_and_what_is_missing() {
        let mut trades = Trades::default();
        let (one, other): (Arc<str>, Arc<str>) = ("A/B".into(), "C/D".into());
        assert_eq!(trades.handle(&one, 50), Place::Next);
        assert_eq!(trades.handle(&one, 51), Place::Next);
        assert_eq!(trades.handle(&one, 50), Place::Repeated);
        assert_eq!(trades.handle(&one, 51), Place::Repeated);
        assert_eq!(trades.handle(&one, 54), Place::After(52, 53));
        assert_eq!(trades.handle(&one, 55), Place::Next);
        assert_eq!(trades.handle(&other, 7), Place::Next);
        assert_eq!(trades.handle(&one, u64::MAX), Place::After(56, u64::MAX - 1));
        assert_eq!(trades.handle(&one, u64::MAX), Place::Repeated);
    }

    #[test]
    fn numbers_that_stay_old_begin_anew_and_doubled_messages_do_not() {
        let mut trades = Trades::default();
        let one: Arc<str> = "A/B".into();
        trades.handle(&one, u64::MAX);
        let mut anew = |highest, kind| trades.begins_anew("A/B", highest, kind);
        assert!((50..57).all(|highest| !anew(highest, UpdateKind::Change)));
        assert!(anew(57, UpdateKind::Change));
        assert!(!anew(57, UpdateKind::Change), "nothing is known before the first");
        assert_eq!(trades.handle(&one, 57), Place::Next);
        assert!((0..20).all(|_| !trades.begins_anew("A/B", 57, UpdateKind::Change)));
        assert!(!trades.begins_anew("A/B", 57, UpdateKind::Snapshot));
        assert!(trades.begins_anew("A/B", 56, UpdateKind::Snapshot));
    }
}
