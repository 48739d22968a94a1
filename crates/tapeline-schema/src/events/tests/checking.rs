//! What the check takes and refuses, and that it agrees with a complete validator.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::events::*;

fn trade() -> EventSchema {
    EventSchema::typed::<Trade>()
}

fn check(schema: &EventSchema, json: &str) -> Result<(), String> {
    schema.check(json.as_bytes()).map_err(|mismatch| mismatch.to_string())
}

fn full() -> Value {
    json!({"portfolio_id": "p", "symbol": "AAPL", "trade_type": "BUY", "quantity": 2, "price": 187.4})
}

#[test]
fn what_is_declared_is_looked_at_and_the_rest_is_free() {
    let schema = trade();
    let mut data = full();
    assert_eq!(check(&schema, &data.to_string()), Ok(()));
    data["venue"] = json!({"name": ["x", {"}": "]"}]});
    assert_eq!(check(&schema, &data.to_string()), Ok(()));
    data["price"] = Value::Null;
    assert_eq!(check(&schema, &data.to_string()), Err("field `price` is null, expected a number".to_owned()));
}

#[test]
fn a_fixed_word_is_one_of_its_words_however_it_is_escaped() {
    let schema = trade();
    let with = |word: &str| full().to_string().replace("\"BUY\"", word);
    assert_eq!(check(&schema, &with(r#""\u0042UY""#)), Ok(()));
    let refused = "field `trade_type` is \"HOLD\", expected BUY or SELL".to_owned();
    assert_eq!(check(&schema, &with("\"HOLD\"")), Err(refused));
    let refused = "field `trade_type` is a number, expected BUY or SELL".to_owned();
    assert_eq!(check(&schema, &with("1")), Err(refused));
}

#[test]
fn a_field_is_known_by_its_name_however_it_is_escaped() {
    let data = full().to_string().replace("\"price\"", r#""pr\u0069ce""#);
    assert_eq!(check(&trade(), &data), Ok(()));
    let data = full().to_string().replace("\"price\"", r#""\"price""#);
    assert_eq!(check(&trade(), &data), Err("field `price` is missing".to_owned()));
}

#[test]
fn an_optional_field_may_be_null_or_absent_but_not_of_another_kind() {
    let schema = EventSchema::typed::<PortfolioValue>();
    assert_eq!(check(&schema, r#"{"value":1,"currency":null}"#), Ok(()));
    let refused = "field `currency` is a number, expected a string".to_owned();
    assert_eq!(check(&schema, r#"{"value":1,"currency":978}"#), Err(refused));
}

#[test]
fn a_time_is_text_or_a_number() {
    let schema = EventSchema::typed::<MarketTrade>();
    let with = |time: &str| {
        format!(r#"{{"symbol":"A","price":1,"quantity":1,"side":"buy","trade_id":7,"time":{time}}}"#)
    };
    assert_eq!(check(&schema, &with("\"2026-01-01T12:00:00Z\"")), Ok(()));
    assert_eq!(check(&schema, &with("1767268800000")), Ok(()));
    let refused = "field `time` is a boolean, expected a number or a string".to_owned();
    assert_eq!(check(&schema, &with("true")), Err(refused));
}

#[test]
fn a_users_schema_that_refers_to_another_document_is_refused_not_fetched() {
    for elsewhere in ["https://example.com/a.json", "file:///etc/hostname", "other.json"] {
        let schema = json!({"properties": {"a": {"$ref": elsewhere}}});
        let refused = EventSchema::user("A", schema).unwrap_err().to_string();
        assert!(refused.starts_with("schema is not usable: "), "{refused}");
    }
    let own = json!({"$defs": {"price": {"type": "number"}}, "properties": {"a": {"$ref": "#/$defs/price"}}});
    let schema = EventSchema::user("A", own).unwrap();
    assert_eq!(check(&schema, r#"{"a":1}"#), Ok(()));
    assert!(check(&schema, r#"{"a":"1"}"#).is_err());
}

#[test]
fn what_a_struct_writes_passes_and_is_read_again() {
    let update = PriceUpdate {
        symbol: "AAPL".into(),
        price: 187.4,
        change: 0.1,
        volume: 12.0,
        bid: None,
        ask: Some(187.5),
        change_24h: None,
        change_24h_pct: None,
        source_time: Some("2026-01-01T12:00:00Z".into()),
    };
    let json = serde_json::to_string(&update).unwrap();
    assert!(!json.contains("bid"), "what is not there is not written: {json}");
    assert_eq!(check(&EventSchema::typed::<PriceUpdate>(), &json), Ok(()));
    assert_eq!(serde_json::from_str::<PriceUpdate>(&json).unwrap(), update);
    let row = BookRow(BookSide::B, 187.4, 100.0);
    let json = serde_json::to_string(&row).unwrap();
    assert_eq!(json, r#"["b",187.4,100.0]"#);
    assert_eq!(check(&EventSchema::typed::<BookRow>(), &json), Ok(()));
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just("BUY".to_owned()), Just("raised".to_owned()), ".{0,4}"].prop_map(Value::from),
        Just(json!([1, {"a": "]"}])),
        Just(json!({"loss": 0.1})),
    ]
}

proptest! {
    #[test]
    fn the_quick_check_agrees_with_a_complete_validator(
        row in 0_usize..31,
        values in prop::collection::vec((any::<u16>(), value()), 0..12),
    ) {
        let spec = crate::Catalog::built_in().specs().nth(row).unwrap().as_ref().clone();
        let schema = spec.schema.unwrap();
        let properties = schema.json().get("properties").and_then(Value::as_object);
        let names: Vec<&String> = properties.into_iter().flat_map(|properties| properties.keys()).collect();
        prop_assume!(!schema.is_open() && !names.is_empty());
        let fields = values.into_iter().map(|(at, value)| {
            (names[usize::from(at) % names.len()].clone(), value)
        });
        let data = Value::Object(fields.collect());
        let complete = EventSchema::user("Complete", schema.json().clone()).unwrap();
        let (quick, slow) = (check(&schema, &data.to_string()), check(&complete, &data.to_string()));
        // The quick one does not look whether a number is an integer.
        let is_fraction = data.as_object().unwrap().values().any(Value::is_f64);
        prop_assert!(quick.is_ok() == slow.is_ok() || is_fraction, "{data}: {quick:?} {slow:?}");
    }
}
