//! The one look into a payload, at publish and only where its family's row asks: does it have what its type promises?
//!
//! Owns when that is asked and the sentence of a refusal. Refuses to know what an event's fields are: that is the
//! schema's; and how a table's rows are taken apart.

use tapeline_schema::{ChannelSpec, Delivery, ErrorCode, Mismatch};

use crate::error::Refusal;
use crate::table::Rows;

/// Checks a payload that is published on a channel under a type. A type that is not the family's own passes: nobody has
/// said what is in it.
pub(crate) fn check_data(
    spec: &ChannelSpec,
    channel: &str,
    kind: Option<&str>,
    data: &[u8],
) -> Result<(), Refusal> {
    if spec.delivery == Delivery::Table || !promises(spec, kind) {
        return Ok(());
    }
    check_one(spec, data).map_err(|why| Refusal::new(ErrorCode::InvalidData, format!("{channel}: {why}")))
}

/// Checks the rows of a table's payload. A row that goes needs no more than its key.
pub(crate) fn check_rows(
    spec: &ChannelSpec,
    channel: &str,
    kind: Option<&str>,
    data: &[u8],
    rows: &Rows,
) -> Result<(), Refusal> {
    if spec.schema.is_none() || !promises(spec, kind) {
        return Ok(());
    }
    for (row, number) in rows.iter().zip(1..).filter(|(row, _)| !row.removed) {
        check_one(spec, rows.bytes(row, data)).map_err(|why| {
            let place = if rows.len() > 1 { format!("row {number}: ") } else { String::new() };
            Refusal::new(ErrorCode::InvalidData, format!("{channel}: {place}{why}"))
        })?;
    }
    Ok(())
}

/// Whether what is published under this type says to be what the family declares.
fn promises(spec: &ChannelSpec, kind: Option<&str>) -> bool {
    kind.is_none_or(|kind| kind == spec.kind)
}

/// One event or row; the error is a sentence without the channel.
fn check_one(spec: &ChannelSpec, json: &[u8]) -> Result<(), String> {
    let Some(schema) = &spec.schema else { return Ok(()) };
    schema.check(json).map_err(|mismatch| {
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
    use crate::table::take_apart;

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

    fn check_table(channel: &str, kind: Option<&str>, data: &str) -> Result<(), String> {
        let spec = Catalog::built_in().resolve(channel).spec;
        let (data, rows) = take_apart(&spec, data.as_bytes()).unwrap();
        check_rows(&spec, channel, kind, &data, &rows).map_err(|refusal| refusal.message)
    }

    #[test]
    fn each_row_of_a_table_is_checked_but_those_that_go() {
        let missing = "field `value` is missing; metric needs name, value";
        let one = r#"{"name":"cpu"}"#;
        assert_eq!(check_table("metrics", None, one), Err(format!("metrics: {missing}")));
        let many = r#"{"rows":[{"name":"a","value":1},{"name":"b"}]}"#;
        assert_eq!(check_table("metrics", None, many), Err(format!("metrics: row 2: {missing}")));
        assert_eq!(check_table("metrics", Some("note"), many), Ok(()));
        assert_eq!(check_table("metrics", None, r#"{"name":"cpu","removed":true}"#), Ok(()));
        assert_eq!(check_table("orderbook_rows:A", None, r#"["b",187.4,100]"#), Ok(()));
        assert!(check_table("orderbook_rows:A", None, r#"["bid",187.4,100]"#).is_err());
    }
}
