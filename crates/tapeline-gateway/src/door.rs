//! Whether the hub lets a request in. While it stops, what is under way is finished, operators may look, and all others
//! are told to come back.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tapeline_schema::ErrorCode;

use crate::app::App;
use crate::error::Failure;

/// What everybody is told who comes too late.
pub(crate) const STOPPING: &str = "the hub is stopping; connect again in a moment";
/// What may be asked of a hub that stops.
const LOOKING: [&str; 3] = ["/ready", "/health", "/stats"];

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

/// Refuses heads that are too large, and what begins while the hub stops.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (bytes, limit) = (head_bytes(&request), app.hub.settings().header_bytes);
    if bytes > limit {
        let message = format!("head is {bytes} bytes, the limit is {limit} (limits.header_bytes)");
        let mut response = Failure::new(ErrorCode::TooLarge, message).into_response();
        *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return response;
    }
    let is_open = *app.door().borrow() == Door::Open;
    if is_open || LOOKING.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    Failure::new(ErrorCode::Overloaded, STOPPING).into_response()
}
