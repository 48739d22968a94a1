//! What changes a running hub: `POST /admin/reload`, `POST /admin/channels`, `DELETE /admin/channels/{family}`; and
//! what there is, at `GET /channels`, for everybody who is somebody. How the hub is changed is [`Admin`]'s to know.
//!
//! The first three are for the admin interface, which has keys of its own. Where there is none they are for this machine
//! alone, with a right to them while authentication is on: the peer is on loopback, no web page asks, and the request
//! names the hub by a loopback address, which a page that had its own name pointed here does not.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tapeline_core::{Hub, Refusal};
use tapeline_schema::{Catalog, ErrorCode, Family};

use crate::app::App;
use crate::bodies::body;
use crate::data::FamilyBytes;
use crate::error::Failure;
use crate::extract::Tail;
use crate::form;
use crate::origin::is_loopback;
use crate::peer::{Peer, Side};

/// Bytes of a family's row, with room for a schema.
const FAMILY_BYTES: usize = 256 << 10;

/// Bytes of what is revoked.
const REVOKE_BYTES: usize = 4 << 10;
/// Bytes of a subject or of a token's id.
const NAME_BYTES: usize = 256;

/// Who changes the hub. Calls may take a while; none is made on an asynchronous thread.
pub trait Admin: Send + Sync {
    /// Reads the configuration again: all of it takes effect, or nothing.
    ///
    /// # Errors
    /// Every fault, a line each.
    fn reload(&self) -> Result<Reloaded, Refusal>;
    /// Where families were declared: those that are not built in, by name. Waits for a change that is under way.
    fn origins(&self) -> HashMap<String, FamilyOrigin>;
    /// Declares a family until the hub ends.
    ///
    /// # Errors
    /// The row is unsound, or does not fit in.
    fn add(&self, family: Family) -> Result<Changed, Refusal>;
    /// Takes a family away that is not built in.
    ///
    /// # Errors
    /// There is none, or it is built in.
    fn remove(&self, family: &str) -> Result<Changed, Refusal>;
    /// Takes tokens back; connections that rest on them are closed within a second here, within a few on other nodes.
    ///
    /// # Errors
    /// It cannot be kept, or there are too many.
    fn revoke(&self, _what: Revoke) -> Result<Revocation, Refusal> {
        Err(no_tokens())
    }
    /// What has been taken back, the newest first.
    ///
    /// # Errors
    /// Authentication is off.
    fn revocations(&self) -> Result<Vec<Revocation>, Refusal> {
        Err(no_tokens())
    }
    /// Writes a backup of what the hub keeps on disk.
    ///
    /// # Errors
    /// It keeps nothing there, or it cannot be written.
    fn backup(&self, _out: &mut dyn std::io::Write) -> Result<(), Refusal> {
        Err(no_directory())
    }
    /// What each family takes there.
    ///
    /// # Errors
    /// It keeps nothing there, or it cannot be read.
    fn usage(&self) -> Result<Vec<FamilyBytes>, Refusal> {
        Err(no_directory())
    }
}

/// What a hub says that keeps nothing on disk.
pub fn no_directory() -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, "the hub has no data directory (serve.data_dir)")
}

/// What a hub says that asks nobody who they are.
pub fn no_tokens() -> Refusal {
    Refusal::new(
        ErrorCode::InvalidRequest,
        "authentication is off, so there are no tokens to take back (auth.mode)",
    )
}

/// What is taken back: of two one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revoke {
    /// All tokens of this subject that were issued until now; for an API key, `key:ID`.
    Subject(String),
    /// The token with this id (`jti`).
    TokenId(String),
}

/// What has been taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Whose, or which.
    #[serde(flatten)]
    pub what: Revoke,
    /// When.
    pub at: String,
    /// Until when it is remembered: then no such token can be valid any more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
}

/// The answer of `GET /admin/revocations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocations {
    /// The newest first.
    pub revocations: Vec<Revocation>,
}

/// Where a family was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FamilyOrigin {
    /// Every hub has it.
    BuiltIn,
    /// In the configuration file.
    File,
    /// While the hub ran; it is gone when the hub ends.
    Live,
}

/// A setting whose value is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `limits.frame_bytes`
    pub name: String,
    /// As TOML, without secrets.
    pub from: String,
    /// As TOML, without secrets.
    pub to: String,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Settings that have taken effect.
    pub changed: Vec<Change>,
    /// Settings that wait until the hub is started again.
    pub restart: Vec<Change>,
    /// Families that are new.
    pub families_added: Vec<String>,
    /// Families whose row is another.
    pub families_changed: Vec<String>,
    /// Families that are gone.
    pub families_removed: Vec<String>,
    /// Channels that begin anew for that.
    pub channels_ended: usize,
}

/// What adding or removing a family did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Its name.
    pub family: String,
    /// Channels that begin anew for that.
    pub channels_ended: usize,
    /// What happens to it when the hub is started again.
    pub note: String,
}

/// A family, as `GET /channels` lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub family: String,
    /// Where it was declared.
    pub origin: FamilyOrigin,
    /// Channels in use.
    pub channels: usize,
    /// Subscriptions to its channels by their names.
    pub subscribers: usize,
    /// The keys of its row stand beside these; a newer hub may have more.
    #[serde(flatten)]
    pub row: Map<String, Value>,
}

/// The answer of `GET /channels`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// In the order of their declaration, the built-in ones first.
    pub channels: Vec<Listed>,
}

/// A request from this machine; see the module. A handler that takes it is closed to all others.
pub(crate) struct Local;

impl FromRequestParts<Arc<App>> for Local {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        if parts.extensions.get::<Arc<Peer>>().is_some_and(|peer| peer.side == Side::Admin) {
            return Ok(Local);
        }
        let forbidden = |message: &str| Err(Failure::new(ErrorCode::Forbidden, message));
        if !app.access.now().admin {
            return forbidden("/admin/ is switched off (http.admin)");
        }
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let peer = parts.extensions.get::<Arc<Peer>>();
        let is_near = peer.is_some_and(|peer| peer.address.ip().to_canonical().is_loopback());
        if !is_near || !host.is_some_and(is_loopback) {
            return forbidden("/admin/ is for requests from this machine to its loopback address");
        }
        if is_passed_on(&parts.headers) {
            return forbidden("/admin/ is for commands, not for web pages or through proxies");
        }
        Ok(Local)
    }
}

fn is_passed_on(headers: &HeaderMap) -> bool {
    let telling = ["origin", "forwarded", "x-forwarded-for", "x-real-ip", "via"];
    telling.iter().any(|name| headers.contains_key(*name))
}

/// Makes a call that may wait for a file or a lock.
pub(crate) async fn call<T: Send + 'static>(
    app: &Arc<App>,
    call: impl FnOnce(&dyn Admin) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Failure> {
    let admin = app.admin.clone();
    match tokio::task::spawn_blocking(move || call(&*admin)).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Failure::new(ErrorCode::Internal, "the change broke off")),
    }
}

/// `POST /admin/reload`.
pub(crate) async fn reload(_: Local, State(app): State<Arc<App>>) -> Result<Response, Failure> {
    Ok(Json(call(&app, |admin| admin.reload()).await?).into_response())
}

/// `POST /admin/revocations`.
pub(crate) async fn revoke(
    _: Local,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Failure> {
    let bytes = body(&app, request, REVOKE_BYTES, "what is revoked").await?;
    let what: Revoke = form::object_in(&bytes)?;
    let (Revoke::Subject(name) | Revoke::TokenId(name)) = &what;
    if name.is_empty() || name.len() > NAME_BYTES {
        let message = format!("a subject or token id has 1 to {NAME_BYTES} bytes, this one {}", name.len());
        return Err(Failure::new(ErrorCode::InvalidRequest, message));
    }
    Ok(Json(call(&app, |admin| admin.revoke(what)).await?).into_response())
}

/// `GET /admin/revocations`.
pub(crate) async fn revocations(_: Local, State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let revocations = call(&app, |admin| admin.revocations()).await?;
    Ok(Json(Revocations { revocations }).into_response())
}

/// `POST /admin/channels`.
pub(crate) async fn add(
    _: Local,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Failure> {
    let bytes = body(&app, request, FAMILY_BYTES, "a family's row").await?;
    let family: Family = form::object_in(&bytes)?;
    Ok(Json(call(&app, |admin| admin.add(family)).await?).into_response())
}

/// `DELETE /admin/channels/{family}`.
pub(crate) async fn remove(
    _: Local,
    State(app): State<Arc<App>>,
    Tail(family): Tail,
) -> Result<Response, Failure> {
    let family = family.unwrap_or_default();
    Ok(Json(call(&app, move |admin| admin.remove(&family)).await?).into_response())
}

/// `GET /channels`. Counting goes over everything in use, and where a family was declared may have to be waited for.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let hub = app.hub.clone();
    Ok(Json(call(&app, move |admin| listing(&hub, admin)).await?).into_response())
}

/// The families and where each was declared, of one moment: a change holds up the second until the first is replaced.
fn declared(hub: &Hub, admin: &dyn Admin) -> (Arc<Catalog>, HashMap<String, FamilyOrigin>) {
    loop {
        let catalog = hub.catalog();
        let origins = admin.origins();
        if Arc::ptr_eq(&catalog, &hub.catalog()) {
            return (catalog, origins);
        }
    }
}

fn listing(hub: &Hub, admin: &dyn Admin) -> Result<Listing, Refusal> {
    let (catalog, origins) = declared(hub, admin);
    let channels = hub.count_by_family();
    let mut subscribers: HashMap<String, usize> = HashMap::new();
    for (channel, count) in hub.subscribed_channels().filter(|(channel, _)| !channel.is_roll_up()) {
        *subscribers.entry(channel.current().spec().family.clone()).or_default() += count;
    }
    let listed = catalog.specs().map(|spec| {
        let Ok(Value::Object(row)) = serde_json::to_value(Family::from(&**spec)) else {
            return Err(Refusal::new(ErrorCode::Internal, "a row cannot be written"));
        };
        Ok(Listed {
            family: spec.family.clone(),
            origin: origins.get(&spec.family).copied().unwrap_or(FamilyOrigin::BuiltIn),
            channels: channels.get(&spec.family).copied().unwrap_or_default(),
            subscribers: subscribers.get(&spec.family).copied().unwrap_or_default(),
            row,
        })
    });
    Ok(Listing { channels: listed.collect::<Result<_, Refusal>>()? })
}
