//! What an `EventSource` is told that cannot be let in now. After any status but 200 it never tries again (HTML Living
//! Standard, section 9.2.3), so what is temporary it learns from a stream that says why and when to come, and ends. It
//! counts nothing: who refuses has done so.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tapeline_core::{Refusal, Reply, Wire};
use tapeline_runtime::random_fraction;
use tapeline_schema::Retry;

use super::wire::SSE;
use crate::app::App;
use crate::error::{Failure, Refused};
use crate::origin;

/// Where event streams are.
const PATH: &str = "/events";
/// What they are.
const KIND: &str = "text/event-stream";
/// How long a client waits before it connects again, at least; and so much longer, that not all come back at once.
const LEAST_MS: u64 = 1_000;
const SPREAD_MS: f64 = 4_000.0;

/// When a client is to come again, which is not to come within `after_ms`: another time for each.
pub(super) fn retry_ms(after_ms: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some thousands, not less than none"
    )]
    let spread = (SPREAD_MS * random_fraction()) as u64;
    after_ms.saturating_add(LEAST_MS + spread)
}

/// How the answer is described.
pub(super) fn head() -> [(HeaderName, HeaderValue); 3] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(KIND)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // nginx would gather events before it passes them on.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ]
}

/// Whether it is an `EventSource` that asks, or somebody who says so.
pub(crate) fn is_listener(path: &str, headers: &HeaderMap) -> bool {
    let kinds = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut kinds = kinds.flat_map(|kinds| kinds.split(',')).filter_map(|kind| kind.split(';').next());
    path == PATH && kinds.any(|kind| kind.trim().eq_ignore_ascii_case(KIND))
}

/// Turns a temporary refusal of a listener into a stream that says so.
pub(crate) fn tell_in_stream(response: &mut Response) {
    let Some(Refused(refusal)) = response.extensions().get::<Refused>().cloned() else { return };
    if refusal.code.retry() != Retry::Later {
        return;
    }
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().remove(header::CONTENT_LENGTH);
    for (name, value) in head() {
        response.headers_mut().insert(name, value);
    }
    *response.body_mut() = Body::from(words(&refusal));
}

fn words(refusal: &Refusal) -> Vec<u8> {
    let retry = retry_ms(refusal.retry_after_ms.map_or(0, u64::from));
    let refusal = Reply::Error { refusal: refusal.clone(), about: None, req: None };
    [format!("retry: {retry}\n").into_bytes(), SSE.reply(&refusal).to_vec()].concat()
}

/// The whole answer to a listener whose connection is one too many, where these first bytes of it are its request.
pub(crate) fn whole_answer(app: &App, on_loopback: bool, asked: &[u8], refusal: &Refusal) -> Option<Vec<u8>> {
    let (path, headers) = read_head(asked)?;
    if !is_listener(&path, &headers) || refusal.code.retry() != Retry::Later {
        return None;
    }
    let mut response = Failure(refusal.clone()).into_response();
    tell_in_stream(&mut response);
    let is_let_in = origin::check(&app.access.now().origins, on_loopback, &headers).is_ok();
    if let Some(page) = headers.get(header::ORIGIN).filter(|_| is_let_in) {
        origin::allow(response.headers_mut(), page.clone(), origin::methods(&path));
        origin::allow_credentials(response.headers_mut());
    }
    let body = words(refusal);
    let mut out =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n", body.len()).into_bytes();
    for (name, value) in response.headers() {
        out.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
    Some(out)
}

/// The path and the headers of a `GET` that is there as a whole.
fn read_head(asked: &[u8]) -> Option<(String, HeaderMap)> {
    let (head, _) = std::str::from_utf8(asked).ok()?.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let target = lines.next()?.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?;
    let path = target.split('?').next()?.to_string();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
    }
    Some((path, headers))
}

#[cfg(test)]
mod tests {
    use tapeline_schema::ErrorCode;

    use super::*;

    #[test]
    fn only_who_says_that_it_reads_events_is_told_by_one() {
        let asks = |accept: &'static str| {
            let headers = [(header::ACCEPT, HeaderValue::from_static(accept))];
            is_listener("/events", &headers.into_iter().collect())
        };
        assert!(asks("text/event-stream") && asks("*/*, Text/Event-Stream;q=0.9"));
        assert!(!asks("*/*") && !asks("text/html") && !asks("text/event-streams") && !asks(""));
        let (path, headers) =
            read_head(b"GET /events?channel=a HTTP/1.1\r\naccept: text/event-stream\r\n\r\n").unwrap();
        assert!(is_listener(&path, &headers) && !is_listener("/", &headers));
        for bad in ["", "GET /events", "POST /events HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nno header\r\n\r\n"]
        {
            assert!(read_head(bad.as_bytes()).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_final_stays_a_status_and_what_is_not_says_when_to_come() {
        let mut refused = Failure::new(ErrorCode::Forbidden, "no").into_response();
        tell_in_stream(&mut refused);
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        let mut refusal = Refusal::new(ErrorCode::RateLimited, "too fast");
        refusal.retry_after_ms = Some(7_000);
        let text = String::from_utf8(words(&refusal)).unwrap();
        let retry = text.strip_prefix("retry: ").and_then(|rest| rest.split('\n').next()?.parse().ok());
        assert!(retry.is_some_and(|retry: u64| (8_000..12_000).contains(&retry)), "{text}");
        assert!(
            text.contains("\nevent: refusal\ndata: {\"type\":\"error\",\"code\":\"rate_limited\""),
            "{text}"
        );
        assert!(text.ends_with("}\n\n"), "{text}");
        let mut refused = Failure(refusal).into_response();
        tell_in_stream(&mut refused);
        assert_eq!(refused.status(), StatusCode::OK);
        assert_eq!(refused.headers()[header::CONTENT_TYPE], KIND);
    }
}
