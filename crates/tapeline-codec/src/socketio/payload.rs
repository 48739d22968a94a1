//! What an event carries: its name and its arguments, which stay the text that came, and places for attachments.
//! Knows no names but those that nobody may use.

use serde_json::Value;
use serde_json::value::RawValue;

use super::Broken;

/// Names under which clients and servers tell their own code what has happened to a connection.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Whether clients take an event of this name for a breach of the protocol.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// An event's payload.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// What has happened. A number, which the protocol allows too, is its digits.
    pub name: Box<str>,
    /// As they came.
    pub arguments: Vec<&'a RawValue>,
}

/// Reads the payload of an event.
///
/// # Errors
/// It is not an array that begins with a name, or the name is reserved.
pub fn event(payload: &str) -> Result<Event<'_>, Broken> {
    let mut all: Vec<&RawValue> = serde_json::from_str(payload).map_err(|_| Broken::Payload)?;
    if all.is_empty() {
        return Err(Broken::Payload);
    }
    let name = match serde_json::from_str(all.remove(0).get()) {
        Ok(Value::String(name)) => name.into_boxed_str(),
        Ok(Value::Number(number)) => number.to_string().into_boxed_str(),
        _ => return Err(Broken::Payload),
    };
    if is_reserved(&name) {
        return Err(Broken::Reserved);
    }
    Ok(Event { name, arguments: all })
}

/// Whether every placeholder of a payload names one of so many attachments.
///
/// # Errors
/// One does not, or the payload is deeper than is looked into.
pub fn check_placeholders(payload: &str, attachments: u32) -> Result<(), Broken> {
    let payload: Value = serde_json::from_str(payload).map_err(|_| Broken::Payload)?;
    let mut open = vec![&payload];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) if fields.get("_placeholder") == Some(&Value::Bool(true)) => {
                let number = fields.get("num").and_then(Value::as_u64);
                if number.is_none_or(|number| number >= u64::from(attachments)) {
                    return Err(Broken::Placeholder);
                }
            }
            Value::Object(fields) => open.extend(fields.values()),
            _ => {}
        }
    }
    Ok(())
}
