//! JSON that may be none, wherever the hub reads JSON from a stranger.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::bystander::attack;
use crate::support::collections::{JsonCase, json_cases};
use crate::support::http::Answer;
use crate::support::raw::masked;
use crate::support::{Client, Hub, Raw};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
/// Any JSON may be its data: no family declares it.
const CHANNEL: &str = "hostile.json";

/// The bytes between these two.
fn around(before: &str, case: &JsonCase, after: &str) -> Vec<u8> {
    [before.as_bytes(), &case.bytes, after.as_bytes()].concat()
}

/// The text without the white space of JSON around it.
fn trimmed(case: &JsonCase) -> Option<&str> {
    Some(std::str::from_utf8(&case.bytes).ok()?.trim_matches([' ', '\t', '\n', '\r']))
}

fn is_object(case: &JsonCase) -> bool {
    trimmed(case).is_some_and(|text| text.starts_with('{'))
}

/// What an answer to JSON of this kind must be, where only objects of another form are taken.
fn assert_refused(case: &JsonCase, answer: &Answer, way: &str) {
    let (status, code) = answer.refusal();
    let fits = match case.expect.as_str() {
        "reject" => code == "bad_json",
        "accept" => code != "bad_json",
        _ => true,
    };
    assert!(status == 400 && fits, "{} {way}: {}", case.name, answer.text());
}

/// What an answer must be where the JSON is taken.
fn assert_judged(case: &JsonCase, answer: &Answer, way: &str) -> bool {
    match (case.expect.as_str(), answer.status()) {
        ("accept" | "either", 200) => true,
        ("reject" | "either", 400) => {
            assert_eq!(answer.refusal().1, "bad_json", "{} {way}: {}", case.name, answer.text());
            false
        }
        _ => panic!("{} {way}: {} {}", case.name, answer.status(), answer.text()),
    }
}

/// The `data` of a message, as it came.
fn data_of(message: &str) -> &str {
    #[derive(serde::Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    serde_json::from_str::<Message<'_>>(message)
        .unwrap_or_else(|error| panic!("{error} in {message}"))
        .data
        .get()
}

#[test]
fn json_that_is_none_is_told_so_on_every_way_in_and_all_other_comes_back_byte_for_byte() {
    let cases = json_cases();
    attack(|hub, _| {
        let mut hears = Client::connect(hub);
        hears.subscribe(CHANNEL);
        for case in &cases {
            as_data_over_http(hub, &mut hears, case);
            as_a_body(hub, case);
            in_a_batch(hub, case);
        }
        let mut client = Client::connect(hub);
        for case in &cases {
            as_a_frame(hub, &mut client, case);
            as_data_in_a_frame(&mut client, case);
        }
    });
}

/// Taken, it comes back by `/last` and to a subscriber.
fn as_data_over_http(hub: &Hub, hears: &mut Client, case: &JsonCase) {
    let body = around(&format!(r#"{{"channel":"{CHANNEL}","data":"#), case, "}");
    if !assert_judged(case, &hub.post("/publish", body), "as data of /publish") {
        return;
    }
    let text = trimmed(case).expect("what was taken is text");
    let last = hub.get(&format!("/last/{CHANNEL}"));
    assert_eq!(data_of(last.text()), text, "{}: /last", case.name);
    assert_eq!(data_of(&hears.text()), text, "{}: to a subscriber", case.name);
}

fn as_a_body(hub: &Hub, case: &JsonCase) {
    assert_refused(case, &hub.post("/publish", &case.bytes), "to /publish");
    assert_refused(case, &hub.post("/admin/channels", &case.bytes), "to /admin/channels");
    let answer = hub.post("/broadcast/news", &case.bytes);
    if is_object(case) {
        assert_judged(case, &answer, "to /broadcast");
    } else {
        assert_refused(case, &answer, "to /broadcast");
    }
}

/// In an array it spoils the whole, as a line only itself.
fn in_a_batch(hub: &Hub, case: &JsonCase) {
    let body = around(r#"[{"channel":"batch","data":"#, case, r#"},{"channel":"batch","data":1}]"#);
    if assert_judged(case, &hub.post("/publish/batch", body), "in a batch") {
        let batch = hub.post("/publish/batch", around("[", case, "]")).json();
        assert!(batch["results"][0]["error"]["code"].is_string(), "{}: {batch}", case.name);
    }
    let good = r#"{"channel":"batch","data":2}"#;
    let body = around(&format!("{good}\n{{\"channel\":\"batch\",\"data\":"), case, &format!("}}\n{good}\n"));
    let answer = hub.request("POST", "/publish/batch", "Content-Type: application/x-ndjson\r\n", body);
    let results = answer.json()["results"].clone();
    let results = results.as_array().unwrap_or_else(|| panic!("{}: {}", case.name, answer.text()));
    for (place, result) in [("first", results.first()), ("last", results.last())] {
        assert!(
            result.is_some_and(|result| result["offset"].is_u64()),
            "{}: {place} of {results:?}",
            case.name
        );
    }
    let between = &results[1..results.len() - 1];
    if case.expect == "reject" {
        // With a line break in it, it is several lines.
        let is_bad = |result: &Value| result["error"]["code"] == "bad_json";
        assert!(between.iter().any(is_bad), "{}: {between:?}", case.name);
        assert!(between.iter().all(|result| result["error"].is_object()), "{}: {between:?}", case.name);
    }
    assert!(!between.is_empty(), "{}: {results:?}", case.name);
}

/// No case is a request, so each is answered with an error, and the connection lives on.
fn as_a_frame(hub: &Hub, client: &mut Client, case: &JsonCase) {
    if let Ok(text) = std::str::from_utf8(&case.bytes) {
        client.send_text(text);
        let answer = client.next_of("error");
        // Who sends no publish has less room, and is told that first.
        let told = if text.len() > 64 << 10 { "too_large" } else { "bad_json" };
        let is_bad = answer.json["code"] == told;
        assert!(
            case.expect == "either" || is_bad == (case.expect == "reject"),
            "{}: {}",
            case.name,
            answer.text
        );
        return;
    }
    for (opcode, code) in [(TEXT, 1007), (BINARY, 1003)] {
        let mut raw = Raw::open(hub, "/ws");
        raw.send(masked(opcode, &case.bytes));
        assert_eq!(raw.frame().close_code(), Some(code), "{}", case.name);
    }
}

fn as_data_in_a_frame(client: &mut Client, case: &JsonCase) {
    let frame = around(r#"{"action":"publish","req":7,"channel":"frames","data":"#, case, "}");
    let Ok(text) = String::from_utf8(frame) else { return };
    client.send_text(&text);
    let answer = client.next();
    let fits = match case.expect.as_str() {
        "accept" => answer.kind() == "published",
        // Who sends no publish has less room.
        "reject" if text.len() > 64 << 10 => answer.json["code"] == "too_large",
        "reject" => answer.kind() == "error" && answer.json["code"] == "bad_json",
        _ => answer.kind() == "published" || answer.kind() == "error",
    };
    assert!(fits, "{}: {}", case.name, answer.text);
}

#[test]
fn a_list_of_its_fields_is_no_request() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    for list in [
        r#"["ping"]"#,
        r#"["subscribe","a",null,null,null,null,null,null,null,null,null,null,null,null,null,null]"#,
    ] {
        client.send_text(list);
        let answer = client.next_of("error");
        assert_eq!(answer.json["code"], "invalid_request", "{list}");
        assert!(
            answer.json["message"].as_str().is_some_and(|told| told.contains("expected an object")),
            "{}",
            answer.text
        );
    }
    let since = client.ask(&json!({"action": "subscribe", "channel": "a", "since": [4, "k"]}));
    assert_eq!(since.json["code"], "invalid_request", "{}", since.text);
    for (path, body) in
        [("/publish", r#"["a",1,null,null,null]"#), ("/admin/channels", r#"["fx:{pair}","fx"]"#)]
    {
        assert_eq!(hub.post(path, body).refusal(), (400, "invalid_request".to_string()), "{path}");
    }
    let batch = hub.post("/publish/batch", r#"[["a",1,null,null,null],{"channel":"a","data":1}]"#).json();
    let codes: Vec<&Value> =
        batch["results"].as_array().expect("results").iter().map(|r| &r["error"]["code"]).collect();
    assert_eq!(codes, [&json!("invalid_request"), &Value::Null], "{batch}");
}

#[test]
fn depth_costs_nobody_a_stack() {
    let hub = Hub::with_log();
    let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/list"}},
        "$defs": {"list": {"type": "array", "items": {"$ref": "#/$defs/list"}}}});
    let family = json!({"template": "deep:{k}", "type": "deep", "schema": schema});
    assert_eq!(hub.post("/admin/channels", family.to_string()).status(), 200);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let price = format!(r#"{{"symbol":"A","price":1,"change":0,"volume":0,"more":{deep}}}"#);
    for (channel, data, expected) in [
        ("undeclared", deep.clone(), 200),
        ("market_data:A", price, 200),
        ("positions:p", format!(r#"{{"symbol":"A","more":{deep}}}"#), 200),
        ("positions:p", format!(r#"{{"rows":[{{"symbol":"A","more":{deep}}}],"meta":{{"m":{deep}}}}}"#), 200),
        // To be checked, data must be built first, and the reader stops long before a stack would end.
        ("deep:a", format!(r#"{{"a":{deep}}}"#), 400),
        ("deep:a", r#"{"a":[[[]]]}"#.to_string(), 200),
    ] {
        let body = format!(r#"{{"channel":"{channel}","data":{data}}}"#);
        let answer = hub.post("/publish", body);
        assert_eq!(
            answer.status(),
            expected,
            "{channel}: {}",
            answer.text().chars().take(300).collect::<String>()
        );
    }
    assert!(!hub.log().contains("panicked") && !hub.log().contains("overflow"), "{}", hub.log());
}
