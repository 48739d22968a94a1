//! Into a hub: what is busy, what is refused, and what is about an account.

use super::*;
use crate::live::Sink;
use crate::publisher::Publisher;

fn book_changes(venue: &mut Desk, count: usize) -> Vec<Event> {
    let price = |n: usize| format!("{}", 100 + n % 7);
    (0..count)
        .map(|n| venue.change("A", n == 0, &[row(Side::Bid, &price(n), &format!("{}", n % 5))]))
        .collect()
}

#[test]
fn while_the_hub_is_busy_a_books_rows_become_one_message_and_nothing_is_lost() {
    let (hub, notebook) = fake::hub();
    let stats = hub.stats().feed("feed:kraken");
    let mut desk = Desk::new();
    let mut sink = Publisher::new("kraken", hub, Map::new("kraken", &MapConfig::default()).unwrap());
    notebook.be_busy(true);
    for event in book_changes(&mut desk, 5_000) {
        sink.handle(&[event], &desk.venue);
    }
    notebook.be_busy(false);
    sink.on_tick(&desk.venue);
    assert_eq!((stats.dropped.read(), stats.refused.read()), (0, 0));
    assert!(stats.conflated.read() > 4_000, "{}", stats.conflated.read());
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
    let mut sink = Publisher::new("kraken", hub, Map::new("kraken", &MapConfig::default()).unwrap());
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
