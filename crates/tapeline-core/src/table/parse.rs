//! From a publisher's data to rows: one row, or `{"rows":[…],"meta":{…},"snapshot":…}`. Each row keeps its bytes as
//! they came; only the fields of the key, `removed` and what `removed_when` names are looked at.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use tapeline_schema::ChannelSpec;
use thiserror::Error;

use super::{Extent, RowKey, Rows};
use crate::channel::push_json_string;

/// Why data is no rows of its family.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RowError {
    /// Neither a row nor rows.
    #[error(
        "a table takes a row (an object or array) or {{\"rows\":[…],\"meta\":{{…}},\"snapshot\":true|false}}"
    )]
    NoRows,
    /// One of the form's own fields is of another kind.
    #[error("`{0}` must be {1}")]
    Form(&'static str, &'static str),
    /// A row is neither object nor array.
    #[error("row {0} is neither an object nor an array")]
    NoRow(usize),
    /// A row lacks a field of the key.
    #[error("row {row} has no `{field}`, which tells the rows of {family} apart (row_key)")]
    NoKey {
        /// Its place, from 1 on.
        row: usize,
        /// The field or place.
        field: String,
        /// The family.
        family: String,
    },
    /// A field of the key is itself an object or array.
    #[error(
        "row {row}: `{field}` tells rows apart (row_key), so it must be a number, a string, true, false or null"
    )]
    BadKey {
        /// Its place, from 1 on.
        row: usize,
        /// The field or place.
        field: String,
    },
}

/// What a publisher may say of many rows.
#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow)]
    rows: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    #[serde(borrow)]
    snapshot: Option<&'a RawValue>,
}

/// The rows in a publisher's data, and the data in the one form that subscribers get.
///
/// # Errors
/// The first thing that is not as the family's row says.
pub fn take_apart(spec: &ChannelSpec, data: &[u8]) -> Result<(Bytes, Rows), RowError> {
    let form = match data.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(data).map_err(|_| RowError::NoRows)?,
        Some(b'[') => Form { rows: None, meta: None, snapshot: None },
        _ => return Err(RowError::NoRows),
    };
    let Some(rows) = form.rows else {
        let row = std::str::from_utf8(data).map_err(|_| RowError::NoRows)?.trim_ascii();
        let (key, removed) = look_into(spec, row, 1)?;
        return Ok(Rows::write(std::iter::once((key, removed, row.as_bytes())), b"{}", Extent::Changes));
    };
    let rows: Vec<&RawValue> =
        serde_json::from_str(rows.get()).map_err(|_| RowError::Form("rows", "an array of rows"))?;
    let meta = match form.meta.map(RawValue::get) {
        None | Some("null") => "{}",
        Some(meta) if meta.starts_with('{') => meta,
        Some(_) => return Err(RowError::Form("meta", "an object")),
    };
    let extent = match form.snapshot.map(RawValue::get) {
        None | Some("false" | "null") => Extent::Changes,
        Some("true") => Extent::Whole,
        Some(_) => return Err(RowError::Form("snapshot", "true or false")),
    };
    let mut found = Vec::with_capacity(rows.len());
    for (row, number) in rows.into_iter().zip(1..) {
        let (key, removed) = look_into(spec, row.get(), number)?;
        // A whole table says what is there; what is not needs no word.
        if !(extent == Extent::Whole && removed) {
            found.push((key, removed, row.get().as_bytes()));
        }
    }
    Ok(Rows::write(found.into_iter(), meta.as_bytes(), extent))
}

/// The row that deletes this one: the fields of its key, or, in an array, the value that `removed_when` names. `None` if
/// the family has no words for it.
pub fn removal(spec: &ChannelSpec, row: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(row.len() + 16);
    if row.starts_with('{') {
        let found = Wanted { spec }.find(row)?;
        out.push(b'{');
        for (field, value) in spec.row_key.iter().zip(found.key) {
            push_json_string(&mut out, field);
            out.push(b':');
            out.extend_from_slice(value?.get().as_bytes());
            out.push(b',');
        }
        out.extend_from_slice(b"\"removed\":true}");
        return Some(out);
    }
    let when = spec.removed_when.as_ref()?;
    let place: usize = when.field.parse().ok()?;
    let parts: Vec<&RawValue> = serde_json::from_str(row).ok()?;
    if spec.row_key.contains(&when.field) || place >= parts.len() {
        return None;
    }
    for (n, part) in parts.iter().enumerate() {
        out.push(if n == 0 { b'[' } else { b',' });
        out.extend_from_slice(if n == place { when.equals.as_bytes() } else { part.get().as_bytes() });
    }
    out.push(b']');
    Some(out)
}

/// A row's key, and whether it is a removal.
fn look_into(spec: &ChannelSpec, row: &str, number: usize) -> Result<(RowKey, bool), RowError> {
    let fields = Wanted { spec }.find(row).ok_or(RowError::NoRow(number))?;
    let mut key = RowKey::default();
    for (field, value) in spec.row_key.iter().zip(&fields.key) {
        let Some(value) = value else {
            let (field, family) = (field.clone(), spec.family.clone());
            return Err(RowError::NoKey { row: number, field, family });
        };
        if !key.push(value.get()) {
            return Err(RowError::BadKey { row: number, field: field.clone() });
        }
    }
    let says_so = fields.removed.is_some_and(|removed| removed.get() == "true");
    let is_so = spec.removed_when.as_ref().zip(fields.tested).is_some_and(|(when, value)| {
        RowKey::of(value.get()).is_some_and(|value| RowKey::of(&when.equals) == Some(value))
    });
    Ok((key, says_so || is_so))
}

/// The fields of a row that matter here.
#[derive(Default)]
struct Found<'a> {
    key: SmallVec<[Option<&'a RawValue>; 2]>,
    removed: Option<&'a RawValue>,
    tested: Option<&'a RawValue>,
}

/// Which fields to find.
struct Wanted<'s> {
    spec: &'s ChannelSpec,
}

impl Wanted<'_> {
    fn find<'a>(self, row: &'a str) -> Option<Found<'a>> {
        let mut json = serde_json::Deserializer::from_str(row);
        match row.as_bytes().first()? {
            b'{' => json.deserialize_map(self).ok(),
            b'[' => json.deserialize_seq(self).ok(),
            _ => None,
        }
    }

    fn none_found<'a>(&self) -> Found<'a> {
        Found { key: self.spec.row_key.iter().map(|_| None).collect(), ..Found::default() }
    }

    /// Whether a field matters; puts its value where it belongs.
    fn place<'a, 'f>(&self, found: &'f mut Found<'a>, name: &str) -> Places<'a, 'f> {
        let key = self.spec.row_key.iter().zip(&mut found.key).find(|(field, _)| *field == name);
        let tested = self.spec.removed_when.as_ref().is_some_and(|when| when.field == name);
        Places { key: key.map(|(_, slot)| slot), tested: tested.then_some(&mut found.tested) }
    }
}

/// A field's name, borrowed unless it is escaped.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Where one field's value goes.
struct Places<'a, 'f> {
    key: Option<&'f mut Option<&'a RawValue>>,
    tested: Option<&'f mut Option<&'a RawValue>>,
}

impl<'a> Places<'a, '_> {
    fn any(&self) -> bool {
        self.key.is_some() || self.tested.is_some()
    }

    fn put(self, value: &'a RawValue) {
        for slot in self.key.into_iter().chain(self.tested) {
            *slot = Some(value);
        }
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = self.none_found();
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let name = name.0;
            if name == "removed" {
                found.removed = Some(map.next_value()?);
                continue;
            }
            let places = self.place(&mut found, &name);
            if places.any() {
                places.put(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let mut found = self.none_found();
        let mut place = 0_usize;
        while let Some(value) = seq.next_element::<&'de RawValue>()? {
            self.place(&mut found, &place.to_string()).put(value);
            place += 1;
        }
        Ok(found)
    }
}
