//! Which trades were seen: the venue numbers them by instrument without holes, so what comes again and what is missing
//! can be told. It does not know prices.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Trades {
    last: HashMap<Arc<str>, u64, FixedState>,
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
    /// Takes in a number.
    pub(super) fn handle(&mut self, symbol: &Arc<str>, trade_id: u64) -> Place {
        let Some(last) = self.last.get_mut(symbol) else {
            self.last.insert(symbol.clone(), trade_id);
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
}
