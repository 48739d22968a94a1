//! Which books there were, and after how many steps of the market: so that a test can ask of any book whether it ever
//! existed. Kept for the depths that somebody asked for, from then on.

use std::collections::BTreeMap;

use super::book::{View, digest};

/// A book that there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stood {
    /// After so many steps of the market.
    pub step: u64,
    /// Its checksum.
    pub checksum: u32,
    digest: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Truth(BTreeMap<(String, usize), Vec<Stood>>);

impl Truth {
    pub(super) fn add(&mut self, symbol: &str, depth: usize, step: u64, view: &View) {
        let stood = Stood { step, checksum: view.checksum(), digest: view.digest() };
        self.0.entry((symbol.to_string(), depth)).or_default().push(stood);
    }

    /// Whenever there was this book: (side `b` or `a`, price, quantity) with their digits.
    pub(super) fn find<'a>(
        &self,
        symbol: &str,
        depth: usize,
        book: impl IntoIterator<Item = (char, &'a str, &'a str)>,
    ) -> Vec<Stood> {
        let wanted = digest(book);
        let all = self.0.get(&(symbol.to_string(), depth)).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|stood| stood.digest == wanted).copied().collect()
    }
}
