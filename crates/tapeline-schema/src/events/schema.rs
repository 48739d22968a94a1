//! What the payloads of a family must look like: a JSON Schema for readers and generators, and the same as a rule that
//! is quick to check.
//!
//! Owns how the rule follows from the schema. Refuses to know channels and types; who asks for a check knows those.

use std::fmt;

use jsonschema::Validator;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::mismatch::Mismatch;
use super::rule::Rule;

/// The shape of a family's payloads; of a `table`, the shape of one row.
#[derive(Debug)]
pub struct EventSchema {
    name: String,
    json: Value,
    check: Check,
}

#[derive(Debug)]
enum Check {
    /// Any object will do; the schema tells what is usual.
    Object,
    Rule(Rule),
    /// A user's own schema, whatever it says.
    Full(Box<Validator>),
}

impl EventSchema {
    /// Of a struct of ours whose required fields are required.
    pub fn typed<E: JsonSchema>() -> Self {
        let json = json_schema::<E>();
        let check = Check::Rule(Rule::of(&json));
        Self { name: E::schema_name().into_owned(), json, check }
    }

    /// Of a struct of ours that says what is usual: any object is taken.
    pub fn open<E: JsonSchema>() -> Self {
        Self { name: E::schema_name().into_owned(), json: json_schema::<E>(), check: Check::Object }
    }

    /// Of a user's JSON Schema. References may lead to places in the same document only: nothing is fetched.
    ///
    /// # Errors
    /// What is wrong with the schema.
    pub fn user(name: &str, json: Value) -> Result<Self, BadSchema> {
        if !json.is_object() {
            return Err(BadSchema("it must be a JSON object".to_owned()));
        }
        let validator = jsonschema::validator_for(&json).map_err(|error| BadSchema(error.to_string()))?;
        Ok(Self { name: name.to_owned(), json, check: Check::Full(Box::new(validator)) })
    }

    /// The event's name in generated types.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The JSON Schema, draft 2020-12, without references to other documents.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Whether any object is taken.
    pub fn is_open(&self) -> bool {
        matches!(self.check, Check::Object)
    }

    /// Whether the schema came with a user's family.
    pub fn is_user(&self) -> bool {
        matches!(self.check, Check::Full(_))
    }

    /// The fields that may not be missing, in order.
    pub fn required(&self) -> Vec<&str> {
        match &self.check {
            Check::Object => Vec::new(),
            Check::Rule(rule) => rule.required().collect(),
            Check::Full(_) => {
                let names = self.json.get("required").and_then(Value::as_array);
                names.into_iter().flatten().filter_map(Value::as_str).collect()
            }
        }
    }

    /// Checks one payload, or one row of a `table`. Of a built-in event this looks at the top level once and builds
    /// nothing.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check(&self, json: &[u8]) -> Result<(), Mismatch> {
        match &self.check {
            Check::Object if json.trim_ascii_start().first() == Some(&b'{') => Ok(()),
            Check::Object => Err(Mismatch::NoObject),
            Check::Rule(rule) => rule.check(json),
            Check::Full(validator) => {
                let value: Value =
                    serde_json::from_slice(json).map_err(|error| Mismatch::NoJson(error.to_string()))?;
                validator.validate(&value).map_err(|error| Mismatch::Schema {
                    path: error.instance_path().to_string(),
                    // Without the value, which may be as long as a publish.
                    why: error.masked().to_string(),
                })
            }
        }
    }
}

/// Rows are compared in tests and when families are swapped; the check follows from the rest.
impl PartialEq for EventSchema {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.json == other.json
            && std::mem::discriminant(&self.check) == std::mem::discriminant(&other.check)
    }
}

/// Why a user's schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSchema(String);

impl fmt::Display for BadSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schema is not usable: {}", self.0)
    }
}

impl std::error::Error for BadSchema {}

fn json_schema<E: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<E>().to_value()
}
