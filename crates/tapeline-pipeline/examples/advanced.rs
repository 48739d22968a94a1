//! Advanced setup: numbers of one's own, a venue's feed as the source, decimals kept as text, a callback beside the
//! components. `cargo run -p tapeline-pipeline --example advanced`
//!
//! The feed is Kraken's session, shown messages that were captured from the venue; in production `tapeline_feeds::live`
//! drives the same session over a socket.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tapeline_feeds::kraken::{KrakenSettings, Session as Kraken};
use tapeline_feeds::venue::{Session, Step};
use tapeline_pipeline::config::{AlertConfig, PerformanceConfig, QueueConfig};
use tapeline_pipeline::roles::{Member, Methods, Role};
use tapeline_pipeline::transform::Transform;
use tapeline_pipeline::{Complete, ComponentOptions, Initializer};

const CAPTURED: [&str; 2] = [
    include_str!("../../tapeline-feeds/tests/captured/one-of-every-kind.jsonl"),
    include_str!("../../tapeline-feeds/tests/captured/book-depth10.jsonl"),
];

/// Levels a side of a book that components are given.
const LEVELS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let initializer = Initializer::new("kraken", ());
    initializer.initialize_complete(Complete {
        queue_config: Some(QueueConfig { max_size: 2_000, timeout_seconds: 0.5, ..QueueConfig::default() }),
        performance_config: Some(PerformanceConfig {
            max_processing_time_ms: 10.0,
            ..PerformanceConfig::default()
        }),
        alert_config: Some(AlertConfig {
            max_latency_ms: 50.0,
            max_error_rate_percent: 5.0,
            ..AlertConfig::default()
        }),
        ..Complete::default()
    })?;
    let integrator = initializer.integrator()?;

    // This strategy counts in decimals, so it is given digits as text.
    let strategy = Methods::new()
        .on("on_ticker_update", |symbol, data| async move {
            println!("strategy  {symbol} last {}", data.text("last").unwrap_or_default());
        })
        .on("on_orderbook_update", |_, _| async {});
    let member =
        Member::new(Role::StrategyManager, Arc::new(strategy)).with_transform(Transform::digits_as_strings());
    integrator.register("decimal_strategy", member, ComponentOptions::default())?;
    integrator.set_callback("trade", |update| async move {
        println!("callback  {} traded", update.symbol.as_deref().unwrap_or("?"));
    })?;

    let source = initializer.source()?;
    let clock = integrator.pipeline().clock().clone();
    let symbols = ["BTC/USD", "ETH/USD", "MATIC/USD"].map(Into::into).to_vec();
    let mut session = Kraken::new(KrakenSettings { symbols, ..KrakenSettings::default() }, 1)?;
    let (name, mut events) = (Arc::from("kraken"), Vec::new());
    while !matches!(session.next(clock.now(), &mut events), Step::Connect { .. }) {}
    session.on_open(clock.now());
    for line in CAPTURED.iter().flat_map(|captured| captured.lines()) {
        session.on_text(line, clock.now(), &mut events);
        for event in std::mem::take(&mut events) {
            if let Some(update) = event.update(&name, &session, LEVELS) {
                // A socket cannot be made to wait; what finds no room is conflated, dropped or kept as a dead letter.
                let _ = source.push(update);
            }
        }
    }

    let stats = initializer.stop(Duration::from_secs(5));
    for (name, component) in &stats.components {
        println!(
            "{name}: {} accepted, {} delivered, {} conflated",
            component.accepted, component.delivered, component.conflated
        );
    }
    println!("books checked: {} failures", session.counts().checksum_failures);
    Ok(())
}
