//! A bus against a real hub inside of this process: what subscribers get, and what a slow or broken one costs others.
//! Each test has a hub of its own.

#![expect(clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tapeline::events::{BookRow, BookSide, Level};
use tapeline::{Delivery, Error, ErrorCode, Event, EventBus, Events, Gap, PubSubMessage, Settings, Table};
use tokio::sync::{Semaphore, mpsc};

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn bus(name: &str) -> EventBus {
    tapeline::connect(&format!("memory://{name}")).await.expect("a hub of one's own always answers")
}

async fn with_queue(name: &str, queue_messages: usize) -> EventBus {
    let settings = Settings { queue_messages, ..Settings::default() };
    tapeline::connect_with(&format!("memory://{name}"), settings).await.expect("the hub answers")
}

async fn next(events: &mut Events) -> Event {
    tokio::time::timeout(PATIENCE, events.next()).await.expect("an event is due").expect("it goes on")
}

async fn message(events: &mut Events) -> PubSubMessage {
    match next(events).await {
        Event::Message(message) => message,
        other => panic!("a message was due: {other:?}"),
    }
}

async fn publish_numbers(bus: &EventBus, channel: &str, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        bus.publish(channel, n).await.expect("the hub takes it");
    }
}

async fn publish_trades(bus: &EventBus, channel: &str, count: u32) {
    for n in 1..=count {
        let id = channel.strip_prefix("trades:").expect("a channel of trades");
        let trade = bus.publish_trade(id, "AAPL", tapeline::events::TradeType::Buy, f64::from(n), 1.0);
        trade.await.expect("the hub takes it");
    }
}

#[tokio::test]
async fn each_subscriber_of_one_name_gets_its_own_copy_once() {
    let bus = bus("copies").await;
    let mut first = bus.subscribe_stream("desk").await.unwrap();
    let mut second = bus.subscribe_stream("desk").await.unwrap();
    publish_numbers(&bus, "desk", 1..=3).await;
    for stream in [&mut first, &mut second] {
        for n in 1..=3 {
            assert_eq!(message(stream).await.data(), n);
        }
    }
    drop(first);
    publish_numbers(&bus, "desk", 4..=4).await;
    assert_eq!(message(&mut second).await.data(), 4);
    assert_eq!(bus.publish("desk", 5).await.unwrap().subscribers, 1);
    second.unsubscribe().await;
    // Requests are handled in order, so the hub has heard of the end before the next publish.
    assert_eq!(bus.publish("desk", 6).await.unwrap().subscribers, 0);
}

#[tokio::test]
async fn who_comes_late_gets_the_last_price_although_the_session_had_it() {
    let bus = bus("late").await;
    let mut all = bus.subscribe_stream("market_data").await.unwrap();
    bus.publish_market_data("AAPL", 1.5, 0.0, 1.0).await.unwrap();
    assert_eq!(message(&mut all).await.offset(), 1);
    for name in ["market_data:AAPL", "market_data", "market_*"] {
        let mut late = bus.subscribe_stream(name).await.unwrap();
        assert_eq!(message(&mut late).await.get("price"), Some(&json!(1.5)), "{name}");
    }
    bus.publish_market_data("AAPL", 1.6, 0.1, 1.0).await.unwrap();
    assert_eq!(message(&mut all).await.offset(), 2, "the first subscriber gets nothing twice");
}

#[tokio::test]
async fn a_subscription_begins_after_the_place_that_it_asks_for() {
    let bus = bus("since").await;
    publish_numbers(&bus, "desk", 1..=5).await;
    let epoch = bus.last("desk").await.unwrap().expect("there is a last one").epoch().to_string();
    let mut live = bus.subscribe_stream("desk").await.unwrap();
    let mut from_two = bus.subscribe_stream("desk").since(2, &*epoch).await.unwrap();
    let mut from_start = bus.subscribe_stream("desk").since(0, None).await.unwrap();
    publish_numbers(&bus, "desk", 6..=6).await;
    assert_eq!(message(&mut live).await.data(), 6);
    for n in 3..=6 {
        assert_eq!(message(&mut from_two).await.data(), n);
    }
    for n in 1..=6 {
        assert_eq!(message(&mut from_start).await.data(), n);
    }
}

#[tokio::test]
async fn what_is_no_longer_kept_is_said_as_a_gap() {
    let bus = bus("trimmed").await;
    // An undeclared channel keeps 256.
    publish_numbers(&bus, "desk", 1..=300).await;
    let mut events = bus.subscribe_stream("desk").since(10, None).await.unwrap();
    let gap = Gap { channel: "desk".into(), from: 11, to: Some(44), reason: "trimmed".into() };
    assert!(matches!(next(&mut events).await, Event::Gap(told) if told == gap));
    for n in 45..=300 {
        assert_eq!(message(&mut events).await.data(), n);
    }
    assert_eq!((bus.statistics().gaps, bus.statistics().missed), (1, 34));
}

#[tokio::test]
async fn a_function_that_is_called_is_told_of_gaps_too() {
    let bus = bus("gap-call").await;
    publish_numbers(&bus, "desk", 1..=300).await;
    let (told, mut gaps) = mpsc::channel(1);
    let calls = bus.subscribe("desk", |_| ()).since(10, None);
    let calls = calls.on_gap(move |gap| told.try_send(gap).expect("one gap")).await.unwrap();
    assert_eq!(gaps.recv().await.map(|gap| gap.to), Some(Some(44)));
    calls.unsubscribe().await;
}

#[tokio::test]
async fn an_epoch_that_is_not_the_channels_voids_the_place() {
    let bus = bus("epoch").await;
    publish_numbers(&bus, "desk", 1..=2).await;
    let mut events = bus.subscribe_stream("desk").since(7, "other").await.unwrap();
    let gap = Gap { channel: "desk".into(), from: 8, to: None, reason: "epoch".into() };
    assert!(matches!(next(&mut events).await, Event::Gap(told) if told == gap));
    assert_eq!(message(&mut events).await.data(), 1);
    assert_eq!(message(&mut events).await.data(), 2);
}

#[tokio::test]
async fn a_slow_subscriber_gets_every_trade_in_order_and_holds_up_nobody() {
    let bus = with_queue("slow", 8).await;
    let mut slow = bus.subscribe_stream("trades:p1").await.unwrap();
    let mut slow_roll_up = bus.subscribe_stream("trades").await.unwrap();
    let mut slow_pattern = bus.subscribe_stream("trades:*").await.unwrap();
    let mut quick = bus.subscribe_stream("desk").await.unwrap();
    publish_trades(&bus, "trades:p1", 200).await;
    publish_numbers(&bus, "desk", 1..=1).await;
    assert_eq!(message(&mut quick).await.data(), 1, "nobody has read a trade yet");
    for stream in [&mut slow, &mut slow_roll_up, &mut slow_pattern] {
        for n in 1..=200 {
            assert_eq!(message(stream).await.offset(), n, "{}", stream.name());
        }
    }
    assert_eq!(bus.statistics().gaps, 0);
    publish_trades(&bus, "trades:p1", 1).await;
    for stream in [&mut slow, &mut slow_roll_up, &mut slow_pattern] {
        assert_eq!(message(stream).await.offset(), 201, "{} is live again", stream.name());
    }
}

#[tokio::test]
async fn a_slow_subscriber_of_prices_gets_the_newest_of_each_symbol() {
    let bus = with_queue("newest", 8).await;
    let mut prices = bus.subscribe_stream("market_data").await.unwrap();
    for price in 1..=50 {
        for symbol in ["AAPL", "TSLA"] {
            bus.publish_market_data(symbol, f64::from(price), 0.0, 1.0).await.unwrap();
        }
    }
    // What the hub sent before its answer to this has arrived before it.
    bus.last("market_data:TSLA").await.unwrap();
    let mut newest = Vec::new();
    while newest.len() < 2 {
        let message = message(&mut prices).await;
        if message.get("price") == Some(&json!(50.0)) {
            newest.push(message.channel().to_string());
        }
    }
    newest.sort();
    assert_eq!(newest, ["market_data:AAPL", "market_data:TSLA"]);
    assert!(prices.conflated() > 50, "{}", prices.conflated());
}

#[tokio::test]
async fn every_asked_of_prices_brings_each_or_a_gap() {
    let bus = with_queue("every-price", 8).await;
    let mut prices = bus.subscribe_stream("market_data:AAPL").delivery(Delivery::Every).await.unwrap();
    for price in 1..=50 {
        bus.publish_market_data("AAPL", f64::from(price), 0.0, 1.0).await.unwrap();
    }
    let (mut reached, mut missed) = (0, 0);
    while reached < 50 {
        match next(&mut prices).await {
            Event::Message(message) => {
                assert_eq!(message.offset(), reached + 1);
                reached = message.offset();
            }
            Event::Gap(gap) => {
                assert_eq!(gap.from, reached + 1);
                reached = gap.to.expect("the end is known");
                missed += reached + 1 - gap.from;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(missed > 0, "nothing but the last is kept, and the queue holds 8");
    assert_eq!(bus.statistics().missed, missed);
}

#[tokio::test]
async fn a_function_that_panics_costs_one_message() {
    let bus = bus("panic").await;
    let (seen, mut arrived) = mpsc::channel(8);
    let call = move |message: PubSubMessage| {
        let seen = seen.clone();
        async move {
            assert_ne!(message.data(), 2, "this call panics, as the test wants");
            seen.send(message.offset()).await.expect("somebody listens");
        }
    };
    bus.subscribe("desk", call).await.unwrap();
    publish_numbers(&bus, "desk", 1..=3).await;
    assert_eq!([arrived.recv().await, arrived.recv().await], [Some(1), Some(3)]);
    assert_eq!(bus.statistics().panics, 1);
}

#[tokio::test]
async fn a_function_that_hangs_holds_up_neither_others_nor_publishing() {
    let bus = with_queue("hang", 4).await;
    let door = Arc::new(Semaphore::new(0));
    let (seen, mut arrived) = mpsc::channel(100);
    let hanging = (door.clone(), seen);
    let call = move |message: PubSubMessage| {
        let (door, seen) = hanging.clone();
        async move {
            door.acquire().await.expect("the door stays").forget();
            seen.send(message.offset()).await.expect("somebody listens");
        }
    };
    bus.subscribe("desk", call).await.unwrap();
    let mut other = bus.subscribe_stream("desk").await.unwrap();
    for n in 1..=40 {
        publish_numbers(&bus, "desk", n..=n).await;
        assert_eq!(message(&mut other).await.data(), n);
    }
    door.add_permits(40);
    for n in 1..=40 {
        assert_eq!(arrived.recv().await, Some(n));
    }
}

#[tokio::test]
async fn a_function_that_returns_nothing_will_do_and_ends_when_told_to() {
    let bus = bus("plain").await;
    let (seen, mut arrived) = mpsc::channel(8);
    let calls = bus.subscribe("desk", move |message| seen.try_send(message.offset()).unwrap()).await.unwrap();
    publish_numbers(&bus, "desk", 1..=1).await;
    assert_eq!(arrived.recv().await, Some(1));
    calls.unsubscribe().await;
    publish_numbers(&bus, "desk", 2..=2).await;
    assert_eq!(arrived.recv().await, None, "the function is gone, and its end of the channel with it");
}

#[tokio::test]
async fn dropping_a_standing_order_does_not_end_it() {
    let bus = bus("dropped").await;
    let (seen, mut arrived) = mpsc::channel(8);
    drop(bus.subscribe("desk", move |message| seen.try_send(message.offset()).unwrap()).await.unwrap());
    publish_numbers(&bus, "desk", 1..=1).await;
    assert_eq!(arrived.recv().await, Some(1));
}

#[tokio::test]
async fn a_key_of_ones_own_is_taken_once() {
    let bus = bus("keys").await;
    let first = bus.publish("desk", 1).idempotency_key("order-7").await.unwrap();
    let again = bus.publish("desk", 1).idempotency_key("order-7").await.unwrap();
    assert_eq!((again.duplicate, again.offset, &again.id), (true, first.offset, &first.id));
    let (one, two) = (bus.publish("desk", 1).await.unwrap(), bus.publish("desk", 1).await.unwrap());
    assert_eq!((one.offset, two.offset), (2, 3), "without a key equal publishes are two");
}

#[tokio::test]
async fn history_comes_in_pages_and_the_last_value_alone() {
    let bus = bus("history").await;
    publish_numbers(&bus, "desk", 1..=5).await;
    let page = bus.history("desk", None, 3).await.unwrap();
    let offsets =
        |history: &tapeline::History| history.messages.iter().map(PubSubMessage::offset).collect::<Vec<_>>();
    assert_eq!(offsets(&page), [1, 2, 3]);
    let rest = bus.history("desk", page.next.as_ref(), 3).await.unwrap();
    assert_eq!((offsets(&rest), &rest.next), (vec![4, 5], &None));
    assert_eq!(bus.last("desk").await.unwrap().map(|message| message.offset()), Some(5));
    assert!(bus.last("nothing").await.unwrap().is_none());
}

#[tokio::test]
async fn refusals_come_back_as_results_with_the_hubs_code() {
    let bus = bus("refusals").await;
    let code = |error: Error| error.code();
    let refused = bus.subscribe_stream("two words").await.err().and_then(code);
    assert_eq!(refused, Some(ErrorCode::BadChannel));
    let refused = bus.subscribe_stream("[").await.err();
    assert!(refused.is_none() || refused.and_then(code) == Some(ErrorCode::BadPattern));
    let refused = bus.subscribe_stream("trades:p1").delivery(Delivery::Latest).await.err().and_then(code);
    assert_eq!(refused, Some(ErrorCode::UnsupportedDelivery));
    let refused = bus.publish("desk", 1).kind("heartbeat").await.err().and_then(code);
    assert_eq!(refused, Some(ErrorCode::ReservedType));
    let refused = bus.publish("trades:p1", json!({"symbol": "AAPL"})).await.err().and_then(code);
    assert_eq!(refused, Some(ErrorCode::InvalidData));
    let refused = bus.history("market_data", None, 10).await.err().and_then(code);
    assert_eq!(refused, Some(ErrorCode::NoHistory));
    let refused = bus.subscribe_stream("desk.*").since(1, None).await.err();
    assert!(refused.is_some_and(|error| error.to_string().contains("no count of its own")));
    let mut events = bus.subscribe_stream("trades:p1").await.unwrap();
    publish_trades(&bus, "trades:p1", 1).await;
    assert_eq!(message(&mut events).await.offset(), 1, "what was refused has harmed nothing");
}

#[tokio::test]
async fn too_large_a_publish_is_refused_before_it_is_sent() {
    let bus = bus("large").await;
    let error = bus.publish("desk", "x".repeat(2 << 20)).await.unwrap_err();
    assert!(error.to_string().contains("Settings::publish_bytes"), "{error}");
    assert_eq!(error.retry(), tapeline::Retry::Never);
    assert_eq!(bus.publish("desk", "x").await.unwrap().offset, 1);
}

#[tokio::test]
async fn one_name_is_one_hub_and_another_name_another() {
    let (one, same, other) = (bus("shared").await, bus("shared").await, bus("unshared").await);
    let mut heard = same.subscribe_stream("desk").await.unwrap();
    assert_eq!(other.publish("desk", 1).await.unwrap().subscribers, 0);
    assert_eq!(one.publish("desk", 2).await.unwrap().subscribers, 1);
    assert_eq!(message(&mut heard).await.data(), 2);
}

#[tokio::test]
async fn closing_ends_streams_and_refuses_what_comes_after() {
    let bus = bus("closing").await;
    let events = bus.subscribe_stream("desk").await.unwrap();
    publish_numbers(&bus, "desk", 1..=1).await;
    bus.close().await;
    let rest: Vec<Event> = events.collect().await;
    assert!(matches!(rest.as_slice(), [Event::Message(_), Event::Ended(Error::BusClosed)]), "{rest:?}");
    assert_eq!(bus.publish("desk", 2).await, Err(Error::BusClosed));
    assert_eq!(bus.subscribe_stream("desk").await.err(), Some(Error::BusClosed));
}

#[tokio::test]
async fn a_stream_keeps_the_bus_alive() {
    let mut prices = bus("alive").await.subscribe_stream("desk").await.unwrap();
    let other = bus("alive").await;
    publish_numbers(&other, "desk", 1..=1).await;
    assert_eq!(message(&mut prices).await.data(), 1);
}

/// Reads a table until it has been changed by the message of this offset.
async fn table_at(events: &mut Events, offset: u64) -> Table {
    let mut table = Table::of(events.name()).expect("a family of tables");
    while table.place().is_none_or(|place| place.offset < offset) {
        table.apply(&message(events).await).expect("rows have their key");
    }
    table
}

#[tokio::test]
async fn slow_and_late_readers_of_a_table_hold_the_same_book() {
    let bus = with_queue("tables", 4).await;
    let mut slow = bus.subscribe_stream("orderbook_rows:BTC/USD").await.unwrap();
    let level = |side, price: i32, quantity: i32| BookRow(side, f64::from(price), f64::from(quantity));
    let all = [level(BookSide::B, 1, 1), level(BookSide::A, 100, 1)];
    bus.publish_orderbook_snapshot("BTC/USD", &all).await.unwrap();
    for price in 2..=40 {
        let changes = [level(BookSide::B, price, price), level(BookSide::B, price - 1, 0)];
        bus.publish_orderbook_rows("BTC/USD", &changes).await.unwrap();
    }
    let mut late = bus.subscribe_stream("orderbook_rows:BTC/USD").await.unwrap();
    let held = table_at(&mut slow, 40).await;
    assert_eq!(held.book().bids, [Level(40.0, 40.0)]);
    assert_eq!(held.book().asks, [Level(100.0, 1.0)]);
    assert_eq!(table_at(&mut late, 40).await, held);
    bus.publish_orderbook_rows("BTC/USD", &[level(BookSide::A, 99, 5)]).await.unwrap();
    for events in [&mut slow, &mut late] {
        assert_eq!(message(events).await.offset(), 41, "it is live again");
    }
}
