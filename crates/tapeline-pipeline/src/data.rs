//! What a component's method is handed: one JSON value, as text with its digits as the venue wrote them. It is parsed by
//! whoever needs it, as far as needed; it does not know what it is about.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::component::Failure;

/// One JSON value; cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(Bytes);

impl Data {
    /// Of text that is JSON already; nothing is checked here.
    pub fn new(json: impl Into<Bytes>) -> Self {
        Data(json.into())
    }

    /// Of a Rust value.
    ///
    /// # Errors
    /// The value has no form in JSON.
    pub fn of(value: &impl serde::Serialize) -> serde_json::Result<Self> {
        Ok(Data(serde_json::to_vec(value)?.into()))
    }

    /// The text.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// As a type of yours; `serde_json::value::RawValue` keeps digits as they were sent.
    ///
    /// # Errors
    /// It is of another shape: the fault of the message, so nobody is called with it again.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        serde_json::from_slice(&self.0).map_err(|error| Failure::Message(error.to_string()))
    }

    /// As any JSON value; `null` if it is none.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.0).unwrap_or_default()
    }

    /// A number of an object by its field's name; also where it was sent as text.
    pub fn number(&self, field: &str) -> Option<f64> {
        match self.value().get(field)? {
            Value::String(text) => text.parse().ok(),
            value => value.as_f64(),
        }
    }

    /// A text of an object by its field's name.
    pub fn text(&self, field: &str) -> Option<String> {
        self.value().get(field)?.as_str().map(str::to_owned)
    }

    /// Whether it is JSON at all.
    pub(crate) fn is_json(&self) -> bool {
        serde_json::from_slice::<&RawValue>(&self.0).is_ok()
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_whether_sent_as_numbers_or_as_text() {
        let data = Data::new(r#"{"last":"65972.80","qty":2,"symbol":"BTC/USD"}"#);
        assert_eq!((data.number("last"), data.number("qty")), (Some(65972.8), Some(2.0)));
        assert_eq!(data.text("symbol").as_deref(), Some("BTC/USD"));
        assert_eq!((data.number("symbol"), data.number("none")), (None, None));
    }

    #[test]
    fn data_of_another_shape_is_the_messages_fault() {
        let parsed = Data::new("[1]").parse::<String>();
        assert!(matches!(parsed, Err(Failure::Message(_))), "{parsed:?}");
        assert!(Data::new("[1]").is_json() && !Data::new("[1").is_json());
    }
}
