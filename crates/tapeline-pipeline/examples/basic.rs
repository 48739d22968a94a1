//! Basic setup: a bot's components are found by their names and get what their roles get.
//! `cargo run -p tapeline-pipeline --example basic`

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tapeline_core::feed::{Update, UpdateKind, VenueChannel};
use tapeline_pipeline::component::Handling;
use tapeline_pipeline::data::Data;
use tapeline_pipeline::quick_setup;
use tapeline_pipeline::roles::{BalanceManager, Methods, Object, balance_manager};

/// A Rust type implements the trait of its role.
struct Wallet;

impl BalanceManager for Wallet {
    fn process_websocket_update<'a>(&'a self, balances: &'a Data) -> Handling<'a> {
        Box::pin(async move {
            println!("balance_manager    {balances}");
            Ok(())
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Or it is made of closures, under the names of the document's methods.
    let trading = Methods::new()
        .on(
            "update_ticker",
            |symbol, data| async move { println!("trade_executor     {symbol} ticker {data}") },
        )
        .on_data("process_execution", |data| async move { println!("trade_executor     execution {data}") });
    let strategy = Methods::new().on("on_ticker_update", |symbol, data| async move {
        let last = data.number("last").unwrap_or_default();
        println!("strategy_manager   {symbol} is at {last}");
    });
    let bot: BTreeMap<String, Arc<dyn Object>> = BTreeMap::from([
        ("balance_manager".to_string(), balance_manager(Wallet)),
        ("trade_executor".to_string(), Arc::new(trading) as _),
        ("strategy_manager".to_string(), Arc::new(strategy) as _),
    ]);

    let pipeline = quick_setup("demo", bot)?;
    let source = pipeline.source()?;
    let clock = pipeline.integrator()?.pipeline().clock().clone();
    for (channel, symbol, data) in [
        ("balances", None, r#"[{"asset":"BTC","balance":1.20},{"asset":"USD","balance":500.00}]"#),
        ("ticker", Some("BTC/USD"), r#"{"symbol":"BTC/USD","last":65972.80}"#),
        ("executions", Some("BTC/USD"), r#"{"order_id":"O1","exec_type":"trade","last_qty":0.10}"#),
    ] {
        let update = Update {
            source: "demo".into(),
            channel: VenueChannel::named(channel),
            kind: UpdateKind::Change,
            symbol: symbol.map(Into::into),
            data: data.into(),
            id: None,
            sequence: None,
            venue_us: None,
            received: clock.now(),
        };
        println!("source             {channel}: {:?}", source.push_wait(update));
    }

    let stats = pipeline.stop(Duration::from_secs(5));
    println!("{} messages processed", stats.messages_processed);
    for (name, component) in &stats.components {
        println!("{name}: {} delivered, {} skipped", component.delivered, component.skipped);
    }
    Ok(())
}
