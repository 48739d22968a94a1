//! What surrounds the market on a trading desk: agents, the system's health, metrics, signals and the news.
//! Everything is made up and says so where people might read it as fact.

use serde_json::json;

use super::event::{Moment, decimal};
use super::market::Instrument;

/// A row of a table that changes now and then.
pub(super) fn agent(moment: &mut Moment<'_>) {
    let agent = moment.random.pick(&["momentum", "arbitrage", "risk"]);
    let status = moment.random.pick(&["idle", "running", "running", "waiting"]);
    let detail = match status {
        "running" => "evaluating the market",
        "waiting" => "waiting for data",
        _ => "nothing to do",
    };
    moment.publish(
        "agent_status",
        [("agent_id", json!(agent)), ("status", json!(status)), ("detail", json!(detail))],
    );
}

/// A component of the made-up system, seldom not well.
pub(super) fn health(moment: &mut Moment<'_>) {
    let component = moment.random.pick(&["execution", "pricing", "risk", "storage"]);
    let status = if moment.random.chance(95) { "ok" } else { "degraded" };
    moment.publish("system_health", [("component", json!(component)), ("status", json!(status))]);
}

/// One measurement of the made-up system.
pub(super) fn metric(moment: &mut Moment<'_>) {
    let name = moment.random.pick(&["cpu_percent", "memory_mb", "order_latency_ms", "queue_length"]);
    let value = match name {
        "cpu_percent" => moment.random.between(80, 450),
        "memory_mb" => moment.random.between(6_000, 6_400),
        "order_latency_ms" => moment.random.between(8, 60),
        _ => moment.random.between(0, 9) * 10,
    };
    moment.publish("metrics", [("name", json!(name)), ("value", decimal(value, 10))]);
}

/// A signal to buy or sell bitcoin at its price.
pub(super) fn signal(market: &[Instrument], moment: &mut Moment<'_>) {
    let Some(bitcoin) = market.iter().find(|instrument| instrument.symbol() == "BTC/USD") else { return };
    let kind = moment.random.pick(&["BUY", "SELL"]);
    moment.publish(
        "quantum_signals",
        [
            ("type", json!(kind)),
            ("price", bitcoin.price(bitcoin.ticks())),
            ("symbol", json!(bitcoin.symbol())),
        ],
    );
}

/// A headline that nobody can take for a real one.
pub(super) fn news(moment: &mut Moment<'_>) {
    let symbol = moment.random.pick(&["AAPL", "TSLA", "MSFT", "BTC/USD", "EUR/USD"]);
    let what = moment.random.pick(&[
        "traders drink their coffee",
        "nothing happened, at length",
        "an invented analyst nods",
        "a made-up index moves by a hair",
    ]);
    let time = moment.time();
    moment.publish(
        "news",
        [
            ("headline", json!(format!("Demo: {symbol}: {what}"))),
            ("symbol", json!(symbol)),
            ("source", json!("synthetic")),
            ("time", json!(time)),
        ],
    );
}
