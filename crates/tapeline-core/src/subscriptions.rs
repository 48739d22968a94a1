//! What one session has subscribed: a short list is looked through, a long one is looked up by number and by name, so that
//! thousands cost no more than each its own. It does not know what a subscription means.

use std::hash::BuildHasher;
use std::ops::Deref;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};

use crate::reply::Topic;
use crate::session::Subscription;

/// From more than so many on they are looked up; most sessions have fewer, and pay nothing for it.
const LISTED: usize = 32;

/// Where in the list each is.
#[derive(Debug, Default)]
struct Index {
    by_id: HashMap<u32, usize, FixedState>,
    by_name: HashTable<usize>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    list: Vec<Subscription>,
    index: Option<Box<Index>>,
}

fn is_pattern(topic: &Topic) -> bool {
    matches!(topic, Topic::Pattern(_))
}

fn hash(is_pattern: bool, name: &str) -> u64 {
    FixedState::default().hash_one((is_pattern, name))
}

fn hash_at(list: &[Subscription], at: usize) -> u64 {
    list.get(at).map_or(0, |known| hash(is_pattern(&known.topic), known.topic.name()))
}

impl Index {
    fn of(list: &[Subscription]) -> Self {
        let mut index = Index::default();
        (0..list.len()).for_each(|at| index.put(list, at));
        index
    }

    fn put(&mut self, list: &[Subscription], at: usize) {
        let Some(known) = list.get(at) else { return };
        self.by_id.insert(known.id, at);
        self.by_name.insert_unique(hash_at(list, at), at, |at| hash_at(list, *at));
    }

    fn remove(&mut self, list: &[Subscription], at: usize) {
        if let Some(known) = list.get(at) {
            self.by_id.remove(&known.id);
        }
        if let Ok(found) = self.by_name.find_entry(hash_at(list, at), |known| *known == at) {
            found.remove();
        }
    }
}

impl Subscriptions {
    /// Adds one whose number and topic are new.
    pub(crate) fn push(&mut self, subscription: Subscription) {
        self.list.push(subscription);
        match &mut self.index {
            Some(index) => index.put(&self.list, self.list.len() - 1),
            None if self.list.len() > LISTED => self.index = Some(Box::new(Index::of(&self.list))),
            None => {}
        }
    }

    /// Takes one out; the last one gets its place.
    pub(crate) fn remove(&mut self, id: u32) -> Option<Subscription> {
        let at = self.at(id)?;
        let last = self.list.len() - 1;
        if let Some(index) = &mut self.index {
            index.remove(&self.list, at);
            if at != last {
                index.remove(&self.list, last);
            }
        }
        let removed = self.list.swap_remove(at);
        if self.list.len() <= LISTED / 2 {
            self.index = None;
        }
        if let Some(index) = self.index.as_mut().filter(|_| at != last) {
            index.put(&self.list, at);
        }
        Some(removed)
    }

    fn at(&self, id: u32) -> Option<usize> {
        match &self.index {
            Some(index) => index.by_id.get(&id).copied(),
            None => self.list.iter().position(|known| known.id == id),
        }
    }

    /// The one of this number.
    pub(crate) fn by_id(&self, id: u32) -> Option<&Subscription> {
        self.list.get(self.at(id)?)
    }

    /// The same, to be changed in all but number and topic.
    pub(crate) fn by_id_mut(&mut self, id: u32) -> Option<&mut Subscription> {
        let at = self.at(id)?;
        self.list.get_mut(at)
    }

    /// The one of this channel or pattern.
    pub(crate) fn find(&self, topic: &Topic) -> Option<&Subscription> {
        self.look_for(is_pattern(topic), topic.name(), |known| known == topic)
    }

    /// The one of this name.
    pub(crate) fn find_by_name(&self, pattern: bool, name: &str) -> Option<&Subscription> {
        self.look_for(pattern, name, |known| is_pattern(known) == pattern && known.name() == name)
    }

    fn look_for(&self, pattern: bool, name: &str, is: impl Fn(&Topic) -> bool) -> Option<&Subscription> {
        let Some(index) = &self.index else { return self.list.iter().find(|known| is(&known.topic)) };
        let is_at = |at: &usize| self.list.get(*at).is_some_and(|known| is(&known.topic));
        self.list.get(*index.by_name.find(hash(pattern, name), is_at)?)
    }
}

impl Deref for Subscriptions {
    type Target = [Subscription];

    fn deref(&self) -> &[Subscription] {
        &self.list
    }
}

impl<'a> IntoIterator for &'a Subscriptions {
    type Item = &'a Subscription;
    type IntoIter = std::slice::Iter<'a, Subscription>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use tapeline_schema::Pattern;

    use super::*;
    use crate::testkit::Rng;

    fn subscription(id: u32, name: &str) -> Subscription {
        Subscription {
            id,
            topic: Topic::Pattern(Pattern::parse(name).unwrap()),
            delivery: None,
            max_rate: None,
            tag: 0,
            joining: true,
            partial: false,
        }
    }

    #[test]
    fn each_is_found_by_number_and_by_name_however_many_there_are() {
        let mut rng = Rng::new(7);
        let (mut all, mut plain) = (Subscriptions::default(), Vec::<(u32, String)>::new());
        let mut indexed = 0;
        for id in 0..4_000_u32 {
            // It grows beyond the list's length and falls below it, several times.
            let grows = (id / 200) % 2 == 0;
            if grows || plain.is_empty() {
                let name = format!("n{id}*");
                all.push(subscription(id, &name));
                plain.push((id, name));
            } else {
                let (gone, name) = plain.swap_remove(rng.between(0, plain.len() - 1));
                assert_eq!(all.remove(gone).unwrap().topic.name(), name);
                assert!(all.by_id(gone).is_none() && all.find_by_name(true, &name).is_none());
                assert!(all.remove(gone).is_none());
            }
            indexed += usize::from(all.index.is_some());
            assert_eq!(all.len(), plain.len());
            for (id, name) in plain.iter().take(3).chain(plain.last()) {
                assert_eq!(all.by_id(*id).unwrap().topic.name(), name);
                assert_eq!(all.find_by_name(true, name).unwrap().id, *id);
                assert!(all.find_by_name(false, name).is_none());
                assert_eq!(all.find(&subscription(0, name).topic).unwrap().id, *id);
            }
        }
        assert!((100..3_900).contains(&indexed), "{indexed} times of 4,000 it was looked up");
    }
}
