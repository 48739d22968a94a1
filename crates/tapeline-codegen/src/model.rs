//! A hub's families as documents and types tell of them: from a catalogue, or read back from a hub's AsyncAPI document,
//! so that types can be made of a hub that runs elsewhere.
//!
//! Owns the extensions `x-tapeline-…`, which carry what AsyncAPI has no words for. Refuses to know any language.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tapeline_schema::{Catalog, ChannelSpec, Delivery, Priority, Publishers, Readers, check_name};
use thiserror::Error;

use crate::frames;
use crate::naming::{Taken, is_identifier, pascal};

/// Names that generated files use themselves.
const RESERVED: &[&str] = &[
    "Any",
    "Array",
    "Channels",
    "DataOf",
    "Envelope",
    "False",
    "Generic",
    "Literal",
    "Message",
    "None",
    "NotRequired",
    "Published",
    "PublishedData",
    "R",
    "Record",
    "Required",
    "Rollup",
    "RowRemoved",
    "Rows",
    "ServerFrame",
    "ClientFrame",
    "Table",
    "True",
    "TypeVar",
    "TypedDict",
    "Union",
];

/// A family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Family {
    /// `market_data:{symbol}`, or a bare name.
    #[serde(rename = "address")]
    pub template: String,
    /// The text before the first colon.
    #[serde(rename = "x-tapeline-family")]
    pub family: String,
    /// The names of the template's keys.
    #[serde(rename = "x-tapeline-keys")]
    pub keys: Vec<String>,
    /// The `type` of its messages.
    #[serde(rename = "x-tapeline-type")]
    pub kind: String,
    /// How urgent.
    #[serde(rename = "x-tapeline-priority")]
    pub priority: Priority,
    /// What a subscriber gets who asks for nothing else.
    #[serde(rename = "x-tapeline-delivery")]
    pub delivery: Delivery,
    /// What is kept of each channel.
    #[serde(rename = "x-tapeline-keep")]
    pub keep: Kept,
    /// The names that collect its channels.
    #[serde(rename = "x-tapeline-rolls-up-to")]
    pub rolls_up_to: Vec<String>,
    /// The fields, or places, that tell a table's rows apart.
    #[serde(rename = "x-tapeline-row-key")]
    pub row_key: Vec<String>,
    /// Which rows of a table are gone, beside those that say `"removed":true`.
    #[serde(rename = "x-tapeline-removed-when", default, skip_serializing_if = "Option::is_none")]
    pub removed_when: Option<RemovedWhen>,
    /// Who may read.
    #[serde(rename = "x-tapeline-read")]
    pub read: Readers,
    /// Who may publish.
    #[serde(rename = "x-tapeline-publish")]
    pub publish: Publishers,
    /// The name of its event's type, or of a table's row.
    #[serde(rename = "x-tapeline-event")]
    pub event: String,
    /// Whether any object is taken: the schema only says what is usual.
    #[serde(rename = "x-tapeline-open")]
    pub open: bool,
    /// The event's JSON Schema, references in it beginning at itself; none where any JSON is taken.
    #[serde(skip)]
    pub schema: Option<Value>,
}

/// A row with this value there is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemovedWhen {
    /// The field's name, or its place in an array.
    pub field: String,
    /// A number, string, true, false or null; numbers compare as numbers.
    pub equals: Value,
}

/// How much of a channel is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Messages; of a table, rows.
    pub count: usize,
    /// For how long.
    pub age_s: Option<u64>,
    /// How many bytes of data.
    pub bytes: Option<usize>,
}

/// A name that collects channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollUp {
    /// The name.
    #[serde(rename = "address")]
    pub name: String,
    /// The templates of the families that it collects.
    #[serde(rename = "x-tapeline-collects")]
    pub collects: Vec<String>,
}

/// All families of a hub.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// In the order of their declaration.
    pub families: Vec<Family>,
    /// By name.
    pub roll_ups: Vec<RollUp>,
}

/// A document that is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a Tapeline hub's AsyncAPI document: {0}")]
pub struct BadDocument(String);

impl Model {
    /// The families of a catalogue, their events under names of their own.
    pub fn of(catalog: &Catalog) -> Self {
        let mut taken = Taken::default();
        let frames = frames::actions().into_iter().map(|(frame, _)| frame).chain(frames::answers());
        for name in RESERVED.iter().map(|name| (*name).to_owned()).chain(frames.map(|frame| frame.name)) {
            taken.give(&name);
        }
        let families = catalog.specs().map(|spec| Family::of(spec, &mut taken)).collect();
        let mut roll_ups: Vec<_> = catalog
            .roll_ups()
            .map(|name| RollUp {
                name: name.to_owned(),
                collects: catalog.rolled_up_by(name).iter().map(|spec| spec.template.clone()).collect(),
            })
            .collect();
        roll_ups.sort_by(|one, two| one.name.cmp(&two.name));
        Self { families, roll_ups }
    }

    /// Read back from a hub's AsyncAPI document.
    ///
    /// # Errors
    /// What the document lacks.
    pub fn read(document: &Value) -> Result<Self, BadDocument> {
        let channels = document.get("channels").and_then(Value::as_object);
        let channels = channels.ok_or_else(|| BadDocument("it has no channels".to_owned()))?;
        let mut placed = Vec::new();
        let mut roll_ups = Vec::new();
        for (id, channel) in channels {
            let bad = |error: String| BadDocument(format!("channel {id:?}: {error}"));
            let unread = |error: serde_json::Error| bad(error.to_string());
            if channel.get("x-tapeline-collects").is_some() {
                let roll_up = RollUp::deserialize(channel).map_err(unread)?;
                roll_up.check().map_err(bad)?;
                roll_ups.push(roll_up);
            } else if channel.get("x-tapeline-family").is_some() {
                let mut family = Family::deserialize(channel).map_err(unread)?;
                family.check().map_err(bad)?;
                family.schema = taken_out(document, &family.event);
                placed.push((channel.get("x-tapeline-order").and_then(Value::as_u64), family));
            }
        }
        if placed.is_empty() {
            return Err(BadDocument("none of its channels is a family".to_owned()));
        }
        placed.sort_by_key(|(order, _)| *order);
        roll_ups.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(Self { families: placed.into_iter().map(|(_, family)| family).collect(), roll_ups })
    }

    /// A family by its template.
    pub fn family(&self, template: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.template == template)
    }
}

impl Family {
    fn of(spec: &ChannelSpec, taken: &mut Taken) -> Self {
        let schema = spec.schema.as_ref();
        let event = taken.give(&pascal(schema.map_or(spec.family.as_str(), |schema| schema.name())));
        Self {
            template: spec.template.clone(),
            family: spec.family.clone(),
            keys: spec.keys.clone(),
            kind: spec.kind.clone(),
            priority: spec.priority,
            delivery: spec.delivery,
            keep: Kept {
                count: spec.keep.count,
                age_s: spec.keep.age.map(|age| age.as_secs()),
                bytes: spec.keep.bytes,
            },
            rolls_up_to: spec.rolls_up_to.clone(),
            row_key: spec.row_key.clone(),
            removed_when: spec.removed_when.as_ref().and_then(|when| {
                // What is no JSON equals nothing.
                let equals = serde_json::from_str(&when.equals).ok()?;
                Some(RemovedWhen { field: when.field.clone(), equals })
            }),
            read: spec.read,
            publish: spec.publish,
            event,
            open: schema.is_none_or(|schema| schema.is_open()),
            schema: schema.map(|schema| schema.json().clone()),
        }
    }

    /// Whether names that may become code, which some other program wrote, are names.
    fn check(&self) -> Result<(), String> {
        for name in [&self.template, &self.family] {
            check_name(name).map_err(|error| error.to_string())?;
        }
        if self.family.contains([':', '{', '}']) {
            return Err(format!("{:?} is no name of a family", self.family));
        }
        match self.keys.iter().chain([&self.event]).find(|name| !is_identifier(name)) {
            Some(name) => Err(format!("{name:?} is no name of a key or an event")),
            None => Ok(()),
        }
    }

    /// The name of the type of its messages.
    pub(crate) fn message(&self) -> String {
        format!("{}Message", self.event)
    }

    pub(crate) fn is_table(&self) -> bool {
        self.delivery == Delivery::Table
    }
}

impl RollUp {
    fn check(&self) -> Result<(), String> {
        let mut names = self.collects.iter().chain([&self.name]);
        names.try_for_each(|name| check_name(name)).map_err(|error| error.to_string())
    }
}

/// Where a document keeps an event's schema.
pub(crate) fn place_of(event: &str) -> String {
    format!("#/components/schemas/{event}")
}

/// An event's schema with references that begin at itself.
fn taken_out(document: &Value, event: &str) -> Option<Value> {
    let mut schema = document.pointer(&format!("/components/schemas/{event}"))?.clone();
    move_references(&mut schema, &place_of(event), "#");
    Some(schema)
}

/// Makes references that begin with one place begin with another.
pub(crate) fn move_references(schema: &mut Value, from: &str, to: &str) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(target) if name == "$ref" => {
                        if let Some(rest) = target.strip_prefix(from) {
                            *target = format!("{to}{rest}");
                        }
                    }
                    other => move_references(other, from, to),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
