//! Every channel in use, one [`Channel`] a name, over the catalogue as it is now. It owns what a change of the
//! catalogue does to channels in use: their places are taken by new ones, in one step for whoever looks them up.
//! It knows no broker, shard or session; those follow by [`Channel::current`] and [`Directory::changes`].

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tapeline_schema::{Catalog, ErrorCode, Resolved, check_name};

use crate::channel::Channel;
use crate::concern::{Concern, Names, is_named};
use crate::error::Refusal;
use crate::families::Families;

const STRIPES: usize = 16;

type Stripe = HashMap<Box<str>, Channel, FixedState>;

/// A count that every shard reads for every message, on a cache line that nobody writes beside it.
#[repr(align(64))]
struct Changes(AtomicU64);

/// See the module.
pub struct Directory {
    /// Held for reading while a channel is made, so that none is made of a catalogue that has just gone.
    catalog: RwLock<Arc<Catalog>>,
    stripes: [RwLock<Stripe>; STRIPES],
    families: Families,
    changes: Changes,
    /// What the newest change was about, with the count at its end.
    latest: RwLock<(u64, Arc<Names>)>,
}

/// What a change of the catalogue did to channels in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Channels that start anew, by name.
    pub ended: Vec<Box<str>>,
}

impl Directory {
    /// An empty directory over a catalogue.
    pub fn new(catalog: Catalog) -> Self {
        Directory {
            catalog: RwLock::new(Arc::new(catalog)),
            stripes: std::array::from_fn(|_| RwLock::new(HashMap::default())),
            families: Families::default(),
            changes: Changes(AtomicU64::new(0)),
            latest: RwLock::default(),
        }
    }

    /// The catalogue it reads.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of each family.
    pub fn families(&self) -> &Families {
        &self.families
    }

    /// Counts up at the beginning and at the end of each change: odd while one is under way.
    pub fn changes(&self) -> u64 {
        self.changes.0.load(Ordering::Acquire)
    }

    /// What the changes between these two counts are about: what was remembered of the newest, if that is all of them.
    pub(crate) fn concern(&self, from: u64, to: u64) -> Concern {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            (end, names) if (from + 2, to) == (*end, *end) => Concern::Names(names.clone()),
            _ => Concern::Everything,
        }
    }

    /// Counted up once more when it has ended. The catalogue is locked meanwhile.
    fn begin_change(&self, about: Names) {
        let begun = self.changes.0.fetch_add(1, Ordering::AcqRel);
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = (begun + 2, Arc::new(about));
    }

    /// The channel of this name, made if it is new; refuses a name outside the rules.
    pub fn channel(&self, name: &str) -> Result<Channel, Refusal> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        self.make(&catalog, name)
    }

    fn make(&self, catalog: &Catalog, name: &str) -> Result<Channel, Refusal> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        check_name(name).map_err(|e| Refusal::new(ErrorCode::BadChannel, e.to_string()))?;
        let resolved = catalog.resolve(name);
        let mut roll_ups = Vec::new();
        for roll_up in roll_ups_of(&resolved) {
            roll_ups.push(self.make(catalog, roll_up)?);
        }
        let family = self.families.number(&resolved);
        let made = Channel::new(name, resolved, roll_ups.into_boxed_slice(), family, None);
        let mut stripe = self.stripe(name).write().unwrap_or_else(PoisonError::into_inner);
        Ok(stripe.entry(name.into()).or_insert(made).clone())
    }

    fn known(&self, name: &str) -> Option<Channel> {
        self.stripe(name).read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Reads another catalogue from now on. A channel whose row is another is replaced; it goes on if its row differs
    /// only in what may change under way, and starts anew where a family is added or removed.
    ///
    /// # Errors
    /// A family of both catalogues would end channels that are in use; then nothing has changed.
    pub fn replace(&self, catalog: Catalog) -> Result<Replaced, Refusal> {
        let mut live = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        let rows = rows_changed(&live, &catalog);
        let mut changed = self.changed_by(&catalog, &rows)?;
        // Roll-ups and their like first: the others hold on to them.
        changed.sort_by_key(|(_, row)| roll_ups_of(row).next().is_some());
        let mut made: HashMap<Box<str>, Channel, FixedState> = HashMap::default();
        let mut replaced = Replaced::default();
        for (channel, row) in &changed {
            let roll_ups = roll_ups_of(row).map(|name| match made.get(name) {
                Some(new) => Ok(new.clone()),
                None => self.make(&catalog, name),
            });
            let roll_ups: Vec<Channel> = roll_ups.collect::<Result<_, Refusal>>()?;
            let family = self.families.number(row);
            let goes_on = channel.is_like(row);
            let from = Some(channel).filter(|_| goes_on);
            let new = Channel::new(channel.name(), row.clone(), roll_ups.into_boxed_slice(), family, from);
            made.insert(channel.name().into(), new);
            if !goes_on {
                replaced.ended.push(channel.name().into());
            }
        }
        // A shard that meets a new channel sees that a change is under way, and looks for what it has of the old one.
        self.begin_change(rows);
        let mut stripes: Vec<RwLockWriteGuard<'_, Stripe>> = self
            .stripes
            .iter()
            .map(|stripe| stripe.write().unwrap_or_else(PoisonError::into_inner))
            .collect();
        for (old, row) in changed {
            let Some(new) = made.get(old.name()) else { continue };
            if let Some(stripe) = stripes.get_mut(stripe_of(old.name())) {
                stripe.insert(old.name().into(), new.clone());
            }
            old.replace_by(new.clone(), !old.is_like(&row));
        }
        drop(stripes);
        *live = Arc::new(catalog);
        self.changes.0.fetch_add(1, Ordering::AcqRel);
        Ok(replaced)
    }

    /// The channels that have another row in this catalogue, with it. Of a million channels few do, and nobody can
    /// make a channel meanwhile, so the others are not even resolved.
    fn changed_by(&self, catalog: &Catalog, rows: &Names) -> Result<Vec<(Channel, Resolved)>, Refusal> {
        let mut changed = Vec::new();
        for stripe in &self.stripes {
            let stripe = stripe.read().unwrap_or_else(PoisonError::into_inner);
            for channel in stripe.iter().filter(|(name, _)| is_named(rows, name)).map(|(_, channel)| channel)
            {
                let row = catalog.resolve(channel.name());
                if channel.has_row(&row) {
                    continue;
                }
                if channel.declared() && row.declared && channel.is_in_use() && !channel.is_like(&row) {
                    return Err(in_use(channel, &row));
                }
                changed.push((channel.clone(), row));
            }
        }
        Ok(changed)
    }

    /// The channel that takes this one's place where the broker has learned of another owner than the one that was
    /// known here, so that whoever hears it is asked anew whether it may; the same if its owner is this one, or none yet.
    pub fn owned_by(&self, channel: &Channel, owner: &str) -> Channel {
        let known = channel.current();
        known.set_owner(owner);
        if known.owner() == Some(owner) {
            return known.clone();
        }
        let catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        let old = channel.current();
        if old.owner() == Some(owner) {
            return old.clone();
        }
        let new = Channel::new(
            old.name(),
            catalog.resolve(old.name()),
            old.roll_ups().iter().map(Channel::current).cloned().collect(),
            old.family(),
            None,
        );
        new.set_owner(owner);
        self.begin_change(std::iter::once(old.name().into()).collect());
        let mut stripe = self.stripe(old.name()).write().unwrap_or_else(PoisonError::into_inner);
        stripe.insert(old.name().into(), new.clone());
        old.replace_by(new.clone(), true);
        drop(stripe);
        self.changes.0.fetch_add(1, Ordering::AcqRel);
        new
    }

    /// How many channels of each family are known, by the family's name.
    pub fn count_by_family(&self) -> HashMap<String, usize, FixedState> {
        let mut counts: HashMap<String, usize, FixedState> = HashMap::default();
        for stripe in &self.stripes {
            let stripe = stripe.read().unwrap_or_else(PoisonError::into_inner);
            for channel in stripe.values().filter(|channel| channel.declared() && !channel.is_roll_up()) {
                *counts.entry_ref(channel.spec().family.as_str()).or_default() += 1;
            }
        }
        counts
    }

    /// Forgets channels that nobody else holds; call now and then.
    pub fn sweep(&self) {
        for stripe in &self.stripes {
            let mut stripe = stripe.write().unwrap_or_else(PoisonError::into_inner);
            stripe.retain(|_, channel| channel.is_in_use());
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of stripes")]
    fn stripe(&self, name: &str) -> &RwLock<Stripe> {
        &self.stripes[stripe_of(name)]
    }
}

/// The families and roll-ups that only one of the catalogues has, or that have another row in the other.
fn rows_changed(one: &Catalog, other: &Catalog) -> Names {
    let families = one.specs().chain(other.specs()).map(|spec| spec.family.as_str());
    let families = families.filter(|name| one.family(name) != other.family(name));
    let roll_ups = one.roll_ups().chain(other.roll_ups());
    let roll_ups = roll_ups.filter(|name| one.resolve(name) != other.resolve(name));
    families.chain(roll_ups).map(Box::from).collect()
}

fn stripe_of(name: &str) -> usize {
    (FixedState::default().hash_one(name) >> 48) as usize % STRIPES
}

fn roll_ups_of(row: &Resolved) -> impl Iterator<Item = &str> {
    let names = if row.roll_up { &[] } else { row.spec.rolls_up_to.as_slice() };
    names.iter().map(String::as_str)
}

fn in_use(channel: &Channel, row: &Resolved) -> Refusal {
    let message = format!(
        "family {} cannot change like this while {} is in use (keep, idle_ttl_s, max_rate, schema, compress, read and \
         publish can): remove the family first, if it is not built in, which starts its channels anew, or restart the hub",
        row.spec.family,
        channel.name()
    );
    Refusal::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
