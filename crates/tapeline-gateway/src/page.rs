//! The live page at `/`: three files that use nothing but public interfaces. They say to browsers what such a page may do:
//! its own script and style, and no other; so what somebody publishes stays text, even where an escape were forgotten.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// Nothing is fetched from elsewhere, sent elsewhere, or shown inside of another page. Icons are written out in place.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`.
pub(crate) async fn page() -> Response {
    served("text/html; charset=utf-8", include_str!("page/page.html"))
}

/// `GET /page.css`.
pub(crate) async fn style() -> Response {
    served("text/css; charset=utf-8", include_str!("page/page.css"))
}

/// `GET /page.js`.
pub(crate) async fn script() -> Response {
    served("text/javascript; charset=utf-8", include_str!("page/page.js"))
}

fn served(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    /// The policy would let neither run.
    #[test]
    fn nothing_of_the_page_stands_in_its_html_that_its_policy_forbids() {
        let html = include_str!("page/page.html");
        for forbidden in ["<style", " style=", "<script>", "javascript:", " onclick", " onload", "://"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        let script = include_str!("page/page.js");
        for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(forbidden), "{forbidden}");
        }
    }
}
