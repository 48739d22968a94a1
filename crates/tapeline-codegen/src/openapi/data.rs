//! The routes of a hub's data directory and their JSON objects; as in `bodies`, only their shapes.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tapeline_schema::ErrorCode;

use ErrorCode::{Forbidden, Internal, InvalidRequest, StorageFull};

use super::bodies::named;
use super::routes::{Answer, Route, ok};

/// What a family takes in the data directory.
#[derive(Debug, Serialize, JsonSchema)]
struct FamilyBytes {
    /// Its name; empty for the store.
    family: String,
    /// Data of messages that are kept.
    live: u64,
    /// Records in the log.
    log: u64,
    /// Records in snapshots.
    snapshot: u64,
}

/// What the data directory holds.
#[derive(Debug, Serialize, JsonSchema)]
struct DataUsage {
    /// By name.
    families: Vec<FamilyBytes>,
}

pub(super) fn bodies() -> [(String, Value); 1] {
    [named::<DataUsage>()]
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "get",
        path: "/admin/data/backup",
        id: "backup",
        summary: "A backup of the data directory as of now, for tapeline restore; to the hub's own machine only.",
        parameters: &[],
        bodies: &[],
        answers: &[Answer {
            status: 200,
            about: "The backup; it is whole where its last checksum is.",
            kind: Some("application/octet-stream"),
            schema: None,
        }],
        refusals: &[InvalidRequest, Forbidden, Internal, StorageFull],
    },
    Route {
        method: "get",
        path: "/admin/data/usage",
        id: "data_usage",
        summary: "What each family takes in the data directory; to the hub's own machine only.",
        parameters: &[],
        bodies: &[],
        answers: &[ok("By family.", "DataUsage")],
        refusals: &[InvalidRequest, Forbidden, Internal],
    },
];
