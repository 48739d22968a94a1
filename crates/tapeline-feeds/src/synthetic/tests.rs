//! What the demo's market promises: the same from the same seed, sound by the catalogue, quiet when it says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tapeline_schema::Catalog;

use super::*;

/// 2026-01-01T12:00:00Z.
const START_US: u64 = 1_767_268_800_000_000;

/// Each family with the fields that the contract requires; of a table, of each row.
const REQUIRED: &[(&str, &[&str])] = &[
    ("market_data", &["symbol", "price", "change", "volume"]),
    ("orderbook", &["symbol", "bids", "asks", "timestamp"]),
    ("market_trades", &["symbol", "price", "quantity", "side", "time"]),
    ("trades", &["portfolio_id", "symbol", "trade_type", "quantity", "price"]),
    ("order_status", &["order_id", "status"]),
    ("portfolio", &[]),
    ("positions", &["symbol"]),
    ("portfolio_value", &["value"]),
    ("agent_status", &["agent_id", "status"]),
    ("system_health", &["component", "status"]),
    ("metrics", &["name", "value"]),
    ("sentiment", &["symbol", "score"]),
    ("news", &[]),
    ("quantum_signals", &["type", "price"]),
    ("training.status", &["experiment_id", "status"]),
    ("training.log", &["experiment_id", "message"]),
    ("training.progress", &["experiment_id", "current_step", "total_steps", "epoch", "progress"]),
    ("training.metrics", &["experiment_id", "metrics"]),
];

/// Fields that are not numbers or are of any kind, beside those ending in `_id` or naming a thing.
const TEXT: &[&str] =
    &["symbol", "side", "time", "timestamp", "trade_type", "status", "component", "name", "type", "message"];

struct Said {
    /// When the market was asked; what it says is from the 10 ms before.
    at: Duration,
    channel: String,
    data: Value,
}

fn listen(seed: u64, seconds: u64) -> Vec<Said> {
    let mut market = Synthetic::new(seed, START_US);
    let mut said = Vec::new();
    let mut due = Vec::new();
    for centisecond in 0..=seconds * 100 {
        let at = Duration::from_millis(centisecond * 10);
        market.next(at, &mut due);
        for publication in due.drain(..) {
            let data = serde_json::from_slice(&publication.data).unwrap();
            said.push(Said { at, channel: publication.channel.to_string(), data });
        }
    }
    said
}

fn of<'a>(said: &'a [Said], family: &'a str) -> impl Iterator<Item = &'a Said> {
    said.iter().filter(move |said| said.channel.split(':').next() == Some(family))
}

fn number(data: &Value, field: &str) -> f64 {
    data[field].as_f64().unwrap_or_else(|| panic!("{field} is no number in {data}"))
}

#[test]
fn a_seed_says_the_same_however_often_it_is_asked() {
    let mut often = Synthetic::new(7, START_US);
    let mut once = Synthetic::new(7, START_US);
    let (mut by_step, mut at_end) = (Vec::new(), Vec::new());
    let mut next = Duration::ZERO;
    let end = Duration::from_secs(70);
    while next <= end {
        next = often.next(next, &mut by_step).unwrap();
    }
    assert_eq!(once.next(end, &mut at_end), Some(next));
    let plain = |due: &[Publication]| -> Vec<_> {
        due.iter().map(|said| (said.channel.clone(), said.data.clone())).collect()
    };
    assert!(by_step.len() > 3_000);
    assert_eq!(plain(&by_step), plain(&at_end));
}

#[test]
fn another_seed_is_another_market() {
    let prices =
        |seed| of(&listen(seed, 3), "market_data").map(|said| said.data.to_string()).collect::<Vec<_>>();
    assert_ne!(prices(7), prices(8));
}

#[test]
fn every_family_has_the_fields_that_the_catalogue_requires() {
    let catalog = Catalog::built_in();
    let required: BTreeMap<_, _> = REQUIRED.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for said in listen(7, 130) {
        let resolved = catalog.resolve(&said.channel);
        assert!(resolved.declared, "{} is not declared", said.channel);
        let family = resolved.spec.family.clone();
        let fields = required.get(&*family).unwrap_or_else(|| panic!("{family} has no row in REQUIRED"));
        let rows = said.data["rows"].as_array().cloned().unwrap_or_else(|| vec![said.data.clone()]);
        assert!(!rows.is_empty());
        for row in rows {
            for field in *fields {
                let value =
                    row.get(*field).unwrap_or_else(|| panic!("{} has no {field}: {row}", said.channel));
                let is_text = TEXT.contains(field) || field.ends_with("_id");
                let is_list = ["bids", "asks"].contains(field);
                let fits = match () {
                    () if is_text => value.is_string(),
                    () if is_list => value.is_array(),
                    () if *field == "metrics" => value.is_object(),
                    () => value.is_number(),
                };
                assert!(fits, "{field} of {} is {value}", said.channel);
            }
        }
        seen.insert(family);
    }
    let expected: BTreeSet<_> = REQUIRED.iter().map(|(family, _)| (*family).to_string()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn all_but_fills_and_logs_is_said_within_the_opening() {
    let opened: BTreeSet<_> = listen(7, OPENING.as_secs()).into_iter().map(|said| said.channel).collect();
    for symbol in ["AAPL", "TSLA", "MSFT", "BTC/USD", "EUR/USD"] {
        for family in ["market_data", "orderbook", "market_trades", "sentiment"] {
            assert!(opened.contains(&format!("{family}:{symbol}")), "{family}:{symbol}");
        }
    }
    for channel in
        ["positions:portfolio-123", "training.status:exp_123", "quantum_signals", "news", "agent_status"]
    {
        assert!(opened.contains(channel), "{channel}");
    }
}

#[test]
fn one_symbol_is_silent_for_twenty_seconds_of_every_minute() {
    let said = listen(7, 125);
    let is_market = |said: &&Said| {
        ["market_data", "orderbook", "market_trades"].iter().any(|f| said.channel.starts_with(f))
    };
    let quiet = |from: u64, to: u64, symbol: &str| {
        let within = |said: &&Said| (from..to).contains(&said.at.as_secs());
        said.iter().filter(is_market).filter(within).filter(|said| said.channel.ends_with(symbol)).count()
    };
    for minute in [0, 60] {
        // What is said in the last moment before the window is heard at its first instant.
        assert_eq!(quiet(minute + 31, minute + 50, QUIET_SYMBOL), 0);
        assert!(quiet(minute + 51, minute + 60, QUIET_SYMBOL) > 20);
        assert!(quiet(minute + 31, minute + 50, "AAPL") > 100);
    }
}

#[test]
fn a_book_is_full_sorted_and_never_crossed() {
    let mut books = 0;
    for said in listen(7, 20) {
        if !said.channel.starts_with("orderbook:") {
            continue;
        }
        let side = |name: &str| -> Vec<f64> {
            let levels = said.data[name].as_array().unwrap().iter();
            levels
                .map(|level| level[0].as_f64().filter(|_| level[1].as_f64().unwrap() > 0.0).unwrap())
                .collect()
        };
        let (bids, asks) = (side("bids"), side("asks"));
        assert_eq!((bids.len(), asks.len()), (BOOK_LEVELS, BOOK_LEVELS));
        assert!(bids.is_sorted_by(|better, worse| better > worse), "{bids:?}");
        assert!(asks.is_sorted_by(|better, worse| better < worse), "{asks:?}");
        assert!(bids[0] < asks[0]);
        books += 1;
    }
    assert!(books > 200);
}

#[test]
fn a_price_lies_between_its_quotes_and_changes_by_what_it_says() {
    let mut last: BTreeMap<String, f64> = BTreeMap::new();
    for said in of(&listen(7, 20), "market_data") {
        let price = number(&said.data, "price");
        assert!(number(&said.data, "bid") < price && price < number(&said.data, "ask"));
        if let Some(before) = last.insert(said.channel.clone(), price) {
            assert!((price - before - number(&said.data, "change")).abs() < 1e-9, "{}", said.data);
        }
    }
    assert_eq!(last.len(), 5);
}

#[test]
fn numbers_have_no_more_digits_than_their_symbol() {
    for said in of(&listen(7, 10), "market_data") {
        let most = if said.channel.ends_with(QUIET_SYMBOL) { 5 } else { 2 };
        for field in ["price", "change", "bid", "ask", "change_24h"] {
            let text = said.data[field].to_string();
            assert!(text.split_once('.').is_none_or(|(_, digits)| digits.len() <= most), "{field} is {text}");
        }
    }
}

#[test]
fn an_order_begins_new_and_its_fills_add_up_to_its_trades() {
    let said = listen(7, 120);
    let mut orders: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for status in of(&said, "order_status") {
        orders.entry(&status.channel).or_default().push(&status.data);
    }
    let mut statuses = BTreeSet::new();
    for life in orders.values() {
        assert_eq!(life[0]["status"], "new");
        statuses.extend(life.iter().map(|step| step["status"].as_str().unwrap().to_string()));
        let id = life[0]["order_id"].as_str().unwrap();
        let trades = of(&said, "trades").filter(|trade| trade.data["order_id"] == id);
        let traded: f64 = trades.map(|trade| number(&trade.data, "quantity")).sum();
        assert!((traded - number(life[life.len() - 1], "filled")).abs() < 1e-9);
    }
    let all = ["cancelled", "filled", "new", "partially_filled"].map(String::from);
    assert_eq!(statuses, BTreeSet::from(all));
}

#[test]
fn the_portfolio_is_worth_its_cash_and_its_positions() {
    let said = listen(7, 60);
    let tables = of(&said, "positions").zip(of(&said, "portfolio"));
    for (positions, portfolio) in tables {
        let rows = positions.data["rows"].as_array().unwrap();
        let held: f64 = rows.iter().map(|row| number(row, "value")).sum();
        assert!((held + number(&portfolio.data, "cash") - number(&portfolio.data, "value")).abs() < 0.005);
        assert!(rows.iter().all(|row| number(row, "quantity") > 0.0));
    }
}

#[test]
fn training_goes_to_a_hundred_is_completed_and_starts_again() {
    let said = listen(7, 150);
    let progress: Vec<_> =
        of(&said, "training.progress").map(|said| number(&said.data, "progress")).collect();
    let first_end = progress.iter().position(|percent| *percent == 100.0).unwrap();
    assert!(progress[..=first_end].is_sorted());
    assert_eq!(progress[first_end + 1], 0.0);
    let statuses: Vec<_> =
        of(&said, "training.status").map(|said| said.data["status"].as_str().unwrap()).collect();
    assert!(statuses.starts_with(&["running", "completed", "created", "running"]), "{statuses:?}");
}

#[test]
fn it_says_fifty_to_a_hundred_and_fifty_messages_a_second() {
    let each_second = listen(7, 120).len() / 120;
    assert!((50..=150).contains(&each_second), "{each_second}");
}
