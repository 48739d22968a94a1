//! How fast one connection may ask over HTTP: the rates that sessions have, in buckets of its own. Without them a stranger
//! who is slowed down on WebSocket would only have to post.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tapeline_core::rates::{Bucket, too_fast};
use tapeline_core::settings::Rate;
use tapeline_core::{Hub, Refusal};

use crate::app::App;
use crate::error::Failure;

/// Where paths that publish begin.
const PUBLISHING: [&str; 2] = ["/publish", "/broadcast/"];

/// What is left of a connection's rates.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    publishes: Mutex<Bucket>,
    requests: Mutex<Bucket>,
}

impl Pace {
    /// Takes so many publishes, all or none. More than a burst come never at once.
    pub(crate) fn take_publishes(&self, hub: &Hub, count: usize) -> Result<(), Refusal> {
        let rate = hub.settings().publishes;
        let fits = rate.per_second == 0 || count <= rate.burst.max(1) as usize;
        if fits && take(&self.publishes, count as u64, rate, hub) {
            return Ok(());
        }
        hub.stats().refused.add(count as u64);
        Err(too_fast("publishes", rate))
    }

    fn take_request(&self, hub: &Hub) -> Result<(), Refusal> {
        let rate = hub.settings().requests;
        if take(&self.requests, 1, rate, hub) {
            return Ok(());
        }
        Err(too_fast("requests", rate))
    }
}

fn take(bucket: &Mutex<Bucket>, count: u64, rate: Rate, hub: &Hub) -> bool {
    bucket.lock().unwrap_or_else(PoisonError::into_inner).take(count, rate, hub.now())
}

/// Refuses what only asks once it comes too fast. What publishes is counted where it is read, since only then is it known
/// how much it is.
pub(crate) async fn guard(
    State(app): State<Arc<App>>,
    Extension(pace): Extension<Arc<Pace>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if !PUBLISHING.iter().any(|start| path.starts_with(start))
        && let Err(refusal) = pace.take_request(&app.hub)
    {
        return Failure::from(refusal).into_response();
    }
    next.run(request).await
}
