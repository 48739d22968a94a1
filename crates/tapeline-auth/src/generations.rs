//! A map of bounded size that forgets what was not asked for longest, about: it has two halves, a young and an old one. What
//! is asked for is young again; when the young half is full it becomes the old one, and what was old is forgotten.

use std::collections::HashMap;
use std::hash::Hash;

/// See the module.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// Entries of one half.
    half: usize,
}

impl<K: Eq + Hash + Clone, V> Generations<K, V> {
    pub(crate) fn new(half: usize) -> Self {
        Generations { young: HashMap::new(), old: HashMap::new(), half }
    }

    /// What is known under the key.
    pub(crate) fn find(&mut self, key: &K) -> Option<&mut V> {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.insert(key, value);
        }
        self.young.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let mut map = Generations::new(10);
        for number in 0..1_000 {
            map.insert(number, number);
            assert_eq!(map.find(&0), Some(&mut 0));
            assert!(map.len() <= 20, "{}", map.len());
        }
        assert_eq!(map.find(&999), Some(&mut 999));
        assert_eq!(map.find(&1), None);
        map.clear();
        assert_eq!(map.len(), 0);
    }
}
