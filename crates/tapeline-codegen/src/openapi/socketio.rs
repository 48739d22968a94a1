//! The route of Socket.IO clients. What is said over it is their protocol's: docs/socketio.md.

use serde_json::{Value, json};
use tapeline_schema::ErrorCode;

use super::routes::{Answer, Parameter, Route, in_query, plain, text};

fn version() -> Value {
    json!({ "const": "4" })
}

fn transport() -> Value {
    json!({ "enum": ["polling", "websocket"] })
}

fn headers() -> Value {
    json!({ "enum": ["0", "1"] })
}

const PARAMETERS: &[Parameter] = &[
    in_query("EIO", version, "The version of Engine.IO."),
    in_query("transport", transport, "By which transport the client comes."),
    in_query("sid", text, "The session, once it has begun; a session that polls also takes POST."),
    in_query("headers", headers, "Whether events carry the message's header as a second argument."),
];

const ANSWERS: &[Answer] = &[
    plain(101, "The connection speaks Engine.IO 4.", None),
    plain(200, "Packets of Engine.IO 4.", Some("text/plain")),
];

pub(super) const ROUTES: &[Route] = &[Route {
    method: "get",
    path: "/socket.io",
    id: "connect_socketio",
    summary: "Lets a Socket.IO client in. What it refuses by itself it says as `{\"code\",\"message\"}`, which those clients read.",
    parameters: PARAMETERS,
    bodies: &[],
    answers: ANSWERS,
    refusals: &[ErrorCode::InvalidRequest, ErrorCode::NotFound],
}];
