//! A component of one's own, fed by a hub's messages. `cargo run -p tapeline-pipeline --example custom_component`
//!
//! The hub is in this process; `ws://127.0.0.1:8000` instead of `memory://` listens to one that runs elsewhere.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tapeline::Event;
use tapeline::events::{Level, OrderBook};
use tapeline_pipeline::component::{Failure, Handling};
use tapeline_pipeline::data::Data;
use tapeline_pipeline::quick_setup;
use tapeline_pipeline::roles::{Arguments, Arity, Object};
use tapeline_pipeline::sources::{HubMessage, from_hub, pour_async};

/// Books that are published here; a process that listens for ever does not count.
const PUBLISHED: usize = 3;

/// Any object may become a component: it says which methods it has, and is called by their names. This is how a Python
/// object is called too.
struct SpreadAnalyzer;

impl Object for SpreadAnalyzer {
    fn method(&self, name: &str) -> Option<Arity> {
        match name {
            "on_orderbook_update" => Some(Arity::KeyAndData),
            "on_balances_update" => Some(Arity::Data),
            _ => None,
        }
    }

    fn call<'a>(&'a self, method: &'a str, with: Arguments<'a>) -> Handling<'a> {
        Box::pin(async move {
            match method {
                "on_orderbook_update" => println!("{}: the spread is {:.2}", with.key, spread(with.data)?),
                _ => println!("{method}: {}", with.data),
            }
            Ok(())
        })
    }
}

/// What is wrong with the message is the message's fault: it becomes a dead letter, and the breaker does not count it.
fn spread(book: &Data) -> Result<f64, Failure> {
    let book = book.value();
    let best = |side: &str| book.pointer(&format!("/{side}/0/price"))?.as_f64();
    match (best("bids"), best("asks")) {
        (Some(bid), Some(ask)) => Ok(ask - bid),
        _ => Err(Failure::Message("a book without a best bid and ask".into())),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pipeline = quick_setup("hub", ())?;
    let integrator = pipeline.integrator()?;
    let channels = ["ticker", "orderbook", "balances"];
    integrator.register_additional_component("my_custom_analyzer", Arc::new(SpreadAnalyzer), &channels)?;
    for registered in integrator.components() {
        for channel in registered.member.channels() {
            let method = registered.member.method(channel).unwrap_or("no method, skipped and counted");
            println!("{channel} -> {method}");
        }
    }

    let bus = tapeline::connect("memory://custom-component").await?;
    let mut books = bus.subscribe_stream("orderbook:*").await?;
    let (source, clock) = (pipeline.source()?, integrator.pipeline().clock().clone());
    for (symbol, bid, ask) in [("BTC/USD", 65_972.8, 65_972.9), ("ETH/USD", 3_000.0, 3_000.5)] {
        let (bids, asks) = (Some(vec![Level(bid, 1.0)]), Some(vec![Level(ask, 2.0)]));
        let book = OrderBook {
            symbol: None,
            bids,
            asks,
            checksum: None,
            timestamp: None,
            extra: Default::default(),
        };
        bus.publish(format!("orderbook:{symbol}").as_str(), &book).await?;
    }
    bus.publish("orderbook:EMPTY", serde_json::json!({"bids": [], "asks": []})).await?;
    let (hub, mut heard, mut ready) = (Arc::from("hub"), 0, VecDeque::new());
    // It waits for room on any runtime; a plain thread calls `pour`.
    let poured = pour_async(&source, async || {
        while ready.is_empty() && heard < PUBLISHED {
            match books.next().await? {
                Event::Message(message) => {
                    heard += 1;
                    let message = HubMessage {
                        channel: message.channel(),
                        data: message.data_json().to_owned().into(),
                        id: message.id(),
                        offset: message.offset(),
                        received: clock.now(),
                    };
                    ready.extend(from_hub(&hub, &message));
                }
                // A component that counts on every message must ask for a fresh state now.
                Event::Gap(gap) => println!("{}: lost from {} on: {}", gap.channel, gap.from, gap.reason),
                Event::Notice(notice) => println!("the hub says: {}", notice.notice),
                Event::Ended(error) => {
                    println!("the subscription is over: {error}");
                    return None;
                }
            }
        }
        ready.pop_front()
    })
    .await;
    println!("poured: {} accepted, {} left out", poured.accepted, poured.left_out);
    bus.close().await;

    let stats = pipeline.stop(Duration::from_secs(5));
    for (name, component) in
        stats.components.iter().filter(|(_, component)| !component.dead_lettered.is_empty())
    {
        println!("dead letters of {name}: {:?}", component.dead_lettered);
    }
    Ok(())
}
