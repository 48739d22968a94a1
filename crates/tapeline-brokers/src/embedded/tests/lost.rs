//! What a machine that stops leaves of what was not synced: any of the sectors that were written, some of them half, with a
//! length that came before or after them; and any of the changes of names. It knows no format.

use std::collections::BTreeMap;

use super::fake::Shared;

/// What a disk writes at once, but for the one that it was writing when it stopped.
const SECTOR: usize = 512;

type Names = BTreeMap<String, Shared>;

/// A change of the directory.
pub(super) enum NameChange {
    Made(String, Shared),
    Renamed(String, String, Shared),
    Removed(String),
}

impl NameChange {
    pub(super) fn make(&self, names: &mut Names) {
        match self {
            NameChange::Made(name, file) => drop(names.insert(name.clone(), file.clone())),
            NameChange::Renamed(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), file.clone());
            }
            NameChange::Removed(name) => drop(names.remove(name)),
        }
    }
}

/// The names that are found: those that were synced, with any of the changes since.
pub(super) fn names(synced: &Names, changes: &[NameChange], luck: &mut impl FnMut(usize) -> usize) -> Names {
    let mut names = synced.clone();
    for change in changes {
        if luck(2) == 1 {
            change.make(&mut names);
        }
    }
    names
}

/// A file's bytes that are found: `old` was synced, `new` was written since.
pub(super) fn bytes(old: &[u8], new: &[u8], luck: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let (short, long) = (old.len().min(new.len()), old.len().max(new.len()));
    let all = match luck(4) {
        0 => return old.to_vec(),
        1 => return new.to_vec(),
        // Written in its order, up to somewhere.
        2 => true,
        // In any order.
        _ => false,
    };
    let len = short + luck(long - short + 1);
    let mut found = old.to_vec();
    found.resize(len, 0);
    for (sector, from) in found.chunks_mut(SECTOR).zip((0..).step_by(SECTOR)) {
        let new = new.get(from..).unwrap_or_default();
        let written = match luck(3) {
            _ if all => SECTOR,
            0 => 0,
            1 => SECTOR,
            _ => luck(SECTOR),
        };
        sector.iter_mut().zip(new).take(written).for_each(|(to, from)| *to = *from);
    }
    found
}

#[test]
fn what_was_synced_is_there_whatever_luck_leaves() {
    let mut rng = tapeline_core::testkit::Rng::new(1);
    let old = vec![1; 3 * SECTOR + 7];
    let new = [&old[..], &vec![2; 5 * SECTOR]].concat();
    let mut kinds = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let found = bytes(&old, &new, &mut |below| rng.below(below));
        assert!(found.starts_with(&old) && found.len() <= new.len());
        let (twos, zeros) = (found.contains(&2), found.contains(&0));
        kinds.insert((twos, zeros, found.len() == new.len()));
    }
    assert!(kinds.len() >= 5, "luck leaves too little: {kinds:?}");
}
