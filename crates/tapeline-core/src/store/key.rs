//! A key of the store: checked once, then trusted.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use tapeline_schema::{ErrorCode, name};

use crate::error::Refusal;

/// The longest key, in bytes.
pub const KEY_LIMIT: usize = 256;

/// `namespace:resource:id:field`: at least a namespace and something behind its colon, in the characters of channel names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// Checks a key.
    ///
    /// # Errors
    /// `invalid_request`, naming the first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        check_prefix(text)?;
        let has_namespace =
            text.split_once(':').is_some_and(|(namespace, rest)| !namespace.is_empty() && !rest.is_empty());
        if !has_namespace {
            let message = format!("key {text:?} has no namespace; write namespace:resource:id:field");
            return Err(Refusal::new(ErrorCode::InvalidRequest, message));
        }
        Ok(Key(text.into()))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first part.
    pub fn namespace(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

/// Checks what keys may begin with.
///
/// # Errors
/// `invalid_request` where none can.
pub(super) fn check_prefix(text: &str) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new(ErrorCode::InvalidRequest, message));
    if text.len() > KEY_LIMIT {
        return refuse(format!("key is {} bytes, the limit is {KEY_LIMIT}", text.len()));
    }
    match text.char_indices().find(|(_, character)| !name::is_name_character(*character)) {
        Some((at, character)) => refuse(format!(
            "key has {character:?} at byte {at}; allowed is printable ASCII without space , * ? [ ] \\"
        )),
        None => Ok(()),
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_namespace_and_the_characters_of_a_channel() {
        for good in ["a:b", "training:experiment:exp_123:status", "fx:EUR/USD", "a::b", "a:b:"] {
            assert_eq!(Key::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(Key::parse("a:b:c").unwrap().namespace(), "a");
        let longest = format!("a:{}", "k".repeat(KEY_LIMIT - 2));
        assert!(Key::parse(&longest).is_ok());
        let cases = [
            ("", "no namespace"),
            ("plain", "no namespace"),
            (":b", "no namespace"),
            ("a:", "no namespace"),
            ("a:b c", "' ' at byte 3"),
            ("a:*", "'*' at byte 2"),
            ("a:\u{e9}", "allowed is printable ASCII"),
            (&format!("{longest}k"), "key is 257 bytes, the limit is 256"),
        ];
        for (text, expected) in cases {
            let refusal = Key::parse(text).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidRequest);
            assert!(refusal.message.contains(expected), "{text}: {refusal}");
        }
    }
}
