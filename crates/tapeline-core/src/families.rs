//! Families by number: what counters are kept by. A number is given once and never again, for as long as the hub runs, so
//! that a counter can be found without a lock; there are few, so that who stores them need not fear for room.
//!
//! It knows names and priorities. What is counted is `stats`'.

use std::sync::{PoisonError, RwLock};

use tapeline_schema::{Priority, Resolved};

/// Families that are counted apart; all others are counted together.
pub const FAMILIES: usize = 256;

/// What names that no family declares are counted as. No name has a space, so no family is called like this.
pub const UNDECLARED: &str = "(no family)";
/// What the families beyond [`FAMILIES`] are counted as.
pub const OTHERS: &str = "(all others)";

/// The number of a family at a priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyNumber(u8);

/// A family as counters name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedFamily {
    /// Its name, [`UNDECLARED`] or [`OTHERS`].
    pub name: Box<str>,
    /// Its priority; that of [`OTHERS`] says nothing.
    pub priority: Priority,
}

/// Which family has which number.
#[derive(Debug)]
pub struct Families(RwLock<Vec<CountedFamily>>);

impl Default for Families {
    fn default() -> Self {
        Families(RwLock::new(vec![CountedFamily { name: OTHERS.into(), priority: Priority::Medium }]))
    }
}

impl Families {
    /// The number of the family of a resolved name, given now if it has none.
    pub(crate) fn number(&self, resolved: &Resolved) -> FamilyNumber {
        let name = if resolved.declared { resolved.spec.family.as_str() } else { UNDECLARED };
        let priority = resolved.spec.priority;
        let find = |known: &[CountedFamily]| {
            let at = known.iter().skip(1).position(|one| *one.name == *name && one.priority == priority)?;
            u8::try_from(at + 1).ok().map(FamilyNumber)
        };
        if let Some(number) = find(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return number;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = find(&known) {
            return number;
        }
        let Ok(number) = u8::try_from(known.len()) else { return FamilyNumber::default() };
        known.push(CountedFamily { name: name.into(), priority });
        FamilyNumber(number)
    }

    /// All that have a number, each with it.
    pub fn list(&self) -> Vec<(FamilyNumber, CountedFamily)> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let numbered = known.iter().enumerate();
        numbered.filter_map(|(n, one)| u8::try_from(n).ok().map(|n| (FamilyNumber(n), one.clone()))).collect()
    }
}

/// One thing a family.
#[derive(Debug)]
pub struct ByFamily<T>(Box<[T; FAMILIES]>);

impl<T: Default> Default for ByFamily<T> {
    fn default() -> Self {
        ByFamily(Box::new(std::array::from_fn(|_| T::default())))
    }
}

impl<T> ByFamily<T> {
    /// The one of this family.
    #[expect(clippy::indexing_slicing, reason = "there is one for every number")]
    pub fn of(&self, family: FamilyNumber) -> &T {
        &self.0[usize::from(family.0)]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use tapeline_schema::Catalog;

    use super::*;

    #[test]
    fn a_family_keeps_its_number_and_the_hub_counts_only_so_many_apart() {
        let (families, catalog) = (Families::default(), Catalog::built_in());
        let prices = families.number(&catalog.resolve("market_data:AAPL"));
        assert_eq!(families.number(&catalog.resolve("market_data:TSLA")), prices);
        assert_ne!(families.number(&catalog.resolve("trades:p")), prices);
        let [one, other] = ["a", "b"].map(|name| families.number(&catalog.resolve(name)));
        assert_eq!(one, other, "undeclared names are one");
        for n in 0..2 * FAMILIES {
            let mut resolved = catalog.resolve("trades:p");
            resolved.spec = {
                let mut spec = (*resolved.spec).clone();
                spec.family = format!("family{n}");
                spec.into()
            };
            families.number(&resolved);
        }
        let list = families.list();
        assert_eq!(list.len(), FAMILIES);
        assert_eq!(&*list[0].1.name, OTHERS);
        let mut late = catalog.resolve("trades:p");
        late.spec = {
            let mut spec = (*late.spec).clone();
            spec.family = "late".to_string();
            spec.into()
        };
        assert_eq!(families.number(&late), FamilyNumber::default());
        assert_eq!(families.number(&catalog.resolve("market_data:AAPL")), prices);
    }
}
