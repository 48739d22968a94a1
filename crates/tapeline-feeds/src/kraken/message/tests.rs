//! What no recording holds: other orders of keys, escapes, damage. The recordings are in `tests/kraken.rs`.

use super::*;

fn parse(text: &str) -> Message<'_> {
    Message::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    match Message::parse(text) {
        Err(error) => error.to_string(),
        Ok(message) => panic!("{text}: {message:?}"),
    }
}

#[test]
fn a_symbol_is_found_at_the_top_and_inside_of_the_result() {
    let texts = [
        r#"{"method":"subscribe","result":{"channel":"book","symbol":"A/B"},"success":true}"#,
        r#"{"error":"Currency pair not supported A/B","method":"subscribe","success":false,"symbol":"A/B"}"#,
    ];
    for text in texts {
        let Message::Answer(answer) = parse(text) else { panic!("{text}") };
        assert_eq!(answer.symbol.as_deref(), Some("A/B"));
        assert_eq!(answer.req_id, None);
    }
}

#[test]
fn the_connections_error_and_a_pong_are_told_apart_from_answers() {
    assert!(
        matches!(parse(r#"{"Error":"Exceeded msg rate"}"#), Message::Error(error) if error == "Exceeded msg rate")
    );
    assert!(matches!(parse(r#"{"method":"pong","req_id":7}"#), Message::Pong { req_id: Some(7) }));
    assert!(matches!(parse(r#"{"method":"pong","req_id":-7}"#), Message::Pong { req_id: None }));
    assert!(
        matches!(parse(r#"{"method":"add_order","params":{}}"#), Message::Other { name } if name == "add_order")
    );
}

#[test]
fn heartbeats_and_states_come_with_and_without_their_extras() {
    assert!(matches!(parse(r#"{"channel":"heartbeat"}"#), Message::Heartbeat));
    assert!(matches!(parse(r#" {"type":"update","data":[],"channel":"heartbeat"}"#), Message::Heartbeat));
    let huge = r#"{"channel":"status","type":"update","data":[{"connection_id":99999999999999999999999999,"system":"maintenance"}]}"#;
    assert!(matches!(parse(huge), Message::Status(status) if status.system == "maintenance"));
}

#[test]
fn what_is_not_known_is_tolerated() {
    assert!(matches!(parse(r#"{"channel":"level3","data":7}"#), Message::Other { name } if name == "level3"));
    let more =
        r#"{"x":[{}],"channel":"ticker","type":"update","data":[{"asset_class":1,"symbol":"A/B"}],"y":null}"#;
    assert!(matches!(parse(more), Message::Ticker(items) if items.items.len() == 1));
}

#[test]
fn a_book_is_read_whatever_the_order_of_its_keys_and_the_space_between() {
    let usual = r#"{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[{"price":1.10,"qty":2}],"asks":[],"checksum":7,"timestamp":"t"}]}"#;
    let unusual = r#"{ "data" : [ {"checksum":7, "more":{}, "asks":[ ], "timestamp":"t",
        "bids":[ {"qty":2 , "x":1, "price": 1.10} ], "symbol":"A\/B"} ], "type":"update","channel":"book" }"#;
    let (Message::Book(usual), Message::Book(unusual)) = (parse(usual), parse(unusual)) else {
        panic!("books")
    };
    assert_eq!(usual, unusual);
    assert_eq!(usual.rows[0].price.to_string(), "1.10");
}

#[test]
fn a_number_in_exponent_form_is_expanded_and_a_negative_one_refused() {
    let book = |price: &str| {
        format!(
            r#"{{"channel":"book","type":"update","data":[{{"symbol":"A/B","bids":[{{"price":{price},"qty":2}}],"asks":[],"checksum":7}}]}}"#
        )
    };
    assert!(
        matches!(parse(&book("1e-8")), Message::Book(book) if book.rows[0].price.to_string() == "0.00000001")
    );
    for wrong in ["-1", "1e99", "\"1\"", "null", "[1]"] {
        assert!(refused(&book(wrong)).starts_with("the message of book cannot be read"), "{wrong}");
    }
}

#[test]
fn stray_text_is_told_apart_from_messages_with_something_wrong() {
    let strays = [
        "",
        "CloudFlare WebSocket proxy restarting",
        "[1]",
        "7",
        "null",
        "{",
        "{}",
        "{\"a\":1}}",
        "\u{feff}{}",
    ];
    for stray in strays {
        assert!(Message::parse(stray).is_err_and(|error| error.is_stray()), "{stray}");
    }
    let malformed = [
        r#"{"channel":7}"#,
        r#"{"channel":"book"}"#,
        r#"{"channel":"book","type":"update"}"#,
        r#"{"channel":"book","type":"other","data":[]}"#,
        r#"{"channel":"book","type":"update","data":[]}"#,
        r#"{"channel":"book","type":"update","data":[[["A/B",[],[],1]]]}"#,
        r#"{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[],"asks":[],"checksum":4294967296}]}"#,
        r#"{"channel":"trade","type":"update","data":{}}"#,
        r#"{"channel":"trade","type":"update","data":[{"symbol":"A/B"}]}"#,
        r#"{"channel":"trade","type":"update","data":[["A/B",1]]}"#,
        r#"{"channel":"status","type":"update","data":[]}"#,
    ];
    for text in malformed {
        assert!(Message::parse(text).is_err_and(|error| !error.is_stray()), "{text}");
    }
}
