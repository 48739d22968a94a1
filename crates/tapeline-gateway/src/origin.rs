//! Which web pages may talk to the hub. Browsers apply no same-origin policy to WebSockets, so the server must.
//! Let in by default: no Origin (not a browser), the hub's own origin, loopback origins; others by allow-list.
//! On loopback the name that was asked for counts too: a page may have its own name pointed at the visitor's machine, and
//! then its requests carry no Origin, or one that looks like the hub's own.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use tapeline_core::network::Network;
use tapeline_schema::ErrorCode;

use crate::addresses::ClientHeader;
use crate::error::Failure;

/// The allow-list: whole origins such as `https://desk.example`.
#[derive(Clone, Debug, Default)]
pub struct Origins(pub Vec<String>);

/// Who is let in by where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Which web pages may connect.
    pub origins: Origins,
    /// Whether `/admin/` is open to this machine.
    pub admin: bool,
    /// Proxies that are believed when they say whose request it is.
    pub trusted_proxies: Vec<Network>,
    /// The header by which they say it.
    pub client_header: ClientHeader,
    /// Addresses that may come as fast, as often and with as many wrong tokens as they like.
    pub exempt: Vec<Network>,
}

/// The access as it is now; it may change while the hub runs.
#[derive(Debug)]
pub struct LiveAccess(ArcSwap<Access>);

impl LiveAccess {
    /// Begins with this.
    pub fn new(access: Access) -> Self {
        LiveAccess(ArcSwap::from_pointee(access))
    }

    /// From now on it is this.
    pub fn replace(&self, access: Access) {
        self.0.store(Arc::new(access));
    }

    /// Not to be kept: it is a loan.
    pub(crate) fn now(&self) -> Guard<Arc<Access>> {
        self.0.load()
    }
}

impl Origins {
    /// Whether a page of this origin may connect to the hub addressed as `host`.
    pub fn allows(&self, origin: &str, host: Option<&str>) -> bool {
        if self.0.iter().any(|allowed| allowed == origin) {
            return true;
        }
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        if !matches!(scheme, "http" | "https") || authority.contains(['/', '@']) {
            return false;
        }
        host.is_some_and(|host| host.eq_ignore_ascii_case(authority)) || is_loopback(authority)
    }

    /// Whether the hub may be asked by this name over loopback: one of this machine, or the authority of an origin on the
    /// list. `0.0.0.0` is what a hub that listens everywhere says it listens on; no page can have it for a name.
    fn name_this_machine(&self, host: &str) -> bool {
        let is_anywhere = name_of(host).parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
        let authorities = self.0.iter().filter_map(|allowed| allowed.split_once("://"));
        is_loopback(host)
            || is_anywhere
            || authorities.into_iter().any(|(_, authority)| authority.eq_ignore_ascii_case(host))
    }
}

/// An authority without its port and brackets.
fn name_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

pub(crate) fn is_loopback(authority: &str) -> bool {
    let name = name_of(authority);
    let is_address = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_address || name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Refuses foreign origins, and over loopback names that are none of this machine's.
pub(crate) fn check(origins: &Origins, on_loopback: bool, headers: &HeaderMap) -> Result<(), Failure> {
    let refuse = |message| Err(Failure::new(ErrorCode::ForeignOrigin, message));
    let is_foreign = |host: &&HeaderValue| !host.to_str().is_ok_and(|host| origins.name_this_machine(host));
    let mut hosts = headers.get_all(header::HOST).into_iter().filter(|_| on_loopback);
    if let Some(host) = hosts.find(is_foreign) {
        return refuse(format!(
            "host {} is not this machine; over loopback, other names must be in an allowed origin (http.allowed_origins)",
            String::from_utf8_lossy(host.as_bytes())
        ));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = text(headers, header::HOST);
    if origin.to_str().is_ok_and(|origin| origins.allows(origin, host)) {
        return Ok(());
    }
    let origin = String::from_utf8_lossy(origin.as_bytes());
    refuse(format!("origin {origin} is not allowed (http.allowed_origins)"))
}

/// Whether a browser asks what a page may do (CORS), and nothing else.
pub(crate) fn is_question(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// What pages may do here: the store is the one place that they may write otherwise than by posting.
pub(crate) fn methods(path: &str) -> &'static str {
    if path.starts_with("/store/") { "GET, PUT, DELETE" } else { "GET, POST" }
}

/// Lets a page of this origin read the answer.
pub(crate) fn allow(headers: &mut HeaderMap, origin: HeaderValue, methods: &'static str) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "content-type, authorization, if-match, if-none-match, last-event-id, cache-control",
        ),
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag"));
}

/// Pages may send their credentials along, as clients with `withCredentials` do: only origins that are let in see this.
pub(crate) fn allow_credentials(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_loopback_only_names_of_this_machine_and_of_the_list_are_taken() {
        let origins = Origins(vec!["https://desk.example".into(), "http://desk.example:8080".into()]);
        for good in [
            "localhost:8000",
            "hub.localhost",
            "127.0.0.1:8000",
            "[::1]:8000",
            "0.0.0.0:8000",
            "[::]:8000",
            "desk.example",
            "DESK.example:8080",
        ] {
            assert!(origins.name_this_machine(good), "{good}");
        }
        for bad in
            ["", "evil.example:8000", "desk.example:8000", "localhost.evil.net", "10.0.0.1", "0.0.0.0.nip.io"]
        {
            assert!(!origins.name_this_machine(bad), "{bad}");
        }
    }

    #[test]
    fn own_and_loopback_origins_are_let_in_and_lookalikes_are_not() {
        let origins = Origins(vec!["https://desk.example".into()]);
        for good in [
            "http://hub:8000",
            "http://localhost:3000",
            "http://127.0.0.1",
            "http://[::1]:5173",
            "https://desk.example",
        ] {
            assert!(origins.allows(good, Some("hub:8000")), "{good}");
        }
        let bad = [
            "null",
            "",
            "https://desk.example.evil.net",
            "http://localhost.evil.net",
            "http://evil@localhost",
            "file://localhost",
            "http://127.0.0.1.evil.net",
            "http://desk.example",
        ];
        for bad in bad {
            assert!(!origins.allows(bad, Some("hub:8000")), "{bad}");
        }
    }
}
