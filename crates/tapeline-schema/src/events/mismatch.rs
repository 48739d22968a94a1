//! How a payload can fail to be what its family says.
//!
//! Owns the sentences, each of which names the field. Refuses to know the family; whoever checks puts it in front.

use thiserror::Error;

/// Why a payload does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Mismatch {
    /// It cannot be read.
    #[error("data is not JSON: {0}")]
    NoJson(String),
    /// It is something else than an object.
    #[error("data is not an object")]
    NoObject,
    /// It is something else than an array.
    #[error("a row is not an array")]
    NoArray,
    /// A required field is not there.
    #[error("field `{0}` is missing")]
    Missing(String),
    /// A field is there as something else.
    #[error("field `{field}` is {found}, expected {expected}")]
    Kind {
        /// The field.
        field: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A user's schema refuses it.
    #[error("{why}{}", at(.path))]
    Schema {
        /// Where, as a JSON pointer; empty for the whole.
        path: String,
        /// What is wrong there.
        why: String,
    },
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" at {path}") }
}
