//! A publish that can be pasted, for a channel on which nothing was published: with the fields that its family requires.

use serde_json::{Map, Value, json};
use tapeline_schema::{Catalog, ChannelSpec};

use super::super::hub_url::{HubUrl, USUAL};

/// The command, for the shell; nothing where what the family takes is not simple.
pub(super) fn command(channel: &str, template: &str, url: &HubUrl) -> Option<String> {
    let known = Catalog::built_in().resolve(channel);
    let is_built_in = known.declared && !known.roll_up && known.spec.template == template;
    let data = if is_built_in { payload(&known.spec, channel)? } else { any() };
    let url = url.to_string();
    let at = if url == USUAL { String::new() } else { format!(" --url {}", quoted(&url)) };
    Some(format!("tapeline pub {} {}{at}", quoted(channel), quoted(&data.to_string())))
}

fn any() -> Value {
    json!({"text": "hello"})
}

/// Data that the family takes.
fn payload(spec: &ChannelSpec, channel: &str) -> Option<Value> {
    let Some(schema) = spec.schema.as_ref() else { return Some(any()) };
    let keys = spec.keys_of(channel);
    let mut data = Map::new();
    for name in schema.required() {
        let key = keys.iter().find(|(key, _)| *key == name).map(|(_, value)| json!(value));
        let of = schema.json().get("properties")?.get(name)?;
        data.insert(name.to_string(), key.or_else(|| value(of, schema.json()))?);
    }
    let data = if data.is_empty() { any() } else { Value::Object(data) };
    schema.check(data.to_string().as_bytes()).is_ok().then_some(data)
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
    // Without a type it is any JSON.
    let Some(kind) = schema.get("type") else { return Some(json!("text")) };
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
    fn what_is_advised_is_taken_by_every_built_in_family_of_objects() {
        for spec in Catalog::built_in().specs() {
            let channel = spec.name_for(|_| Some("k".to_string())).unwrap();
            let Some(schema) = &spec.schema else { continue };
            let is_array = schema.json().get("prefixItems").is_some();
            let told = command(&channel, &spec.template, &usual());
            assert_eq!(told.is_none(), is_array, "{}: {}", spec.template, schema.json());
        }
    }

    #[test]
    fn the_command_can_be_pasted() {
        let told = command("market_data:AAPL", "market_data:{symbol}", &usual()).unwrap();
        assert!(told.starts_with("tapeline pub market_data:AAPL '{"), "{told}");
        assert!(told.contains("\"symbol\":\"AAPL\"") && told.contains("\"price\":1"), "{told}");
        let url = "http://h:1".parse().unwrap();
        assert_eq!(
            command("o'brien", "o'brien", &url).unwrap(),
            "tapeline pub 'o'\\''brien' '{\"text\":\"hello\"}' --url http://h:1"
        );
    }
}
