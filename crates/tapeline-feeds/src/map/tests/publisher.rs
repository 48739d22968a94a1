//! Into a hub: what is busy, what is refused, and what is about an account.

use super::*;
use crate::live::Sink;

fn book_changes(venue: &mut Desk, count: usize) -> Vec<Event> {
    let price = |n: usize| format!("{}", 100 + n % 7);
    (0..count)
        .map(|n| venue.change("A", n == 0, &[row(Side::Bid, &price(n), &format!("{}", n % 5))]))
        .collect()
}

#[test]
fn while_the_hub_is_busy_a_books_rows_become_one_message_and_nothing_is_lost() {
    let (hub, notebook) = fake::hub();
    let mut desk = Desk::new();
    let mut sink = HubSink::new("kraken", Map::new("kraken", &MapConfig::default()).unwrap(), hub);
    notebook.be_busy(true);
    for event in book_changes(&mut desk, 5_000) {
        sink.handle(&[event], &desk.venue);
    }
    notebook.be_busy(false);
    sink.on_tick(&desk.venue);
    let stats = sink.stats();
    assert_eq!((stats.dropped.read(), stats.refused.read()), (0, 0));
    assert_eq!(stats.published.read() + stats.conflated.read(), 5_000);
    let mut screen = BTreeMap::new();
    for line in notebook.taken().iter().filter_map(|line| line.strip_prefix("orderbook_rows:A ")) {
        let data: serde_json::Value = serde_json::from_str(line).unwrap();
        for row in data["rows"].as_array().unwrap() {
            screen.insert(row[1].to_string(), row[2].to_string());
        }
    }
    screen.retain(|_, qty| qty != "0");
    let book = desk.venue.book("A").unwrap().levels(Side::Bid);
    let held: BTreeMap<_, _> = book.map(|(price, qty)| (price.to_string(), qty.to_string())).collect();
    assert_eq!(screen, held);
}

#[test]
fn a_table_whose_rows_were_refused_is_told_whole_again() {
    let (hub, notebook) = fake::hub();
    let mut desk = Desk::new();
    let mut sink = HubSink::new("kraken", Map::new("kraken", &MapConfig::default()).unwrap(), hub);
    let events = book_changes(&mut desk, 3);
    sink.handle(&events[..1], &desk.venue);
    notebook.refuse("orderbook_rows");
    sink.handle(&events[1..2], &desk.venue);
    notebook.refuse_nothing();
    let before = notebook.taken().len();
    sink.handle(&events[2..], &desk.venue);
    // The hub's clock goes on a second whenever it is read.
    sink.on_tick(&desk.venue);
    sink.on_tick(&desk.venue);
    let told: Vec<String> = notebook.taken().split_off(before);
    let told: Vec<&String> = told.iter().filter(|line| line.starts_with("orderbook_rows:A ")).collect();
    assert!(told.len() == 1 && told[0].ends_with("\"snapshot\":true}"), "{told:?}");
}

#[test]
fn a_gap_of_an_account_is_an_alert_until_the_whole_state_comes() {
    let (hub, notebook) = fake::hub();
    let desk = Desk::new();
    let mut sink = HubSink::new("kraken", Map::new("kraken", &MapConfig::default()).unwrap(), hub);
    let gap = |channel| Event::Gap { channel, symbol: None, why: Lost::Numbers { from: 5, to: 7 } };
    let snapshot = Update { kind: UpdateKind::Snapshot, ..update(VenueChannel::Balances, None, "[]") };
    sink.handle(&[gap(VenueChannel::Trade), gap(VenueChannel::Balances)], &desk.venue);
    sink.handle(&[gap(VenueChannel::Balances)], &desk.venue);
    sink.handle(&[Event::Update(snapshot)], &desk.venue);
    let alert = |state: &str| {
        format!(
            r#"alerts:kraken {{"source":"kraken","rule":"gap_balances","state":"{state}","value":3,"threshold":0,"since":"1970-01-01T00:00:00.000000Z"}}"#
        )
    };
    let taken = notebook.taken();
    let alerts: Vec<&String> = taken.iter().filter(|line| line.starts_with("alerts:")).collect();
    assert_eq!(alerts, [&alert("raised"), &alert("resolved")]);
}
