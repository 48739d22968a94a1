//! Which web pages may talk to the hub. Browsers apply no same-origin policy to WebSockets, so the server must.
//! Let in by default: no Origin (not a browser), the hub's own origin, loopback origins; others by allow-list.

use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tapeline_schema::ErrorCode;

use crate::app::App;
use crate::error::Failure;

/// The allow-list: whole origins such as `https://desk.example`.
#[derive(Clone, Debug, Default)]
pub struct Origins(pub Vec<String>);

/// Who is let in by where a request comes from.
#[derive(Clone, Debug)]
pub struct Access {
    /// Which web pages may connect.
    pub origins: Origins,
    /// Whether `/admin/` is open to this machine.
    pub admin: bool,
}

/// The access as it is now; it may change while the hub runs.
#[derive(Debug)]
pub struct LiveAccess(RwLock<Arc<Access>>);

impl LiveAccess {
    /// Begins with this.
    pub fn new(access: Access) -> Self {
        LiveAccess(RwLock::new(Arc::new(access)))
    }

    /// From now on it is this.
    pub fn replace(&self, access: Access) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(access);
    }

    pub(crate) fn now(&self) -> Arc<Access> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
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
}

pub(crate) fn is_loopback(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_address = name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    is_address || name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Refuses foreign origins with 403 and answers the browser's questions about the others (CORS).
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else { return next.run(request).await };
    let host = text(request.headers(), header::HOST);
    if !origin.to_str().is_ok_and(|origin| app.access.now().origins.allows(origin, host)) {
        let message = format!(
            "origin {} is not allowed (http.allowed_origins)",
            String::from_utf8_lossy(origin.as_bytes())
        );
        return Failure::new(ErrorCode::ForeignOrigin, message).into_response();
    }
    let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match request.method() == Method::OPTIONS && asks {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("content-type, authorization"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

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
