//! What all protocols share: the hub, its shards, who may come from where, and what answers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::routing::any;
use tapeline_core::incidents::{IncidentKind, Trouble};
use tapeline_core::rights::Authority;
use tapeline_core::stats::Count;
use tapeline_core::{Hub, Refusal};
use tapeline_runtime::Shards;
use tokio::sync::{Semaphore, watch};

use crate::addresses::Addresses;
use crate::admin::Admin;
use crate::audit::Audit;
use crate::bodies::Bodies;
use crate::caller::Needs;
use crate::connection::Open;
use crate::door::{self, Door};
use crate::origin::LiveAccess;
use crate::requests::Requests;
use crate::resp::Common;
use crate::socketio::{self, SocketIo};
use crate::spec::Documents;
use crate::tls::Tls;
use crate::{ops, process, routes, upgrade};

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
    /// Who checks the keys of the admin interface, where that listens apart; then `/admin/` is served nowhere else.
    pub admin_authority: Option<Arc<dyn Authority>>,
    /// Who was refused what, and who changed the hub.
    pub audit: Arc<Audit>,
    /// Where it listens first, for other nodes and people.
    pub address: Option<SocketAddr>,
    /// Whether `/echo`, for conformance suites, is open.
    pub conformance: bool,
    /// Whether clients that offer permessage-deflate get it.
    pub compression: bool,
    /// The certificate of the TLS ports, if there are any.
    pub tls: Option<Arc<Tls>>,
    /// How the Socket.IO door is set up.
    pub socketio: SocketIo,
}

/// The gateway's shared state.
pub struct App {
    pub(crate) hub: Arc<Hub>,
    pub(crate) shards: Arc<Shards>,
    pub(crate) access: Arc<LiveAccess>,
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) admin_authority: Option<Arc<dyn Authority>>,
    pub(crate) audit: Arc<Audit>,
    /// What each route takes, by its path.
    pub(crate) needs: HashMap<&'static str, Needs>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) started: Instant,
    /// The same in seconds since 1970.
    pub(crate) started_at: f64,
    /// Connections on the HTTP port that are no sessions.
    pub(crate) open: Open,
    /// Those that are being told that they are too many.
    pub(crate) refusing: Open,
    /// Connections on the HTTP port that were closed because they took no byte of an answer.
    pub(crate) closed_slow: Count,
    /// What is remembered of addresses.
    pub(crate) addresses: Arc<Addresses>,
    /// Bodies of requests that are under way.
    pub(crate) bodies: Bodies,
    /// The hub's own description, kept while it holds.
    pub(crate) documents: Documents,
    /// What is counted of HTTP requests.
    pub(crate) requests: Requests,
    /// For who looks through the dead letters: one at a time.
    pub(crate) letters: Arc<Semaphore>,
    door: watch::Sender<Door>,
    conformance: bool,
    pub(crate) compression: bool,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) socketio: socketio::Door,
    /// What all connections of the Redis door share, on whichever of its addresses.
    pub(crate) redis: OnceLock<Arc<Common>>,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: AppParts) -> Arc<Self> {
        let AppParts {
            hub,
            shards,
            access,
            admin,
            admin_authority,
            audit,
            address,
            conformance,
            compression,
            tls,
            socketio,
        } = parts;
        let door = watch::Sender::new(Door::Open);
        let (open, refusing, closed_slow, documents) = Default::default();
        let letters = Arc::new(Semaphore::new(1));
        let started = Instant::now();
        Arc::new(App {
            hub,
            shards,
            access,
            admin,
            admin_authority,
            audit,
            needs: routes::needs(conformance),
            address,
            started,
            started_at: process::now_seconds(),
            open,
            refusing,
            closed_slow,
            addresses: Arc::default(),
            bodies: Bodies::default(),
            documents,
            requests: Requests::new(routes::table().iter().map(|served| served.path)),
            letters,
            door,
            conformance,
            compression,
            tls,
            socketio: socketio::Door::new(socketio, conformance),
            redis: OnceLock::new(),
        })
    }

    /// Somebody was not let in.
    pub(crate) fn report_refused(&self, client: &str, refusal: &Refusal) {
        self.report(IncidentKind::ConnectionRefused, client, "", refusal);
    }

    /// A request was refused what it asked for.
    pub(crate) fn report(&self, kind: IncidentKind, client: &str, about: &str, refusal: &Refusal) {
        let trouble =
            Trouble { kind, code: refusal.code.name(), channel: about, client, message: &refusal.message };
        self.hub.incidents().report(trouble, self.hub.now());
    }

    /// From now on nobody new is let in and `/ready` says no; what is under way is finished.
    pub fn stop(&self) {
        self.door.send_replace(Door::Closing);
    }

    /// From now on nothing listens; [`Listener::serve`](crate::Listener::serve) returns when what is under way is done.
    pub fn close(&self) {
        self.door.send_replace(Door::Closed);
    }

    pub(crate) fn door(&self) -> &watch::Sender<Door> {
        &self.door
    }

    /// What answers on the HTTP port.
    pub(crate) fn routes(self: &Arc<Self>) -> Router {
        let mut routes = Router::new();
        for served in routes::table() {
            routes = routes.route(served.path, served.route);
        }
        if self.conformance {
            routes = routes.route("/echo", any(upgrade::echo));
            for path in socketio::ECHO_PATHS {
                routes = routes.route(path, any(socketio::echo));
            }
        }
        routes
            .fallback(ops::not_found)
            .method_not_allowed_fallback(ops::method_not_allowed)
            .layer(axum::middleware::from_fn_with_state(self.clone(), door::guard))
            .with_state(self.clone())
    }
}
