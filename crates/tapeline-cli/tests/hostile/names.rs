//! Strings that break programs, wherever a stranger may name something: each comes back byte for byte, or is refused in
//! words that say what was wrong.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tapeline_schema::{Pattern, check_name, is_reserved_type};

use crate::bystander::attack;
use crate::support::collections::naughty_strings;
use crate::support::http::Answer;
use crate::support::raw::handshake;
use crate::support::{Client, Hub, Raw};

/// Bytes of a `type`, correlation id, idempotency key or client id.
const LABEL: usize = 256;
const CHANNEL: &str = "hostile.names";

/// Every byte that is not safe everywhere, as `%XX`.
fn percent(text: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes()
        .map(|byte| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[test]
fn names_that_break_programs_come_back_byte_for_byte_or_are_refused_by_their_name() {
    // Some are there twice, which would be repeats as idempotency keys.
    let strings: Vec<String> = naughty_strings().into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    attack(|hub, pass| {
        let mut hears = Client::connect(hub);
        hears.subscribe(CHANNEL);
        let mut client = Client::connect(hub);
        for (number, text) in strings.iter().enumerate() {
            as_a_channel(&mut client, text);
            as_a_pattern(&mut client, text);
            as_a_label(&mut client, &mut hears, text, pass);
            as_a_req(&mut client, text);
            in_a_path(hub, text);
            in_a_query(hub, text);
            as_a_client_id(hub, text);
            as_a_header(hub, text);
            // Each one makes a new catalogue, which takes a while.
            if number % 8 == pass {
                as_a_family(hub, text);
            }
        }
    });
}

/// The answer is of this kind and says the name, or it is an error with this code.
fn assert_said(answer: &Value, kind: &str, field: &str, name: &str, is_sound: bool, code: &str) {
    if is_sound {
        assert_eq!((&answer["type"], &answer[field]), (&json!(kind), &json!(name)), "{name:?}: {answer}");
    } else {
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(code)), "{name:?}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|told| !told.is_empty()), "{name:?}: {answer}");
    }
}

fn as_a_channel(client: &mut Client, text: &str) {
    for (field, name) in [("channel", text.to_string()), ("symbol", format!("orderbook:{text}"))] {
        let is_sound = check_name(&name).is_ok();
        let mut ask = |action: &str| {
            client.ask(&json!({"action": action, field: text, "data": {"a": 1}, "req": 1})).json
        };
        let published = ask("publish");
        if field == "channel" || !is_sound {
            assert_eq!(published["type"] == "published", is_sound, "{name:?}: {published}");
        }
        if !is_sound {
            assert_eq!(published["code"], "bad_channel", "{name:?}: {published}");
        }
        assert_said(&ask("last"), "last", "channel", &name, is_sound, "bad_channel");
        let history = ask("history");
        let has_none = history["code"] == "no_history";
        assert!(
            has_none || history["type"] == "history" || history["code"] == "bad_channel",
            "{name:?}: {history}"
        );
        assert_eq!(history["code"] == "bad_channel", !is_sound, "{name:?}: {history}");
        if is_sound {
            assert_said(&ask("subscribe"), "subscription_confirmed", "channel", &name, true, "");
            // What is kept may come first.
            client.settle();
            let left = client.ask(&json!({"action": "unsubscribe", field: text})).json;
            assert_said(&left, "unsubscription_confirmed", "channel", &name, true, "");
        } else {
            assert_said(&ask("subscribe"), "", "channel", &name, false, "bad_channel");
        }
    }
}

fn as_a_pattern(client: &mut Client, text: &str) {
    let is_sound = Pattern::parse(text).is_ok();
    let answer = client.ask(&json!({"action": "subscribe", "pattern": text, "req": 2})).json;
    assert_said(&answer, "subscription_confirmed", "pattern", text, is_sound, "bad_pattern");
    if is_sound {
        client.settle();
        client.send(&json!({"action": "unsubscribe", "pattern": text, "req": 3}));
        // A pattern that matches the bystander's channel hears it meanwhile.
        let answer = std::iter::from_fn(|| Some(client.next())).find(|frame| frame.json["req"] == 3);
        let answer = answer.expect("an answer is due").json;
        assert_said(&answer, "unsubscription_confirmed", "pattern", text, true, "");
    }
}

/// Labels travel with a message; so does a payload.
fn as_a_label(client: &mut Client, hears: &mut Client, text: &str, pass: usize) {
    for field in ["type", "correlation_id", "idempotency_key", "data"] {
        let mut publish = json!({"action": "publish", "channel": CHANNEL, "data": text, "req": 4});
        publish[field] = json!(text);
        let answer = client.ask(&publish).json;
        let is_long = field != "data" && text.len() > LABEL;
        if is_long || (field == "type" && is_reserved_type(text)) {
            let told = answer["message"].as_str().unwrap_or_default();
            assert!(answer["type"] == "error" && told.contains(field), "{text:?} as {field}: {answer}");
            continue;
        }
        assert_eq!(answer["type"], "published", "{text:?} as {field}: {answer}");
        if field == "idempotency_key" && answer["duplicate"] == true {
            assert!(pass > 1, "{text:?}: {answer}");
            continue;
        }
        let heard = hears.next();
        let sent = serde_json::to_string(text).expect("a string is JSON");
        assert_eq!(heard.json["data"], *text, "{}", heard.text);
        assert_eq!(heard.data_text(), sent, "the bytes are those that came");
        match field {
            "data" | "idempotency_key" => {}
            field => assert_eq!(heard.json[field], *text, "{}", heard.text),
        }
    }
}

fn as_a_req(client: &mut Client, text: &str) {
    let answer = client.ask(&json!({"action": "ping", "req": text})).json;
    if answer["type"] == "error" {
        let told = answer["message"].as_str().unwrap_or_default();
        assert!(told.contains("req") && text.len() > LABEL / 2, "{text:?}: {answer}");
    } else {
        assert_eq!((&answer["type"], &answer["req"]), (&json!("pong"), &json!(text)), "{text:?}");
    }
}

/// A name in an answer is the one that was asked for; a refusal has one of these codes.
fn assert_answered(answer: &Answer, name: &str, codes: &[&str]) {
    if answer.status() == 200 {
        assert_eq!(answer.json()["channel"], *name, "{}", answer.text());
    } else {
        let (status, code) = answer.refusal();
        assert!(
            (400..500).contains(&status) && codes.contains(&code.as_str()),
            "{name:?}: {}",
            answer.text()
        );
    }
}

fn in_a_path(hub: &Hub, text: &str) {
    let codes: &[&str] = match check_name(text) {
        Ok(()) => &["no_value", "no_history"],
        // Nothing after the slash is another path.
        Err(_) => &["bad_channel", "not_found", "invalid_request"],
    };
    for path in ["last", "history"] {
        assert_answered(&hub.get(&format!("/{path}/{}", percent(text))), text, codes);
    }
    let families = ["not_found", "invalid_data", "invalid_request", "bad_channel"];
    let broadcast = hub.post(&format!("/broadcast/{}", percent(text)), "{}");
    assert!(families.contains(&broadcast.refusal().1.as_str()), "{text:?}: {}", broadcast.text());
}

fn in_a_query(hub: &Hub, text: &str) {
    let codes: &[&str] =
        if check_name(text).is_ok() { &["no_value", "no_history"] } else { &["bad_channel"] };
    for path in ["last", "history"] {
        assert_answered(&hub.get(&format!("/{path}?channel={}", percent(text))), text, codes);
    }
    let name = format!("orderbook:{text}");
    let answer = hub.post(&format!("/broadcast/orderbook?symbol={}", percent(text)), "{}");
    assert_eq!(
        answer.status() == 200,
        check_name(&name).is_ok() && !text.is_empty(),
        "{text:?}: {}",
        answer.text()
    );
    assert_answered(&answer, &name, &["bad_channel", "invalid_request", "invalid_data"]);
}

fn as_a_client_id(hub: &Hub, text: &str) {
    let mut raw = Raw::send_to(hub, handshake(hub, &format!("/ws/{}", percent(text)), ""));
    let status = raw.head().status;
    let expected = if text.len() > LABEL { 400 } else { 101 };
    assert!(status == expected || (text.is_empty() && status == 404), "{text:?}: {status}");
}

/// Answered, whatever it is; what a header may not hold is a bad request.
fn as_a_header(hub: &Hub, text: &str) {
    for (name, host) in [("Origin", hub.address()), ("Host", text)] {
        let line = if name == "Host" { String::new() } else { format!("{name}: {text}\r\n") };
        let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\n{line}Connection: close\r\n\r\n");
        let status = Raw::send_to(hub, request).head().status;
        assert!(matches!(status, 200 | 400 | 403 | 404 | 405 | 431), "{text:?} as {name}: {status}");
    }
}

fn as_a_family(hub: &Hub, text: &str) {
    let families =
        [json!({"template": text, "type": "t"}), json!({"template": format!("{text}:{{k}}"), "type": "t"})];
    for family in families.into_iter().chain([json!({"template": "naughty:{k}", "type": text})]) {
        let answer = hub.post("/admin/channels", family.to_string());
        if answer.status() == 200 {
            let name = answer.json()["family"].as_str().expect("a family has a name").to_string();
            assert!(
                family["template"].as_str().is_some_and(|template| template.starts_with(&name)),
                "{}",
                answer.text()
            );
            let gone = hub.request("DELETE", &format!("/admin/channels/{}", percent(&name)), "", "");
            assert_eq!(gone.status(), 200, "{name:?}: {}", gone.text());
        } else {
            let (status, code) = answer.refusal();
            assert!(status == 400 && code != "bad_json", "{family}: {}", answer.text());
        }
    }
}
