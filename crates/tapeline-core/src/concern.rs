//! What changes of the catalogue are about, by name, so that only those whom they concern are looked at.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::channel::Channel;
use crate::rights::name_it_is_about;

/// Families, roll-ups and single channels.
pub(crate) type Names = HashSet<Box<str>, FixedState>;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) enum Concern {
    /// Nobody knows what.
    Everything,
    /// What is called so, and what is about that.
    Names(Arc<Names>),
}

impl Concern {
    /// Whether who may read the channel may have changed.
    pub(crate) fn has(&self, channel: &Channel) -> bool {
        match self {
            Concern::Everything => true,
            Concern::Names(names) => {
                is_named(names, channel.name())
                    || name_it_is_about(channel).is_some_and(|about| is_named(names, about))
            }
        }
    }
}

/// Whether the names have this one or its family.
pub(crate) fn is_named(names: &Names, name: &str) -> bool {
    // The name of a roll-up has no colon.
    let family = name.split_once(':').map_or(name, |(family, _)| family);
    names.contains(family) || names.contains(name)
}
