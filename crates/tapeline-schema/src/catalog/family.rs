//! A family as people write it: the keys of `[[channel]]` in the configuration file, of the body of
//! `POST /admin/channels` and of what `GET /channels` lists. A key is added here once, and in both directions below.
//!
//! Refuses to know whether a row is sound; that is checked when it is added to the catalogue.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{CatalogError, ChannelSpec, Compress, Delivery, Priority, Publishers, Readers, RemovedWhen};
use crate::events::EventSchema;

/// What is kept, as people write it; what is left out has the default of the delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FamilyKeep {
    /// Messages, for a `table` rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// For how long, in seconds.
    #[serde(alias = "age", skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
    /// Bytes of payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
}

/// Which rows a `table` loses, as people write it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FamilyRemovedWhen {
    /// The field's name, or its place in an array.
    pub field: String,
    /// What it equals then: a number, true, false, or any JSON value as text (`"\"gone\""`).
    #[serde(deserialize_with = "json_text")]
    pub equals: String,
}

fn json_text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Flag(bool),
        Whole(i64),
        Fraction(f64),
        Json(String),
    }
    Ok(match Written::deserialize(from)? {
        Written::Flag(value) => value.to_string(),
        Written::Whole(value) => value.to_string(),
        Written::Fraction(value) => value.to_string(),
        Written::Json(text) => text,
    })
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// `fx:{pair}`, or a bare name.
    pub template: String,
    /// The `type` of its messages.
    #[serde(rename = "type")]
    pub kind: String,
    /// How urgent.
    #[serde(default = "medium")]
    pub priority: Priority,
    /// What a subscriber gets who asks for nothing else.
    #[serde(default = "every")]
    pub delivery: Delivery,
    /// The fields that tell a `table`'s rows apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_key: Vec<String>,
    /// The names that collect its channels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rolls_up_to: Vec<String>,
    /// Messages a second for a subscriber who asks for no rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<u32>,
    /// After how many seconds without a message a channel may be forgotten.
    #[serde(alias = "idle_ttl", default, skip_serializing_if = "Option::is_none")]
    pub idle_ttl_s: Option<u64>,
    /// Whether its messages are compressed for clients that can take it.
    #[serde(default, skip_serializing_if = "is_auto")]
    pub compress: Compress,
    /// Who may read while authentication is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Readers>,
    /// Who may publish while authentication is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publishers>,
    /// Which rows a `table` loses, beside those that say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_when: Option<FamilyRemovedWhen>,
    /// What is kept of each channel. Among the last, as it is a table where it is written as TOML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<FamilyKeep>,
    /// What its payloads, or a `table`'s rows, look like: a JSON Schema. In a configuration file also the path of one.
    /// That of a built-in family is not written out here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

fn medium() -> Priority {
    Priority::Medium
}

fn every() -> Delivery {
    Delivery::Every
}

fn is_auto(compress: &Compress) -> bool {
    *compress == Compress::Auto
}

impl Family {
    /// Its name: the template up to the first colon.
    pub fn name(&self) -> &str {
        self.template.split(':').next().unwrap_or_default()
    }

    /// The row that it stands for.
    ///
    /// # Errors
    /// The schema is none. Whether the row is sound, the catalogue tells.
    pub fn spec(&self) -> Result<ChannelSpec, CatalogError> {
        let mut spec =
            ChannelSpec::of(&self.template, &self.kind, self.priority, self.delivery).compress(self.compress);
        if let Some(schema) = &self.schema {
            let checked = EventSchema::user(&spec.family, schema.clone())
                .map_err(|reason| CatalogError::BadSchema { family: spec.family.clone(), reason })?;
            spec = spec.schema(checked);
        }
        let keep = self.keep.unwrap_or_default();
        if keep.count.is_some() || keep.age_s.is_some() {
            let count = keep.count.unwrap_or(spec.keep.count);
            spec = spec.keep(count, keep.age_s.map(Duration::from_secs));
        }
        if let Some(bytes) = keep.bytes {
            spec = spec.keep_bytes(bytes);
        }
        spec.row_key.clone_from(&self.row_key);
        spec.rolls_up_to.clone_from(&self.rolls_up_to);
        spec.max_rate = self.max_rate;
        spec.removed_when = self.removed_when.as_ref().map(|when| {
            let FamilyRemovedWhen { field, equals } = when.clone();
            RemovedWhen { field, equals }
        });
        if let Some(seconds) = self.idle_ttl_s {
            spec.idle_ttl = Duration::from_secs(seconds);
        }
        if let Some(read) = self.read {
            spec = spec.read(read);
        }
        if let Some(publish) = self.publish {
            spec.publish = publish;
        }
        Ok(spec)
    }
}

impl From<&ChannelSpec> for Family {
    /// Every key written out.
    fn from(spec: &ChannelSpec) -> Self {
        let seconds = |duration: Duration| duration.as_secs();
        Family {
            template: spec.template.clone(),
            kind: spec.kind.clone(),
            priority: spec.priority,
            delivery: spec.delivery,
            row_key: spec.row_key.clone(),
            rolls_up_to: spec.rolls_up_to.clone(),
            max_rate: spec.max_rate,
            idle_ttl_s: Some(seconds(spec.idle_ttl)),
            compress: spec.compress,
            read: Some(spec.read),
            publish: Some(spec.publish),
            removed_when: spec.removed_when.as_ref().map(|when| {
                let RemovedWhen { field, equals } = when.clone();
                FamilyRemovedWhen { field, equals }
            }),
            keep: Some(FamilyKeep {
                count: Some(spec.keep.count),
                age_s: spec.keep.age.map(seconds),
                bytes: spec.keep.bytes,
            }),
            schema: spec
                .schema
                .as_ref()
                .filter(|schema| schema.is_user())
                .map(|schema| schema.json().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    #[test]
    fn every_built_in_row_can_be_written_out_and_read_back() {
        for spec in Catalog::built_in().specs() {
            let text = serde_json::to_string(&Family::from(&**spec)).unwrap();
            let mut read = serde_json::from_str::<Family>(&text).unwrap().spec().unwrap();
            // What people cannot write.
            read.replay_on_subscribe = spec.replay_on_subscribe;
            read.schema.clone_from(&spec.schema);
            assert_eq!(read, **spec, "{text}");
        }
    }

    #[test]
    fn a_number_that_removes_a_row_is_written_as_one() {
        let text = r#"{"template":"b:{k}","type":"b","removed_when":{"field":"2","equals":0}}"#;
        let family: Family = serde_json::from_str(text).unwrap();
        let expected = RemovedWhen { field: "2".to_owned(), equals: "0".to_owned() };
        assert_eq!(family.spec().unwrap().removed_when, Some(expected));
    }

    #[test]
    fn times_are_taken_under_the_contracts_names_too_and_written_under_those_with_their_unit() {
        let text = r#"{"template":"a","type":"t","idle_ttl":60,"keep":{"count":9,"age":30}}"#;
        let family: Family = serde_json::from_str(text).unwrap();
        let keep = FamilyKeep { count: Some(9), age_s: Some(30), bytes: None };
        assert_eq!((family.idle_ttl_s, family.keep), (Some(60), Some(keep)));
        let written = serde_json::to_string(&family).unwrap();
        assert!(written.contains("\"idle_ttl_s\":60") && written.contains("\"age_s\":30"), "{written}");
    }

    #[test]
    fn what_is_left_out_has_the_default_of_the_delivery() {
        let family: Family = serde_json::from_str(r#"{"template":"fx:{pair}","type":"rate"}"#).unwrap();
        assert_eq!(family.name(), "fx");
        let expected = ChannelSpec::of("fx:{pair}", "rate", Priority::Medium, Delivery::Every);
        assert_eq!(family.spec(), Ok(expected));
    }

    #[test]
    fn a_schema_is_written_out_and_read_back_and_what_is_none_is_refused() {
        let family = |schema: &str| -> Family {
            let text =
                format!(r#"{{"template":"fx:{{pair}}","type":"rate","compress":"never","schema":{schema}}}"#);
            serde_json::from_str(&text).unwrap()
        };
        let spec = family(r#"{"required":["bid"]}"#).spec().unwrap();
        assert_eq!((spec.compress, Family::from(&spec).spec()), (Compress::Never, Ok(spec)));
        for bad in ["7", r#""fx.json""#, r#"{"type":"flaot"}"#] {
            let told = family(bad).spec().unwrap_err().to_string();
            assert!(told.starts_with("family fx: schema is not usable: "), "{told}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_those_there_are() {
        let text = r#"{"template":"fx","type":"rate","prority":"high"}"#;
        let told = serde_json::from_str::<Family>(text).unwrap_err().to_string();
        assert!(told.contains("unknown field `prority`, expected one of `template`"), "{told}");
    }
}
