//! The routes of dead letters and their JSON objects; as in `bodies`, only their shapes.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tapeline_schema::{ErrorCode, NAME_LIMIT};

use ErrorCode::{BadChannel, BadJson, Forbidden, Internal, InvalidData, InvalidRequest, NotFound};

use super::bodies::{NAME, named};
use super::routes::{Body, JSON, LIMIT, Parameter, Route, in_query, offset, ok, text};

/// Kept letters.
#[derive(Debug, Serialize, JsonSchema)]
struct DeadLettersAnswer {
    /// Newest first.
    letters: Vec<KeptDeadLetter>,
    /// As `before`, asks for the page after this one; null on the last.
    next: Option<u64>,
    /// Of all that is kept, whatever the page.
    totals: Vec<DeadLetterTotal>,
    /// Whether all that is kept was looked at; a call reads 32 MiB of letters at most, the newest.
    complete: bool,
}

/// A letter where it is kept.
#[derive(Debug, Serialize, JsonSchema)]
struct KeptDeadLetter {
    /// Who gave up; empty where the letter was published to `dead_letters` itself.
    source: String,
    /// Its place in its channel.
    offset: u64,
    /// What the offset counts under.
    epoch: String,
    /// The letter's own id.
    id: String,
    /// When the hub took the letter, RFC 3339.
    timestamp: String,
    /// Why it was given up.
    reason: String,
    /// How often it was tried; this and what follows is null in a list, where it cannot be read.
    attempts: Value,
    /// When first, as its publisher wrote it.
    first_at: Value,
    /// When last, as its publisher wrote it.
    last_at: Value,
    /// What went wrong, in a sentence; of a letter that cannot be read, why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Where and when it was published again, if it was.
    redriven: Option<DeadLetterRedriven>,
    /// What it was, as it came.
    original: Value,
}

/// A letter was published again.
#[derive(Debug, Serialize, JsonSchema)]
struct DeadLetterRedriven {
    /// When, RFC 3339.
    at: String,
    /// The original's channel.
    channel: String,
    /// Its place there.
    offset: u64,
    /// What that offset counts under.
    epoch: String,
    /// The id that it has there.
    id: String,
}

/// How many kept letters of a source have a reason.
#[derive(Debug, Serialize, JsonSchema)]
struct DeadLetterTotal {
    /// Who gave up.
    source: String,
    /// Why.
    reason: String,
    /// Letters that were not published again.
    outstanding: u64,
    /// Letters that were.
    redriven: u64,
}

/// Which letters are published again: `offsets`, `reason` or `all`, one of them.
#[derive(Debug, Serialize, JsonSchema)]
struct RedriveRequest {
    /// Whose letters.
    source: String,
    /// Those at these places, at most 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    offsets: Option<Vec<u64>>,
    /// Those with this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// All that are outstanding.
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<bool>,
    /// What the offsets count under; of another epoch nothing is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    /// Only those after this offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    /// At most so many, 1 to 100; 100 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    /// Say what would be done, and do nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
}

/// What became of each letter.
#[derive(Debug, Serialize, JsonSchema)]
struct RedriveAnswer {
    /// Oldest first.
    results: Vec<RedriveResult>,
    /// As `after`, asks for the letters that may be left; null where none are.
    next: Option<u64>,
    /// Milliseconds to wait before those are asked for: a limit of publishes a second has been reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// What became of one letter.
#[derive(Debug, Serialize, JsonSchema)]
struct RedriveResult {
    /// The letter.
    offset: u64,
    /// `redriven`, `would_redrive`, `already_redriven`, `refused` or `missing`.
    outcome: String,
    /// The original's channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// Its place there, where it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    published_offset: Option<u64>,
    /// Why it was refused, or why it could not be noted that it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RedriveError>,
}

/// A refusal inside an answer.
#[derive(Debug, Serialize, JsonSchema)]
struct RedriveError {
    /// Decide by this.
    #[schemars(schema_with = "crate::frames::error_codes")]
    code: String,
    /// For people.
    message: String,
}

/// Which letters are forgotten: one source's, or every source's.
#[derive(Debug, Serialize, JsonSchema)]
struct PurgeRequest {
    /// One source's.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Every source's.
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<bool>,
    /// Only up to this offset of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<u64>,
    /// What that offset counts under; of another epoch nothing is forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    /// Only those that are older than so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    older_than_s: Option<u64>,
}

/// What is gone.
#[derive(Debug, Serialize, JsonSchema)]
struct PurgeAnswer {
    /// Letters, and notes about them.
    purged: u64,
    /// Sources that lost some, at most 1,000 of them.
    sources: Vec<PurgedSource>,
}

/// What one source lost.
#[derive(Debug, Serialize, JsonSchema)]
struct PurgedSource {
    /// The source; empty for what was published to `dead_letters` itself.
    source: String,
    /// Letters, and notes about them.
    purged: u64,
    /// Up to this offset nothing is kept any more.
    through: u64,
}

fn zero_or_one() -> Value {
    json!({ "enum": ["", "0", "1", "false", "true"] })
}

/// What may stand behind `dead_letters:`; nothing for what was published to `dead_letters` itself.
fn letter_source() -> Value {
    let most = NAME_LIMIT - "dead_letters:".len();
    json!({ "anyOf": [{ "enum": [""] }, { "type": "string", "minLength": 1, "maxLength": most, "pattern": NAME }] })
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "get",
        path: "/dead-letters",
        id: "dead_letters",
        summary: "Kept dead letters, newest first, and how many there are by source and reason.",
        parameters: &[
            in_query(
                "source",
                letter_source,
                "Only of this source; without it, what the roll-up keeps of all sources.",
            ),
            in_query("reason", text, "Only with this reason."),
            LIMIT,
            in_query("before", offset, "The `next` of the page before."),
            in_query("all", zero_or_one, "`1` for those too that were published again."),
        ],
        bodies: &[],
        answers: &[ok("The letters.", "DeadLettersAnswer")],
        refusals: &[BadChannel, InvalidRequest, Internal],
    },
    Route {
        method: "get",
        path: "/dead-letters/letter",
        id: "dead_letter",
        summary: "One dead letter.",
        parameters: &[
            Parameter { required: true, ..in_query("source", letter_source, "Whose letter.") },
            Parameter { required: true, ..in_query("offset", offset, "Its place in its channel.") },
            in_query("epoch", text, "What the offset counts under."),
        ],
        bodies: &[],
        answers: &[ok("The letter.", "KeptDeadLetter")],
        refusals: &[BadChannel, InvalidRequest, InvalidData, NotFound, Internal],
    },
    Route {
        method: "post",
        path: "/admin/dead-letters/redrive",
        id: "redrive_dead_letters",
        summary: "Publish originals of dead letters again; from the hub's own machine only.",
        parameters: &[],
        bodies: &[(JSON, Body::One("RedriveRequest"))],
        answers: &[ok("What became of each.", "RedriveAnswer")],
        refusals: &[BadJson, InvalidRequest, BadChannel, Forbidden, Internal],
    },
    Route {
        method: "post",
        path: "/admin/dead-letters/purge",
        id: "purge_dead_letters",
        summary: "Forget dead letters for good; from the hub's own machine only.",
        parameters: &[],
        bodies: &[(JSON, Body::One("PurgeRequest"))],
        answers: &[ok("What is gone.", "PurgeAnswer")],
        refusals: &[BadJson, InvalidRequest, BadChannel, Forbidden, Internal],
    },
];

/// All of them, by name.
pub(super) fn all() -> Vec<(String, Value)> {
    vec![
        named::<DeadLettersAnswer>(),
        named::<KeptDeadLetter>(),
        named::<RedriveRequest>(),
        named::<RedriveAnswer>(),
        named::<PurgeRequest>(),
        named::<PurgeAnswer>(),
    ]
}
