//! The routes of the store and their JSON objects; as in `bodies`, only their shapes.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tapeline_schema::ErrorCode;

use ErrorCode::{
    BadChannel, BadJson, Degraded, Internal, InvalidRequest, NoValue, StorageFull, UnsupportedMediaType,
    VersionConflict,
};

use super::bodies::{NAME, named};
use super::routes::{Answer, Body, JSON, Parameter, Route, in_path, in_query, ok, text};

/// An entry of the store.
#[derive(Debug, Serialize, JsonSchema)]
struct StoreEntry {
    /// `namespace:resource:id:field`
    key: String,
    /// Greater than that of every change before it; the `ETag` too.
    version: u64,
    /// When it goes away, RFC 3339; absent where it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// As it was given.
    value: Value,
}

/// A value is kept.
#[derive(Debug, Serialize, JsonSchema)]
struct StoreReceipt {
    /// Where.
    key: String,
    /// What it is expected by from now on.
    version: u64,
}

/// A value is gone.
#[derive(Debug, Serialize, JsonSchema)]
struct StoreDeleted {
    /// Where it was.
    key: String,
    /// True.
    deleted: bool,
}

/// Entries in the order of their keys' bytes.
#[derive(Debug, Serialize, JsonSchema)]
struct StoreListing {
    /// At most `limit`, and about 4 MiB.
    entries: Vec<StoreEntry>,
    /// As `after`, asks for the page after this one; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

fn key() -> Value {
    json!({ "type": "string", "minLength": 3, "maxLength": 256, "pattern": NAME })
}

fn part() -> Value {
    json!({ "anyOf": [{ "enum": [""] }, { "type": "string", "maxLength": 256, "pattern": NAME }] })
}

fn seconds() -> Value {
    json!({ "type": "number", "exclusiveMinimum": 0 })
}

fn limit() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": 1_000 })
}

fn expectation() -> Value {
    json!({ "anyOf": [{ "enum": ["absent"] }, { "type": "string", "pattern": "^[0-9]{1,19}$" }] })
}

const fn in_header(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, place: "header", schema: text, about, required: false }
}

const KEY: Parameter = in_path(
    "key",
    key,
    "`namespace:resource:id:field`, a namespace at least; slashes are fine, also as %2F.",
);
const EXPECT: Parameter =
    in_query("expect", expectation, "Only if there is no value (`absent`), or the one with this version.");
const IF_MATCH: Parameter =
    in_header("If-Match", "As `expect` with the version of an `ETag`; fails with 412.");
const IF_NONE_MATCH: Parameter = in_header("If-None-Match", "`*`: as `expect=absent`; fails with 412.");

const DISAPPOINTED: Answer = Answer {
    status: 412,
    about: "`version_conflict`, where a header said what was expected.",
    kind: Some(JSON),
    schema: Some("Error"),
};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "get",
        path: "/store",
        id: "list_store",
        summary: "Entries of the store whose keys begin alike.",
        parameters: &[
            in_query("prefix", part, "What the keys begin with."),
            in_query("after", part, "The `next` of the page before."),
            in_query("limit", limit, "At most so many, 1 to 1,000; 100 if left out."),
        ],
        bodies: &[],
        answers: &[ok("The entries.", "StoreListing")],
        refusals: &[InvalidRequest, Degraded, Internal],
    },
    Route {
        method: "get",
        path: "/store/{key}",
        id: "get_value",
        summary: "One entry of the store.",
        parameters: &[KEY],
        bodies: &[],
        answers: &[ok("The entry.", "StoreEntry")],
        refusals: &[InvalidRequest, BadChannel, NoValue, Degraded, Internal],
    },
    Route {
        method: "put",
        path: "/store/{key}",
        id: "set_value",
        summary: "Keeps the body under a key.",
        parameters: &[
            KEY,
            in_query("ttl_s", seconds, "For so many seconds; without it until it is deleted."),
            EXPECT,
            IF_MATCH,
            IF_NONE_MATCH,
        ],
        bodies: &[(JSON, Body::Anything)],
        answers: &[ok("It is kept.", "StoreReceipt"), DISAPPOINTED],
        refusals: &[
            BadJson,
            BadChannel,
            UnsupportedMediaType,
            VersionConflict,
            StorageFull,
            Degraded,
            Internal,
        ],
    },
    Route {
        method: "delete",
        path: "/store/{key}",
        id: "delete_value",
        summary: "Removes an entry.",
        parameters: &[KEY, EXPECT, IF_MATCH, IF_NONE_MATCH],
        bodies: &[],
        answers: &[ok("It is gone.", "StoreDeleted"), DISAPPOINTED],
        refusals: &[InvalidRequest, BadChannel, NoValue, VersionConflict, StorageFull, Degraded, Internal],
    },
];

/// The shapes, by name.
pub(super) fn bodies() -> Vec<(String, Value)> {
    vec![named::<StoreEntry>(), named::<StoreReceipt>(), named::<StoreDeleted>(), named::<StoreListing>()]
}
