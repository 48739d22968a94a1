//! Whether the hub lets a request in: the one step that all of them pass. While the hub stops, what is under way is
//! finished, operators may look, and all others are told to come back.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tapeline_core::{Grant, Refusal};
use tapeline_schema::ErrorCode;

use crate::app::App;
use crate::audit::Deed;
use crate::caller::{self, Caller, Needs};
use crate::error::Failure;
use crate::origin;
use crate::peer::{Peer, Side, publishes};
use crate::{ops, socketio, sse, upgrade};

/// What everybody is told who comes too late.
pub(crate) const STOPPING: &str = "the hub is stopping; connect again in a moment";
/// What may be asked of a hub that stops.
const LOOKING: [&str; 5] = ["/ready", "/health", "/stats", "/metrics", "/incidents"];

/// The state of the listening ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Anybody may come in.
    Open,
    /// Requests that have begun are finished, new ones are refused.
    Closing,
    /// Nothing listens any more.
    Closed,
}

/// The request line and the headers, as they stood on the wire.
fn head_bytes(request: &Request) -> usize {
    let uri = request.uri();
    let line = request.method().as_str().len() + uri.path().len() + uri.query().map_or(0, str::len);
    request.headers().iter().fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + 4)
}

/// What every request passes, in one step: names and origins, the size of the head, whether the hub stops, the rate.
pub(crate) async fn guard(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let is_last = is_last(&request);
    let is_listener = sse::is_listener(request.uri().path(), request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = answer(&app, &peer, request, next).await;
    let route = route.as_ref().map(MatchedPath::as_str);
    app.requests.count(route, response.status().as_u16(), began.elapsed());
    // It counts as what it is.
    if is_listener {
        sse::tell_in_stream(&mut response);
    }
    if is_last {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn answer(app: &App, peer: &Arc<Peer>, mut request: Request, next: Next) -> Response {
    let peer = match peer.asking(app, &mut request) {
        Ok(peer) => peer,
        Err(refusal) => {
            app.report_refused(&peer.principal, &refusal);
            return Failure::from(refusal).into_response();
        }
    };
    if let Err(refused) = origin::check(&app.access.now().origins, peer.on_loopback, request.headers()) {
        app.report_refused(&peer.principal, &refused.0);
        if socketio::is_here(request.uri().path()) {
            return socketio::forbidden(&refused.0);
        }
        return refused.into_response();
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let methods = origin::methods(request.uri().path());
    let is_socketio = socketio::is_here(request.uri().path());
    let is_stream = request.uri().path() == "/events";
    let of_session = is_socketio && socketio::is_of_session(app, &request);
    // What a session says is counted there, and the request that brings it here.
    let counts_later = publishes(&request) || (of_session && request.method() == Method::GET);
    let mut response = match admit(app, &peer, &request, of_session, counts_later) {
        Err(refused) => refused,
        Ok(()) if origin.is_some() && origin::is_question(&request) => StatusCode::NO_CONTENT.into_response(),
        Ok(()) if of_session => {
            let stranger = Caller { principal: peer.principal.clone(), grant: Grant::Nobody };
            request.extensions_mut().insert(stranger);
            next.run(request).await
        }
        Ok(()) => let_in(app, &peer, request, next).await,
    };
    if counts_later && response.status().is_client_error() {
        peer.spend_request(&app.hub);
    }
    if let Some(origin) = origin {
        origin::allow(response.headers_mut(), origin, methods);
        if is_socketio || is_stream {
            origin::allow_credentials(response.headers_mut());
        }
    }
    response
}

/// Finds out who makes the request and whether the route is for them.
async fn let_in(app: &App, peer: &Peer, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    // A path that nothing is served at tells nothing; one that somebody forgot to say this of is closed.
    let needs = path.map_or(Needs::Nothing, |path| app.needs.get(path).copied().unwrap_or(Needs::Admin));
    if needs == Needs::Admin && peer.side == Side::Public && app.admin_authority.is_some() {
        return ops::not_found(request.uri().clone()).await;
    }
    let brought = caller::credential(needs, &request);
    let denied = match caller::admit(app, peer, needs, brought).await {
        Ok(caller) => {
            if let Err(refusal) = take_message(app, &caller, &request) {
                return Failure(refusal).into_response();
            }
            request.extensions_mut().insert(caller.clone());
            if needs != Needs::Admin {
                return next.run(request).await;
            }
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let mut deed = Witnessed { app, who: caller.principal, peer, method, path, status: None };
            let response = next.run(request).await;
            deed.status = Some(response.status().as_u16());
            return response;
        }
        Err(denied) => denied,
    };
    app.report_refused(denied.who.as_deref().unwrap_or(&peer.principal), &denied.refusal);
    if socketio::is_here(request.uri().path()) {
        return socketio::forbidden(&denied.refusal);
    }
    if denied.tell_in_band {
        return upgrade::turn_away(app, request, denied.refusal);
    }
    Failure(denied.refusal).into_response()
}

/// Counts the request among its user's messages; what it publishes counts one by one, when it is read.
fn take_message(app: &App, caller: &Caller, request: &Request) -> Result<(), Refusal> {
    if publishes(request) {
        return Ok(());
    }
    app.hub.take_messages(&caller.principal, 1, app.hub.now())
}

/// A request to change the hub. It is in the audit log however it ends: whoever goes away has not undone it.
struct Witnessed<'a> {
    app: &'a App,
    who: Arc<str>,
    peer: &'a Peer,
    method: Method,
    path: String,
    status: Option<u16>,
}

impl Drop for Witnessed<'_> {
    fn drop(&mut self) {
        let deed = Deed {
            who: &self.who,
            address: &self.peer.principal,
            method: self.method.as_str(),
            path: &self.path,
            status: self.status,
        };
        self.app.audit.did(&deed, self.app.hub.now());
    }
}

/// Whether its connection ends after it. Where chunks end is what readers of HTTP agree on least (RFC 9112 section 11.2),
/// and a target that is none may have been cut elsewhere: what stands behind either may be somebody else's word.
fn is_last(request: &Request) -> bool {
    request.headers().contains_key(header::TRANSFER_ENCODING) || foreign_byte(request).is_some()
}

/// Where the target has a byte that is not ASCII. RFC 3986 has none; what stands before this hub may read it otherwise.
fn foreign_byte(request: &Request) -> Option<usize> {
    let target = request.uri().path_and_query()?.as_str();
    target.bytes().position(|byte| !byte.is_ascii())
}

/// Refuses heads that are too large or whose target is none, what begins while the hub stops, and what comes too fast.
#[expect(clippy::result_large_err, reason = "a response is what the caller gives back")]
fn admit(
    app: &App,
    peer: &Peer,
    request: &Request,
    of_session: bool,
    counts_later: bool,
) -> Result<(), Response> {
    let (bytes, limit) = (head_bytes(request), app.hub.settings().header_bytes);
    if bytes > limit {
        let message = format!("head is {bytes} bytes, the limit is {limit} (limits.header_bytes)");
        let mut response = Failure::new(ErrorCode::TooLarge, message).into_response();
        *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(response);
    }
    if let Some(at) = foreign_byte(request) {
        let message = format!("the target has a byte at {at} that is not ASCII; write it as %XX");
        return Err(Failure::new(ErrorCode::InvalidRequest, message).into_response());
    }
    let (is_open, path) = (*app.door().borrow() == Door::Open, request.uri().path());
    // Who polls is told by its session when to leave.
    if !is_open && !LOOKING.contains(&path) && !of_session {
        return Err(Failure::new(ErrorCode::Overloaded, STOPPING).into_response());
    }
    peer.take_request(&app.hub, counts_later).map_err(|refusal| Failure::from(refusal).into_response())
}
