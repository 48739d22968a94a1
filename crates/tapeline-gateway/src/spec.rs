//! `/asyncapi.json` and `/openapi.json`: the documents of this hub, users' families included, as they are now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde_json::Value;
use tapeline_codegen::About;
use tapeline_schema::Catalog;

use crate::app::App;

/// What the documents call their maker.
const BY: &str = concat!("tapeline ", env!("CARGO_PKG_VERSION"));
/// Where a hub is that was asked without a `Host`.
const USUAL_HOST: &str = "127.0.0.1:8000";

/// `GET /asyncapi.json`.
pub(crate) async fn asyncapi(State(app): State<Arc<App>>, headers: HeaderMap) -> Json<Value> {
    document(&app, &headers, tapeline_codegen::asyncapi)
}

/// `GET /openapi.json`.
pub(crate) async fn openapi(State(app): State<Arc<App>>, headers: HeaderMap) -> Json<Value> {
    document(&app, &headers, tapeline_codegen::openapi)
}

fn document(app: &App, headers: &HeaderMap, make: fn(&Catalog, About<'_>) -> Value) -> Json<Value> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or(USUAL_HOST);
    Json(make(&app.hub.catalog(), About { by: BY, host }))
}
