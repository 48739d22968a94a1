//! One message of every kind as Kraken sends them: each becomes publications that the hub takes, tables equal the books.

use std::path::PathBuf;

use super::*;
use crate::kraken::message::{Balances, Item, Message};

/// One of every kind, for where there are no recordings.
const FEW: &str = r#"{"channel":"heartbeat"}
{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":65972.8,"bid_qty":0.10000000,"ask":65972.9,"ask_qty":39.67506683,"last":65972.9,"volume":4216.61829370,"vwap":64275.2,"low":61325.4,"high":66450.0,"change":4412.1,"change_pct":7.17}]}
{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":66788.0,"qty":3.21926649},{"price":66787.5,"qty":0.44916298}],"asks":[{"price":66788.1,"qty":1.67939137}],"checksum":2330500275}]}
{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[{"price":66732.5,"qty":5.48256063}],"checksum":2855135483,"timestamp":"2024-05-19T16:32:26.777454Z"}]}
{"channel":"ohlc","type":"snapshot","timestamp":"2024-05-17T11:21:16.318303322Z","data":[{"symbol":"ETH/USD","open":3027.80,"high":3027.80,"low":3026.13,"close":3026.13,"trades":9,"volume":13.31603062,"vwap":3027.01,"interval_begin":"2024-05-17T11:12:00.000000000Z","interval":1,"timestamp":"2024-05-17T11:13:00.000000Z"}]}
{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":68500.0,"qty":0.01044926,"ord_type":"limit","trade_id":70635299,"timestamp":"2024-05-27T12:43:11.798009Z"}]}
{"channel":"executions","type":"update","data":[{"timestamp":"2024-05-18T12:58:40.165132Z","order_status":"canceled","exec_type":"canceled","cum_qty":0.00000000,"order_id":"KIUEL4-G3PWU-HOJTYU"}],"sequence":143}
{"channel":"balances","type":"snapshot","data":[{"asset":"USD","asset_class":"currency","balance":160.2405,"wallets":[{"type":"spot","id":"main","balance":1.34}]}],"sequence":1}
{"channel":"balances","type":"update","data":[{"ledger_id":"DATKX6-PEHL1-HZKND8","timestamp":"2024-05-24T14:01:53.526524Z","type":"trade","asset":"USD","asset_class":"currency","wallet_type":"spot","wallet_id":"main","amount":-19.9743,"fee":0.0499,"balance":118.0677}],"sequence":4}
"#;

/// The recording below `TAPELINE_DATA`, else a few messages of it, which is said aloud.
fn messages() -> String {
    let Some(data) = std::env::var_os("TAPELINE_DATA").map(PathBuf::from) else {
        eprintln!("NOT the recorded input: set TAPELINE_DATA to the folder of recordings");
        return FEW.to_owned();
    };
    let path = data.join("kraken-v2-kraken-async-rs/messages.jsonl");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn updates<T>(channel: VenueChannel, kind: UpdateKind, items: &[Item<'_, T>]) -> Vec<Event> {
    let symbol = |raw: &str| {
        let value: serde_json::Value = serde_json::from_str(raw).unwrap();
        value["symbol"].as_str().map(Arc::from)
    };
    let one = |item: &Item<'_, T>| {
        let update = update(channel.clone(), None, item.raw);
        Event::Update(Update { kind, symbol: symbol(item.raw), ..update })
    };
    items.iter().map(one).collect()
}

/// What a session tells of a message, without its checks.
fn events(desk: &mut Desk, text: &str) -> Vec<Event> {
    let list =
        |kind, raw: &str| vec![Event::Update(Update { kind, ..update(VenueChannel::Balances, None, raw) })];
    match Message::parse(text).unwrap() {
        Message::Heartbeat => vec![Event::Update(update(VenueChannel::Heartbeat, None, "{}"))],
        Message::Ticker(items) => updates(VenueChannel::Ticker, items.kind, &items.items),
        Message::Trade(items) => updates(VenueChannel::Trade, items.kind, &items.items),
        Message::Ohlc(items) => updates(VenueChannel::Ohlc, items.kind, &items.items),
        Message::Executions(items) => updates(VenueChannel::Executions, items.kind, &items.items),
        Message::Balances(Balances::Snapshot(items)) => list(UpdateKind::Snapshot, items.raw),
        Message::Balances(Balances::Change(items)) => list(UpdateKind::Change, items.raw),
        Message::Book(book) => {
            let symbol = book.symbol.to_string();
            vec![desk.change(&symbol, book.kind == UpdateKind::Snapshot, &book.rows)]
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_message_that_maps_becomes_publications_that_the_hub_takes() {
    let mut desk = Desk::new();
    desk.ears.hear("orderbook:BTC/USD");
    let mut families = BTreeSet::new();
    for text in messages().lines() {
        let events = events(&mut desk, text);
        assert_eq!(desk.take(&events), [], "{text}");
        assert_eq!(desk.due.is_empty(), events.is_empty(), "{text}");
        for draft in all_drafted(&mut desk.due) {
            let is_table = draft.channel.is_table();
            assert_eq!(draft.rows.is_some(), is_table);
            families.insert(draft.channel.spec().family.clone());
        }
    }
    let all = MAP_ROWS.iter().filter_map(|row| Some(row.template?.split_once(':')?.0.to_owned()));
    assert_eq!(families, all.collect());
}
