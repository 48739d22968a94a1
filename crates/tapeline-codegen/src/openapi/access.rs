//! Who may ask for which route, as the document says it. What is not named here takes a token; a test of the gateway holds
//! this against the table that decides.

use serde_json::{Value, json};

/// What a route asks of whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing.
    Open,
    /// A token, at the latest as the connection's first message.
    Handshake,
    /// A token, perhaps in the query, whose rights are then looked at.
    Listener,
    /// A token, whose rights are then looked at.
    Somebody,
    /// A token of an operator.
    Operator,
    /// A token of an administrator.
    Admin,
}

impl Access {
    pub(super) fn to(path: &str) -> Self {
        match path.split('/').nth(1).unwrap_or_default() {
            "" | "health" | "ready" | "asyncapi.json" | "openapi.json" | "page.css" | "page.js" => {
                Access::Open
            }
            "ws" | "socket.io" => Access::Handshake,
            "events" => Access::Listener,
            "stats" | "metrics" | "inspect" | "incidents" | "presence" | "dead-letters" => Access::Operator,
            "admin" => Access::Admin,
            _ => Access::Somebody,
        }
    }

    /// The word in the document.
    pub(super) fn name(self) -> &'static str {
        match self {
            Access::Open => "nothing",
            Access::Handshake => "handshake",
            Access::Listener => "listener",
            Access::Somebody => "somebody",
            Access::Operator => "operator",
            Access::Admin => "admin",
        }
    }
}

/// How a token is given; or not, where authentication is off.
pub(super) fn schemes() -> Value {
    let about = "A token (JWT) or an API key of the hub's configuration: docs/security.md. Where /health says \
        `authentication: off`, none is asked for.";
    json!({ "bearer": { "type": "http", "scheme": "bearer", "description": about } })
}

/// Of an operation; nothing is asked for where authentication is off.
pub(super) fn requirement(access: Access) -> Value {
    match access {
        Access::Open => json!([]),
        _ => json!([{ "bearer": [] }, {}]),
    }
}
