//! What a configuration may say, and how it is told what it may not.

use super::*;

fn with_row(name: &str, template: &str) -> MapConfig {
    MapConfig { rows: BTreeMap::from([(name.to_owned(), template.to_owned())]), ..MapConfig::default() }
}

fn wrong(config: &MapConfig) -> String {
    Map::new("kraken", config).unwrap_err().to_string()
}

#[test]
fn every_row_that_is_on_leads_to_a_family_of_the_catalogue() {
    let catalog = tapeline_schema::Catalog::built_in();
    for row in MAP_ROWS.iter().filter_map(|row| row.template) {
        let (family, _) = row.split_once(':').unwrap();
        assert_eq!(catalog.family(family).unwrap().template, row);
    }
}

#[test]
fn a_row_can_lead_elsewhere_or_be_switched_off() {
    let mut config = with_row("ticker", "prices:{source}:{symbol}");
    config.rows.insert("book".to_owned(), OFF.to_owned());
    config.rows.insert("status".to_owned(), "venue_status:{source}".to_owned());
    config.rows.insert("other".to_owned(), "kraken:{channel}".to_owned());
    let mut desk = Desk::with(config);
    let ticker = r#"{"last":1,"volume":2}"#;
    let status = Event::Update(update(VenueChannel::Status, None, r#"{"system":"online"}"#));
    let other = Event::Update(update(VenueChannel::named("level3"), None, "[1.0]"));
    let told = desk.said(&[event(VenueChannel::Ticker, "A", ticker), status, other]);
    let names: Vec<_> = told.iter().map(|(channel, _)| channel.as_str()).collect();
    assert_eq!(names, ["prices:kraken:A", "venue_status:kraken", "kraken:level3"]);
    assert_eq!(told[2].1, "[1.0]");
    desk.ears.hear("orderbook:A");
    let change = desk.change("A", true, &[row(Side::Bid, "1", "2")]);
    assert_eq!(desk.said(&[change]).len(), 1, "the rows alone");
}

#[test]
fn what_is_wrong_is_said_with_the_row_and_the_reason() {
    for (name, template, why) in [
        (
            "tickers",
            "x",
            "the map has no row tickers; there are ticker, book, book_rows, trade, ohlc, executions, order_status, balances, heartbeat, instrument, status, other",
        ),
        (
            "ticker",
            "market_data",
            "ticker = \"market_data\": it lacks {symbol}: messages about different ones would share a channel",
        ),
        (
            "ohlc",
            "ohlc:{symbol}",
            "ohlc = \"ohlc:{symbol}\": it lacks {interval}: messages about different ones would share a channel",
        ),
        (
            "ticker",
            "p:{symbl}",
            "ticker = \"p:{symbl}\": {symbl} is no field; there are {source}, {account}, {symbol}, {interval}, {order_id}, {channel}",
        ),
        ("ticker", "p:{symbol", "ticker = \"p:{symbol\": a `{` has no `}`"),
        ("ticker", "p:symbol}:{symbol}", "ticker = \"p:symbol}:{symbol}\": a `}` has no `{`"),
        (
            "ticker",
            "p:{symbol}:{order_id}",
            "ticker = \"p:{symbol}:{order_id}\": {order_id} is not known of ticker",
        ),
        ("heartbeat", "", "heartbeat = \"\": channel name is empty"),
        (
            "heartbeat",
            "a b",
            "heartbeat = \"a b\": channel name has ' ' at byte 1; allowed is printable ASCII without space , * ? [ ] \\",
        ),
        ("balances", "{account}", "balances = \"{account}\": it must begin with the name of a family"),
    ] {
        assert_eq!(wrong(&with_row(name, template)), why);
    }
    let account = MapConfig { account: Some("my account".to_owned()), ..MapConfig::default() };
    assert!(wrong(&account).starts_with("account \"my account\" cannot be in a channel's name: "));
    assert_eq!(
        wrong(&MapConfig { book_levels: 0, ..MapConfig::default() }),
        "feed.levels is 0; it must be from 1 to 1000"
    );
    let name = |symbol: &str| (symbol.to_owned(), "X".to_owned());
    let symbols = BTreeMap::from([name("A"), name("B")]);
    assert_eq!(
        wrong(&MapConfig { symbols, ..MapConfig::default() }),
        "A and B are both named X: they would take each other's place"
    );
}

#[test]
fn the_channels_that_a_gap_is_about_are_named() {
    let map = Map::new("kraken", &MapConfig::default()).unwrap();
    let of = |channel: &VenueChannel, symbol| map.channels_of(channel, symbol);
    assert_eq!(of(&VenueChannel::Executions, None), ["executions:kraken", "order_status:{order_id}"]);
    assert_eq!(of(&VenueChannel::Book, Some("A")), ["orderbook:A", "orderbook_rows:A"]);
    assert_eq!(of(&VenueChannel::Status, None), Vec::<String>::new());
}

#[test]
fn two_instruments_of_one_name_and_two_rows_with_one_channel_are_refused() {
    let renamed = |symbols: &[(&str, &str)]| MapConfig {
        symbols: symbols.iter().map(|(one, other)| (one.to_string(), other.to_string())).collect(),
        ..MapConfig::default()
    };
    let map = Map::new("kraken", &renamed(&[("BTC/USD", "ETH/USD")])).unwrap();
    let error = map.check_symbols(&["BTC/USD", "ETH/USD"]).unwrap_err().to_string();
    assert_eq!(error, "BTC/USD and ETH/USD are both named ETH/USD: they would take each other's place");
    assert_eq!(map.check_symbols(&["BTC/USD", "XRP/USD", "BTC/USD"]), Ok(()));
    let swapped = Map::new("kraken", &renamed(&[("BTC/USD", "ETH/USD"), ("ETH/USD", "BTC/USD")])).unwrap();
    assert_eq!(swapped.check_symbols(&["BTC/USD", "ETH/USD"]), Ok(()));

    let rows = [("ticker".to_string(), "market_trades:{symbol}".to_string())];
    let config = MapConfig { rows: rows.into(), ..MapConfig::default() };
    let error = Map::new("kraken", &config).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("ticker and trade both lead to"), "{error}");
}
