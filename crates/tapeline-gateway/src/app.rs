//! What all protocols share: the hub, its shards, who may come from where, and what answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::routing::any;
use tapeline_core::Hub;
use tapeline_runtime::Shards;

use crate::origin::Origins;
use crate::{ops, origin, routes, upgrade};

/// What a gateway is made of.
pub struct AppParts {
    /// The hub.
    pub hub: Arc<Hub>,
    /// Its shards.
    pub shards: Arc<Shards>,
    /// Which web pages may connect.
    pub origins: Origins,
    /// Whether `/echo`, for conformance suites, is open.
    pub conformance: bool,
    /// Whether clients that offer permessage-deflate get it.
    pub compression: bool,
}

/// The gateway's shared state.
pub struct App {
    pub(crate) hub: Arc<Hub>,
    pub(crate) shards: Arc<Shards>,
    pub(crate) origins: Origins,
    pub(crate) started: Instant,
    stopping: AtomicBool,
    conformance: bool,
    pub(crate) compression: bool,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: AppParts) -> Arc<Self> {
        let AppParts { hub, shards, origins, conformance, compression } = parts;
        let stopping = AtomicBool::new(false);
        Arc::new(App { hub, shards, origins, started: Instant::now(), stopping, conformance, compression })
    }

    /// From now on `/ready` says no.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What answers on the HTTP port.
    pub(crate) fn routes(self: &Arc<Self>) -> Router {
        let mut routes = Router::new();
        for served in routes::table() {
            routes = routes.route(served.path, served.route);
        }
        if self.conformance {
            routes = routes.route("/echo", any(upgrade::echo));
        }
        routes
            .fallback(ops::not_found)
            .method_not_allowed_fallback(ops::method_not_allowed)
            .layer(axum::middleware::from_fn_with_state(self.clone(), origin::guard))
            .with_state(self.clone())
    }
}
