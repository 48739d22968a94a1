//! Performance monitoring: a component that fails for a while, what the monitor says of it, and how its dead letters are
//! looked at. `cargo run -p tapeline-pipeline --example monitoring`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tapeline_core::feed::{Update, UpdateKind, VenueChannel};
use tapeline_pipeline::component::Failure;
use tapeline_pipeline::config::{BreakerConfig, RetryConfig};
use tapeline_pipeline::dead_letters::Filter;
use tapeline_pipeline::modes::{Mode, Settings};
use tapeline_pipeline::roles::{Member, Methods, Role};
use tapeline_pipeline::{ComponentOptions, Initializer};
use tapeline_schema::events::{Alert, AlertState};

fn main() -> Result<(), Box<dyn Error>> {
    // Alerts go to the log by themselves; here they are printed too.
    let (tell, told) = sync_channel(256);
    let initializer = Initializer::new("demo", ()).with_alerts(move |alert: &Alert| {
        let _ = tell.try_send(alert.clone());
    });
    let mut settings: Settings = Mode::Balanced.settings();
    settings.performance.metrics_interval_seconds = 0.2;
    settings.retry = RetryConfig { attempts: 1, ..settings.retry };
    settings.breaker = BreakerConfig { open: Duration::from_millis(300), ..settings.breaker };
    initializer.initialize(Mode::Balanced, settings)?;

    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    let strategy =
        Methods::new().on("on_ohlc_update", move |_, _| {
            let down = down.load(Ordering::Acquire);
            async move {
                if down { Err(Failure::Transient("no connection to the database".into())) } else { Ok(()) }
            }
        });
    let member = Member::new(Role::StrategyManager, Arc::new(strategy));
    initializer.integrator()?.register("strategy_manager", member, ComponentOptions::default())?;

    let wait_for = |rule: &str, state: AlertState, number: &mut u64| -> Result<(), Box<dyn Error>> {
        loop {
            *number += 1;
            push(&initializer, *number)?;
            let Ok(alert) = told.recv_timeout(Duration::from_millis(5)) else { continue };
            let word = if alert.state == AlertState::Raised { "raised" } else { "resolved" };
            if alert.rule == rule && alert.state == state {
                println!("alert {word}: {} of {}", alert.rule, alert.source);
                return Ok(());
            }
        }
    };
    let mut number = 0;
    wait_for("breaker_open:strategy_manager", AlertState::Raised, &mut number)?;
    println!("healthy: {}", initializer.is_healthy());
    is_down.store(false, Ordering::Release);
    wait_for("breaker_open:strategy_manager", AlertState::Resolved, &mut number)?;

    let monitor = initializer.monitor().ok_or("balanced mode has a monitor")?;
    let report = monitor.performance_report();
    let current = &report.current_metrics;
    println!("throughput {:.1} msg/s", current.throughput_msgs_per_sec);
    println!("latency {:.2} ms, 99 of 100 within {:.2} ms", current.avg_latency_ms, current.latency.p99_ms);
    println!("memory {:.1} MB, errors {:.1} %", current.memory_mb, current.error_rate_percent);
    println!("{:?}", current.component_health);

    let pipeline = initializer.integrator()?.pipeline().clone();
    let letters = pipeline.dead_letters().list(&Filter::default(), 1);
    for (_, letter) in letters {
        println!("dead letter: {} of {}: {}", letter.reason.name(), letter.component, letter.error);
    }
    let path = std::env::temp_dir().join(format!("performance_report_{}.json", std::process::id()));
    monitor.export_performance_data(&path)?;
    println!(
        "exported {} keys",
        serde_json::from_slice::<serde_json::Map<_, _>>(&std::fs::read(&path)?)?.len()
    );
    std::fs::remove_file(path)?;
    println!(
        "{} metrics for Prometheus",
        monitor.metrics_text().lines().filter(|line| line.starts_with("# TYPE")).count()
    );
    initializer.stop(Duration::from_secs(5));
    Ok(())
}

fn push(initializer: &Initializer, number: u64) -> Result<(), Box<dyn Error>> {
    let clock = initializer.integrator()?.pipeline().clock().clone();
    let pushed = initializer.source()?.push(Update {
        source: "demo".into(),
        channel: VenueChannel::Ohlc,
        kind: UpdateKind::Change,
        symbol: Some("BTC/USD".into()),
        data: format!(r#"{{"symbol":"BTC/USD","close":{number}}}"#).into(),
        id: None,
        sequence: Some(number),
        venue_us: None,
        received: clock.now(),
    });
    match pushed {
        tapeline_pipeline::Pushed::Accepted => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}
