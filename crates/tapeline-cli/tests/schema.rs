//! One schema: what the catalogue declares is what a hub refuses, documents and says.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::{Map, Value, json};
use support::client::with;
use support::{Client, Hub, Raw, run_to_end};
use tapeline_codegen::frames;
use tapeline_schema::{Catalog, ChannelSpec};

/// A value that fits a field.
fn sample(schema: &Value) -> Value {
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(values) = schema.get("enum") {
        return values[0].clone();
    }
    if let Some(some) = schema.get("oneOf").or_else(|| schema.get("anyOf")) {
        return sample(&some[0]);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => json!("x"),
        Some("number" | "integer") => json!(1),
        Some("array") => schema["prefixItems"].as_array().into_iter().flatten().map(sample).collect(),
        _ => json!({}),
    }
}

/// The required fields of a family's event, filled.
fn full(spec: &ChannelSpec) -> Map<String, Value> {
    let schema = spec.schema.as_ref().expect("every built-in family has one");
    let field = |name: &str| (name.to_owned(), sample(&schema.json()["properties"][name]));
    schema.required().into_iter().map(field).collect()
}

/// Families that require something; of a table, of each row. Rows that are arrays have no fields to leave out.
fn typed() -> Vec<ChannelSpec> {
    let is_typed = |spec: &ChannelSpec| !spec.schema.as_ref().expect("every family has one").is_open();
    let specs: Vec<_> = Catalog::built_in().specs().map(|spec| (**spec).clone()).collect();
    specs.into_iter().filter(|spec| is_typed(spec) && spec.family != "orderbook_rows").collect()
}

fn channel(spec: &ChannelSpec) -> String {
    spec.name_for(|_| Some("k".to_owned())).expect("k is a fine key")
}

fn publish(hub: &Hub, channel: &str, data: &Value, more: Value) -> (u16, String) {
    let answer = hub.post("/publish", with(json!({"channel": channel, "data": data}), more).to_string());
    let message = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    (answer.status(), message)
}

#[test]
fn every_required_field_of_every_typed_family_is_asked_for_by_name() {
    let hub = Hub::start();
    let mut asked = 0;
    for spec in typed() {
        let (channel, full) = (channel(&spec), full(&spec));
        assert_eq!(publish(&hub, &channel, &json!(full), json!({})), (200, String::new()));
        for field in full.keys() {
            let mut data = full.clone();
            data.remove(field);
            let (status, message) = publish(&hub, &channel, &json!(data), json!({}));
            assert_eq!(status, 400, "{channel} took {data:?}");
            if spec.row_key.contains(field) {
                assert!(message.contains(&format!("has no `{field}`, which tells the rows")), "{message}");
                continue;
            }
            assert!(message.starts_with(&format!("{channel}: field `{field}` is missing; ")), "{message}");
            let own = json!({"type": spec.kind});
            assert_eq!(publish(&hub, &channel, &json!(data), own).0, 400, "its own type changes nothing");
            let other = json!({"type": "something.else"});
            assert_eq!(publish(&hub, &channel, &json!(data), other).0, 200, "another type passes");
            asked += 1;
        }
    }
    assert!(asked > 50, "{asked}");
}

#[test]
fn a_field_of_another_kind_is_refused_by_name_over_every_door() {
    let hub = Hub::start();
    let data = json!({"symbol": "A", "price": "187", "change": 0, "volume": 1});
    let expected =
        "field `price` is a string, expected a number; price_update needs symbol, price, change, volume";
    for name in ["market_data:A", "price_updates"] {
        let (status, message) = publish(&hub, name, &data, json!({}));
        assert_eq!((status, message), (400, format!("{name}: {expected}")));
    }
    let broadcast = hub.post("/broadcast/market_data?symbol=A", data.to_string());
    assert_eq!(broadcast.refusal(), (400, "invalid_data".into()));
    let mut client = Client::connect(&hub);
    let refused = client.ask(&json!({"action": "publish", "channel": "market_data:A", "data": data})).json;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("invalid_data")));
    let line = json!([{"channel": "market_data:A", "data": data}]).to_string();
    let results = hub.post("/publish/batch", line).json();
    assert_eq!(results["results"][0]["error"]["code"], "invalid_data", "{results}");
    assert_eq!(hub.get("/last/market_data:A").status(), 404, "nothing of it was published");
}

const FX: &str = r##"
[[channel]]
template = "fx:{pair}"
type = "fx_quote"
delivery = "latest"
schema = { type = "object", required = ["bid"], properties = { bid = { "$ref" = "#/$defs/price" } }, "$defs" = { price = { type = "number" } } }

[[channel]]
template = "desk.notes"
type = "note"
"##;

#[test]
fn a_users_schema_is_checked_and_told() {
    let hub = Hub::with_config(FX);
    assert_eq!(publish(&hub, "fx:EURUSD", &json!({"bid": 1.08, "more": []}), json!({})).0, 200);
    let (status, message) = publish(&hub, "fx:EURUSD", &json!({"bid": "1.08"}), json!({}));
    assert_eq!(status, 400);
    assert!(message.starts_with("fx:EURUSD: ") && message.ends_with(" at /bid"), "{message}");
    assert_eq!(publish(&hub, "desk.notes", &json!(7), json!({})).0, 200, "no schema, any JSON");
    let document = hub.get("/asyncapi.json").json();
    assert_eq!(document["channels"]["fx"]["address"], "fx:{pair}");
    assert_eq!(document["servers"]["hub"]["host"], hub.address());
    let bid = &document["components"]["schemas"]["Fx"]["properties"]["bid"];
    assert_eq!(
        bid["$ref"], "#/components/schemas/Fx/$defs/price",
        "it must be found from the document's top"
    );
    let families = &hub.get("/openapi.json").json()["paths"]["/broadcast/{family}"]["post"]["parameters"][0];
    assert!(families["schema"]["enum"].as_array().expect("a list").contains(&json!("fx")), "{families}");
}

#[test]
fn a_schema_may_lie_beside_the_configuration() {
    let path = support::temporary("schema.json");
    let name = path.file_name().expect("it has a name").to_str().expect("it is text");
    std::fs::write(&path, r#"{"type":"object","required":["bid"]}"#).expect("it can be written");
    let family =
        |schema: &str| format!("[[channel]]\ntemplate = \"fx:{{pair}}\"\ntype = \"fx\"\nschema = {schema}\n");
    let hub = Hub::with_config(&family(&format!("\"{name}\"")));
    std::fs::remove_file(&path).expect("it is there");
    let (status, message) = publish(&hub, "fx:A", &json!({}), json!({}));
    assert_eq!((status, message.as_str()), (400, "fx:A: \"bid\" is a required property"));
    let serve = |schema: &str| {
        let config = support::temporary("toml");
        std::fs::write(&config, family(schema)).expect("it can be written");
        let mut command = support::serve("127.0.0.1:0");
        command.arg("--config").arg(&config);
        let (status, _, err) = run_to_end(command);
        std::fs::remove_file(&config).expect("it is there");
        assert!(!status.success());
        err
    };
    assert!(serve("\"gone.json\"").contains("gone.json"), "the missing file is named");
    let remote = serve("{ properties = { bid = { \"$ref\" = \"https://example.com/price.json\" } } }");
    assert!(remote.contains("fx:{pair}") && remote.contains("schema is not usable"), "{remote}");
}

fn types(lang: &str, url: &str) -> (bool, String, String) {
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.args(["types", "--lang", lang, "--url", url]);
    let (status, out, err) = run_to_end(command);
    (status.success(), out, err)
}

#[test]
fn types_of_a_running_hub_are_printed_users_families_included() {
    let hub = Hub::with_config(FX);
    let url = format!("http://{}", hub.address());
    let (ok, ts, err) = types("ts", &url);
    assert!(ok, "{err}");
    for line in [
        "export interface Fx {\n  bid: number;\n}\n",
        "export type FxMessage = Envelope<\"fx_quote\", Fx> & { pair?: string };\n",
        "  \"fx:{pair}\": FxMessage[\"data\"];\n",
        "export type DeskNotes = unknown;\n",
        "export interface PriceUpdate {\n",
    ] {
        assert!(ts.contains(line), "{line} is not in {ts}");
    }
    let (ok, py, err) = types("py", &url);
    assert!(ok, "{err}");
    for line in [
        "class Fx(TypedDict):\n\n    bid: Required[float]\n",
        "        \"fx:{pair}\": Fx,\n",
        "DeskNotes = Any\n",
    ] {
        assert!(py.contains(line), "{line} is not in {py}");
    }
    let (ok, _, err) = types("ts", "http://127.0.0.1:9");
    assert!(!ok);
    assert!(err.contains("no hub answers at http://127.0.0.1:9; start one with tapeline serve"), "{err}");
}

/// Fails unless a value fits the schema at this place of the document, and has no field beside those declared there.
fn fits(document: &Value, place: &str, value: &Value, keys: &[&str]) {
    let mut schema = document.clone();
    schema["$ref"] = json!(format!("#{place}"));
    let validator = jsonschema::validator_for(&schema).expect("the document's schemas are sound");
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{place}: {errors:?} in {value}");
    let declared = document.pointer(&format!("{place}/properties")).and_then(Value::as_object);
    let Some(declared) = declared else { return };
    for name in value.as_object().expect("an object").keys() {
        assert!(
            declared.contains_key(name) || keys.contains(&name.as_str()),
            "{place} does not declare {name}"
        );
    }
}

#[test]
fn what_the_hub_says_over_websocket_is_what_the_asyncapi_document_declares() {
    let hub = Hub::start();
    let document = hub.get("/asyncapi.json").json();
    let answers = frames::answers();
    let mut client = Client::connect(&hub);
    let mut met = Vec::new();
    let mut check = |frame: &Value| {
        let kind = frame["type"].as_str().expect("a frame has a type");
        let known = answers.iter().find(|answer| answer.word == kind);
        let name = known.map_or("TradeMessage", |answer| answer.name.as_str());
        fits(&document, &format!("/components/messages/{name}/payload"), frame, &["portfolio_id"]);
        met.push(kind.to_owned());
    };
    let trade = json!({"portfolio_id": "p", "symbol": "A", "trade_type": "BUY", "quantity": 1, "price": 2});
    let asked = [
        json!({"action": "publish", "channel": "trades:p", "data": trade, "correlation_id": "c", "req": 1}),
        json!({"action": "subscribe", "channel": "trades:p", "since": {"offset": 9, "epoch": "older"}, "req": [2]}),
        json!({"action": "subscribe", "channel": "trades", "req": 3}),
        json!({"action": "subscribe", "pattern": "market_data:*", "max_rate": 7}),
        json!({"action": "subscribe", "channel": "market-data:A", "req": 4}),
        json!({"action": "history", "channel": "trades:p", "limit": 1, "req": 5}),
        json!({"action": "last", "channel": "trades:p", "req": 6}),
        json!({"action": "last", "channel": "trades:none"}),
        json!({"action": "list"}),
        json!({"action": "unsubscribe", "channel": "trades:p"}),
        json!({"action": "unsubscribe", "all": true, "req": 7}),
        json!({"action": "no such"}),
    ];
    for request in &asked {
        client.send(request);
        client.settle().iter().for_each(|frame| check(&frame.json));
    }
    check(&client.ask(&json!({"action": "ping", "req": "r"})).json);
    met.sort();
    met.dedup();
    let expected = [
        "error",
        "gap",
        "history",
        "last",
        "pong",
        "published",
        "subscription_confirmed",
        "subscriptions",
        "trade",
        "unsubscription_confirmed",
    ];
    assert_eq!(met, expected);
}

/// The place of the schema that an answer must fit, or a failure where the document does not know the answer.
fn place_of_answer(document: &Value, path: &str, method: &str, status: u16) -> String {
    let mut place = format!("/paths/{}/{method}/responses/{status}", path.replace('/', "~1"));
    assert!(document.pointer(&place).is_some(), "{place} is not there");
    if let Some(target) = document.pointer(&format!("{place}/$ref")).and_then(Value::as_str) {
        place = target.trim_start_matches('#').to_owned();
    }
    let schema = format!("{place}/content/application~1json/schema/$ref");
    let target = document.pointer(&schema).and_then(Value::as_str).unwrap_or_else(|| panic!("{schema}"));
    target.trim_start_matches('#').to_owned()
}

/// An answer to bytes that are no usual request.
fn raw_answer(hub: &Hub, bytes: &str) -> (u16, Value) {
    let mut raw = Raw::send_to(hub, bytes);
    let head = raw.head();
    let len = head.header("content-length").and_then(|len| len.parse().ok()).expect("a length");
    (head.status, serde_json::from_slice(&raw.body(len)).expect("an answer is JSON"))
}

#[test]
fn what_the_hub_answers_over_http_is_what_the_openapi_document_declares() {
    let hub = Hub::start();
    let document = hub.get("/openapi.json").json();
    let price = r#"{"symbol":"A","price":1,"change":0,"volume":1}"#;
    let keyed = format!(r#"{{"channel":"market_data:A","data":{price},"idempotency_key":"k"}}"#);
    let trade = r#"{"portfolio_id":"p","symbol":"A","trade_type":"BUY","quantity":1,"price":2}"#;
    let added = r#"{"template":"added:{x}","type":"t","idle_ttl_s":60}"#;
    let answered = [
        ("/publish", "post", hub.post("/publish", &keyed)),
        ("/publish", "post", hub.post("/publish", &keyed)),
        ("/publish", "post", hub.post("/publish", "{}")),
        ("/publish/batch", "post", hub.post("/publish/batch", format!("[{keyed},7]"))),
        ("/broadcast/{family}", "post", hub.post("/broadcast/market_data?symbol=A", price)),
        ("/broadcast/{family}", "post", hub.post("/broadcast/trades?portfolio_id=p", trade)),
        ("/broadcast/{family}", "post", hub.post("/broadcast/nothing", price)),
        ("/last/{channel}", "get", hub.get("/last/market_data:A")),
        ("/last/{channel}", "get", hub.get("/last/trades:p")),
        ("/last", "get", hub.get("/last?channel=market_data:none")),
        ("/history/{channel}", "get", hub.get("/history/market_data:A")),
        ("/history/{channel}", "get", hub.get("/history/trades:p")),
        ("/history", "get", hub.get("/history?channel=trades")),
        ("/history", "get", hub.get("/history?channel=market_data")),
        ("/health", "get", hub.get("/health")),
        ("/ready", "get", hub.get("/ready")),
        ("/stats", "get", hub.get("/stats")),
        ("/inspect", "get", hub.get("/inspect?name=market_data:A")),
        ("/inspect", "get", hub.get("/inspect?name=market_data.*&pattern=true")),
        ("/inspect", "get", hub.get("/inspect?name=a%20b")),
        ("/inspect", "get", hub.get("/inspect?nam=a")),
        ("/incidents", "get", hub.get("/incidents")),
        ("/admin/channels", "post", hub.post("/admin/channels", added)),
        ("/admin/channels", "post", hub.post("/admin/channels", added)),
        ("/channels", "get", hub.get("/channels")),
        ("/admin/channels/{family}", "delete", hub.request("DELETE", "/admin/channels/added", "", "")),
        ("/admin/channels/{family}", "delete", hub.request("DELETE", "/admin/channels/added", "", "")),
        ("/admin/reload", "post", hub.post("/admin/reload", "")),
    ];
    let answered = answered.into_iter().chain(ask_for_dead_letters(&hub));
    for (path, method, answer) in answered {
        let place = place_of_answer(&document, path, method, answer.status());
        let keys: &[&str] = if path == "/health" {
            &["broker", "shards", "memory", "tls"]
        } else {
            &["symbol", "portfolio_id"]
        };
        let answer = answer.json();
        fits(&document, &place, &answer, keys);
        for name in ["messages", "channels"] {
            let each = answer.get(name).and_then(Value::as_array).into_iter().flatten();
            each.for_each(|item| fits(&document, &format!("{place}/properties/{name}/items"), item, keys));
        }
    }
}

/// Letters that can be redriven and that cannot, with what each route says of them.
fn ask_for_dead_letters(hub: &Hub) -> Vec<(&'static str, &'static str, support::http::Answer)> {
    for original in [r#"{"channel":"news","data":{}}"#, "7"] {
        let times = r#""attempts":1,"first_at":"2026-01-01T12:00:00Z","last_at":1767268800000"#;
        let letter = format!(r#"{{"reason":"refused",{times},"original":{original},"error":"why"}}"#);
        hub.publish("dead_letters:worker", &letter);
    }
    let redrive = |body: &str| hub.post("/admin/dead-letters/redrive", body);
    let purge = |body: &str| hub.post("/admin/dead-letters/purge", body);
    vec![
        ("/dead-letters", "get", hub.get("/dead-letters")),
        ("/dead-letters", "get", hub.get("/dead-letters?limit=0")),
        ("/admin/dead-letters/redrive", "post", redrive(r#"{"source":"worker","all":true,"dry_run":true}"#)),
        ("/admin/dead-letters/redrive", "post", redrive(r#"{"source":"worker","all":true}"#)),
        ("/admin/dead-letters/redrive", "post", redrive(r#"{"source":"worker","offsets":[1,99]}"#)),
        ("/admin/dead-letters/redrive", "post", redrive("{}")),
        ("/dead-letters", "get", hub.get("/dead-letters?all=1")),
        ("/dead-letters/letter", "get", hub.get("/dead-letters/letter?source=worker&offset=1")),
        ("/dead-letters/letter", "get", hub.get("/dead-letters/letter?source=worker&offset=99")),
        ("/stats", "get", hub.get("/stats")),
        ("/admin/dead-letters/purge", "post", purge(r#"{"source":"worker"}"#)),
        ("/admin/dead-letters/purge", "post", purge("{}")),
    ]
}

#[test]
fn what_any_route_may_be_refused_with_is_in_the_openapi_document() {
    let document = Hub::start().get("/openapi.json").json();
    let hub = Hub::with_config(
        "[limits]\nbody_timeout_s = 0.2\nhandshake_timeout_s = 5\npublishes_per_second = 1\n\
         requests_per_second = 1\nrequests_burst = 1\n",
    );
    let full = Hub::with_config("[limits]\nconnections = 1\n");
    let only = Client::connect(&full);
    let routes = [
        ("/publish", "post", "/publish"),
        ("/publish/batch", "post", "/publish/batch"),
        ("/broadcast/{family}", "post", "/broadcast/orderbook?symbol=A"),
        ("/admin/channels", "post", "/admin/channels"),
        ("/admin/channels/{family}", "delete", "/admin/channels/x"),
        ("/admin/reload", "post", "/admin/reload"),
        ("/admin/dead-letters/redrive", "post", "/admin/dead-letters/redrive"),
        ("/admin/dead-letters/purge", "post", "/admin/dead-letters/purge"),
        ("/dead-letters", "get", "/dead-letters"),
        ("/dead-letters/letter", "get", "/dead-letters/letter?source=a&offset=1"),
        ("/last/{channel}", "get", "/last/a"),
        ("/history", "get", "/history?channel=a"),
        ("/channels", "get", "/channels"),
        ("/stats", "get", "/stats"),
        ("/ready", "get", "/ready"),
        ("/asyncapi.json", "get", "/asyncapi.json"),
        ("/ws", "get", "/ws"),
    ];
    for (path, method, asked) in routes {
        let line = format!("{} {asked} HTTP/1.1\r\nHost: localhost\r\n", method.to_uppercase());
        let check = |hub: &Hub, expected: u16, rest: &str| {
            let (status, answer) = raw_answer(hub, &format!("{line}{rest}"));
            assert_eq!(status, expected, "{method} {path}: {answer}");
            fits(&document, &place_of_answer(&document, path, method, status), &answer, &[]);
        };
        check(&full, 503, "\r\n");
        check(&hub, 431, &format!("X-Pad: {}\r\n\r\n", "x".repeat(17_000)));
        check(&hub, 403, "Origin: https://evil.example\r\n\r\n");
        let body = document["paths"][path][method].get("requestBody");
        assert_eq!(body.is_some(), method == "post" && path != "/admin/reload");
        if body.is_some() {
            check(&hub, 408, "Content-Length: 9\r\n\r\n");
        }
        if path.starts_with("/admin/") {
            check(&hub, 403, "X-Forwarded-For: 10.0.0.1\r\n\r\n");
        }
        if !path.starts_with("/publish") && !path.starts_with("/broadcast") {
            // Two requests at once, of which the second is one too many; its answer comes behind the first one's.
            let mut raw = Raw::send_to(&hub, format!("{line}\r\n{line}Connection: close\r\n\r\n"));
            let first = raw.head();
            raw.body(first.header("content-length").and_then(|len| len.parse().ok()).expect("a length"));
            let status = raw.head().status;
            assert_eq!(status, 429, "{method} {path}");
            let answer = serde_json::from_slice(&raw.rest()).expect("an answer is JSON");
            fits(&document, &place_of_answer(&document, path, method, status), &answer, &[]);
        }
    }
    let batch = r#"[{"channel":"c","data":1},{"channel":"c","data":2}]"#;
    let refused = hub.post("/publish/batch", batch);
    assert_eq!(refused.status(), 429);
    fits(&document, &place_of_answer(&document, "/publish/batch", "post", 429), &refused.json(), &[]);
    let version = "Sec-WebSocket-Version: 12\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let other = format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{version}\r\n");
    let (status, answer) = raw_answer(&hub, &other);
    fits(&document, &place_of_answer(&document, "/ws", "get", status), &answer, &[]);
    assert_eq!(status, 426);
    only.close();
    let unwell = &document["paths"]["/health"]["get"]["responses"]["503"]["content"]["application/json"];
    let names = ["HealthAnswer", "Error"].map(|name| json!({"$ref": format!("#/components/schemas/{name}")}));
    assert_eq!(unwell["schema"]["anyOf"], json!(names), "a part is not well, or there is no room");
}
