//! The native protocol's frames beside messages: what a client asks, what the hub answers. Only their shapes: the hub
//! reads and writes them by hand, and a test holds what it says against these.
//!
//! Owns the fields and what they mean. Refuses to know messages, which are the families'.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use tapeline_schema::{Delivery, ErrorCode, RATE_STEPS};

mod actions;
mod answers;

pub use actions::*;
pub use answers::*;

/// One kind of frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The name of its type.
    pub name: String,
    /// The word in its field `action` or `type`.
    pub word: &'static str,
    /// Its JSON Schema, that word included.
    pub schema: Value,
}

/// What a client asks, with the words of the answers.
pub fn actions() -> Vec<(Frame, &'static [&'static str])> {
    vec![
        (action::<Subscribe>("subscribe"), &["subscription_confirmed", "error"]),
        (action::<Unsubscribe>("unsubscribe"), &["unsubscription_confirmed", "error"]),
        (action::<Publish>("publish"), &["published", "error"]),
        (action::<AskHistory>("history"), &["history", "error"]),
        (action::<AskLast>("last"), &["last", "error"]),
        (action::<List>("list"), &["subscriptions"]),
        (action::<GiveToken>("token"), &["token_ok", "error"]),
        (action::<Ping>("ping"), &["pong"]),
    ]
}

/// What the hub says beside messages.
pub fn answers() -> Vec<Frame> {
    vec![
        answer::<SubscriptionConfirmed>("subscription_confirmed"),
        answer::<UnsubscriptionConfirmed>("unsubscription_confirmed"),
        answer::<Published>("published"),
        answer::<Last>("last"),
        answer::<History>("history"),
        answer::<Subscriptions>("subscriptions"),
        answer::<Pong>("pong"),
        answer::<Heartbeat>("heartbeat"),
        answer::<Gap>("gap"),
        answer::<Notice>("notice"),
        answer::<Reconnect>("reconnect"),
        answer::<TokenOk>("token_ok"),
        answer::<TokenExpiring>("token_expiring"),
        answer::<Refused>("error"),
    ]
}

/// The JSON Schema of a type of ours, without references.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
        settings.contract = schemars::generate::Contract::Serialize;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

fn action<T: JsonSchema>(word: &'static str) -> Frame {
    frame::<T>("action", word)
}

fn answer<T: JsonSchema>(word: &'static str) -> Frame {
    frame::<T>("type", word)
}

fn frame<T: JsonSchema>(field: &str, word: &'static str) -> Frame {
    let mut schema = schema_of::<T>();
    if let Some(object) = schema.as_object_mut() {
        let mut properties = Map::from_iter([(field.to_owned(), serde_json::json!({ "const": word }))]);
        if let Some(Value::Object(own)) = object.remove("properties") {
            properties.extend(own);
        }
        let mut required = vec![Value::from(field)];
        if let Some(Value::Array(own)) = object.remove("required") {
            required.extend(own);
        }
        object.insert("properties".to_owned(), properties.into());
        object.insert("required".to_owned(), required.into());
    }
    Frame { name: T::schema_name().into_owned(), word, schema }
}

fn deliveries(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    words([Delivery::Latest, Delivery::Table, Delivery::Every].map(Delivery::name))
}

pub(crate) fn error_codes(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    words(ErrorCode::ALL.iter().map(|code| code.name()))
}

fn gap_reasons(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    words(["trimmed", "epoch", "overflow", "broker"])
}

fn notices(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    words(["conflated", "degraded", "restored", "stale", "book_resync"])
}

fn rates(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "integer", "enum": RATE_STEPS })
}

fn words(words: impl IntoIterator<Item = &'static str>) -> schemars::Schema {
    let words: Vec<_> = words.into_iter().collect();
    schemars::json_schema!({ "type": "string", "enum": words })
}
