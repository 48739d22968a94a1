//! Whether an update is what its channel says.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::de::IgnoredAny;
use tapeline_core::feed::{Update, VenueChannel};

use super::{IntakeConfig, Look};
use crate::call::told;

/// What a channel's data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An object.
    Object,
    /// An object or a list.
    Either,
}

/// What an owner asks of a channel's updates; says what is wrong.
#[derive(Clone)]
pub struct Rule(Arc<RuleFn>);

type RuleFn = dyn Fn(&Update) -> Result<(), String> + Send + Sync;

impl Rule {
    /// A rule from a function. It is called on the source's thread, so it must be quick, and it must not ask the
    /// pipeline anything. Where it panics, the update is invalid.
    pub fn new(rule: impl Fn(&Update) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Rule(Arc::new(rule))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rule")
    }
}

/// Why an update is not what its channel says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Too long.
    #[error("the data is {bytes} bytes, the limit is {limit}")]
    TooLong {
        /// Bytes of the data.
        bytes: usize,
        /// The most that are let in.
        limit: usize,
    },
    /// Not JSON.
    #[error("the data is not JSON")]
    NotJson,
    /// JSON of another kind.
    #[error("the data of {channel} is to be {}", match shape { Shape::Object => "an object", Shape::Either => "an object or a list" })]
    Shape {
        /// The update's channel.
        channel: VenueChannel,
        /// What it asks for.
        shape: Shape,
    },
    /// Its channel needs one.
    #[error("an update of {0} needs a symbol")]
    NoSymbol(VenueChannel),
    /// An owner's rule.
    #[error("{0}")]
    Rule(String),
}

/// What a channel's data is.
fn shape(channel: &VenueChannel) -> Shape {
    match channel {
        VenueChannel::Balances | VenueChannel::Instrument | VenueChannel::Status | VenueChannel::Other(_) => {
            Shape::Either
        }
        _ => Shape::Object,
    }
}

fn needs_symbol(channel: &VenueChannel) -> bool {
    matches!(channel, VenueChannel::Ticker | VenueChannel::Book | VenueChannel::Trade | VenueChannel::Ohlc)
}

pub(super) fn validate(update: &Update, config: &IntakeConfig) -> Result<(), Invalid> {
    let (bytes, limit) = (update.data.len(), config.max_bytes);
    if bytes > limit {
        return Err(Invalid::TooLong { bytes, limit });
    }
    let channel = &update.channel;
    if needs_symbol(channel) && update.symbol.as_deref().is_none_or(str::is_empty) {
        return Err(Invalid::NoSymbol(channel.clone()));
    }
    let data = update.data.trim_ascii();
    let (shape, ends) = (shape(channel), (data.first(), data.last()));
    match ends {
        (Some(b'{'), Some(b'}')) => {}
        (Some(b'['), Some(b']')) if shape == Shape::Either => {}
        _ if serde_json::from_slice::<IgnoredAny>(data).is_err() => return Err(Invalid::NotJson),
        _ => return Err(Invalid::Shape { channel: channel.clone(), shape }),
    }
    if config.look == Look::Whole && serde_json::from_slice::<IgnoredAny>(data).is_err() {
        return Err(Invalid::NotJson);
    }
    let mut rules = config.rules.iter().filter(|(of, _)| of == channel);
    rules.try_for_each(|(_, rule)| ask(rule, update)).map_err(Invalid::Rule)
}

/// A rule that panics lets nothing in; it must not take its source's thread along.
fn ask(rule: &Rule, update: &Update) -> Result<(), String> {
    let asked = catch_unwind(AssertUnwindSafe(|| (rule.0)(update)));
    asked.unwrap_or_else(|panic| Err(format!("a rule panicked: {}", told(&*panic))))
}
