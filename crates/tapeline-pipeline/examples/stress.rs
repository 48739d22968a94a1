//! Stress test: more than some components can take, and an account of every message.
//! `cargo run --release -p tapeline-pipeline --example stress [MESSAGES]`
//!
//! Four components get the same messages: one takes them all, one is slow, one fails now and then, one panics. What they
//! cannot take is conflated, dropped or kept as dead letters, each counted; the two sides of every account are equal.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tapeline_core::feed::{Update, UpdateKind, VenueChannel};
use tapeline_pipeline::Initializer;
use tapeline_pipeline::component::Failure;
use tapeline_pipeline::roles::{Methods, Object};

const CHANNELS: [&str; 5] = ["ticker", "book", "trade", "ohlc", "executions"];
const SYMBOLS: [&str; 4] = ["BTC/USD", "ETH/USD", "SOL/USD", "ADA/USD"];

fn components() -> [(&'static str, Arc<dyn Object>); 4] {
    let every = |number: u64| {
        let calls = Arc::new(AtomicU64::new(0));
        move || calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(number)
    };
    let (is_slow, fails, panics) = (every(50), every(100), every(1_000));
    let fast = Methods::new().on("process_websocket_data", |_, _| async {});
    let slow = Methods::new().on("process_websocket_data", move |_, _| {
        let is_slow = is_slow();
        async move {
            if is_slow {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let failing = Methods::new().on("process_websocket_data", move |_, _| {
        let answer =
            if fails() { Err(Failure::Permanent("it does not like this one".into())) } else { Ok(()) };
        async move { answer }
    });
    let panicking = Methods::new().on("process_websocket_data", move |_, _| {
        let panics = panics();
        async move { assert!(!panics, "a bug") }
    });
    [
        ("fast", Arc::new(fast)),
        ("slow", Arc::new(slow)),
        ("failing", Arc::new(failing)),
        ("panicking", Arc::new(panicking)),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let messages: u64 = std::env::args().nth(1).map_or(Ok(200_000), |text| text.parse())?;
    // The panics are wanted; the default hook would print each.
    std::panic::set_hook(Box::new(|_| {}));
    let initializer = Initializer::new("stress", ());
    initializer.initialize_high_performance()?;
    let integrator = initializer.integrator()?;
    for (name, object) in components() {
        integrator.register_additional_component(name, object, &CHANNELS)?;
    }
    let (source, clock) = (initializer.source()?, integrator.pipeline().clock().clone());
    let channels = CHANNELS.map(VenueChannel::named);
    let symbols: [Arc<str>; 4] = SYMBOLS.map(Into::into);
    let name: Arc<str> = "stress".into();

    let started = Instant::now();
    for number in 0..messages {
        let channel = channels.iter().cycle().nth(number as usize % 5).cloned().ok_or("five channels")?;
        let symbol = symbols.iter().cycle().nth(number as usize / 5 % 4).cloned();
        let update = Update {
            source: name.clone(),
            channel,
            kind: UpdateKind::Change,
            symbol,
            data: format!(r#"{{"number":{number}}}"#).into(),
            id: None,
            sequence: Some(number),
            venue_us: None,
            received: clock.now(),
        };
        // Executions are critical: they wait for room, and are never dropped.
        let _ = source.push_wait(update);
    }
    let pushed = started.elapsed();
    let stats = initializer.stop(Duration::from_secs(60));
    let took = started.elapsed().as_secs_f64();

    println!("{messages} messages pushed in {:.2} s, done after {took:.2} s", pushed.as_secs_f64());
    println!(
        "{:<10} {:>9} {:>9} {:>9} {:>8} {:>8} {:>6}",
        "", "accepted", "delivered", "conflated", "dropped", "letters", "queued"
    );
    let mut is_balanced = true;
    for (name, counts) in stats.components.iter().filter(|(name, _)| *name != "monitor") {
        let [dropped, letters] = [&counts.dropped, &counts.dead_lettered].map(|by| by.values().sum::<u64>());
        let queued: u64 = counts.queued.iter().sum();
        let (accepted, delivered, conflated) = (counts.accepted, counts.delivered, counts.conflated);
        println!(
            "{name:<10} {accepted:>9} {delivered:>9} {conflated:>9} {dropped:>8} {letters:>8} {queued:>6}"
        );
        is_balanced &= counts.balances();
    }
    for (name, counts) in &stats.sources {
        println!("source {name}: {counts:?}");
        is_balanced &=
            counts.taken_in == counts.invalid + counts.deduplicated + counts.refused + counts.accepted;
    }
    if !is_balanced {
        return Err("the accounts do not balance".into());
    }
    println!("every account balances");
    Ok(())
}
