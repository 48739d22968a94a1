//! JSON objects in which no key stands twice, on any level: readers disagree on which one counts, and a token must mean the
//! same to all of them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads an object; the error says what is wrong without quoting it.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice::<Once>(bytes) {
        Ok(Once(Value::Object(object))) => Ok(object),
        Ok(_) => Err("it is no JSON object".to_string()),
        Err(error) if error.is_data() => Err("a key stands twice in it".to_string()),
        Err(error) => Err(format!("it is not JSON (column {})", error.column())),
    }
}

/// A value whose objects have each key once.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader).map(Once)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Once(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Once(value))) = entries.next_entry::<String, Once>()? {
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_refused_on_every_level() {
        let good = br#"{"a":1,"b":{"a":[{"a":2}]},"c":[1.5,-2,"x",null,true]}"#;
        assert_eq!(Value::Object(object(good).unwrap()), serde_json::from_slice::<Value>(good).unwrap());
        let twice: [&[u8]; 4] = [
            br#"{"a":1,"a":1}"#,
            br#"{"b":{"a":1,"a":2}}"#,
            br#"{"b":[[{"a":1,"a":2}]]}"#,
            br#"{"a":1,"\u0061":2}"#,
        ];
        for text in twice {
            assert_eq!(object(text).unwrap_err(), "a key stands twice in it");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in [&b"[]"[..], b"1", b"", b"{", b"{} {}", b"\xff", b"null", &b"[".repeat(4_000)] {
            object(text).unwrap_err();
        }
    }
}
