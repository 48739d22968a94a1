//! A bounded memory of many: something small is kept for each key, for a number of keys at most. Of those that nobody
//! needs, the one that was not looked at for longest makes room. Any thread may look; it locks one part in many.
//!
//! Owns what is forgotten. Refuses to know what is kept, and what a key stands for.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Now;

/// Parts with a lock each. Which part a key falls into nobody outside can foresee.
const PARTS: usize = 1_024;

/// What is kept of each.
pub trait Kept: Default {
    /// Whether it must not be forgotten now. So many as are needed are kept in any case.
    fn is_needed(&self) -> bool;
}

struct Place<K, V> {
    key: K,
    looked_us: u64,
    value: V,
}

type Part<K, V> = Vec<Place<K, V>>;

/// See the module.
pub struct Crowd<K, V> {
    parts: Box<[Mutex<Part<K, V>>]>,
    /// In each part.
    most: usize,
    hasher: RandomState,
}

impl<K: Eq + Hash + Clone, V: Kept> Crowd<K, V> {
    /// For about so many keys, at most.
    pub fn new(most: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Crowd { parts, most: most.div_ceil(PARTS).max(1), hasher: RandomState::new() }
    }

    fn part(&self, key: &K) -> Option<MutexGuard<'_, Part<K, V>>> {
        let number = usize::try_from(self.hasher.hash_one(key) % PARTS as u64).unwrap_or_default();
        self.parts.get(number).map(|part| part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at what is kept for a key; where nothing is, it begins now.
    pub fn with<R>(&self, key: &K, now: Now, look: impl FnOnce(&mut V) -> R) -> R {
        let Some(mut part) = self.part(key) else { return look(&mut V::default()) };
        let at = part.iter().position(|place| place.key == *key);
        let at = at.unwrap_or_else(|| {
            let new = Place { key: key.clone(), looked_us: 0, value: V::default() };
            self.make_room(&mut part);
            part.push(new);
            part.len() - 1
        });
        match part.get_mut(at) {
            Some(place) => {
                place.looked_us = now.mono_us;
                look(&mut place.value)
            }
            None => look(&mut V::default()),
        }
    }

    /// Looks at what is kept for a key, if anything is.
    pub fn find<R>(&self, key: &K, look: impl FnOnce(&mut V) -> R) -> Option<R> {
        let mut part = self.part(key)?;
        part.iter_mut().find(|place| place.key == *key).map(|place| look(&mut place.value))
    }

    fn make_room(&self, part: &mut Part<K, V>) {
        if part.len() < self.most {
            return;
        }
        let free = part.iter().enumerate().filter(|(_, place)| !place.value.is_needed());
        if let Some((oldest, _)) = free.min_by_key(|(_, place)| place.looked_us) {
            part.swap_remove(oldest);
        }
    }

    /// How many keys something is kept for.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Note {
        needed: bool,
        count: u32,
    }

    impl Kept for Note {
        fn is_needed(&self) -> bool {
            self.needed
        }
    }

    fn at(mono_us: u64) -> Now {
        Now { mono_us, wall_us: 0 }
    }

    #[test]
    fn what_is_kept_for_a_key_is_found_again() {
        let crowd = Crowd::<u64, Note>::new(1_024);
        for n in 1..=3 {
            assert_eq!(
                crowd.with(&7, at(n), |note| std::mem::replace(&mut note.count, 9)),
                u32::from(n > 1) * 9
            );
        }
        assert_eq!(crowd.find(&7, |note| note.count), Some(9));
        assert_eq!(crowd.find(&8, |note| note.count), None);
    }

    #[test]
    fn a_million_keys_take_no_more_room_than_the_bound_and_the_needed_ones_stay() {
        let crowd = Crowd::<u64, Note>::new(65_536);
        for key in 0..100 {
            crowd.with(&key, at(0), |note| note.needed = true);
        }
        let mut half_way = 0;
        for key in 100..1_000_100 {
            crowd.with(&key, at(key), |note| note.count += 1);
            if key == 500_000 {
                half_way = crowd.len();
            }
        }
        let room: usize =
            crowd.parts.iter().map(|part| part.lock().expect("nobody panicked").capacity()).sum();
        assert!(crowd.len() <= 65_536 + 100 && crowd.len() >= half_way, "{} of {half_way}", crowd.len());
        assert!(room <= 2 * 65_536, "{room} places");
        assert!((0..100).all(|key| crowd.find(&key, |note| note.needed) == Some(true)));
        assert_eq!(crowd.find(&1_000_099, |note| note.count), Some(1), "the newest is remembered");
    }

    #[test]
    fn who_was_not_looked_at_for_longest_is_forgotten_first() {
        let crowd = Crowd::<u64, Note>::new(2 * 1_024);
        // Two in each part: of all keys that fall into the part of the first.
        let part = |key: u64| crowd.hasher.hash_one(key) % 1_024;
        let same: Vec<u64> = (0..).filter(|key| part(*key) == part(0)).take(3).collect();
        for (key, time) in [(same[0], 1), (same[1], 2), (same[0], 3), (same[2], 4)] {
            crowd.with(&key, at(time), |_| ());
        }
        assert!(crowd.find(&same[0], |_| ()).is_some(), "it was looked at again");
        assert!(crowd.find(&same[1], |_| ()).is_none());
        assert!(crowd.find(&same[2], |_| ()).is_some());
    }
}
