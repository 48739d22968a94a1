//! The frames that carry an event: the message that subscribers get, the publish that a client sends.
//!
//! Owns the header's fields. Refuses to know what is in the data.

use serde_json::{Map, Value, json};
use tapeline_schema::Readers;

use crate::model::{Family, place_of};

/// The message that subscribers get.
pub(super) fn heard(family: &Family) -> Value {
    let mut properties = Map::new();
    let mut put = |name: &str, schema: Value| properties.insert(name.to_owned(), schema);
    put("type", json!({ "const": family.kind }));
    put(
        "channel",
        json!({ "type": "string", "description": "Where it was published, also under a roll-up." }),
    );
    for key in &family.keys {
        put(key, json!({ "type": "string", "description": "The channel's key." }));
    }
    put("data", data(family));
    put(
        "timestamp",
        json!({ "type": "string", "format": "date-time", "description": "Receipt by the hub." }),
    );
    put("id", json!({ "type": "string", "format": "uuid", "description": "A UUID of version 7." }));
    put("correlation_id", json!({ "type": "string", "description": "As the publisher gave it." }));
    put("offset", json!({ "type": "integer", "minimum": 1, "description": "Its place in its channel." }));
    put("epoch", json!({ "type": "string", "description": "What the offset counts under." }));
    put("rollup", rollup());
    json!({
        "type": "object",
        "description": format!("A message of `{}`.", family.template),
        "required": ["type", "channel", "data", "timestamp", "id", "offset", "epoch"],
        "properties": properties,
    })
}

/// The publish that a client sends.
pub(super) fn published(family: &Family) -> Value {
    let mut properties = json!({
        "action": { "const": "publish" },
        "channel": { "type": "string", "description": format!("A channel of `{}`.", family.template) },
        "data": if family.is_table() { rows_or_row(family) } else { event(family) },
        "correlation_id": { "type": "string", "description": "Carried end to end." },
        "idempotency_key": { "type": "string", "description": "A repeat within 5 minutes is not published again." },
        "req": { "description": "Any JSON up to 256 bytes; asks for an answer." },
    });
    if family.read == Readers::Owner
        && let Some(properties) = properties.as_object_mut()
    {
        let why = "Whose channel it is; without it `owner` in the data. The first owner of a channel stays.";
        let owner = json!({ "type": "string", "minLength": 1, "maxLength": 256, "description": why });
        properties.insert("owner".to_owned(), owner);
    }
    json!({
        "type": "object",
        "description": format!("Publishes to `{}`.", family.template),
        "required": ["action", "channel", "data"],
        "properties": properties,
    })
}

/// One event, or one row.
fn event(family: &Family) -> Value {
    match &family.schema {
        Some(_) => json!({ "$ref": place_of(&family.event) }),
        None => json!({ "description": "Any JSON." }),
    }
}

fn data(family: &Family) -> Value {
    if !family.is_table() {
        return event(family);
    }
    let mut table = rows(family);
    if let Some(fields) = table.as_object_mut() {
        fields.insert("required".to_owned(), json!(["rows", "meta", "snapshot"]));
    }
    table
}

fn rows(family: &Family) -> Value {
    json!({
        "type": "object",
        "description": format!("Rows, told apart by {}.", family.row_key.join(", ")),
        "required": ["rows"],
        "properties": {
            "rows": { "type": "array", "items": event_or_removal(family) },
            "meta": { "type": "object", "description": "What goes with the table as a whole; the newest holds." },
            "snapshot": { "type": "boolean", "description": "Whether these rows are the whole table." },
        },
    })
}

fn rows_or_row(family: &Family) -> Value {
    json!({ "anyOf": [rows(family), event_or_removal(family)] })
}

/// A row, or the key of one with `removed`.
fn event_or_removal(family: &Family) -> Value {
    if family.row_key.iter().all(|key| key.parse::<usize>().is_ok()) {
        return event(family);
    }
    let mut required: Vec<&str> = family.row_key.iter().map(String::as_str).collect();
    required.push("removed");
    let removal = json!({
        "type": "object",
        "description": "Takes a row away: its key, and `removed`.",
        "required": required,
        "properties": { "removed": { "const": true } },
    });
    json!({ "anyOf": [event(family), removal] })
}

fn rollup() -> Value {
    json!({
        "type": "object",
        "description": "Its places in the roll-ups that count for themselves.",
        "additionalProperties": {
            "type": "object",
            "required": ["offset", "epoch"],
            "properties": { "offset": { "type": "integer" }, "epoch": { "type": "string" } },
        },
    })
}
