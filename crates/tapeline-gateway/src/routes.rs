//! The table of routes. A test holds it against the OpenAPI document, so that neither can have what the other lacks.

use std::collections::HashMap;
use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

use crate::app::App;
use crate::caller::Needs;
use crate::{
    admin, batch, data, dead_letters, http, inspect, metrics, ops, page, presence, socketio, spec, sse,
    stats, store, upgrade,
};

/// A route that is always open.
pub(crate) struct Served {
    #[cfg_attr(not(test), expect(dead_code, reason = "what a test compares with the document"))]
    pub method: &'static str,
    /// As axum writes it.
    pub path: &'static str,
    /// What everybody must be who asks for it.
    pub needs: Needs,
    pub route: MethodRouter<Arc<App>>,
}

fn get<T: 'static>(needs: Needs, path: &'static str, handler: impl Handler<T, Arc<App>>) -> Served {
    Served { method: "get", path, needs, route: routing::get(handler) }
}

fn post<T: 'static>(needs: Needs, path: &'static str, handler: impl Handler<T, Arc<App>>) -> Served {
    Served { method: "post", path, needs, route: routing::post(handler) }
}

fn delete<T: 'static>(needs: Needs, path: &'static str, handler: impl Handler<T, Arc<App>>) -> Served {
    Served { method: "delete", path, needs, route: routing::delete(handler) }
}

fn put<T: 'static>(needs: Needs, path: &'static str, handler: impl Handler<T, Arc<App>>) -> Served {
    Served { method: "put", path, needs, route: routing::put(handler) }
}

/// A handshake says itself which method it wants.
fn handshake<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<App>>) -> Served {
    Served { method: "get", path, needs: Needs::Handshake, route: routing::any(handler) }
}

/// Every route of the HTTP port, with what it takes, but the one for conformance suites.
pub(crate) fn table() -> Vec<Served> {
    use Needs::{Admin, Listener, Nothing, Operator, Somebody};
    vec![
        get(Nothing, "/", page::page),
        get(Nothing, "/page.css", page::style),
        get(Nothing, "/page.js", page::script),
        handshake("/ws", upgrade::native),
        handshake("/ws/", upgrade::native),
        handshake("/ws/{*client_id}", upgrade::native),
        handshake("/socket.io", socketio::door),
        handshake("/socket.io/", socketio::door),
        post(Somebody, "/publish", http::publish),
        post(Somebody, "/publish/batch", batch::publish_batch),
        post(Somebody, "/broadcast/{family}", http::broadcast),
        get(Somebody, "/last", http::last),
        get(Somebody, "/last/{*channel}", http::last),
        get(Somebody, "/history", http::history),
        get(Somebody, "/history/{*channel}", http::history),
        get(Listener, "/events", sse::events),
        get(Somebody, "/store", store::list),
        get(Somebody, "/store/{*key}", store::get),
        put(Somebody, "/store/{*key}", store::put),
        delete(Somebody, "/store/{*key}", store::delete),
        get(Operator, "/presence", presence::presence),
        get(Operator, "/presence/{*channel}", presence::presence),
        get(Nothing, "/health", ops::health),
        get(Nothing, "/ready", ops::ready),
        get(Operator, "/stats", stats::stats),
        get(Operator, "/metrics", metrics::metrics),
        get(Operator, "/inspect", inspect::inspect),
        get(Operator, "/incidents", inspect::incidents),
        get(Somebody, "/channels", admin::list),
        get(Operator, "/dead-letters", dead_letters::list),
        get(Operator, "/dead-letters/letter", dead_letters::letter),
        post(Admin, "/admin/dead-letters/redrive", dead_letters::redrive),
        post(Admin, "/admin/dead-letters/purge", dead_letters::purge),
        post(Admin, "/admin/reload", admin::reload),
        get(Admin, "/admin/revocations", admin::revocations),
        post(Admin, "/admin/revocations", admin::revoke),
        post(Admin, "/admin/channels", admin::add),
        delete(Admin, "/admin/channels/{*family}", admin::remove),
        get(Admin, "/admin/data/backup", data::backup),
        get(Admin, "/admin/data/usage", data::usage),
        get(Nothing, "/asyncapi.json", spec::asyncapi),
        get(Nothing, "/openapi.json", spec::openapi),
    ]
}

/// What each path takes.
pub(crate) fn needs(conformance: bool) -> HashMap<&'static str, Needs> {
    let echoes = ["/echo"].into_iter().chain(socketio::ECHO_PATHS).filter(|_| conformance);
    let echoes = echoes.map(|path| (path, Needs::Nothing));
    table().into_iter().map(|served| (served.path, served.needs)).chain(echoes).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tapeline_codegen::About;
    use tapeline_schema::Catalog;

    use super::*;

    #[test]
    fn every_route_is_in_the_openapi_document_with_what_it_takes_and_nothing_else_is() {
        let document = tapeline_codegen::openapi(&Catalog::built_in(), About { by: "a test", host: "h:1" });
        let paths = document["paths"].as_object().unwrap();
        let told: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let each = methods.as_object().unwrap().iter();
                each.map(move |(method, told)| format!("{method} {path}: {}", told["x-tapeline-needs"]))
            })
            .collect();
        // A closing slash makes no other route.
        let served = table().into_iter().filter(|served| !["/ws/", "/socket.io/"].contains(&served.path));
        let told_of = |served: Served| {
            let needs = format!("{:?}", served.needs).to_lowercase();
            format!("{} {}: {needs:?}", served.method, served.path.replace("{*", "{"))
        };
        let served: BTreeSet<String> = served.map(told_of).collect();
        assert_eq!(served, told);
    }
}
