//! Where the targets of one session are in the router: a short list is looked through, a long one is looked up by entry. It
//! does not know what is there.

use std::ops::Deref;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// From more than so many on they are looked up; most sessions have fewer, and pay nothing for it.
const LISTED: usize = 32;

/// Where one of a session's targets is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub entry: u32,
    pub index: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Places {
    list: Vec<Place>,
    /// Where in the list an entry's place is.
    by_entry: Option<Box<HashMap<u32, usize, FixedState>>>,
}

impl Places {
    fn at(&self, entry: u32) -> Option<usize> {
        match &self.by_entry {
            Some(by_entry) => by_entry.get(&entry).copied(),
            None => self.list.iter().position(|place| place.entry == entry),
        }
    }

    /// The place of the session's target in this entry.
    pub(crate) fn find(&self, entry: u32) -> Option<Place> {
        self.list.get(self.at(entry)?).copied()
    }

    /// Adds the place of an entry that has none.
    pub(crate) fn push(&mut self, place: Place) {
        self.list.push(place);
        match &mut self.by_entry {
            Some(by_entry) => _ = by_entry.insert(place.entry, self.list.len() - 1),
            None if self.list.len() > LISTED => {
                let each = self.list.iter().enumerate().map(|(at, place)| (place.entry, at));
                self.by_entry = Some(Box::new(each.collect()));
            }
            None => {}
        }
    }

    /// The target has another index in its entry.
    pub(crate) fn move_to(&mut self, entry: u32, index: u32) {
        if let Some(place) = self.at(entry).and_then(|at| self.list.get_mut(at)) {
            place.index = index;
        }
    }

    /// Takes out an entry's place; the last one gets its place in the list.
    pub(crate) fn remove(&mut self, entry: u32) -> Option<Place> {
        let at = self.at(entry)?;
        let place = self.list.swap_remove(at);
        if self.list.len() <= LISTED / 2 {
            self.by_entry = None;
        }
        if let Some(by_entry) = &mut self.by_entry {
            by_entry.remove(&entry);
            if let Some(moved) = self.list.get(at) {
                by_entry.insert(moved.entry, at);
            }
        }
        Some(place)
    }
}

impl Deref for Places {
    type Target = [Place];

    fn deref(&self) -> &[Place] {
        &self.list
    }
}

impl<'a> IntoIterator for &'a Places {
    type Item = &'a Place;
    type IntoIter = std::slice::Iter<'a, Place>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::Rng;

    #[test]
    fn each_is_found_by_its_entry_however_many_there_are() {
        let mut rng = Rng::new(7);
        let (mut places, mut plain) = (Places::default(), Vec::<(u32, u32)>::new());
        let mut indexed = 0;
        for entry in 0..4_000_u32 {
            let grows = (entry / 200) % 2 == 0;
            if grows || plain.is_empty() {
                places.push(Place { entry, index: entry * 2 });
                plain.push((entry, entry * 2));
            } else {
                let (gone, index) = plain.swap_remove(rng.below(plain.len()));
                assert_eq!(places.remove(gone).map(|place| place.index), Some(index));
                assert!(places.find(gone).is_none() && places.remove(gone).is_none());
            }
            if let Some((entry, index)) = plain.first_mut() {
                *index += 1;
                places.move_to(*entry, *index);
            }
            indexed += usize::from(places.by_entry.is_some());
            assert_eq!(places.len(), plain.len());
            for (entry, index) in plain.iter().take(3).chain(plain.last()) {
                assert_eq!(places.find(*entry).map(|place| place.index), Some(*index));
            }
        }
        assert!((100..3_900).contains(&indexed), "{indexed} times of 4,000 they were looked up");
    }
}
