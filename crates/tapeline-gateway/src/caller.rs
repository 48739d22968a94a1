//! Who makes a request, and whether the route is for them: what a request brought to show who it is, and the one table
//! of what each route takes. What a route's channels and keys take is asked where they are known.

use std::sync::Arc;

use axum::extract::{Query, Request};
use axum::http::{HeaderMap, Uri, header};
use tapeline_core::Refusal;
use tapeline_core::rights::{Authority, Grant, Identity};
use tapeline_schema::ErrorCode;
use tokio::sync::oneshot;

use crate::app::App;
use crate::peer::{Peer, Side};

/// The WebSocket protocol's own name, where a client offers names at all.
pub(crate) const PROTOCOL: &str = "tapeline.v1";
/// What stands before a token among the offered names: browsers can send no headers.
const TOKEN_PROTOCOL: &str = "auth.";
/// How an API key begins.
const KEY_MARK: &str = "tk_";

/// Who makes a request; an extension of it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// What limits are counted by: the token's subject, else the address.
    pub principal: Arc<str>,
    pub grant: Grant,
}

impl Caller {
    /// The hub itself, under this name.
    pub(crate) fn hub(principal: &str) -> Self {
        Caller { principal: principal.into(), grant: Grant::Anyone }
    }
}

/// What a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: balancers, and who has yet to learn how to come in.
    Nothing,
    /// To be somebody, later at the latest: the token may be the connection's first message.
    Handshake,
    /// To be somebody; the token may stand in the query, since an `EventSource` can send no header.
    Listener,
    /// To be somebody.
    Somebody,
    /// To look at the hub's inside.
    Operator,
    /// To change the hub.
    Admin,
}

/// Where a credential stood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Protocol,
    Query,
}

/// What a request brought.
pub(crate) struct Credential {
    text: String,
    place: Place,
}

/// Why somebody is not let in.
pub(crate) struct Denied {
    pub refusal: Refusal,
    /// Who it is, if that was believed.
    pub who: Option<Arc<str>>,
    /// A browser's page would not be told by a refused handshake: it is let in, told, and closed.
    pub tell_in_band: bool,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Denied { refusal, who: None, tell_in_band: false }
    }
}

/// Who makes the request, if that is enough for what the route takes.
pub(crate) async fn admit(
    app: &App,
    peer: &Peer,
    needs: Needs,
    brought: Result<Option<Credential>, Refusal>,
) -> Result<Caller, Denied> {
    let authority = authority(app, peer.side);
    let by_address = |grant| Caller { principal: peer.principal.clone(), grant };
    if authority.is_off() {
        return Ok(by_address(Grant::Anyone));
    }
    if needs == Needs::Nothing {
        // Whoever shows who they are may be told more.
        let Ok(Some(Credential { text, .. })) = brought else { return Ok(by_address(Grant::Nobody)) };
        let checked = identify(authority, &text, &peer.principal).await;
        let known = |identity: Arc<Identity>| Caller {
            principal: identity.subject.clone(),
            grant: Grant::Known(identity),
        };
        return Ok(checked.map_or_else(|_| by_address(Grant::Nobody), known));
    }
    let caller = match brought? {
        Some(Credential { text, place }) => {
            let tell_in_band = needs == Needs::Handshake && place != Place::Header;
            let checked = identify(authority, &text, &peer.principal).await;
            let identity = checked.map_err(|refusal| Denied { refusal, who: None, tell_in_band })?;
            Caller { principal: identity.subject.clone(), grant: Grant::Known(identity) }
        }
        None => match authority.anonymous() {
            Some(stranger) => by_address(Grant::Known(stranger)),
            None if needs == Needs::Handshake => by_address(Grant::Nobody),
            None => {
                let message = "a token or a key is missing; send Authorization: Bearer …";
                return Err(Refusal::new(ErrorCode::InvalidToken, message).into());
            }
        },
    };
    let allowed = match (needs, peer.side) {
        (Needs::Operator, Side::Public) => caller.grant.may_operate(),
        (Needs::Admin, Side::Public) | (_, Side::Admin) => caller.grant.may_administer(),
        _ => Ok(()),
    };
    match allowed {
        Ok(()) => Ok(caller),
        Err(refusal) => Err(Denied { refusal, who: Some(caller.principal), tell_in_band: false }),
    }
}

fn authority(app: &App, side: Side) -> &dyn Authority {
    match (side, &app.admin_authority) {
        (Side::Admin, Some(authority)) => &**authority,
        _ => &**app.hub.authority(),
    }
}

async fn identify(authority: &dyn Authority, text: &str, address: &str) -> Result<Arc<Identity>, Refusal> {
    let (to, answered) = oneshot::channel();
    let answer = move |checked| {
        // The client may have gone away meanwhile.
        let _ = to.send(checked);
    };
    authority.identify(text, address, Box::new(answer));
    let lost = |_| Err(Refusal::new(ErrorCode::Internal, "the token was not checked"));
    answered.await.unwrap_or_else(lost)
}

/// The one credential that a request brings.
pub(crate) fn credential(needs: Needs, request: &Request) -> Result<Option<Credential>, Refusal> {
    let headers = request.headers();
    let bearer = bearer(headers)?.map(|text| Credential { text: text.into(), place: Place::Header });
    if !matches!(needs, Needs::Handshake | Needs::Listener) {
        return Ok(bearer);
    }
    let offered = offered(headers).filter_map(|name| name.strip_prefix(TOKEN_PROTOCOL));
    let offered = offered.map(|text| Credential { text: text.into(), place: Place::Protocol });
    let asked = in_query(request.uri());
    if asked.iter().any(|text| text.starts_with(KEY_MARK)) {
        let message = "a key does not belong into a query, where logs keep it; send Authorization: Bearer …";
        return Err(Refusal::new(ErrorCode::InvalidToken, message));
    }
    let asked = asked.into_iter().map(|text| Credential { text, place: Place::Query });
    let mut found = bearer.into_iter().chain(offered).chain(asked);
    let first = found.next();
    if found.any(|other| first.as_ref().is_some_and(|first| first.text != other.text)) {
        let message = "two different tokens in one request; send one";
        return Err(Refusal::new(ErrorCode::InvalidToken, message));
    }
    Ok(first)
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let (scheme, text) = value.to_str().ok().and_then(|text| text.trim().split_once(' ')).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") || values.next().is_some() {
        return Err(Refusal::new(ErrorCode::InvalidToken, "send one header Authorization: Bearer …"));
    }
    Ok(Some(text.trim()))
}

/// The names of protocols that a client offers.
pub(crate) fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

fn in_query(uri: &Uri) -> Vec<String> {
    let asked = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let pairs = asked.map(|Query(pairs)| pairs).unwrap_or_default();
    pairs.into_iter().filter(|(name, _)| name == "token").map(|(_, value)| value).collect()
}
