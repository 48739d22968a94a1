//! The way between a channel's name and the values of its family's keys, both ways.
//!
//! Owns where a name is split: k keys at the last k−1 colons after the family.
//! Refuses to know what a key means.

use super::{CatalogError, ChannelSpec};
use crate::name::check_name;

impl ChannelSpec {
    /// The key fields of a channel of this family with their values; empty for any other name.
    ///
    /// One key takes all after the family; k keys split at the last k−1 colons, so the first may hold colons.
    pub fn keys_of<'a>(&'a self, name: &'a str) -> Vec<(&'a str, &'a str)> {
        let Some(rest) = self.key_text(name) else { return Vec::new() };
        let mut pairs: Vec<_> =
            self.keys.iter().rev().map(String::as_str).zip(rest.rsplitn(self.keys.len(), ':')).collect();
        if pairs.len() < self.keys.len() || pairs.iter().any(|(_, value)| value.is_empty()) {
            return Vec::new();
        }
        pairs.reverse();
        pairs
    }

    /// The channel with these key values.
    ///
    /// # Errors
    /// A key without a value, a value that would be taken apart differently, or a name over the limits.
    pub fn name_for(&self, key: impl Fn(&str) -> Option<String>) -> Result<String, CatalogError> {
        let mut name = self.family.clone();
        for (place, field) in self.keys.iter().enumerate() {
            let value = key(field).filter(|value| !value.is_empty()).ok_or_else(|| {
                CatalogError::MissingKey { family: self.family.clone(), key: field.clone() }
            })?;
            if place > 0 && value.contains(':') {
                return Err(CatalogError::ColonInKey { family: self.family.clone(), key: field.clone() });
            }
            name.push(':');
            name.push_str(&value);
        }
        check_name(&name)?;
        Ok(name)
    }

    /// Whether the name is a channel of this family: as many keys as the template, none empty.
    pub fn covers(&self, name: &str) -> bool {
        if self.keys.is_empty() { name == self.family } else { !self.keys_of(name).is_empty() }
    }

    fn key_text<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.family.as_str())?.strip_prefix(':')
    }
}
