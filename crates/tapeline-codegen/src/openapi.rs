//! The OpenAPI 3.1 document: every route of the hub's HTTP port, what it takes, what it answers, how it refuses.
//!
//! Owns the document's build; the routes are a table of their own, which a test of the gateway holds against its router.
//! Refuses to know WebSocket frames, which are AsyncAPI's.

mod access;
mod admin;
mod bodies;
mod data;
mod dead_letters;
mod page;
mod routes;
mod socketio;
mod store;

use serde_json::{Map, Value, json};
use tapeline_schema::{Catalog, ErrorCode};

use crate::About;
use crate::model::{Model, move_references, place_of};
use access::Access;
use routes::{Answer, ROUTES, Route};

const DESCRIPTION: &str = "Publishing to and reading from a hub over plain HTTP. Live messages come over WebSocket: \
    `/asyncapi.json` describes them.";

/// The status of a head over its limit, whose code is that of everything too large.
const HEAD_TOO_LARGE: u16 = 431;

/// The document of a catalogue.
pub fn openapi(catalog: &Catalog, about: About<'_>) -> Value {
    let model = Model::of(catalog);
    let mut paths: Map<String, Value> = Map::new();
    let routes = page::ROUTES
        .iter()
        .chain(ROUTES)
        .chain(admin::ROUTES)
        .chain(dead_letters::ROUTES)
        .chain(store::ROUTES)
        .chain(data::ROUTES)
        .chain(socketio::ROUTES);
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(route.method.to_owned(), operation(route, &model));
        }
    }
    json!({
        "openapi": "3.1.0",
        "x-generated-by": about.by,
        "info": {
            "title": "Tapeline hub",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": format!("http://{}", about.host) }],
        "paths": paths,
        "components": {
            "schemas": schemas(&model),
            "responses": refusals(),
            "securitySchemes": access::schemes(),
        },
    })
}

fn operation(route: &Route, model: &Model) -> Value {
    let mut parameters: Vec<Value> = route.parameters.iter().map(|parameter| parameter.json()).collect();
    if route.path == routes::BROADCAST {
        parameters.extend(broadcast_parameters(model));
    }
    let mut responses: Map<String, Value> = Map::new();
    for Answer { status, about, kind, schema } in route.answers {
        let mut answer = json!({ "description": about });
        if let (Some(kind), Some(fields)) = (kind, answer.as_object_mut()) {
            let schema = schema.map_or(json!({}), |name| json!({ "$ref": place_of(name) }));
            // Another refusal of the same status has the usual body.
            let is_shared = routes::COMMON.iter().any(|code| code.status() == *status);
            let usual = json!({ "$ref": place_of("Error") });
            let schema = if is_shared { json!({ "anyOf": [schema, usual] }) } else { schema };
            fields.insert("content".to_owned(), json!({ *kind: { "schema": schema } }));
        }
        responses.insert(status.to_string(), answer);
    }
    let body = if route.path == routes::BROADCAST { Some(broadcast_body(model)) } else { route.body() };
    let with_body = if body.is_some() { routes::WITH_BODY } else { &[] };
    let access = Access::to(route.path);
    let without_token = if access == Access::Open { &[] } else { routes::WITHOUT_TOKEN };
    let codes = route.refusals.iter().chain(routes::COMMON).chain(with_body).chain(without_token);
    // Several codes share a status; each is in the answer of its status.
    for status in codes.map(|code| code.status()).chain([HEAD_TOO_LARGE]) {
        let place = format!("#/components/responses/{status}");
        responses.entry(status.to_string()).or_insert_with(|| json!({ "$ref": place }));
    }
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses,
        "security": access::requirement(access),
        "x-tapeline-needs": access.name(),
    });
    if let (Some(body), Some(fields)) = (body, operation.as_object_mut()) {
        fields.insert("requestBody".to_owned(), body);
    }
    operation
}

/// The families, and each of their keys.
fn broadcast_parameters(model: &Model) -> Vec<Value> {
    let names: Vec<_> = model.families.iter().map(|family| family.family.as_str()).collect();
    let mut parameters = vec![json!({
        "name": "family",
        "in": "path",
        "required": true,
        "description": "The text before the first `:` of a family's template.",
        "schema": { "type": "string", "enum": names },
    })];
    let mut keys: Vec<&str> =
        model.families.iter().flat_map(|family| &family.keys).map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    parameters.extend(keys.into_iter().map(|key| {
        let of = model.families.iter().filter(|family| family.keys.iter().any(|own| own == key));
        let of: Vec<_> = of.map(|family| format!("`{}`", family.template)).collect();
        json!({
            "name": key,
            "in": "query",
            "required": false,
            "description": format!("A key of {}; each key of the family must be there, others may not.", of.join(", ")),
            "schema": { "type": "string" },
        })
    }));
    parameters
}

fn broadcast_body(model: &Model) -> Value {
    let with_schema = model.families.iter().filter(|family| family.schema.is_some());
    let mut events: Vec<_> = with_schema.map(|family| json!({ "$ref": place_of(&family.event) })).collect();
    events.push(json!({ "type": "object" }));
    let schema = json!({ "description": "The data: the family's event, or any object.", "anyOf": events });
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

fn schemas(model: &Model) -> Map<String, Value> {
    let mut schemas: Map<_, _> = bodies::all()
        .into_iter()
        .chain(dead_letters::all())
        .chain(store::bodies())
        .chain(data::bodies())
        .collect();
    for family in &model.families {
        if let Some(schema) = &family.schema {
            let mut schema = schema.clone();
            move_references(&mut schema, "#", &place_of(&family.event));
            schemas.insert(family.event.clone(), schema);
        }
    }
    schemas
}

/// One answer a status, naming the codes that it can carry.
fn refusals() -> Map<String, Value> {
    let mut by_status: std::collections::BTreeMap<u16, Vec<String>> = std::collections::BTreeMap::new();
    for code in ErrorCode::ALL {
        let line = format!("`{}` (retry: {}): {}", code.name(), code.retry().name(), code.meaning());
        by_status.entry(code.status()).or_default().push(line);
    }
    let line = format!("`{}`: the head is larger than limits.header_bytes", ErrorCode::TooLarge.name());
    by_status.entry(HEAD_TOO_LARGE).or_default().push(line);
    let content = json!({ "application/json": { "schema": { "$ref": place_of("Error") } } });
    by_status
        .into_iter()
        .map(|(status, lines)| {
            (status.to_string(), json!({ "description": lines.join(";\n"), "content": content.clone() }))
        })
        .collect()
}
