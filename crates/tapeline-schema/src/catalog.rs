//! The catalogue: the families there are, found by channel name.
//!
//! Owns the built-in rows, rows added later, and the roll-ups that follow from both.
//! Refuses to know channels in use, subscribers and events' fields.

mod check;
mod error;
mod family;
mod keys;
mod rollup;
mod spec;
mod suggest;
mod table;
mod words;

use std::collections::HashMap;
use std::sync::Arc;

pub use error::CatalogError;
pub use family::{Family, FamilyKeep, FamilyRemovedWhen};
pub use spec::{ChannelSpec, Keep, RemovedWhen};
pub use words::{Compress, Delivery, Priority, Publishers, Readers};

use rollup::RollUp;

/// The families, in the order they were declared.
#[derive(Clone, Debug)]
pub struct Catalog {
    order: Vec<Arc<ChannelSpec>>,
    families: HashMap<String, Arc<ChannelSpec>>,
    roll_ups: HashMap<String, RollUp>,
    undeclared: Arc<ChannelSpec>,
}

/// What a channel name stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The family's row, the roll-up's, or the one for undeclared names.
    pub spec: Arc<ChannelSpec>,
    /// Whether the name collects other channels.
    pub roll_up: bool,
    /// Whether the catalogue knows the name.
    pub declared: bool,
}

impl Catalog {
    /// A catalogue in which every name is undeclared.
    pub fn empty() -> Self {
        Self {
            order: Vec::new(),
            families: HashMap::new(),
            roll_ups: HashMap::new(),
            undeclared: Arc::new(ChannelSpec::undeclared()),
        }
    }

    /// The families every hub knows.
    pub fn built_in() -> Self {
        let mut catalog = Self::empty();
        for spec in table::built_in_rows() {
            // Unchecked, so that starting cannot fail; a test sends each row through `add`.
            catalog.insert(spec);
        }
        catalog
    }

    /// Declares one more family.
    ///
    /// # Errors
    /// The first rule that the row breaks, alone or together with those already here.
    pub fn add(&mut self, spec: ChannelSpec) -> Result<(), CatalogError> {
        let spec = check::check_row(spec)?;
        check::check_fit(self, &spec)?;
        self.insert(spec);
        Ok(())
    }

    fn insert(&mut self, spec: ChannelSpec) {
        let spec = Arc::new(spec);
        self.families.insert(spec.family.clone(), Arc::clone(&spec));
        self.order.push(Arc::clone(&spec));
        for name in &spec.rolls_up_to {
            let bare = self.families.get(name).filter(|family| family.keys.is_empty());
            match self.roll_ups.get_mut(name) {
                Some(roll_up) => roll_up.join(&spec, bare),
                None => {
                    self.roll_ups.insert(name.clone(), RollUp::of(name, &spec, bare));
                }
            }
        }
        if spec.keys.is_empty()
            && let Some(roll_up) = self.roll_ups.get_mut(&spec.family)
        {
            roll_up.merge(Some(&spec));
        }
    }

    /// What a channel name stands for; any name stands for something.
    pub fn resolve(&self, name: &str) -> Resolved {
        if let Some(roll_up) = self.roll_ups.get(name) {
            return Resolved { spec: Arc::clone(&roll_up.spec), roll_up: true, declared: true };
        }
        let family = name.split_once(':').map_or(name, |(family, _)| family);
        match self.families.get(family).filter(|spec| spec.covers(name)) {
            Some(spec) => Resolved { spec: Arc::clone(spec), roll_up: false, declared: true },
            None => Resolved { spec: Arc::clone(&self.undeclared), roll_up: false, declared: false },
        }
    }

    /// The row of a family, by the text before the first colon.
    pub fn family(&self, family: &str) -> Option<&Arc<ChannelSpec>> {
        self.families.get(family)
    }

    /// Every row, built-in ones first, in the order of their declaration.
    pub fn specs(&self) -> impl Iterator<Item = &Arc<ChannelSpec>> {
        self.order.iter()
    }

    /// The families that roll up to this name; empty if none does.
    pub fn rolled_up_by(&self, name: &str) -> &[Arc<ChannelSpec>] {
        self.roll_ups.get(name).map_or(&[], |roll_up| roll_up.sources.as_slice())
    }

    /// Every roll-up name, in no order.
    pub fn roll_ups(&self) -> impl Iterator<Item = &str> {
        self.roll_ups.keys().map(String::as_str)
    }

    /// The declared name that an undeclared one probably meant: `market_data:AAPL` for `market-data:AAPL`.
    pub fn suggest(&self, name: &str) -> Option<String> {
        suggest::closest(self, name)
    }
}

#[cfg(test)]
mod tests;
