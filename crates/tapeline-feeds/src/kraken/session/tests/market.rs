//! Market data: subscribing, and what is done with what comes.

use serde_json::json;

use super::talk::{Talk, instruments, settings, status};
use crate::venue::{Event, Step};

#[test]
fn a_session_connects_waits_for_the_status_and_subscribes_instruments_before_all_else() {
    let mut talk = Talk::new(settings(&["ticker", "book", "trade", "ohlc"], &["BTC/USD", "ETH/USD"]));
    assert_eq!(talk.steps().len(), 1);
    talk.session =
        crate::kraken::Session::new(settings(&["ticker", "book", "trade", "ohlc"], &["BTC/USD"]), 7).unwrap();
    talk.connect();
    assert_eq!(talk.steps(), Vec::<Step>::new());
    talk.say(status("online"));
    let channels = |requests: Vec<serde_json::Value>| {
        requests
            .iter()
            .map(|request| request["params"]["channel"].as_str().unwrap().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(channels(talk.accept()), ["instrument", "ticker", "trade", "ohlc"]);
    talk.say(instruments());
    assert_eq!(channels(talk.accept()), ["book"]);
    talk.steps();
    assert!(matches!(talk.events.last(), Some(Event::Connected)));
}

#[test]
fn a_ticker_goes_out_with_its_digits_as_they_came() {
    let mut talk = Talk::greeted(settings(&["ticker"], &["BTC/USD"]));
    talk.accept();
    talk.events.clear();
    let data = r#"{"symbol":"BTC/USD","bid":65972.80,"bid_qty":0.10000000,"timestamp":"2024-05-19T16:27:13.694962Z"}"#;
    talk.say(format!(r#"{{"channel":"ticker","type":"update","data":[{data}]}}"#));
    let Some(Event::Update(update)) = talk.events.first() else { panic!() };
    assert_eq!(update.symbol.as_deref(), Some("BTC/USD"));
    assert_eq!(update.venue_us, Some(1_716_136_033_694_962));
    assert_eq!(update.received, talk.now);
    assert_eq!(talk.updates("ticker"), [data]);
    talk.say(json!({"channel": "ticker", "type": "update", "data": [{"symbol": "DOGE/USD"}]}));
    assert_eq!((talk.events.len(), crate::venue::Session::counts(&talk.session).ignored), (0, 1));
}
