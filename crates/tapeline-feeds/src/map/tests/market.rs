//! Prices, trades, candles, heartbeats; digits, ids and hostile names.

use super::*;

const TICKER: &str = r#"{"symbol":"BTC/USD","bid":65972.8,"bid_qty":0.10000000,"ask":65972.9,"ask_qty":39.67506683,"last":65972.90,"volume":4216.61829370,"vwap":64275.2,"low":61325.4,"high":66450.0,"change":4412.1,"change_pct":7.17}"#;

#[test]
fn a_ticker_becomes_a_price_with_the_venues_digits() {
    let mut desk = Desk::new();
    let first = desk.said(&[event(VenueChannel::Ticker, "BTC/USD", TICKER)]);
    let data = r#"{"symbol":"BTC/USD","price":65972.90,"change":0,"volume":4216.61829370,"bid":65972.8,"ask":65972.9,"change_24h":4412.1,"change_24h_pct":7.17}"#;
    assert_eq!(first, [said("market_data:BTC/USD", data)]);
    let later = r#"{"last":65970.1,"volume":1,"bid":null,"timestamp":"2026-01-01T00:00:00.5Z"}"#;
    let second = desk.said(&[event(VenueChannel::Ticker, "BTC/USD", later)]);
    let data = r#"{"symbol":"BTC/USD","price":65970.1,"change":-2.80,"volume":1,"source_time":"2026-01-01T00:00:00.5Z"}"#;
    assert_eq!(second, [said("market_data:BTC/USD", data)]);
}

#[test]
fn a_trade_carries_its_id_so_that_it_cannot_come_twice() {
    let mut desk = Desk::new();
    let data = r#"{"symbol":"BTC/USD","side":"sell","price":68466.9,"qty":0.01919400,"ord_type":"market","trade_id":70635251,"timestamp":"2024-05-27T12:33:10.826003Z"}"#;
    let mut trade = update(VenueChannel::Trade, Some("BTC/USD"), data);
    trade.id = Some("70635251".into());
    assert_eq!(desk.take(&[Event::Update(trade)]), []);
    let publication = desk.due.pop().unwrap();
    assert_eq!(publication.idempotency_key.as_deref(), Some("70635251"));
    let data = r#"{"symbol":"BTC/USD","price":68466.9,"quantity":0.01919400,"side":"sell","trade_id":70635251,"time":"2024-05-27T12:33:10.826003Z"}"#;
    assert_eq!(told(publication), said("market_trades:BTC/USD", data));
}

fn candle(begin: &str, kind: UpdateKind) -> Event {
    let data = format!(
        r#"{{"symbol":"ETH/USD","open":3027.80,"high":3027.80,"low":3026.13,"close":3026.13,"trades":9,"volume":13.31603062,"vwap":3027.01,"interval_begin":"{begin}","interval":5}}"#
    );
    let update = Update { kind, ..update(VenueChannel::Ohlc, Some("ETH/USD"), &data) };
    Event::Update(update)
}

#[test]
fn a_snapshots_candles_are_one_message_that_replaces_nothing() {
    let mut desk = Desk::new();
    let snapshot = |begin| candle(begin, UpdateKind::Snapshot);
    let said = desk.said(&[snapshot("1"), snapshot("2"), candle("3", UpdateKind::Change), snapshot("4")]);
    let begins: Vec<(&str, Vec<&str>, bool)> = said
        .iter()
        .map(|(channel, data)| {
            let begins = data.split("\"begin\":\"").skip(1).map(|rest| &rest[..1]).collect();
            (channel.as_str(), begins, data.ends_with("\"snapshot\":false}"))
        })
        .collect();
    let channel = "ohlc:ETH/USD:5";
    assert_eq!(begins, [(channel, vec!["1", "2", "3"], true), (channel, vec!["4"], true)]);
    assert!(said[0].1.contains(r#""volume":13.31603062,"vwap":3027.01,"trades":9}"#), "{}", said[0].1);
}

#[test]
fn a_heartbeat_says_whose_it_is() {
    let said_now = Desk::new().said(&[Event::Update(update(VenueChannel::Heartbeat, None, "{}"))]);
    assert_eq!(said_now, [said("heartbeat:kraken", r#"{"source":"kraken"}"#)]);
}

#[test]
fn what_has_no_row_that_is_on_is_counted() {
    let mut desk = Desk::new();
    for name in ["status", "instrument", "level3"] {
        let update = update(VenueChannel::named(name), None, "{}");
        assert_eq!(desk.said(&[Event::Update(update)]), []);
    }
    assert_eq!(desk.map.counts().off, 3);
}

#[test]
fn a_symbol_that_cannot_be_in_a_channels_name_is_not_published_and_says_so() {
    let mut desk = Desk::new();
    let long = "x".repeat(200);
    for symbol in ["", "BTC USD", "*", "a,b", "\u{1F600}", "a\nb", &long] {
        let untold = desk.take(&[event(VenueChannel::Ticker, symbol, TICKER)]);
        assert!(desk.due.is_empty(), "{symbol:?}");
        assert!(matches!(untold[..], [Untold::Name { field: Field::Symbol, .. }]), "{symbol:?}");
        assert!(desk.map.check_symbol(symbol).is_err(), "{symbol:?}");
    }
    let untold = desk.take(&[event(VenueChannel::Ticker, "BTC USD", TICKER)]);
    assert_eq!(
        untold[0].to_string(),
        "symbol \"BTC USD\" of ticker cannot be in a channel's name: channel name has ' ' at byte 3; allowed is printable ASCII without space , * ? [ ] \\; give it another name (feed.rename)"
    );
    assert_eq!(desk.map.counts().unnameable, 8);
    // A quote may be in a name, so it has to be escaped in the data.
    assert_eq!(desk.take(&[event(VenueChannel::Ticker, "\"", TICKER)]), []);
    let quoted = all_drafted(&mut desk.due).remove(0);
    assert_eq!(quoted.channel.name(), "market_data:\"");
}

#[test]
fn a_renamed_symbol_has_its_new_name_in_the_channel_and_in_the_data() {
    let symbols = BTreeMap::from([("BTC USD".to_owned(), "BTC/USD".to_owned())]);
    let mut desk = Desk::with(MapConfig { symbols, ..MapConfig::default() });
    assert_eq!(desk.map.check_symbol("BTC USD"), Ok(()));
    let said = desk.said(&[event(VenueChannel::Ticker, "BTC USD", TICKER)]);
    assert_eq!(said[0].0, "market_data:BTC/USD");
    assert!(said[0].1.starts_with(r#"{"symbol":"BTC/USD","#));
    let change = desk.change("BTC USD", true, &[row(Side::Bid, "1", "2")]);
    assert_eq!(desk.said(&[change])[0].0, "orderbook_rows:BTC/USD");
}

#[test]
fn data_of_another_shape_is_counted_and_says_what_is_wrong() {
    let mut desk = Desk::new();
    for (channel, data, why) in [
        (VenueChannel::Ticker, "[]", "ticker: "),
        (VenueChannel::Ticker, r#"{"last":"1","volume":1}"#, "ticker: last is no number"),
        (
            VenueChannel::Ticker,
            r#"{"last":1e99,"volume":1}"#,
            "ticker: last is 1e99, which has too many digits",
        ),
        (VenueChannel::Ticker, r#"{"volume":1}"#, "ticker: missing field `last`"),
        (
            VenueChannel::Trade,
            r#"{"price":1,"qty":null,"side":"buy","timestamp":""}"#,
            "trade: qty is no number",
        ),
        (VenueChannel::Ohlc, r#"{"interval":[]}"#, "ohlc: missing field"),
    ] {
        let untold = desk.take(&[event(channel, "A", data)]);
        assert!(untold[0].to_string().starts_with(why), "{}", untold[0]);
    }
    assert!(desk.due.is_empty());
    assert_eq!(desk.map.counts().malformed, 6);
}
