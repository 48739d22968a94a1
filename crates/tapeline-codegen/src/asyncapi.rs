//! The AsyncAPI 3 document: a channel for each family and roll-up, and one for the connection itself, on which clients
//! ask and the hub answers.
//!
//! Owns the document's build. Refuses to know HTTP, which is OpenAPI's.

mod envelope;

use serde_json::{Map, Value, json};
use tapeline_schema::Catalog;

use crate::About;
use crate::frames::{self, Frame};
use crate::model::{Family, Model, RollUp, move_references, place_of};
use crate::naming::{Taken, snake};
use crate::shape::text;

const DESCRIPTION: &str = "Every channel is reached over one WebSocket, `/ws` or `/ws/{client_id}`: a channel's address \
    is the name in a frame's field `channel`. To hear a channel, send `subscribe`; to publish, send `publish` or use \
    HTTP (`/openapi.json`). Fields that are not declared are always allowed. `x-tapeline-delivery`: `latest` is the \
    newest message of each source channel, `table` keyed rows, `every` in order with none skipped unsaid.";

/// The id of the channel that stands for the connection.
const CONNECTION: &str = "connection";

/// The document of a catalogue.
pub fn asyncapi(catalog: &Catalog, about: About<'_>) -> Value {
    let model = Model::of(catalog);
    let mut document = Document::default();
    document.connection();
    let mut ids = Taken::default();
    ids.give(CONNECTION);
    let mut placed = Vec::new();
    for (order, family) in model.families.iter().enumerate() {
        let id = ids.give(&snake(&family.family));
        document.family(&id, order, family);
        placed.push((family.template.as_str(), id));
    }
    for roll_up in &model.roll_ups {
        let id = ids.give(&format!("all_{}", snake(&roll_up.name)));
        document.roll_up(&id, roll_up, &model, &placed);
    }
    json!({
        "asyncapi": "3.0.0",
        "x-generated-by": about.by,
        "info": {
            "title": "Tapeline hub",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": { "hub": {
            "host": about.host,
            "protocol": "ws",
            "description": "The hub's one port.",
            "security": security_schemes().keys().map(|name| security_place(name)).collect::<Vec<_>>(),
        } },
        "channels": document.channels,
        "operations": document.operations,
        "components": {
            "messages": document.messages,
            "schemas": document.schemas,
            "securitySchemes": security_schemes(),
        },
    })
}

/// Where a token may stand, beside the action `token`; none is asked for where authentication is off.
fn security_schemes() -> Map<String, Value> {
    let bearer = "A token (JWT) or an API key, at the handshake.";
    let offered =
        "For browsers, which can send no headers: offer `tapeline.v1` and `auth.` with the token behind it.";
    let query = "A token, never a key. Logs keep queries: rather send it as the first message, with the action `token`.";
    Map::from_iter([
        ("bearer".to_owned(), json!({ "type": "http", "scheme": "bearer", "description": bearer })),
        (
            "protocol".to_owned(),
            json!({ "type": "httpApiKey", "name": "Sec-WebSocket-Protocol", "in": "header", "description": offered }),
        ),
        (
            "query".to_owned(),
            json!({ "type": "httpApiKey", "name": "token", "in": "query", "description": query }),
        ),
    ])
}

fn security_place(name: &str) -> Value {
    reference(&format!("#/components/securitySchemes/{name}"))
}

#[derive(Default)]
struct Document {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
}

fn reference(place: &str) -> Value {
    json!({ "$ref": place })
}

fn message_place(channel: &str, message: &str) -> Value {
    reference(&format!("#/channels/{channel}/messages/{message}"))
}

impl Document {
    fn message(&mut self, name: &str, word: &str, payload: Value) {
        let message = json!({
            "name": word,
            "title": name,
            "summary": first_sentence(text(&payload, "description")),
            "payload": payload,
        });
        self.messages.insert(name.to_owned(), message);
    }

    fn channel(&mut self, id: &str, mut channel: Value, messages: &[String]) {
        let messages: Map<_, _> = messages
            .iter()
            .map(|name| (name.clone(), reference(&format!("#/components/messages/{name}"))))
            .collect();
        if let Some(fields) = channel.as_object_mut() {
            fields.insert("messages".to_owned(), messages.into());
        }
        self.channels.insert(id.to_owned(), channel);
    }

    fn operation(
        &mut self,
        id: String,
        action: &str,
        channel: &str,
        summary: &str,
        messages: &[&str],
    ) -> &mut Value {
        let messages: Vec<_> = messages.iter().map(|name| message_place(channel, name)).collect();
        let operation = json!({
            "action": action,
            "channel": reference(&format!("#/channels/{channel}")),
            "summary": summary,
            "messages": messages,
        });
        self.operations.entry(id).or_insert(operation)
    }

    /// What clients ask and the hub answers.
    fn connection(&mut self) {
        let (actions, answers) = (frames::actions(), frames::answers());
        let each = actions.iter().map(|(frame, _)| frame).chain(&answers);
        let names: Vec<String> = each.clone().map(|frame| frame.name.clone()).collect();
        for Frame { name, word, schema } in each {
            self.message(name, word, schema.clone());
        }
        let channel = json!({
            "address": "/ws/{client_id}",
            "title": "The connection",
            "description": "What is said on a connection beside messages. `/ws` without an id will do too.",
            "parameters": { "client_id": { "description": "Any name, slashes included; limits are counted by it." } },
            "bindings": { "ws": { "method": "GET" } },
        });
        self.channel(CONNECTION, channel, &names);
        for (frame, replies) in &actions {
            let replies: Vec<_> = answers
                .iter()
                .filter(|answer| replies.contains(&answer.word))
                .map(|answer| message_place(CONNECTION, &answer.name))
                .collect();
            let summary = first_sentence(text(&frame.schema, "description"));
            let operation =
                self.operation(frame.word.to_owned(), "receive", CONNECTION, &summary, &[&frame.name]);
            if let Some(fields) = operation.as_object_mut() {
                let reply =
                    json!({ "channel": reference(&format!("#/channels/{CONNECTION}")), "messages": replies });
                fields.insert("reply".to_owned(), reply);
            }
        }
        let told: Vec<_> = answers.iter().map(|answer| answer.name.as_str()).collect();
        self.operation("tell".to_owned(), "send", CONNECTION, "What the hub says beside messages.", &told);
    }

    fn family(&mut self, id: &str, order: usize, family: &Family) {
        let about = family.schema.as_ref().map(|schema| text(schema, "description")).unwrap_or_default();
        if let Some(schema) = &family.schema {
            let mut schema = schema.clone();
            move_references(&mut schema, "#", &place_of(&family.event));
            if let Some(fields) = schema.as_object_mut() {
                // Both would tell a reader of the whole document to look elsewhere.
                fields.remove("$schema");
                fields.remove("$id");
            }
            self.schemas.insert(family.event.clone(), schema);
        }
        let (heard, published) = (family.message(), format!("Publish{}", family.event));
        self.message(&heard, &family.kind, envelope::heard(family));
        self.message(&published, "publish", envelope::published(family));
        let parameter = |key: &String| (key.clone(), json!({ "description": format!("The key `{key}`.") }));
        let mut channel = serde_json::to_value(family).unwrap_or_default();
        if let Some(fields) = channel.as_object_mut() {
            fields.insert("title".to_owned(), family.family.clone().into());
            fields.insert("description".to_owned(), about.into());
            fields.insert("x-tapeline-order".to_owned(), order.into());
            let parameters: Map<_, _> = family.keys.iter().map(parameter).collect();
            if !parameters.is_empty() {
                fields.insert("parameters".to_owned(), parameters.into());
            }
        }
        self.channel(id, channel, &[heard.clone(), published.clone()]);
        self.operation(
            format!("hear_{id}"),
            "send",
            id,
            "The hub delivers a message to subscribers.",
            &[&heard],
        );
        self.operation(
            format!("publish_{id}"),
            "receive",
            id,
            "A client publishes a message.",
            &[&published],
        );
    }

    fn roll_up(&mut self, id: &str, roll_up: &RollUp, model: &Model, placed: &[(&str, String)]) {
        let mut channel = serde_json::to_value(roll_up).unwrap_or_default();
        let sources: Vec<_> = roll_up.collects.iter().filter_map(|template| model.family(template)).collect();
        if let Some(fields) = channel.as_object_mut() {
            let templates = roll_up.collects.join("`, `");
            let description =
                format!("Every message of `{templates}`, under its own channel's name and offset.");
            fields.insert("title".to_owned(), roll_up.name.clone().into());
            fields.insert("description".to_owned(), description.into());
            let channels =
                placed.iter().filter(|(template, _)| roll_up.collects.iter().any(|one| one == template));
            let channels: Vec<_> = channels.map(|(_, id)| Value::from(format!("#/channels/{id}"))).collect();
            fields.insert("x-tapeline-channels".to_owned(), channels.into());
        }
        let mut heard: Vec<_> = sources.iter().map(|family| family.message()).collect();
        heard.dedup();
        self.channel(id, channel, &heard);
        let heard: Vec<_> = heard.iter().map(String::as_str).collect();
        self.operation(
            format!("hear_{id}"),
            "send",
            id,
            "The hub delivers a message to subscribers.",
            &heard,
        );
    }
}

fn first_sentence(text: &str) -> String {
    let line = text.replace('\n', " ");
    line.split_inclusive(". ").next().unwrap_or_default().trim_end().to_owned()
}
