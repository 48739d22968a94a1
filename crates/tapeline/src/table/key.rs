//! One part of a row's key: equal values are one key, however their digits are written.

use serde_json::Value;

/// A scalar. Numbers compare as numbers, so `66787.7` and `66787.70` name one row; a number and a string never do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Whole(i128),
    /// The bits of a number with a fraction, so that it can be compared for good.
    Broken(u64),
    Text(String),
    /// `true`, `false`, `null`, or what should not be a key.
    Other(String),
}

/// Up to here every whole number is a float of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Part {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Number(number) => match (number.as_i128(), number.as_f64()) {
                (Some(whole), _) => Part::Whole(whole),
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
                (None, Some(float)) if float.fract() == 0.0 && float.abs() < EXACT => {
                    Part::Whole(float as i128)
                }
                (None, Some(float)) => Part::Broken(float.to_bits()),
                (None, None) => Part::Other(number.to_string()),
            },
            Value::String(text) => Part::Text(text.clone()),
            other => Part::Other(other.to_string()),
        }
    }
}
