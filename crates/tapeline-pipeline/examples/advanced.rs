//! Advanced setup: numbers of one's own, a venue's feed as the source, decimals kept as text, a callback beside the
//! components. `cargo run -p tapeline-pipeline --example advanced`
//!
//! The feed is Kraken's session, shown messages that were captured from the venue; in production `tapeline_feeds::live`
//! drives the same session over a socket.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tapeline_core::feed::Update;
use tapeline_feeds::kraken::{KrakenSettings, Session as Kraken};
use tapeline_feeds::venue::{Session, Step};
use tapeline_pipeline::config::{AlertConfig, PerformanceConfig, QueueConfig};
use tapeline_pipeline::roles::{Member, Methods, Role};
use tapeline_pipeline::transform::Transform;
use tapeline_pipeline::{Complete, ComponentOptions, Initializer, Pushed, Refusal, Source};
use tapeline_schema::Priority;

const CAPTURED: [&str; 2] = [
    include_str!("../../tapeline-feeds/tests/captured/one-of-every-kind.jsonl"),
    include_str!("../../tapeline-feeds/tests/captured/book-depth10.jsonl"),
];

/// Critical updates that a component has no room for, nor its dead letters.
const UNPLACED: usize = 1_000;

/// A socket cannot be made to wait: what finds no room is conflated, dropped or kept as a dead letter. Only a critical
/// update may be refused, and then it is still ours: it is offered again, in order, before what comes later. When there
/// are too many, the feed is to be ended, and balances and executions asked for anew once there is room.
struct Offers {
    source: Source,
    unplaced: VecDeque<Arc<Update>>,
}

impl Offers {
    fn offer(&mut self, update: Update) -> Result<(), Refusal> {
        let is_critical = update.channel.priority() == Priority::Critical;
        if !is_critical {
            self.told(self.source.push(update));
            return self.offer_again();
        }
        self.unplaced.push_back(Arc::new(update));
        self.offer_again()
    }

    fn offer_again(&mut self) -> Result<(), Refusal> {
        while let Some(first) = self.unplaced.front() {
            match self.source.push(first.clone()) {
                Pushed::Refused(Refusal::NoRoom) if self.unplaced.len() <= UNPLACED => return Ok(()),
                Pushed::Refused(refusal) => return Err(refusal),
                pushed => self.told(pushed),
            }
            self.unplaced.pop_front();
        }
        Ok(())
    }

    fn told(&self, pushed: Pushed) {
        match pushed {
            Pushed::Accepted | Pushed::Repeated => {}
            Pushed::Invalid(why) => eprintln!("left out: {why}"),
            Pushed::Refused(why) => eprintln!("not taken: {why}"),
        }
    }
}

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

    let name = Arc::from("kraken");
    let mut offers = Offers { source: initializer.source()?, unplaced: VecDeque::new() };
    let clock = integrator.pipeline().clock().clone();
    let symbols = ["BTC/USD", "ETH/USD", "MATIC/USD"].map(Into::into).to_vec();
    let mut session = Kraken::new(KrakenSettings { symbols, ..KrakenSettings::default() }, 1)?;
    let mut events = Vec::new();
    while !matches!(session.next(clock.now(), &mut events), Step::Connect { .. }) {}
    session.on_open(clock.now());
    for line in CAPTURED.iter().flat_map(|captured| captured.lines()) {
        session.on_text(line, clock.now(), &mut events);
        for event in std::mem::take(&mut events) {
            // Of a book, the ten best levels a side as they are now; other events are for whoever runs the feed.
            if let Some(update) = event.update(&name, &session, 10) {
                offers.offer(update)?;
            }
        }
    }
    // Before the end there is time to wait for room.
    for update in std::mem::take(&mut offers.unplaced) {
        offers.told(offers.source.push_wait(update));
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
