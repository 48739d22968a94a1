//! The opening handshake: from an HTTP request to a socket that a shard owns. Refuses before upgrading wherever
//! the client can be told more that way.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use serde::Deserialize;
use tapeline_codec::websocket::extensions::{Agreement, accept_deflate};
use tapeline_codec::websocket::handshake::{self, HandshakeError, Headers};
use tapeline_core::identifying::turning_away;
use tapeline_core::registry::Admission;
use tapeline_core::rights::Grant;
use tapeline_core::session::{Arrival, called};
use tapeline_core::{Refusal, Wire};
use tapeline_runtime::Protocol;
use tapeline_schema::{CloseCode, ErrorCode};

use crate::app::App;
use crate::caller::{Caller, PROTOCOL, offered};
use crate::door::{Door, STOPPING};
use crate::echo::Echo;
use crate::error::Failure;
use crate::extract::{Asking, Tail};
use crate::freed::Freed;
use crate::native::{NATIVE, NATIVE_DEFLATE, Native};
use crate::nodes;
use crate::peer::Peer;

/// Bytes of a client id.
const CLIENT_ID_LIMIT: usize = 256;
/// What a WebSocket is told that is asked for over HTTP/2.
const NOT_HERE: &str = "a WebSocket is opened over HTTP/1.1; ask for http/1.1 in the TLS handshake";

/// What a client may say in the query.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wishes {
    notices: Option<String>,
    heartbeat: Option<String>,
}

fn off(wish: Option<&String>) -> bool {
    wish.is_some_and(|wish| wish == "0")
}

struct HeaderLines<'a>(&'a HeaderMap);

impl Headers for HeaderLines<'_> {
    fn each(&self, name: &str, see: &mut dyn FnMut(&str)) {
        for value in self.0.get_all(name) {
            see(value.to_str().unwrap_or(""));
        }
    }
}

/// A request that may be upgraded.
pub(crate) struct Checked {
    pub accept_key: String,
    /// The client offered the protocol by its name, so it must be answered.
    pub named: bool,
    deflate: Option<Agreement>,
    pub upgrade: OnUpgrade,
}

/// Whether the request may be upgraded; if not, what answers it.
pub(crate) fn check(request: &mut Request, compression: bool) -> Result<Checked, Box<Response>> {
    if request.version() == Version::HTTP_2 {
        return Err(Box::new(Failure::new(ErrorCode::InvalidRequest, NOT_HERE).into_response()));
    }
    let http_version = match request.version() {
        Version::HTTP_10 => (1, 0),
        Version::HTTP_11 => (1, 1),
        _ => (0, 9),
    };
    let headers = HeaderLines(request.headers());
    let asked = handshake::Request { method: request.method().as_str(), http_version, headers: &headers };
    match handshake::check(&asked) {
        Ok(accept) => {
            let deflate = if compression { accept_deflate(&headers) } else { None };
            let named = offered(request.headers()).any(|name| name == PROTOCOL);
            let accept_key = accept.accept_key;
            Ok(Checked { accept_key, named, deflate, upgrade: hyper::upgrade::on(request) })
        }
        Err(error) => Err(Box::new(refused(&error))),
    }
}

fn refused(error: &HandshakeError) -> Response {
    let code = match error {
        HandshakeError::Method => ErrorCode::MethodNotAllowed,
        _ => ErrorCode::InvalidRequest,
    };
    let mut response = Failure::new(code, error.to_string()).into_response();
    *response.status_mut() = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    if let Some((name, value)) = error.header()
        && let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value.try_into())
    {
        response.headers_mut().insert(name, value);
    }
    response
}

/// What answers a request that is upgraded.
pub(crate) fn switching(accept_key: String, named: bool, deflate: Option<Agreement>) -> Response {
    let headers = [
        (header::CONNECTION, "Upgrade".to_string()),
        (header::UPGRADE, "websocket".to_string()),
        (header::SEC_WEBSOCKET_ACCEPT, accept_key),
    ];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
    if let Some(Ok(answer)) = deflate.map(|agreement| HeaderValue::try_from(agreement.answer())) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, answer);
    }
    if named {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    response
}

/// `GET /ws` and `/ws/{client_id}`.
pub(crate) async fn native(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(Caller { principal, grant }): Extension<Caller>,
    Tail(client_id): Tail,
    Asking(wishes): Asking<Wishes>,
    mut request: Request,
) -> Response {
    let checked = match check(&mut request, app.compression) {
        Ok(checked) => checked,
        Err(response) => return *response,
    };
    let client: Option<Box<str>> = client_id.as_deref().map(Box::from);
    let seat = match client_id {
        Some(client_id) if client_id.len() > CLIENT_ID_LIMIT => {
            let message = format!("client id is {} bytes, the limit is {CLIENT_ID_LIMIT}", client_id.len());
            return Failure::new(ErrorCode::InvalidRequest, message).into_response();
        }
        Some(client_id) => {
            let limit = app.hub.settings().connections_per_client;
            match nodes::admit(&app.hub, &client_id, &principal, limit).await {
                Ok(Admission::Granted(seat)) => Some(Box::new(seat)),
                Err(refusal) => return Failure::from(refusal).into_response(),
                Ok(Admission::Refused(wait)) => {
                    let client = called(Some(&client_id), &principal);
                    return refuse_late(&app, checked, &client, wait, limit).await;
                }
            }
        }
        None => None,
    };
    let Checked { accept_key, named, deflate, upgrade } = checked;
    let mut arrival = arrival(principal, grant, &peer, &wishes);
    (arrival.client, arrival.seat) = (client, seat);
    if deflate.is_some_and(Agreement::takes_shared_frames) {
        arrival.wire = &NATIVE_DEFLATE;
    }
    let protocol = Box::new(Native::new(&app.hub.settings(), deflate.is_some()).counted(peer.here.clone()));
    tokio::spawn(hand_over(app, upgrade, arrival, protocol));
    switching(accept_key, named, deflate)
}

/// `GET /echo`, for conformance suites only: the same codec and the same path through the shard as `/ws`.
pub(crate) async fn echo(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    mut request: Request,
) -> Response {
    let checked = match check(&mut request, app.compression) {
        Ok(checked) => checked,
        Err(response) => return *response,
    };
    let mut arrival = arrival(peer.principal.clone(), Grant::Anyone, &peer, &Wishes::default());
    arrival.heartbeat = false;
    let Checked { accept_key, named, deflate, upgrade } = checked;
    tokio::spawn(hand_over(app, upgrade, arrival, Box::new(Echo::new(deflate))));
    switching(accept_key, named, deflate)
}

fn arrival(principal: Arc<str>, grant: Grant, peer: &Peer, wishes: &Wishes) -> Arrival {
    Arrival {
        principal,
        address: peer.principal.clone(),
        client: None,
        seat: None,
        grant,
        wire: &NATIVE,
        notices: !off(wishes.notices.as_ref()),
        heartbeat: !off(wishes.heartbeat.as_ref()),
        beat: None,
    }
}

async fn hand_over(app: Arc<App>, upgrade: OnUpgrade, arrival: Arrival, protocol: Box<dyn Protocol>) {
    if let Some(freed) = Freed::after(upgrade).await {
        freed.open(&app.shards, arrival, protocol);
    }
}

/// Too many connections of one pair: accepted and closed with a reason that browsers can read, later each time.
async fn refuse_late(app: &App, checked: Checked, client: &str, wait: Duration, limit: usize) -> Response {
    let message = format!("{} connections, the limit is {limit} (limits.connections_per_client)", limit + 1);
    let refusal = Refusal::new(ErrorCode::LimitConnections, message);
    app.report_refused(client, &refusal);
    let mut door = app.door().subscribe();
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        _ = door.wait_for(|door| *door != Door::Open) => {
            return Failure::new(ErrorCode::Overloaded, STOPPING).into_response();
        }
    }
    tell_and_close(checked, refusal, CloseCode::Policy, "Connection limit exceeded")
}

/// A handshake that is refused for what it brought, in a way that a page can read.
pub(crate) fn turn_away(app: &App, mut request: Request, refusal: Refusal) -> Response {
    match check(&mut request, app.compression) {
        Ok(checked) => {
            let (code, reason) = (turning_away(refusal.code), refusal.message.clone());
            tell_and_close(checked, refusal, code, &reason)
        }
        Err(response) => *response,
    }
}

/// Accepts, says why not, and closes.
fn tell_and_close(checked: Checked, refusal: Refusal, code: CloseCode, reason: &str) -> Response {
    let Checked { accept_key, named, upgrade, .. } = checked;
    let mut bytes = NATIVE.reply(&tapeline_core::Reply::Error { refusal, about: None, req: None }).to_vec();
    bytes.extend_from_slice(&NATIVE.close(code, reason));
    tokio::spawn(async move {
        if let Some(freed) = Freed::after(upgrade).await {
            freed.part(&bytes).await;
        }
    });
    switching(accept_key, named, None)
}
