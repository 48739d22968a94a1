//! The one error that a client can be told: a declared code and a message that names the thing and the limit.

use std::time::Duration;

use tapeline_schema::ErrorCode;

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The declared code.
    pub code: ErrorCode,
    /// Lower-case; names the thing and the limit.
    pub message: String,
    /// How long to wait before the same may succeed, in milliseconds; not said where nobody knows.
    pub retry_after_ms: Option<u32>,
}

impl Refusal {
    /// A refusal with this code and message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into(), retry_after_ms: None }
    }

    /// The same, with the time after which it may succeed; rounded up.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        let millis = wait.as_micros().div_ceil(1_000);
        Refusal { retry_after_ms: Some(u32::try_from(millis).unwrap_or(u32::MAX)), ..self }
    }
}
