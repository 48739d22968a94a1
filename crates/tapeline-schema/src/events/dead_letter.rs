//! What was given up: the letter, the words for why, and the message that it was.
//!
//! Owns the form that a letter can be published again from. Refuses to know who gives up, and when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::values::Time;

/// The family of dead letters, and the roll-up that collects them.
pub const DEAD_LETTERS: &str = "dead_letters";

/// The type of the note that says of a letter on its channel that it has been published again.
pub const DEAD_LETTER_REDRIVEN: &str = "dead_letter_redriven";

/// A message that could not be delivered or understood, published by whoever gave it up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// Why it was given up: `refused`, `not_json`, `overflow`, `expired`, `max_retries`, `circuit_open`, `validation`,
    /// `timeout`, `panic`, `stopped`, or a word of the publisher's own.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u64,
    /// When it was tried first.
    pub first_at: Time,
    /// When it was tried last.
    pub last_at: Time,
    /// What it was: any JSON. It can be published again where it is an object with `channel` and `data`, and maybe
    /// `type` and `correlation_id`.
    pub original: Value,
    /// What went wrong, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

macro_rules! reasons {
    ($($reason:ident $name:literal $meaning:literal)*) => {
        /// The words for why a message is given up. Whoever publishes letters may use others.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DeadLetterReason {
            $(#[doc = $meaning] $reason,)*
        }

        impl DeadLetterReason {
            /// Every word.
            pub const ALL: &[DeadLetterReason] = &[$(Self::$reason,)*];

            /// The word on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$reason => $name,)* }
            }
        }
    };
}

reasons! {
    Refused     "refused"      "The hub refused it."
    NotJson     "not_json"     "It is not JSON."
    Overflow    "overflow"     "There was no room for it for too long."
    Expired     "expired"      "It came too late to be of use."
    MaxRetries  "max_retries"  "It failed as often as it may be tried."
    CircuitOpen "circuit_open" "What should take it was switched off after too many failures."
    Validation  "validation"   "What should take it refused it."
    Timeout     "timeout"      "It took longer than it may."
    Panic       "panic"        "What should take it broke down over it."
    Stopped     "stopped"      "What should take it was stopped before it could."
}

impl From<DeadLetterReason> for String {
    fn from(reason: DeadLetterReason) -> Self {
        reason.name().to_owned()
    }
}

impl DeadLetter {
    /// A letter about a message of a hub, in the form that can be published again; tried once, at `at`.
    ///
    /// ```
    /// use serde_json::json;
    /// use tapeline_schema::events::{DeadLetter, DeadLetterReason};
    ///
    /// let fill = json!({"portfolio_id": "p1", "quantity": 0});
    /// let letter = DeadLetter::of(DeadLetterReason::Validation, "2026-01-01T12:00:00Z", "trades:p1", fill)
    ///     .with_type("trade")
    ///     .with_error("a trade of nothing")
    ///     .tried(3, "2026-01-01T12:00:09Z");
    /// assert_eq!(letter.reason, "validation");
    /// assert_eq!(letter.original["channel"], "trades:p1");
    /// assert_eq!(letter.original["type"], "trade");
    /// ```
    pub fn of(
        reason: impl Into<String>,
        at: impl Into<Time>,
        channel: impl Into<String>,
        data: impl Into<Value>,
    ) -> Self {
        let at = at.into();
        DeadLetter {
            reason: reason.into(),
            attempts: 1,
            first_at: at.clone(),
            last_at: at,
            original: json!({ "channel": channel.into(), "data": data.into() }),
            error: None,
        }
    }

    /// The original's type, where it was not its family's own.
    #[must_use]
    pub fn with_type(self, kind: impl Into<String>) -> Self {
        self.with("type", kind.into())
    }

    /// The original's correlation id.
    #[must_use]
    pub fn with_correlation_id(self, id: impl Into<String>) -> Self {
        self.with("correlation_id", id.into())
    }

    /// Whose channel the original's is, where its publisher said so beside the data.
    #[must_use]
    pub fn with_owner(self, subject: impl Into<String>) -> Self {
        self.with("owner", subject.into())
    }

    /// What went wrong, in a sentence.
    #[must_use]
    pub fn with_error(self, error: impl Into<String>) -> Self {
        DeadLetter { error: Some(error.into()), ..self }
    }

    /// It was tried so often, the last time at `last_at`.
    #[must_use]
    pub fn tried(self, attempts: u64, last_at: impl Into<Time>) -> Self {
        DeadLetter { attempts, last_at: last_at.into(), ..self }
    }

    fn with(mut self, name: &str, text: String) -> Self {
        if let Value::Object(original) = &mut self.original {
            original.insert(name.to_owned(), Value::String(text));
        }
        self
    }
}
