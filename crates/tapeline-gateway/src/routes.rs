//! The table of routes. A test holds it against the OpenAPI document, so that neither can have what the other lacks.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

use crate::app::App;
use crate::{
    admin, batch, data, dead_letters, http, inspect, metrics, ops, presence, spec, stats, store, upgrade,
};

/// A route that is always open.
pub(crate) struct Served {
    #[cfg_attr(not(test), expect(dead_code, reason = "what a test compares with the document"))]
    pub method: &'static str,
    /// As axum writes it.
    pub path: &'static str,
    pub route: MethodRouter<Arc<App>>,
}

fn get<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<App>>) -> Served {
    Served { method: "get", path, route: routing::get(handler) }
}

fn post<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<App>>) -> Served {
    Served { method: "post", path, route: routing::post(handler) }
}

fn delete<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<App>>) -> Served {
    Served { method: "delete", path, route: routing::delete(handler) }
}

fn put<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<App>>) -> Served {
    Served { method: "put", path, route: routing::put(handler) }
}

/// A handshake says itself which method it wants.
fn handshake<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<App>>) -> Served {
    Served { method: "get", path, route: routing::any(handler) }
}

/// Every route of the HTTP port but the one for conformance suites.
pub(crate) fn table() -> Vec<Served> {
    vec![
        get("/", ops::page),
        handshake("/ws", upgrade::native),
        handshake("/ws/", upgrade::native),
        handshake("/ws/{*client_id}", upgrade::native),
        post("/publish", http::publish),
        post("/publish/batch", batch::publish_batch),
        post("/broadcast/{family}", http::broadcast),
        get("/last", http::last),
        get("/last/{*channel}", http::last),
        get("/history", http::history),
        get("/history/{*channel}", http::history),
        get("/store", store::list),
        get("/store/{*key}", store::get),
        put("/store/{*key}", store::put),
        delete("/store/{*key}", store::delete),
        get("/presence", presence::presence),
        get("/presence/{*channel}", presence::presence),
        get("/health", ops::health),
        get("/ready", ops::ready),
        get("/stats", stats::stats),
        get("/metrics", metrics::metrics),
        get("/inspect", inspect::inspect),
        get("/incidents", inspect::incidents),
        get("/channels", admin::list),
        get("/dead-letters", dead_letters::list),
        get("/dead-letters/letter", dead_letters::letter),
        post("/admin/dead-letters/redrive", dead_letters::redrive),
        post("/admin/dead-letters/purge", dead_letters::purge),
        post("/admin/reload", admin::reload),
        post("/admin/channels", admin::add),
        delete("/admin/channels/{*family}", admin::remove),
        get("/admin/data/backup", data::backup),
        get("/admin/data/usage", data::usage),
        get("/asyncapi.json", spec::asyncapi),
        get("/openapi.json", spec::openapi),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tapeline_codegen::About;
    use tapeline_schema::Catalog;

    use super::*;

    #[test]
    fn every_route_is_in_the_openapi_document_and_nothing_else_is() {
        let document = tapeline_codegen::openapi(&Catalog::built_in(), About { by: "a test", host: "h:1" });
        let paths = document["paths"].as_object().unwrap();
        let told: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
            })
            .collect();
        // A closing slash makes no other route.
        let served = table().into_iter().filter(|served| served.path != "/ws/");
        let served: BTreeSet<String> =
            served.map(|served| format!("{} {}", served.method, served.path.replace("{*", "{"))).collect();
        assert_eq!(served, told);
    }
}
