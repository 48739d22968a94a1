//! The JSON kinds that a field may have, and the words, where it has fixed ones.
//!
//! Owns how both are read off a schema and off the first bytes of a value. Refuses to know fields.

use std::fmt;

use serde_json::Value;

/// A set of JSON kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

const NAMES: [&str; 6] = ["null", "a boolean", "a number", "a string", "an array", "an object"];

impl Kinds {
    const NONE: Self = Self(0);
    pub(super) const NULL: Self = Self(1);
    const BOOLEAN: Self = Self(1 << 1);
    const NUMBER: Self = Self(1 << 2);
    const STRING: Self = Self(1 << 3);
    const ARRAY: Self = Self(1 << 4);
    const OBJECT: Self = Self(1 << 5);
    const ANY: Self = Self((1 << 6) - 1);

    /// What a schema allows; what is not understood allows everything.
    pub(super) fn of(schema: &Value) -> Self {
        let all = |schemas: &Value, join: fn(u8, u8) -> u8, start: Self| {
            let each = schemas.as_array().into_iter().flatten().map(Self::of);
            each.fold(start, |one, two| Self(join(one.0, two.0)))
        };
        if let Some(named) = schema.get("type") {
            return match named {
                Value::Array(names) => names.iter().fold(Self::NONE, |one, name| one.or(Self::named(name))),
                name => Self::named(name),
            };
        }
        if let Some(value) = schema.get("const") {
            return Self::of_value(value);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return values.iter().fold(Self::NONE, |one, value| one.or(Self::of_value(value)));
        }
        match (schema.get("anyOf").or_else(|| schema.get("oneOf")), schema.get("allOf")) {
            (Some(some), _) => all(some, |one, two| one | two, Self::NONE),
            (None, Some(every)) => all(every, |one, two| one & two, Self::ANY),
            (None, None) => Self::ANY,
        }
    }

    fn named(name: &Value) -> Self {
        match name.as_str() {
            Some("null") => Self::NULL,
            Some("boolean") => Self::BOOLEAN,
            Some("number" | "integer") => Self::NUMBER,
            Some("string") => Self::STRING,
            Some("array") => Self::ARRAY,
            Some("object") => Self::OBJECT,
            _ => Self::ANY,
        }
    }

    fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    /// The kind of a value by its first byte.
    pub(super) fn of_text(first: Option<u8>) -> Self {
        match first {
            Some(b'n') => Self::NULL,
            Some(b't' | b'f') => Self::BOOLEAN,
            Some(b'"') => Self::STRING,
            Some(b'[') => Self::ARRAY,
            Some(b'{') => Self::OBJECT,
            Some(b'-' | b'0'..=b'9') => Self::NUMBER,
            _ => Self::NONE,
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn holds(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// `a string or a number`; null is what an absent field may be written as, and not worth a word beside others.
impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = if *self == Self::NULL { self.0 } else { self.0 & !Self::NULL.0 };
        let names: Vec<_> =
            (0..).zip(NAMES).filter(|(bit, _)| told >> bit & 1 == 1).map(|(_, name)| name).collect();
        f.write_str(&names.join(" or "))
    }
}

/// The words that a field must be one of, where the schema fixes them.
pub(super) fn words(schema: &Value) -> Option<Vec<String>> {
    if let Some(word) = schema.get("const") {
        return word.as_str().map(|word| vec![word.to_owned()]);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Some(values.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    let some = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
    let each: Option<Vec<_>> = some.iter().filter(|one| Kinds::of(one) != Kinds::NULL).map(words).collect();
    each.map(|each| each.concat())
}
