//! Ids that were there, as many as fit; the oldest is forgotten first.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

/// See the module.
#[derive(Debug)]
pub(super) struct Seen {
    limit: usize,
    ids: HashSet<Arc<str>, FixedState>,
    oldest_first: VecDeque<Arc<str>>,
}

impl Seen {
    pub(super) fn new(limit: usize) -> Self {
        Seen { limit: limit.max(1), ids: HashSet::default(), oldest_first: VecDeque::new() }
    }

    /// Remembers it; whether it is new.
    pub(super) fn insert(&mut self, id: &str) -> bool {
        if self.ids.contains(id) {
            return false;
        }
        if self.oldest_first.len() >= self.limit
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.ids.remove(&oldest);
        }
        let id: Arc<str> = id.into();
        self.ids.insert(id.clone());
        self.oldest_first.push_back(id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_and_again_after_it_was_forgotten() {
        let mut seen = Seen::new(2);
        let new = ["a", "b", "a", "c", "b", "a", "c"].map(|id| seen.insert(id));
        assert_eq!(new, [true, true, false, true, false, true, false]);
    }
}
