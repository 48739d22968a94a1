//! The Rust library against the real binary: losses, restarts and limits.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

#[path = "library/cutter.rs"]
mod cutter;
#[path = "commands/relay.rs"]
mod relay;
#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::Duration;

use cutter::Cutter;
use relay::Relay;
use support::Hub;
use tapeline::events::TradeType;
use tapeline::{ConnectionState, ErrorCode, Event, EventBus, Events, Settings, connect_with};

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(60);

fn url(hub: &Hub) -> String {
    format!("ws://{}", hub.address())
}

/// Comes back fast, so that many losses take no time.
fn quick() -> Settings {
    let (backoff_base, backoff_cap) = (Duration::from_millis(2), Duration::from_millis(50));
    Settings { backoff_base, backoff_cap, ..Settings::default() }
}

async fn bus(url: &str) -> EventBus {
    connect_with(url, quick()).await.expect("the hub answers")
}

async fn trade(bus: &EventBus, quantity: u32) -> tapeline::Published {
    let publish = bus.publish_trade("p1", "AAPL", TradeType::Buy, f64::from(quantity), 1.5);
    publish.await.expect("the hub takes it")
}

async fn next(events: &mut Events) -> Event {
    let next = tokio::time::timeout(PATIENCE, events.next()).await;
    next.unwrap_or_else(|_| panic!("{}: an event is due", events.name())).expect("it goes on")
}

/// The quantities of so many trades; anything else fails.
async fn quantities(events: &mut Events, count: u32) -> Vec<u32> {
    let mut quantities = Vec::new();
    for _ in 0..count {
        let event = next(events).await;
        let message = event.message().unwrap_or_else(|| panic!("a message was due: {event:?}"));
        quantities.push(message.parse::<tapeline::events::Trade>().expect("a trade").quantity as u32);
    }
    quantities
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_trades_none_is_missing_and_none_comes_twice_through_many_cuts() {
    let hub = Hub::start();
    let cutter = Cutter::start(hub.address(), 40, 11);
    // The very first connection may be cut before the hub has answered.
    let listener = loop {
        if let Ok(bus) = connect_with(&cutter.url, quick()).await {
            break bus;
        }
    };
    let publisher = bus(&url(&hub)).await;
    let mut streams = Vec::new();
    for name in ["trades:p1", "trades", "trades:*"] {
        streams.push(listener.subscribe_stream(name).await.expect("the hub confirms, perhaps later"));
    }
    let publishing = tokio::spawn(async move {
        for quantity in 1..=1_000 {
            trade(&publisher, quantity).await;
        }
    });
    let all: Vec<u32> = (1..=1_000).collect();
    for stream in &mut streams {
        assert_eq!(quantities(stream, 1_000).await, all, "{}", stream.name());
    }
    publishing.await.expect("all were published");
    assert!(cutter.cuts() >= 20, "only {} cuts", cutter.cuts());
    assert!(listener.statistics().reconnects >= 10, "{:?}", listener.statistics());
    assert_eq!(listener.statistics().gaps, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_through_cuts_is_published_once_and_in_order() {
    let hub = Hub::start();
    let listener = bus(&url(&hub)).await;
    let mut trades = listener.subscribe_stream("trades:p1").await.unwrap();
    let cutter = Cutter::start(hub.address(), 30, 5);
    let publisher = loop {
        if let Ok(bus) = connect_with(&cutter.url, quick()).await {
            break bus;
        }
    };
    let publishing = tokio::spawn(async move {
        let mut duplicates = 0;
        for quantity in 1..=600 {
            duplicates += u32::from(trade(&publisher, quantity).await.duplicate);
        }
        (duplicates, publisher.statistics().reconnects)
    });
    let all: Vec<u32> = (1..=600).collect();
    assert_eq!(quantities(&mut trades, 600).await, all);
    let (duplicates, reconnects) = publishing.await.expect("all were published");
    assert!(reconnects >= 5, "{reconnects} losses");
    // Some answers were lost after the hub had published: those the hub recognised.
    assert!(duplicates > 0, "no answer was lost");
    assert_eq!(listener.last("trades:p1").await.unwrap().map(|last| last.offset()), Some(600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_while_the_hub_is_away_waits_for_it() {
    let hub = Hub::start();
    let relay = Relay::start(hub.address());
    let publisher = bus(&relay.url).await;
    let listener = bus(&url(&hub)).await;
    let mut trades = listener.subscribe_stream("trades").await.unwrap();
    let mut state = publisher.state();
    relay.refuse();
    state.wait_for(|state| *state == ConnectionState::Connecting).await.unwrap();
    let waiting = tokio::spawn(async move { trade(&publisher, 7).await });
    // Whatever reaches the hub now does so directly.
    trade(&listener, 6).await;
    assert_eq!(quantities(&mut trades, 1).await, [6]);
    assert!(!waiting.is_finished());
    relay.forward_to(hub.address());
    assert_eq!(waiting.await.unwrap().offset, 2);
    assert_eq!(quantities(&mut trades, 1).await, [7]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_lost_its_memory_is_told_as_a_gap_and_then_it_goes_on() {
    let first = Hub::start();
    let relay = Relay::start(first.address());
    let bus = bus(&relay.url).await;
    let mut trades = bus.subscribe_stream("trades:p1").await.unwrap();
    let mut prices = bus.subscribe_stream("market_data").await.unwrap();
    for quantity in 1..=3 {
        trade(&bus, quantity).await;
    }
    bus.publish_market_data("AAPL", 1.5, 0.0, 1.0).await.unwrap();
    assert_eq!(quantities(&mut trades, 3).await, [1, 2, 3]);
    assert!(next(&mut prices).await.message().is_some());
    relay.refuse();
    drop(first);
    let second = Hub::start();
    relay.forward_to(second.address());
    for quantity in 4..=5 {
        trade(&bus, quantity).await;
    }
    bus.publish_market_data("AAPL", 1.6, 0.1, 1.0).await.unwrap();
    let told = next(&mut trades).await;
    let Event::Gap(gap) = &told else { panic!("a gap was due: {told:?}") };
    assert_eq!(
        (gap.channel.as_str(), gap.from, gap.to, gap.reason.as_str()),
        ("trades:p1", 4, None, "epoch")
    );
    assert_eq!(quantities(&mut trades, 2).await, [4, 5]);
    let price = next(&mut prices).await;
    assert!(
        price.message().is_some_and(|message| message.offset() == 1),
        "nothing is missing of prices: {price:?}"
    );
    assert_eq!(bus.statistics().gaps, 1);
}

#[tokio::test]
async fn limits_are_errors_that_name_the_limit() {
    let hub = Hub::with_config("[limits]\nsubscriptions_per_client = 2\nconnections_per_client = 1\n");
    let url = format!("{}/ws/desk/one", url(&hub));
    let first = bus(&url).await;
    let _one = first.subscribe_stream("a").await.unwrap();
    let two = first.subscribe_stream("b").await.unwrap();
    let _same = first.subscribe_stream("a").await.expect("one on the wire");
    let error = first.subscribe_stream("c").await.err().expect("the limit is 2");
    assert_eq!(error.code(), Some(ErrorCode::LimitSubscriptions));
    assert!(error.to_string().contains("limits.subscriptions_per_client"), "{error}");
    drop(two);
    let _three = first.subscribe_stream("c").await.expect("there is room again");
    let error = connect_with(&url, quick()).await.expect_err("the limit is 1");
    assert_eq!(error.code(), Some(ErrorCode::LimitConnections));
}

#[tokio::test]
async fn undeclared_names_are_errors_where_the_hub_is_strict() {
    let hub = Hub::with_config("strict_channels = true\n");
    let bus = bus(&url(&hub)).await;
    let error = bus.subscribe_stream("market-data:AAPL").await.err().expect("no family declares it");
    assert_eq!(error.code(), Some(ErrorCode::UndeclaredChannel));
    assert!(error.to_string().contains("did you mean market_data:AAPL?"), "{error}");
}

#[tokio::test]
async fn a_roll_up_of_a_users_own_family_reaches_its_subscribers() {
    let family = "[[channel]]\ntemplate = \"fx:{pair}\"\ntype = \"fx_rate\"\ndelivery = \"latest\"\nrolls_up_to = [\"rates\"]\n";
    let hub = Hub::with_config(family);
    let bus = bus(&url(&hub)).await;
    let mut rates = bus.subscribe_stream("rates").await.unwrap();
    bus.publish("fx:EUR/USD", 1.08).await.unwrap();
    let rate = next(&mut rates).await;
    let message = rate.message().expect("a message");
    assert_eq!(
        (message.channel(), message.kind(), message.key("pair")),
        ("fx:EUR/USD", "fx_rate", Some("EUR/USD"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_is_larger_than_the_hub_takes_fails_and_the_bus_goes_on() {
    let hub = Hub::with_config("[limits]\npublish_bytes = 1000\n");
    let bus = bus(&url(&hub)).await;
    let mut trades = bus.subscribe_stream("trades:p1").await.unwrap();
    let error = bus.publish("desk", "x".repeat(1_000_000)).await.unwrap_err();
    assert!(matches!(error, tapeline::Error::Closed { code: 1009, .. }), "{error}");
    assert!(error.to_string().contains("limits.publish_bytes"), "{error}");
    trade(&bus, 1).await;
    assert_eq!(quantities(&mut trades, 1).await, [1]);
}
