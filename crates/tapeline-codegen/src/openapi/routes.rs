//! The routes of the HTTP port, to be read as a table.
//!
//! Owns each route's words. Refuses to know what a route does.

use serde_json::{Value, json};
use tapeline_schema::{ErrorCode, NAME_LIMIT};

use ErrorCode::{
    BadChannel, BadJson, BadPattern, Degraded, Forbidden, ForeignOrigin, Internal, InvalidData,
    InvalidRequest, InvalidToken, NoHistory, NoValue, NotFound, Overloaded, RateLimited, ReservedType,
    StorageFull, Timeout, TooLarge, UndeclaredChannel, UnsupportedDelivery, UnsupportedMediaType,
};

use super::bodies::{LABEL, NAME};
use crate::model::place_of;

/// Where the families' keys are parameters.
pub(super) const BROADCAST: &str = "/broadcast/{family}";

/// What may be asked of a path.
pub(super) struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub id: &'static str,
    pub summary: &'static str,
    pub parameters: &'static [Parameter],
    /// Content types with the schema of each.
    pub bodies: &'static [(&'static str, Body)],
    pub answers: &'static [Answer],
    pub refusals: &'static [ErrorCode],
}

/// What a request carries.
#[derive(Clone, Copy)]
pub(super) enum Body {
    One(&'static str),
    Many(&'static str),
    Lines,
    /// Any JSON value.
    Anything,
}

/// A good answer: status, what it means, content type, schema.
pub(super) struct Answer {
    pub status: u16,
    pub about: &'static str,
    pub kind: Option<&'static str>,
    pub schema: Option<&'static str>,
}

/// A part of the path or the query.
pub(super) struct Parameter {
    pub name: &'static str,
    pub place: &'static str,
    pub schema: fn() -> Value,
    pub about: &'static str,
    pub required: bool,
}

impl Parameter {
    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "in": self.place,
            "required": self.required,
            "description": self.about,
            "schema": (self.schema)(),
        })
    }
}

impl Route {
    pub(super) fn body(&self) -> Option<Value> {
        let content: serde_json::Map<_, _> = self
            .bodies
            .iter()
            .map(|(kind, body)| {
                let schema = match body {
                    Body::One(name) => json!({ "$ref": place_of(name) }),
                    Body::Many(name) => json!({ "type": "array", "items": { "$ref": place_of(name) } }),
                    Body::Lines => json!({ "type": "string", "description": "One publish a line." }),
                    Body::Anything => json!({ "description": "Any JSON value." }),
                };
                ((*kind).to_owned(), json!({ "schema": schema }))
            })
            .collect();
        (!content.is_empty()).then(|| json!({ "required": true, "content": content }))
    }
}

pub(super) const JSON: &str = "application/json";

pub(super) const fn in_path(name: &'static str, schema: fn() -> Value, about: &'static str) -> Parameter {
    Parameter { name, place: "path", schema, about, required: true }
}

pub(super) const fn in_query(name: &'static str, schema: fn() -> Value, about: &'static str) -> Parameter {
    Parameter { name, place: "query", schema, about, required: false }
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

fn truth() -> Value {
    json!({ "type": "boolean" })
}

fn local() -> Value {
    json!({ "enum": ["local"] })
}

fn channel_name() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": NAME_LIMIT, "pattern": NAME })
}

fn channels_heard() -> Value {
    json!({ "type": "array", "items": channel_name() })
}

fn patterns_heard() -> Value {
    json!({ "type": "array", "items": { "type": "string", "minLength": 1 } })
}

fn rate() -> Value {
    json!({ "type": "number", "minimum": 1 })
}

fn delivery() -> Value {
    json!({ "enum": ["latest", "table", "every"] })
}

fn event_id() -> Value {
    json!({ "type": "string" })
}

fn client_id() -> Value {
    json!({ "type": "string", "maxLength": LABEL })
}

pub(super) fn offset() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX })
}

fn history_limit() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": 1_000 })
}

pub(super) const fn ok(about: &'static str, schema: &'static str) -> Answer {
    Answer { status: 200, about, kind: Some(JSON), schema: Some(schema) }
}

const HELD: Answer = Answer {
    status: 202,
    about: "The message broker is out of reach; the newest value is held until it is back.",
    kind: Some(JSON),
    schema: Some("HeldReceipt"),
};

pub(super) const fn plain(status: u16, about: &'static str, kind: Option<&'static str>) -> Answer {
    Answer { status, about, kind, schema: None }
}

const CHANNEL: Parameter = in_path("channel", channel_name, "The channel; slashes are fine, also as %2F.");
const CHANNEL_ASKED: Parameter = Parameter {
    name: "channel",
    place: "query",
    schema: channel_name,
    about: "The channel.",
    required: true,
};
const CLIENT: Parameter =
    in_path("client_id", client_id, "Any name, slashes included; limits are counted by it.");
const HEARTBEAT: Parameter = in_query("heartbeat", text, "`0` turns heartbeats off.");
const NOTICES: Parameter = in_query("notices", text, "`0` turns notices off.");
const SINCE: Parameter = in_query("since", offset, "After this offset.");
const EPOCH: Parameter =
    in_query("epoch", text, "What the offset counts under; of another epoch all is news.");
pub(super) const LIMIT: Parameter =
    in_query("limit", history_limit, "At most so many, 1 to 1,000; 100 if left out.");
const NAMED: Parameter =
    in_query("limit", history_limit, "At most so many are named, 1 to 1,000; 100 if left out.");

const CHANNELS_HEARD: Parameter =
    in_query("channel", channels_heard, "The channels to hear; the parameter is repeated.");
const PATTERNS_HEARD: Parameter =
    in_query("pattern", patterns_heard, "Globs of channels to hear; the parameter is repeated.");
const MAX_RATE: Parameter =
    in_query("max_rate", rate, "At most so many messages a second of each source channel.");
const DELIVERY: Parameter = in_query("delivery", delivery, "Another delivery than the family's.");
const LAST_EVENT_ID: Parameter = in_query(
    "last_event_id",
    event_id,
    "Resume after the event of this id, where the header Last-Event-ID cannot be sent.",
);
const TOKEN: Parameter =
    in_query("token", text, "A token, where no header can be sent: an EventSource cannot. Never an API key.");

const SWITCHED: &[Answer] = &[
    plain(101, "The connection speaks the native protocol: see /asyncapi.json.", None),
    Answer {
        status: 426,
        about: "Another version of WebSocket is asked for; `sec-websocket-version` says which is spoken.",
        kind: Some(JSON),
        schema: Some("Error"),
    },
];
/// What any request may be answered: its target is none, from a page elsewhere, too fast, or while the hub stops or has no
/// socket left.
pub(super) const COMMON: &[ErrorCode] = &[InvalidRequest, ForeignOrigin, RateLimited, Overloaded];
/// What a request with a body may be answered beside that.
pub(super) const WITH_BODY: &[ErrorCode] = &[InvalidRequest, TooLarge, Timeout];

/// What a request may be answered that takes a token, where the one it has is none or not enough.
pub(super) const WITHOUT_TOKEN: &[ErrorCode] = &[InvalidToken, Forbidden];

const UPGRADE: &[ErrorCode] = &[InvalidRequest];
const PUBLISHING: &[ErrorCode] = &[
    BadJson,
    BadChannel,
    UndeclaredChannel,
    InvalidData,
    ReservedType,
    UnsupportedMediaType,
    Internal,
    Degraded,
    StorageFull,
];
const READING: &[ErrorCode] =
    &[BadChannel, UndeclaredChannel, InvalidRequest, NoValue, NoHistory, Internal, Degraded];
const LISTENING: &[ErrorCode] =
    &[BadChannel, BadPattern, UndeclaredChannel, InvalidRequest, UnsupportedDelivery];
const PRESENCE: &[ErrorCode] = &[BadChannel, UndeclaredChannel, InvalidRequest];

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "get",
        path: "/ws",
        id: "connect",
        summary: "Opens a WebSocket.",
        parameters: &[HEARTBEAT, NOTICES],
        bodies: &[],
        answers: SWITCHED,
        refusals: UPGRADE,
    },
    Route {
        method: "get",
        path: "/ws/{client_id}",
        id: "connect_as",
        summary: "Opens a WebSocket under a client id.",
        parameters: &[CLIENT, HEARTBEAT, NOTICES],
        bodies: &[],
        answers: SWITCHED,
        refusals: UPGRADE,
    },
    Route {
        method: "post",
        path: "/publish",
        id: "publish",
        summary: "Publishes one message.",
        parameters: &[],
        bodies: &[(JSON, Body::One("PublishRequest"))],
        answers: &[ok("It is published.", "PublishReceipt"), HELD],
        refusals: PUBLISHING,
    },
    Route {
        method: "post",
        path: "/publish/batch",
        id: "publish_batch",
        summary: "Publishes many messages in order.",
        parameters: &[],
        bodies: &[(JSON, Body::Many("PublishRequest")), ("application/x-ndjson", Body::Lines)],
        answers: &[ok("Each is published or refused by itself.", "BatchAnswer")],
        refusals: PUBLISHING,
    },
    Route {
        method: "post",
        path: BROADCAST,
        id: "broadcast",
        summary: "Publishes the body as data; the query holds the family's keys.",
        parameters: &[],
        bodies: &[],
        answers: &[ok("It is published.", "BroadcastReceipt"), HELD],
        refusals: &[
            BadJson,
            BadChannel,
            UndeclaredChannel,
            InvalidData,
            NotFound,
            UnsupportedMediaType,
            Internal,
            Degraded,
            StorageFull,
        ],
    },
    Route {
        method: "get",
        path: "/last",
        id: "last",
        summary: "The newest message of a channel.",
        parameters: &[CHANNEL_ASKED],
        bodies: &[],
        answers: &[ok("The message.", "DeliveredMessage")],
        refusals: READING,
    },
    Route {
        method: "get",
        path: "/last/{channel}",
        id: "last_of",
        summary: "The newest message of a channel.",
        parameters: &[CHANNEL],
        bodies: &[],
        answers: &[ok("The message.", "DeliveredMessage")],
        refusals: READING,
    },
    Route {
        method: "get",
        path: "/history",
        id: "history",
        summary: "Kept messages of a channel.",
        parameters: &[CHANNEL_ASKED, SINCE, EPOCH, LIMIT],
        bodies: &[],
        answers: &[ok("The messages.", "HistoryAnswer")],
        refusals: READING,
    },
    Route {
        method: "get",
        path: "/history/{channel}",
        id: "history_of",
        summary: "Kept messages of a channel.",
        parameters: &[CHANNEL, SINCE, EPOCH, LIMIT],
        bodies: &[],
        answers: &[ok("The messages.", "HistoryAnswer")],
        refusals: READING,
    },
    Route {
        method: "get",
        path: "/events",
        id: "events",
        summary: "Messages of channels as they come, as Server-Sent Events.",
        parameters: &[
            CHANNELS_HEARD,
            PATTERNS_HEARD,
            MAX_RATE,
            DELIVERY,
            NOTICES,
            HEARTBEAT,
            LAST_EVENT_ID,
            TOKEN,
        ],
        bodies: &[],
        answers: &[Answer {
            status: 200,
            about: "An event stream that does not end: each message is an event of its type, its data the message. Who says \
                    `Accept: text/event-stream` is told by it what is refused for now, too: a `retry`, an event \
                    `refusal`, and the end.",
            kind: Some("text/event-stream"),
            schema: None,
        }],
        refusals: LISTENING,
    },
    Route {
        method: "get",
        path: "/presence",
        id: "presence",
        summary: "Who hears a channel.",
        parameters: &[CHANNEL_ASKED, NAMED],
        bodies: &[],
        answers: &[ok("How many, and some of them.", "PresenceAnswer")],
        refusals: PRESENCE,
    },
    Route {
        method: "get",
        path: "/presence/{channel}",
        id: "presence_of",
        summary: "Who hears a channel.",
        parameters: &[CHANNEL, NAMED],
        bodies: &[],
        answers: &[ok("How many, and some of them.", "PresenceAnswer")],
        refusals: PRESENCE,
    },
    Route {
        method: "get",
        path: "/health",
        id: "health",
        summary: "How the hub and its parts are.",
        parameters: &[],
        bodies: &[],
        answers: &[
            ok("All is well.", "HealthAnswer"),
            Answer { status: 503, about: "A part is not.", kind: Some(JSON), schema: Some("HealthAnswer") },
        ],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/ready",
        id: "ready",
        summary: "Whether the hub takes connections.",
        parameters: &[],
        bodies: &[],
        answers: &[ok("It does.", "ReadyAnswer")],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/stats",
        id: "stats",
        summary: "What the hub, and those that share its message broker, are doing.",
        parameters: &[in_query("node", local, "`local` for this hub alone.")],
        bodies: &[],
        answers: &[ok("The counters.", "StatsAnswer")],
        refusals: &[InvalidRequest],
    },
    Route {
        method: "get",
        path: "/metrics",
        id: "metrics",
        summary: "The counters for Prometheus: OpenMetrics where it is asked for, else Prometheus' own text.",
        parameters: &[],
        bodies: &[],
        answers: &[plain(200, "The metrics.", Some("text/plain"))],
        refusals: &[Internal],
    },
    Route {
        method: "get",
        path: "/inspect",
        id: "inspect",
        summary: "All that the hub knows of a channel or a pattern.",
        parameters: &[
            Parameter {
                name: "name",
                place: "query",
                schema: text,
                about: "The channel, declared or not, or the pattern.",
                required: true,
            },
            in_query("pattern", truth, "Whether the name is a pattern."),
            in_query("broker", truth, "Whether to look at what the message broker rests on too."),
        ],
        bodies: &[],
        answers: &[ok("What it knows.", "Inspection")],
        refusals: &[InvalidRequest],
    },
    Route {
        method: "get",
        path: "/incidents",
        id: "incidents",
        summary: "What went wrong lately, and whom it concerned.",
        parameters: &[],
        bodies: &[],
        answers: &[ok("The newest first.", "IncidentsAnswer")],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/channels",
        id: "channels",
        summary: "Every family, where it was declared and how much it is used.",
        parameters: &[],
        bodies: &[],
        answers: &[ok("The families, the built-in ones first.", "ChannelsAnswer")],
        refusals: &[Internal],
    },
    Route {
        method: "get",
        path: "/asyncapi.json",
        id: "asyncapi",
        summary: "The AsyncAPI document of this hub's families.",
        parameters: &[],
        bodies: &[],
        answers: &[plain(200, "The document.", Some(JSON))],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/openapi.json",
        id: "openapi",
        summary: "This document.",
        parameters: &[],
        bodies: &[],
        answers: &[plain(200, "The document.", Some(JSON))],
        refusals: &[],
    },
];
