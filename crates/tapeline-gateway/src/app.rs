//! What all protocols share: the hub, its shards, who may come from where, and the table of routes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::routing::{any, get, post};
use tapeline_core::Hub;
use tapeline_runtime::Shards;

use crate::admin::{self, Admin};
use crate::origin::LiveAccess;
use crate::{batch, http, ops, origin, upgrade};

/// What a gateway is made of.
pub struct AppParts {
    /// The hub.
    pub hub: Arc<Hub>,
    /// Its shards.
    pub shards: Arc<Shards>,
    /// Who is let in by where a request comes from.
    pub access: Arc<LiveAccess>,
    /// Who changes the hub when it is asked to.
    pub admin: Arc<dyn Admin>,
    /// Whether `/echo`, for conformance suites, is open.
    pub conformance: bool,
}

/// The gateway's shared state.
pub struct App {
    pub(crate) hub: Arc<Hub>,
    pub(crate) shards: Arc<Shards>,
    pub(crate) access: Arc<LiveAccess>,
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) started: Instant,
    stopping: AtomicBool,
    conformance: bool,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: AppParts) -> Arc<Self> {
        let AppParts { hub, shards, access, admin, conformance } = parts;
        let stopping = AtomicBool::new(false);
        Arc::new(App { hub, shards, access, admin, started: Instant::now(), stopping, conformance })
    }

    /// From now on `/ready` says no.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Every route of the HTTP port.
    pub(crate) fn routes(self: &Arc<Self>) -> Router {
        let mut routes = Router::new()
            .route("/", get(ops::page))
            .route("/ws", any(upgrade::native))
            .route("/ws/", any(upgrade::native))
            .route("/ws/{*client_id}", any(upgrade::native))
            .route("/publish", post(http::publish))
            .route("/publish/batch", post(batch::publish_batch))
            .route("/broadcast/{family}", post(http::broadcast))
            .route("/last", get(http::last))
            .route("/last/{*channel}", get(http::last))
            .route("/history", get(http::history))
            .route("/history/{*channel}", get(http::history))
            .route("/health", get(ops::health))
            .route("/ready", get(ops::ready))
            .route("/stats", get(ops::stats))
            .merge(admin::routes(self));
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
