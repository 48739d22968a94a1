//! The one error that a client can be told: a declared code and a message that names the thing and the limit.

use tapeline_schema::ErrorCode;

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The declared code.
    pub code: ErrorCode,
    /// Lower-case; names the thing and the limit.
    pub message: String,
}

impl Refusal {
    /// A refusal with this code and message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into() }
    }
}
