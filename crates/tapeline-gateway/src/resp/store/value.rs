//! Values: the store keeps JSON, Redis bytes. Bytes that are JSON are kept as they are, so that others read a number or an
//! object; all else as a JSON string, or in base64 where it is no text. Read here, every value is the bytes that were set.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::value::RawValue;
use tapeline_core::channel::push_json_string;

/// What an object that holds bytes in base64 has, and nothing else.
const BINARY: &str = "data_b64";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Binary<'a> {
    #[serde(borrow)]
    data_b64: Cow<'a, str>,
}

/// The JSON that stands for these bytes.
pub(super) fn to_json(bytes: &[u8]) -> Bytes {
    if is_kept_as_it_is(bytes) {
        return Bytes::copy_from_slice(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len() + 16);
    match std::str::from_utf8(bytes) {
        Ok(text) => push_json_string(&mut out, text),
        Err(_) => {
            out.extend_from_slice(b"{\"data_b64\":\"");
            out.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
            out.extend_from_slice(b"\"}");
        }
    }
    out.into()
}

/// JSON without blanks around it that nobody here would take for the form of something else.
fn is_kept_as_it_is(bytes: &[u8]) -> bool {
    let (first, last) = (bytes.first(), bytes.last());
    let bare = [first, last].iter().all(|end| end.is_some_and(|byte| !byte.is_ascii_whitespace()));
    bare && first != Some(&b'"')
        && serde_json::from_slice::<&RawValue>(bytes).is_ok()
        && serde_json::from_slice::<Binary<'_>>(bytes).is_err()
}

/// The bytes that a JSON value stands for.
pub(super) fn to_bytes(json: &[u8]) -> Cow<'_, [u8]> {
    match json.first() {
        Some(b'"') => match serde_json::from_slice::<Cow<'_, str>>(json) {
            Ok(text) => Cow::Owned(text.into_owned().into_bytes()),
            Err(_) => Cow::Borrowed(json),
        },
        Some(b'{') => binary(json).map_or(Cow::Borrowed(json), Cow::Owned),
        _ => Cow::Borrowed(json),
    }
}

fn binary(json: &[u8]) -> Option<Vec<u8>> {
    let binary = serde_json::from_slice::<Binary<'_>>(json).ok()?;
    BASE64_STANDARD.decode(&*binary.data_b64).ok()
}

/// The same, without copying where the value is kept as it is.
pub(super) fn bytes_of(json: &Bytes) -> Bytes {
    match to_bytes(json) {
        Cow::Borrowed(_) => json.clone(),
        Cow::Owned(bytes) => bytes.into(),
    }
}

/// The fields of a hash, in the order of the object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// Those that were removed have left a gap.
    list: Vec<Option<(Box<str>, Bytes)>>,
    /// Where in the list each is: there may be a hundred thousand of them, and as many asked for.
    places: HashMap<Box<str>, usize>,
}

/// A field's name, not copied where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Shown each field of an object, in their order.
struct Each<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de RawValue)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            (self.0)(name, value);
        }
        Ok(())
    }
}

/// Shows each field of a hash; `None` where the value is none.
fn each_field<'a>(json: &'a [u8], show: impl FnMut(Cow<'a, str>, &'a RawValue)) -> Option<()> {
    if !is_hash(json) {
        return None;
    }
    serde_json::Deserializer::from_slice(json).deserialize_map(Each(show)).ok()
}

/// The bytes of one field of a hash, found without taking the others apart; `None` where the value is no hash.
pub(super) fn field(json: &Bytes, field: &[u8]) -> Option<Option<Bytes>> {
    let mut found = None;
    // Of fields that are there twice, the last counts, as everywhere.
    each_field(json, |name, value| {
        if name.as_bytes() == field {
            found = Some(value);
        }
    })?;
    Some(found.map(|value| bytes_of(&json.slice_ref(value.get().as_bytes()))))
}

/// How many fields a hash has; `None` where the value is none.
pub(super) fn field_count(json: &[u8]) -> Option<usize> {
    let mut names = HashSet::new();
    each_field(json, |name, _| _ = names.insert(name))?;
    Some(names.len())
}

/// Whether it is an object, and none that holds bytes.
pub(super) fn is_hash(json: &[u8]) -> bool {
    json.first() == Some(&b'{') && binary(json).is_none()
}

impl Fields {
    /// Those of a JSON object; `None` where it is something else.
    pub(super) fn of(json: &Bytes) -> Option<Self> {
        let mut fields = Fields::default();
        each_field(json, |name, value| _ = fields.put(&name, json.slice_ref(value.get().as_bytes())))?;
        Some(fields)
    }

    /// As a JSON object.
    pub(super) fn to_json(&self) -> Bytes {
        let mut out = b"{".to_vec();
        for (n, (field, value)) in self.list.iter().flatten().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            push_json_string(&mut out, field);
            out.push(b':');
            out.extend_from_slice(value);
        }
        out.push(b'}');
        out.into()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The bytes of a field.
    pub(super) fn get(&self, field: &[u8]) -> Option<Bytes> {
        let place = *self.places.get(std::str::from_utf8(field).ok()?)?;
        let (_, value) = self.list.get(place)?.as_ref()?;
        Some(bytes_of(value))
    }

    /// Sets a field to bytes; answers whether it is new, or why there is no such field.
    pub(super) fn set(&mut self, field: &[u8], bytes: &[u8]) -> Result<bool, &'static str> {
        let field = std::str::from_utf8(field).map_err(|_| "ERR the field is no UTF-8 text")?;
        if field == BINARY {
            return Err("ERR a field cannot be called data_b64 here: an object with it holds bytes");
        }
        Ok(self.put(field, to_json(bytes)))
    }

    fn put(&mut self, field: &str, value: Bytes) -> bool {
        let place = self.places.get(field).and_then(|place| self.list.get_mut(*place));
        if let Some(Some((_, held))) = place {
            *held = value;
            return false;
        }
        self.places.insert(field.into(), self.list.len());
        self.list.push(Some((field.into(), value)));
        true
    }

    /// Removes a field; answers whether it was there.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let place = std::str::from_utf8(field).ok().and_then(|field| self.places.remove(field));
        if let Some(gone) = place.and_then(|place| self.list.get_mut(place)) {
            *gone = None;
        }
        place.is_some()
    }

    /// Each field with its bytes.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (Bytes, Bytes)> {
        let all = self.list.iter().flatten();
        all.map(|(field, value)| (Bytes::copy_from_slice(field.as_bytes()), bytes_of(value)))
    }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
