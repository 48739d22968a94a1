//! JSON from strangers: what is no JSON is told so, whatever else is wrong with it, and a form with named fields is an
//! object. It knows no form.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tapeline_core::Refusal;
use tapeline_schema::ErrorCode;

/// A form that is said as an object. Its fields in an array, which serde takes for the same, are not.
pub(crate) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

/// The form that this text says.
///
/// # Errors
/// The text is no JSON, or not this form.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map(|Object(form)| form).map_err(|error| refusal(&error, text))
}

/// The form that these bytes say.
///
/// # Errors
/// They are no text, no JSON, or not this form.
pub(crate) fn object_in<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Refusal> {
    object(text(bytes)?)
}

/// The bytes as text.
///
/// # Errors
/// They are not UTF-8, and so no JSON.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    let checked = simdutf8::basic::from_utf8(bytes).or_else(|_| std::str::from_utf8(bytes));
    checked.map_err(|error| {
        let message = format!("the text is not UTF-8 at byte {}", error.valid_up_to());
        Refusal::new(ErrorCode::BadJson, message)
    })
}

/// The refusal of text that was not taken. serde stops at the first thing that is wrong, so whether all of it is JSON is
/// asked here, where time no longer matters.
pub(crate) fn refusal(error: &serde_json::Error, text: &str) -> Refusal {
    let bad = |error: &serde_json::Error| Refusal::new(ErrorCode::BadJson, error.to_string());
    match serde_json::from_str::<&RawValue>(text) {
        Err(whole) => bad(&whole),
        Ok(_) if error.is_data() => Refusal::new(ErrorCode::InvalidRequest, error.to_string()),
        Ok(_) => bad(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Form {
        name: String,
    }

    fn code(bytes: &[u8]) -> &'static str {
        match object_in::<Form>(bytes) {
            Ok(form) => {
                assert_eq!(form.name, "a");
                "ok"
            }
            Err(refusal) => refusal.code.name(),
        }
    }

    #[test]
    fn what_is_no_json_is_told_so_whatever_else_is_wrong_with_it() {
        for text in ["{\"name\":7", "[1,2", "7x", "{\"name\":\"a\"} {}", "", "\u{feff}{\"name\":\"a\"}"] {
            assert_eq!(code(text.as_bytes()), "bad_json", "{text}");
        }
        assert_eq!(code(b"{\"name\":\"\xff\"}"), "bad_json");
    }

    #[test]
    fn a_form_is_an_object_and_no_list_of_its_fields() {
        assert_eq!(code(b" {\"name\":\"a\",\"more\":[]}\n"), "ok");
        for text in ["[\"a\"]", "{\"name\":7}", "{}", "null", "\"a\"", "{\"name\":\"a\",\"name\":\"a\"}"] {
            assert_eq!(code(text.as_bytes()), "invalid_request", "{text}");
        }
        assert_eq!(
            object::<Form>("[\"a\"]").unwrap_err().message,
            "invalid type: sequence, expected an object at line 1 column 0"
        );
    }
}
