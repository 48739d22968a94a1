//! What a payload's top level must hold: the required fields, and of every declared field its JSON kind.
//!
//! Owns the check that runs at each publish of a built-in family. Refuses to look deeper than the top level.

use serde_json::Value;

use super::kinds::{Kinds, words};
use super::mismatch::Mismatch;
use super::skim::{Member, Members};

/// Declared fields of an event; more could not be counted in the mask of those seen.
const FIELDS: usize = 64;

/// The fields of an object, or the places of an array.
#[derive(Debug)]
pub(super) struct Rule {
    fields: Vec<Field>,
    is_array: bool,
    required: u64,
}

#[derive(Debug)]
struct Field {
    name: String,
    kinds: Kinds,
    words: Option<Vec<String>>,
}

impl Field {
    fn of(name: &str, schema: &Value) -> Self {
        Self { name: name.to_owned(), kinds: Kinds::of(schema), words: words(schema) }
    }
}

impl Rule {
    /// Read off a schema: `properties` and `required` of an object, `prefixItems` of an array.
    pub(super) fn of(schema: &Value) -> Self {
        let list = |name| schema.get(name).and_then(Value::as_array).into_iter().flatten();
        if schema.get("prefixItems").is_some() {
            let places = list("prefixItems").take(FIELDS).enumerate();
            let fields: Vec<_> = places.map(|(at, place)| Field::of(&at.to_string(), place)).collect();
            let required = mask(fields.len());
            return Self { fields, is_array: true, required };
        }
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let mut fields: Vec<_> = properties.map(|(name, schema)| Field::of(name, schema)).collect();
        // The required ones first, in the order of the struct, so that the mask and the sentences are simple.
        let order: Vec<_> = list("required").filter_map(Value::as_str).collect();
        let place = |field: &Field| order.iter().position(|name| *name == field.name);
        fields.sort_by_key(|field| place(field).unwrap_or(usize::MAX));
        fields.truncate(FIELDS);
        Self { fields, is_array: false, required: mask(order.len()) }
    }

    pub(super) fn required(&self) -> impl Iterator<Item = &str> {
        let count = self.required.count_ones() as usize;
        self.fields.iter().take(count).map(|field| field.name.as_str())
    }

    /// The first thing that does not fit.
    pub(super) fn check(&self, json: &[u8]) -> Result<(), Mismatch> {
        let (open, other) =
            if self.is_array { (b'[', Mismatch::NoArray) } else { (b'{', Mismatch::NoObject) };
        let mut members = Members::of(json, open).ok_or(other)?;
        let (mut seen, mut next) = (0_u64, 0);
        while let Some(member) = members.next().map_err(|error| no_json(error.0))? {
            let found = if self.is_array { Some(next) } else { self.place(member.key, next) };
            if let Some(at) = found
                && let Some(field) = self.fields.get(at)
            {
                field.check(&member)?;
                seen |= 1 << at;
                next = at + 1;
            }
        }
        let missing = self.required & !seen;
        match self.fields.get(missing.trailing_zeros() as usize).filter(|_| missing != 0) {
            Some(field) => Err(Mismatch::Missing(field.name.clone())),
            None => Ok(()),
        }
    }

    /// Where a key is declared. Most publishers write fields in the same order, so the one after the last is tried first.
    fn place(&self, key: &[u8], next: usize) -> Option<usize> {
        if self.fields.get(next).is_some_and(|field| field.name.as_bytes() == key) {
            return Some(next);
        }
        if key.contains(&b'\\') {
            let text = [b"\"", key, b"\""].concat();
            let key: String = serde_json::from_slice(&text).ok()?;
            return self.fields.iter().position(|field| field.name == key);
        }
        self.fields.iter().position(|field| field.name.as_bytes() == key)
    }
}

fn mask(count: usize) -> u64 {
    u64::MAX.checked_shl(u32::try_from(count).unwrap_or(u32::MAX)).map_or(u64::MAX, |rest| !rest)
}

fn no_json(at: usize) -> Mismatch {
    Mismatch::NoJson(format!("unexpected byte or end at {at}"))
}

impl Field {
    #[inline]
    fn check(&self, member: &Member<'_>) -> Result<(), Mismatch> {
        let kind = Kinds::of_text(member.value.first().copied());
        if !self.kinds.holds(kind) {
            return Err(self.mismatch(kind.to_string()));
        }
        match &self.words {
            Some(words) if kind != Kinds::NULL => self.check_word(words, member.value),
            _ => Ok(()),
        }
    }

    fn check_word(&self, words: &[String], value: &[u8]) -> Result<(), Mismatch> {
        let plain = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        if plain.is_some_and(|plain| words.iter().any(|word| word.as_bytes() == plain)) {
            return Ok(());
        }
        let said: String =
            serde_json::from_slice(value).map_err(|error| Mismatch::NoJson(error.to_string()))?;
        if words.contains(&said) { Ok(()) } else { Err(self.mismatch(format!("{said:?}"))) }
    }

    fn mismatch(&self, found: String) -> Mismatch {
        let expected = match &self.words {
            Some(words) => words.join(" or "),
            None => self.kinds.to_string(),
        };
        let field = self.name.clone();
        let found = if found.is_empty() { "no JSON".to_owned() } else { found };
        Mismatch::Kind { field, found, expected }
    }
}
