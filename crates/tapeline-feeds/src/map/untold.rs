//! What could not be published, and why: the venue sent something that has no place in the hub. It is counted by cause;
//! whoever calls the map logs it.

use std::fmt::Display;

use serde_json::value::RawValue;
use tapeline_core::feed::{Update, VenueChannel};
use tapeline_schema::NameError;
use thiserror::Error;

use super::template::{Field, Unnameable};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Untold {
    /// The venue's data lacks something, or has it as something else.
    #[error("{channel}: {why}")]
    Malformed {
        /// The venue's channel.
        channel: VenueChannel,
        /// What is wrong.
        why: String,
    },
    /// What the venue calls something cannot be in a channel's name.
    #[error("{} {value:?} of {channel} cannot be in a channel's name: {why}{}", field.name(), hint(*field))]
    Name {
        /// The venue's channel.
        channel: VenueChannel,
        /// What it is.
        field: Field,
        /// As the venue writes it; the start of it, where it is long.
        value: String,
        /// What is wrong.
        why: NameError,
    },
    /// The venue names more things than can be remembered.
    #[error("the venue has named more than {limit} {what}; further ones are not published")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are remembered.
        limit: usize,
    },
}

fn hint(field: Field) -> &'static str {
    if field == Field::Symbol { "; give it another name (feed.rename)" } else { "" }
}

impl Untold {
    pub(super) fn unnameable(channel: &VenueChannel, unnameable: Unnameable) -> Self {
        let Unnameable { field, value, why } = unnameable;
        Untold::Name { channel: channel.clone(), field, value, why }
    }
}

pub(super) fn malformed(update: &Update, why: impl Display) -> Untold {
    Untold::Malformed { channel: update.channel.clone(), why: why.to_string() }
}

/// The digits of a number.
pub(super) fn number<'a>(update: &Update, field: &str, value: &'a RawValue) -> Result<&'a str, Untold> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'0'..=b'9' | b'-') => Ok(text),
        _ => Err(malformed(update, format!("{field} is no number"))),
    }
}
