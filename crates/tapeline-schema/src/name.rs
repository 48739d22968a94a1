//! Channel names and patterns: checked once at the edge, then trusted.
//!
//! Owns what a legal name is and what a pattern matches.
//! Refuses to know which families exist; that is the catalogue's.

mod pattern;

use thiserror::Error;

pub use pattern::Pattern;

use crate::codes::{ErrorCode, Retry};

/// The longest channel name, in bytes.
pub const NAME_LIMIT: usize = 128;

/// The longest pattern, in bytes: classes and escapes spend several bytes on one character of a name.
pub const PATTERN_LIMIT: usize = 256;

/// Why a channel name or a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// A channel name without a byte.
    #[error("channel name is empty")]
    Empty,
    /// A channel name over [`NAME_LIMIT`].
    #[error("channel name is {bytes} bytes, the limit is {NAME_LIMIT}")]
    TooLong {
        /// How long it was.
        bytes: usize,
    },
    /// A channel name with a character that names may not hold.
    #[error(
        "channel name has {character:?} at byte {at}; allowed is printable ASCII without space , * ? [ ] \\"
    )]
    BadCharacter {
        /// The first one found.
        character: char,
        /// Where it starts, in bytes.
        at: usize,
    },
    /// A pattern without a byte.
    #[error("pattern is empty")]
    EmptyPattern,
    /// A pattern over [`PATTERN_LIMIT`].
    #[error("pattern is {bytes} bytes, the limit is {PATTERN_LIMIT}")]
    PatternTooLong {
        /// How long it was.
        bytes: usize,
    },
    /// A pattern with a character that is not printable ASCII.
    #[error("pattern has {character:?} at byte {at}; allowed is printable ASCII")]
    BadPatternCharacter {
        /// The first one found.
        character: char,
        /// Where it starts, in bytes.
        at: usize,
    },
}

impl NameError {
    /// The code a client is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Empty | Self::TooLong { .. } | Self::BadCharacter { .. } => ErrorCode::BadChannel,
            Self::EmptyPattern | Self::PatternTooLong { .. } | Self::BadPatternCharacter { .. } => {
                ErrorCode::BadPattern
            }
        }
    }

    /// Whether the same name can succeed later: it cannot.
    pub fn retry(&self) -> Retry {
        self.code().retry()
    }
}

/// Checks a channel name: 1–128 bytes of printable ASCII without space, comma, `*`, `?`, `[`, `]`, `\`.
///
/// # Errors
/// The first rule that the name breaks.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_LIMIT {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    match name.char_indices().find(|(_, character)| !is_name_character(*character)) {
        Some((at, character)) => Err(NameError::BadCharacter { character, at }),
        None => Ok(()),
    }
}

/// Whether channel names, and keys of the store, may hold this character.
pub fn is_name_character(character: char) -> bool {
    character.is_ascii_graphic() && !matches!(character, ',' | '*' | '?' | '[' | ']' | '\\')
}

#[cfg(test)]
mod tests;
