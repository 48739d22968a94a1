//! The one look into a payload, at publish and only where its family's row asks: does it have what its type promises?
//!
//! Owns when that is asked and the sentence of a refusal. Refuses to know what an event's fields are: that is the
//! schema's; and how a table's rows are taken apart: whoever does that has each checked here.

use tapeline_schema::{ChannelSpec, Delivery, ErrorCode, Mismatch};

use crate::error::Refusal;

/// Checks a payload that is published on a channel under a type. A type that is not the family's own passes: nobody has
/// said what is in it.
pub(crate) fn check_data(
    spec: &ChannelSpec,
    channel: &str,
    kind: Option<&str>,
    data: &[u8],
) -> Result<(), Refusal> {
    if spec.delivery == Delivery::Table || kind.is_some_and(|kind| kind != spec.kind) {
        return Ok(());
    }
    check_row(spec, data).map_err(|why| Refusal::new(ErrorCode::InvalidData, format!("{channel}: {why}")))
}

/// Checks one row of a table as it was published, or a payload of another family; the error is a sentence. A row that is
/// to be removed needs no more than its key: do not ask for it.
///
/// # Errors
/// What does not fit, without the channel's name.
pub fn check_row(spec: &ChannelSpec, row: &[u8]) -> Result<(), String> {
    let Some(schema) = &spec.schema else { return Ok(()) };
    schema.check(row).map_err(|mismatch| {
        let required = schema.required();
        if required.is_empty() || matches!(mismatch, Mismatch::Schema { .. } | Mismatch::NoJson(_)) {
            return mismatch.to_string();
        }
        format!("{mismatch}; {} needs {}", spec.kind, required.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tapeline_schema::{Catalog, EventSchema, Priority};

    use super::*;

    fn check(channel: &str, kind: Option<&str>, data: &str) -> Result<(), String> {
        let spec = Catalog::built_in().resolve(channel).spec;
        check_data(&spec, channel, kind, data.as_bytes()).map_err(|refusal| {
            assert_eq!(refusal.code, ErrorCode::InvalidData);
            refusal.message
        })
    }

    const NEEDS: &str = "price_update needs symbol, price, change, volume";

    #[test]
    fn a_refusal_names_the_channel_the_field_and_what_is_needed() {
        let missing = check("market_data:AAPL", None, r#"{"symbol":"AAPL","change":0,"volume":1}"#);
        assert_eq!(missing, Err(format!("market_data:AAPL: field `price` is missing; {NEEDS}")));
        let text = r#"{"symbol":"AAPL","price":"187","change":0,"volume":1}"#;
        let wrong = format!("market_data:AAPL: field `price` is a string, expected a number; {NEEDS}");
        assert_eq!(check("market_data:AAPL", Some("price_update"), text), Err(wrong));
        let list = check("market_data:AAPL", None, "[1]");
        assert_eq!(list, Err(format!("market_data:AAPL: data is not an object; {NEEDS}")));
    }

    #[test]
    fn a_type_that_is_not_the_familys_own_passes() {
        assert_eq!(check("market_data:AAPL", Some("halt"), "{}"), Ok(()));
        assert!(check("price_updates", None, "{}").is_err(), "the roll-up has its sources' type");
        assert_eq!(check("price_updates", Some("halt"), "{}"), Ok(()));
    }

    #[test]
    fn open_families_take_any_object_and_undeclared_names_any_json() {
        for channel in ["orderbook:AAPL", "quantum_signals", "portfolio:p", "news", "executions:a"] {
            assert_eq!(check(channel, None, r#"{"type":"BUY"}"#), Ok(()), "{channel}");
            assert_eq!(check(channel, None, "7"), Err(format!("{channel}: data is not an object")));
        }
        assert_eq!(check("my.own", None, "7"), Ok(()));
    }

    #[test]
    fn a_users_schema_says_where_it_is_broken() {
        let schema = json!({"type": "object", "required": ["bid"],
            "properties": {"bid": {"type": "number"}, "venue": {"properties": {"name": {"maxLength": 3}}}}});
        let schema = EventSchema::user("Fx", schema).unwrap();
        let spec = ChannelSpec::of("fx:{pair}", "fx", Priority::High, Delivery::Every).schema(schema);
        let check = |data: &str| check_data(&spec, "fx:EURUSD", None, data.as_bytes());
        assert_eq!(check(r#"{"bid":1.08,"more":[]}"#), Ok(()));
        let told = |data| check(data).unwrap_err().message;
        assert_eq!(told("{}"), "fx:EURUSD: \"bid\" is a required property");
        let deep = told(r#"{"bid":1,"venue":{"name":"EBSX"}}"#);
        assert!(deep.ends_with(" at /venue/name"), "{deep}");
    }

    #[test]
    fn rows_of_a_table_are_left_to_whoever_takes_them_apart() {
        assert_eq!(check("metrics", None, r#"{"rows":[]}"#), Ok(()));
        let spec = Catalog::built_in().resolve("metrics").spec;
        let why = check_row(&spec, br#"{"name":"cpu"}"#);
        assert_eq!(why, Err("field `value` is missing; metric needs name, value".to_owned()));
        let book = Catalog::built_in().resolve("orderbook_rows:A").spec;
        assert_eq!(check_row(&book, br#"["b",187.4,100]"#), Ok(()));
        assert!(check_row(&book, br#"["bid",187.4,100]"#).is_err());
        assert!(check_row(&book, br#"["b",187.4]"#).is_err());
    }
}
