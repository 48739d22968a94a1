//! A publish that can be pasted, for a channel on which nothing was published: with the fields that its family requires.

use serde_json::{Map, Value, json};
use tapeline_schema::{Catalog, ChannelSpec};

use super::super::hub_url::{HubUrl, USUAL};

/// The command, for the shell.
pub(super) fn command(channel: &str, template: &str, url: &HubUrl) -> String {
    let known = Catalog::built_in().resolve(channel);
    let spec = Some(known.spec).filter(|spec| known.declared && !known.roll_up && spec.template == template);
    let data = spec.and_then(|spec| payload(&spec, channel)).unwrap_or_else(|| json!({"text": "hello"}));
    let url = url.to_string();
    let at = if url == USUAL { String::new() } else { format!(" --url {}", quoted(&url)) };
    format!("tapeline pub {} {}{at}", quoted(channel), quoted(&data.to_string()))
}

/// Data that the family takes, if it is simple.
fn payload(spec: &ChannelSpec, channel: &str) -> Option<Value> {
    let schema = spec.schema.as_ref()?;
    let keys = spec.keys_of(channel);
    let mut data = Map::new();
    for name in schema.required() {
        let key = keys.iter().find(|(key, _)| *key == name).map(|(_, value)| json!(value));
        let of = schema.json().get("properties")?.get(name)?;
        data.insert(name.to_string(), key.or_else(|| value(of, schema.json()))?);
    }
    let data = Value::Object(data);
    let is_taken = data.as_object().is_some_and(|data| !data.is_empty())
        && schema.check(data.to_string().as_bytes()).is_ok();
    is_taken.then_some(data)
}

fn value(schema: &Value, root: &Value) -> Option<Value> {
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        return value(root.pointer(path.strip_prefix('#')?)?, &Value::Null);
    }
    if let Some(first) = schema.get("enum").and_then(|words| words.get(0)).or(schema.get("const")) {
        return Some(first.clone());
    }
    if let Some(first) = schema.get("oneOf").or(schema.get("anyOf")).and_then(|ways| ways.get(0)) {
        return value(first, root);
    }
    let kind = schema.get("type")?;
    match kind.as_str().or_else(|| kind.get(0)?.as_str())? {
        "string" if schema.get("format").is_some() => Some(json!("2026-01-01T00:00:00Z")),
        "string" => Some(json!("text")),
        "number" | "integer" => Some(json!(1)),
        "boolean" => Some(json!(true)),
        "array" => Some(json!([])),
        "object" => Some(json!({})),
        _ => None,
    }
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/@%+=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> HubUrl {
        USUAL.parse().unwrap()
    }

    #[test]
    fn what_is_advised_is_taken_by_every_built_in_family() {
        for spec in Catalog::built_in().specs() {
            let channel = spec.name_for(|_| Some("k".to_string())).unwrap();
            let Some(schema) = &spec.schema else { continue };
            if schema.required().is_empty() {
                continue;
            }
            let data = payload(spec, &channel);
            assert!(data.is_some(), "{}: {}", spec.template, schema.json());
        }
    }

    #[test]
    fn the_command_can_be_pasted() {
        let told = command("market_data:AAPL", "market_data:{symbol}", &usual());
        assert!(told.starts_with("tapeline pub market_data:AAPL '{"), "{told}");
        assert!(told.contains("\"symbol\":\"AAPL\"") && told.contains("\"price\":1"), "{told}");
        let url = "http://h:1".parse().unwrap();
        assert_eq!(
            command("o'brien", "o'brien", &url),
            "tapeline pub 'o'\\''brien' '{\"text\":\"hello\"}' --url http://h:1"
        );
    }
}
