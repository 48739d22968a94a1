//! What is let in from one source: what is what its channel says, and has not come before. Pure: time is handed in.
//! It does not know who takes an update.

mod dedup;
mod validate;

use std::time::Duration;

use tapeline_core::clock::Now;
use tapeline_core::feed::{Update, VenueChannel};

use crate::config::QueueConfig;
pub(crate) use dedup::{Dedup, Mark};
use validate::validate;
pub use validate::{Invalid, Rule, Shape};

/// What is let in.
#[derive(Clone, Debug)]
pub struct IntakeConfig {
    /// Bytes of an update's data.
    pub max_bytes: usize,
    /// What an owner asks of a channel besides what is always asked.
    pub rules: Vec<(VenueChannel, Rule)>,
    /// Channels where the same content again is the same thing again. Not said of channels where equal messages are
    /// legal, as trades are.
    pub by_content: Vec<VenueChannel>,
    /// Updates that deduplication remembers: with more of them within its window, the window is shortened, and counted.
    pub remembered: usize,
    /// How much of the data is looked at.
    pub look: Look,
}

/// How much of an update's data is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// All of it: what is not JSON is invalid.
    #[default]
    Whole,
    /// Only the first and the last byte; for sources that are known to write JSON.
    Ends,
}

impl Default for IntakeConfig {
    fn default() -> Self {
        IntakeConfig {
            max_bytes: 1 << 20,
            rules: Vec::new(),
            by_content: Vec::new(),
            remembered: 100_000,
            look: Look::Whole,
        }
    }
}

/// What becomes of an update at the door.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It may go on; remember it once it is accepted.
    Admitted(Option<Mark>),
    Invalid(Invalid),
    Repeated,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Intake {
    config: IntakeConfig,
    dedup: Option<Dedup>,
}

impl Intake {
    pub(crate) fn new(config: IntakeConfig, queue: &QueueConfig) -> Self {
        let window = Duration::try_from_secs_f64(queue.dedup_window_seconds).unwrap_or_default();
        let is_on = queue.enable_deduplication && !window.is_zero();
        let dedup = is_on.then(|| Dedup::new(window, config.remembered));
        Intake { config, dedup }
    }

    pub(crate) fn admit(&mut self, update: &Update, now: Now) -> Admission {
        if let Err(invalid) = validate(update, &self.config) {
            return Admission::Invalid(invalid);
        }
        let Some(dedup) = &mut self.dedup else { return Admission::Admitted(None) };
        let by_content = self.config.by_content.contains(&update.channel);
        let Some(mark) = dedup.mark(update, by_content.then_some(&update.data)) else {
            return Admission::Admitted(None);
        };
        if dedup.knows(&mark, now) { Admission::Repeated } else { Admission::Admitted(Some(mark)) }
    }

    /// What was admitted has been accepted.
    pub(crate) fn remember(&mut self, mark: Mark, now: Now) {
        if let Some(dedup) = &mut self.dedup {
            dedup.remember(mark, now);
        }
    }

    /// Times that there were more updates within the window than are remembered.
    pub(crate) fn shortened(&self) -> u64 {
        self.dedup.as_ref().map_or(0, Dedup::shortened)
    }
}

#[cfg(test)]
mod tests;
