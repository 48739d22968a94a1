//! The Tapeline library: connect to a hub, publish, subscribe.
//!
//! It owns the client's side of the native protocol, and a hub for one process (`memory://`). It refuses to know
//! exchanges, trading logic and user interfaces.
//!
//! # Hello world
//!
//! ```
//! #[tokio::main]
//! async fn main() -> Result<(), tapeline::Error> {
//!     let bus = tapeline::connect("memory://").await?;
//!     let mut greetings = bus.subscribe_stream("greetings").await?;
//!     bus.publish("greetings", "hello world").await?;
//!     println!("{:?}", greetings.next().await);
//! #   bus.publish("greetings", "again").await?;
//! #   let again = greetings.next().await.expect("data arrives");
//! #   assert_eq!(again.message().expect("a message").data(), "again");
//!     Ok(())
//! }
//! ```
//!
//! `ws://127.0.0.1:8000` instead of `memory://` talks to a hub that was started with `tapeline serve`.
//!
//! # Market data
//!
//! One price reaches subscribers of the symbol, of all market data and of all price updates, each once.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), tapeline::Error> {
//! let bus = tapeline::connect("memory://market-data").await?;
//! let mut streams = Vec::new();
//! for name in ["market_data:AAPL", "market_data", "price_updates"] {
//!     streams.push(bus.subscribe_stream(name).await?);
//! }
//! bus.publish_market_data("AAPL", 187.2, 0.4, 1200.0).await?;
//! bus.publish_market_data("AAPL", 187.3, 0.1, 1300.0).await?;
//! for mut stream in streams {
//!     # // The newest price counts: the first may have been replaced by the second while it waited.
//!     let mut prices = Vec::new();
//!     while prices.last() != Some(&187.3) {
//!         let event = stream.next().await.expect("data arrives");
//!         let update: tapeline::events::PriceUpdate = event.message().expect("a message").parse()?;
//!         prices.push(update.price);
//!     }
//!     # assert!(prices == [187.2, 187.3] || prices == [187.3], "{prices:?}");
//! }
//! # Ok(()) }
//! ```
//!
//! # Trades
//!
//! A trade is never skipped unsaid, and reaches subscribers of the portfolio and of all trades.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), tapeline::Error> {
//! use tapeline::events::TradeType;
//! let bus = tapeline::connect("memory://trades").await?;
//! let mut mine = bus.subscribe_stream("trades:portfolio-123").await?;
//! let mut all = bus.subscribe_stream("trades").await?;
//! for quantity in [1.0, 2.0, 3.0] {
//!     bus.publish_trade("portfolio-123", "AAPL", TradeType::Buy, quantity, 187.2).await?;
//! }
//! for stream in [&mut mine, &mut all] {
//!     for quantity in [1.0, 2.0, 3.0] {
//!         let event = stream.next().await.expect("data arrives");
//!         let trade = event.message().expect("a message");
//!         assert_eq!(trade.get("quantity").and_then(|quantity| quantity.as_f64()), Some(quantity));
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # Calling a function
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), tapeline::Error> {
//! let bus = tapeline::connect("memory://calls").await?;
//! # let (seen, mut arrived) = tokio::sync::mpsc::channel(1);
//! bus.subscribe("market_data", move |message: tapeline::PubSubMessage| {
//!     # let seen = seen.clone();
//!     async move {
//!         println!("{} is at {:?}", message.channel(), message.get("price"));
//!         assert_eq!((message.kind(), message.topic()), ("price_update", "market_data"));
//!         assert_eq!((message.key("symbol"), message.offset()), (Some("AAPL"), 1));
//!         # assert!(message.timestamp().ends_with('Z') && message.correlation_id().is_none());
//!         # seen.send(message.get("price").cloned()).await.expect("somebody listens");
//!     }
//! })
//! .await?;
//! bus.publish_market_data("AAPL", 187.2, 0.4, 1200.0).await?;
//! # assert_eq!(arrived.recv().await.flatten(), Some(187.2.into()));
//! # Ok(()) }
//! ```
//!
//! # Events of your own
//!
//! Any JSON, on any channel, of any type, with a correlation id that is carried end to end.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), tapeline::Error> {
//! let bus = tapeline::connect("memory://custom").await?;
//! let mut desk = bus.subscribe_stream("desk.*").await?;
//! let plan = serde_json::json!({"sell": ["TSLA"]});
//! bus.publish("desk.london", &plan).kind("rebalance").correlation_id("order-7").await?;
//! let event = desk.next().await.expect("data arrives");
//! let message = event.message().expect("a message");
//! assert_eq!((message.channel(), message.kind()), ("desk.london", "rebalance"));
//! assert_eq!((message.data(), message.correlation_id()), (&plan, Some("order-7")));
//! # Ok(()) }
//! ```
//!
//! # Tables
//!
//! ```
//! # fn take(table: &mut tapeline::Table, message: &tapeline::PubSubMessage) -> Result<(), tapeline::Error> {
//! // let mut table = Table::of("orderbook_rows:BTC/USD") once, then for each message:
//! table.apply(message)?;
//! let best_bid = table.book().bids.first().cloned();
//! # let _ = best_bid;
//! # Ok(()) }
//! ```
//!
//! # What is promised
//!
//! - A bus that was connected stays so: it connects again by itself, after random waits, and subscriptions go on
//!   where they stopped. Messages of `every` channels come in order and once; what cannot be had any more is said as
//!   [`Event::Gap`], logged and counted in [`EventBus::statistics`].
//! - A publish waits through a loss, and is taken once although it may be sent twice.
//! - Every queue is bounded ([`Settings`]). A slow subscriber costs others nothing: of `latest` channels it gets the
//!   newest values, of others it reads what it missed from the hub when it has room.

mod address;
mod base_channel;
mod broker;
mod bus;
mod error;
mod event;
mod frame;
mod history;
mod link;
mod message;
mod private_hub;
mod publish;
mod queue;
mod session;
mod settings;
mod socket;
mod store;
mod subscribe;
mod subscription;
mod table;
mod token;
mod training;
mod typed;

pub use base_channel::BaseChannel;
pub use broker::{BrokerType, MessageBroker, MessageBrokerConfig, Subscriber, get_message_broker};
pub use bus::{EventBus, Statistics, connect, connect_with};
pub use error::Error;
pub use event::{Event, Gap, Notice};
pub use history::History;
pub use link::ConnectionState;
pub use message::{Place, PubSubMessage};
pub use publish::{Publish, Published};
pub use settings::Settings;
pub use store::{DeleteValue, SetValue, Store, StoreEntry, StorePage};
pub use subscribe::{Done, Later, Subscribe, Task};
pub use subscription::{Events, Subscription};
pub use table::{Book, Table};
pub use tapeline_schema::{Delivery, ErrorCode, Retry, events};
pub use token::TokenSource;
pub use training::{Experiment, ExperimentError, Sent, TrainingChannel, TrainingStatistics, Update, Updates};
pub use typed::{CatalogEvent, NamesItsChannel};

/// The Rust of the pages is run with the doc tests, so that it can be pasted.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/library.md")]
    struct Library;
    #[doc = include_str!("../../../docs/training.md")]
    struct Training;
}
