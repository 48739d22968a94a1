//! One dead letter, and which of them somebody asks for.

use std::sync::Arc;

use tapeline_core::feed::Update;
use tapeline_schema::Priority;
use tapeline_schema::events::DeadLetterReason;

/// Bytes of an error that are kept.
const ERROR_BYTES: usize = 1_024;
/// Earlier times that a letter tells of.
const HISTORY: usize = 8;

/// A letter's name in its store; later ones are greater.
pub type LetterId = u64;

/// A message that a component was to be called with, and why it was given up.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Whose it was.
    pub component: Arc<str>,
    /// Why it was given up.
    pub reason: DeadLetterReason,
    /// What went wrong, in a sentence, cut.
    pub error: Box<str>,
    /// Calls with it.
    pub attempts: u32,
    /// When it first failed, microseconds since 1970.
    pub first_us: u64,
    /// When it was given up, microseconds since 1970.
    pub last_us: u64,
    /// The message, its data as it came.
    pub update: Arc<Update>,
    /// Times that it had been sent anew before.
    pub redriven: u32,
    /// How it was given up those times, the oldest first.
    pub history: Vec<Earlier>,
    /// The pipeline's life in which it was taken in; a number that no two share.
    pub run: u64,
    /// Its number among what was taken in during that life.
    pub serial: u64,
}

/// An earlier time that a letter was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Why.
    pub reason: DeadLetterReason,
    /// Calls with it, that time.
    pub attempts: u32,
    /// When, microseconds since 1970.
    pub last_us: u64,
}

impl Letter {
    /// Whether it may never be lost.
    pub fn is_critical(&self) -> bool {
        self.update.channel.priority() == Priority::Critical
    }

    /// What to tell of it where it fails again.
    pub(crate) fn history_with_this(&self) -> Vec<Earlier> {
        let skip = (self.history.len() + 1).saturating_sub(HISTORY);
        let this = Earlier { reason: self.reason, attempts: self.attempts, last_us: self.last_us };
        self.history.iter().skip(skip).cloned().chain([this]).collect()
    }
}

/// An error as it is kept: its beginning.
pub(crate) fn cut(error: &str) -> Box<str> {
    error.get(..error.floor_char_boundary(ERROR_BYTES)).unwrap_or_default().into()
}

/// Which letters; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The letter of this name.
    pub id: Option<LetterId>,
    /// Those given up for this reason.
    pub reason: Option<DeadLetterReason>,
    /// Those of this component.
    pub component: Option<Arc<str>>,
    /// Those given up then or later, microseconds since 1970.
    pub since_us: Option<u64>,
    /// Those given up before, microseconds since 1970.
    pub until_us: Option<u64>,
}

impl Filter {
    /// Whether a letter of this name is one of them.
    pub fn lets_through(&self, id: LetterId, letter: &Letter) -> bool {
        self.id.is_none_or(|wanted| wanted == id)
            && self.reason.is_none_or(|wanted| wanted == letter.reason)
            && self.component.as_ref().is_none_or(|wanted| *wanted == letter.component)
            && self.since_us.is_none_or(|since_us| letter.last_us >= since_us)
            && self.until_us.is_none_or(|until_us| letter.last_us < until_us)
    }
}
