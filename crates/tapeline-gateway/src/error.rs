//! A refusal as an HTTP answer: `{"error":{"code","message"}}` with the code's status.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tapeline_core::Refusal;
use tapeline_core::channel::push_json_string;
use tapeline_schema::ErrorCode;

/// What handlers fail with.
pub(crate) struct Failure(pub Refusal);

/// Why a request was refused, as an extension of the answer that says so.
#[derive(Clone)]
pub(crate) struct Refused(pub Arc<Refusal>);

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Failure(Refusal::new(code, message))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure(refusal)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = Vec::new();
        push_error(&mut body, &self.0);
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if self.0.code == ErrorCode::InvalidToken {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after_s(&self.0) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(Refused(Arc::new(self.0)));
        response
    }
}

/// What `Retry-After` says: whole seconds, never none.
fn retry_after_s(refusal: &Refusal) -> Option<u64> {
    refusal.retry_after_ms.map(|millis| u64::from(millis).div_ceil(1_000).max(1))
}

/// A whole answer as it stands on the wire, after which the connection ends.
pub(crate) fn whole_answer(refusal: &Refusal) -> Vec<u8> {
    let mut body = Vec::new();
    push_error(&mut body, refusal);
    let status = refusal.code.status();
    let wait =
        retry_after_s(refusal).map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: application/json\r\n{wait}content-length: {}\r\n\
         connection: close\r\n\r\n",
        refusal.code,
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// Appends the error object.
pub(crate) fn push_error(out: &mut Vec<u8>, refusal: &Refusal) {
    out.extend_from_slice(b"{\"error\":{\"code\":");
    push_json_string(out, refusal.code.name());
    out.extend_from_slice(b",\"message\":");
    push_json_string(out, &refusal.message);
    out.extend_from_slice(b"}}");
}
