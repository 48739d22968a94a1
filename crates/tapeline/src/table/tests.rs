//! What a table holds after its messages.

use serde_json::json;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::*;

fn message(channel: &str, data: &str) -> PubSubMessage {
    let text = format!(
        r#"{{"type":"t","channel":"{channel}","data":{data},"timestamp":"x","id":"i","offset":7,"epoch":"e"}}"#
    );
    PubSubMessage::read(&Utf8Bytes::from(text)).unwrap()
}

fn apply(table: &mut Table, channel: &str, data: &str) {
    table.apply(&message(channel, data)).unwrap();
}

const BOOK: &str = "orderbook_rows:BTC/USD";

fn book() -> Table {
    let mut table = Table::of(BOOK).unwrap();
    let rows = r#"{"rows":[["b",66787.7,1],["b",66788.1,2],["a",66790,3],["a",66789.5,4]],"meta":{"checksum":5},"snapshot":true}"#;
    apply(&mut table, BOOK, rows);
    table
}

#[test]
fn a_books_sides_come_best_price_first() {
    let Book { bids, asks } = book().book();
    assert_eq!(bids, [Level(66788.1, 2.0), Level(66787.7, 1.0)]);
    assert_eq!(asks, [Level(66789.5, 4.0), Level(66790.0, 3.0)]);
}

#[test]
fn numbers_as_keys_compare_as_numbers() {
    let mut table = book();
    apply(&mut table, BOOK, r#"{"rows":[["b",66787.70,9],["a",66790.0,8]],"meta":{},"snapshot":false}"#);
    assert_eq!(table.len(), 4);
    assert_eq!(table.book().bids[1], Level(66787.7, 9.0));
    assert_eq!(table.book().asks[1], Level(66790.0, 8.0));
    assert!(table.get(&[json!("b"), json!("66787.7")]).is_none(), "a string is no number");
}

#[test]
fn a_level_without_quantity_is_gone() {
    let mut table = book();
    apply(&mut table, BOOK, r#"{"rows":[["b",66788.1,0.0]],"meta":{"checksum":6},"snapshot":false}"#);
    assert_eq!(table.book().bids, [Level(66787.7, 1.0)]);
    assert_eq!(table.meta(), &json!({"checksum": 6}));
    assert_eq!(table.place().map(|place| place.offset), Some(7));
}

#[test]
fn a_snapshot_replaces_everything_and_so_does_a_part() {
    for flag in ["snapshot", "partial"] {
        let mut table = book();
        apply(&mut table, BOOK, &format!(r#"{{"rows":[["a",1,1]],"meta":{{}},"{flag}":true}}"#));
        assert_eq!(table.book(), Book { bids: vec![], asks: vec![Level(1.0, 1.0)] }, "{flag}");
    }
}

#[test]
fn rows_that_say_removed_are_removed() {
    let channel = "positions:p1";
    let mut table = Table::of(channel).unwrap();
    apply(
        &mut table,
        channel,
        r#"{"rows":[{"symbol":"AAPL","quantity":1},{"symbol":"TSLA"}],"snapshot":true}"#,
    );
    apply(&mut table, channel, r#"{"symbol":"AAPL","quantity":2}"#);
    assert_eq!(table.get(&[json!("AAPL")]), Some(&json!({"symbol": "AAPL", "quantity": 2})));
    apply(&mut table, channel, r#"{"rows":[{"symbol":"AAPL","removed":true}],"snapshot":false}"#);
    assert_eq!(table.rows().collect::<Vec<_>>(), [&json!({"symbol": "TSLA"})]);
}

#[test]
fn a_row_without_its_key_is_an_error_that_names_it() {
    let mut table = Table::keyed_by(["id"]);
    let error = table.apply(&message("mine", r#"{"rows":[{"name":"x"}]}"#)).unwrap_err();
    assert_eq!(error.to_string(), "a row of mine offset 7 lacks its key id");
}

#[test]
fn a_channel_without_rows_has_no_table() {
    assert_eq!(Table::of("market_data:AAPL"), None);
    assert_eq!(Table::of("anything"), None);
}

#[test]
fn a_table_of_your_own_loses_the_rows_that_its_family_says_are_gone() {
    let mut table = Table::keyed_by(["symbol"]).removed_when("qty", 0);
    apply(
        &mut table,
        "desk:a",
        r#"{"rows":[{"symbol":"X","qty":1},{"symbol":"Y","qty":2}],"snapshot":true}"#,
    );
    apply(&mut table, "desk:a", r#"{"rows":[{"symbol":"X","qty":0.0}],"snapshot":false}"#);
    assert_eq!(table.rows().collect::<Vec<_>>(), [&json!({"symbol": "Y", "qty": 2})]);
    apply(&mut table, "desk:a", r#"{"rows":[{"symbol":"Y","qty":"0"}],"snapshot":false}"#);
    assert_eq!(table.len(), 1, "a string is no number");
}

#[test]
fn every_built_in_table_loses_rows_as_its_row_of_the_catalogue_says() {
    for spec in Catalog::built_in().specs().filter(|spec| !spec.row_key.is_empty()) {
        let channel = spec.template.replace(['{', '}'], "");
        let table = Table::of(&channel).unwrap();
        let expected = spec
            .removed_when
            .as_ref()
            .map(|when| (when.field.clone(), Part::of(&serde_json::from_str(&when.equals).unwrap())));
        assert_eq!(table.removed_when, expected, "{channel}");
    }
}
