//! Whether the hub lets anybody in. While it stops, what is under way is finished, operators may look, and all others
//! are told to come back.

use std::sync::Arc;

use axum::extract::{Request, State};
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

/// Refuses what begins while the hub stops.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let is_open = *app.door().borrow() == Door::Open;
    if is_open || LOOKING.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    Failure::new(ErrorCode::Overloaded, STOPPING).into_response()
}
