//! The monitor with a clock of its own: rates, percentiles, and every alert raised and resolved once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker as TaskWaker};
use std::time::Duration;

use serde_json::Value;
use tapeline_core::feed::{Update, UpdateKind, VenueChannel};
use tapeline_core::testkit::ManualClock;
use tapeline_core::{Clock, Now};
use tapeline_schema::events::{Alert, AlertState};

use super::*;
use crate::config::{AlertConfig, PerformanceConfig};
use crate::dead_letters::Kept;
use crate::stats::{BreakerState, ComponentStats, SourceStats};
use crate::worker::Stage;

/// What is looked at, made up.
#[derive(Default)]
struct Numbers {
    stats: PipelineStats,
    latencies: Latencies,
    kept: Kept,
    asked: u64,
}

#[derive(Default)]
struct Fake(Mutex<Numbers>);

impl Watched for Fake {
    fn stats(&self) -> PipelineStats {
        self.lock().stats.clone()
    }

    fn latencies(&self) -> Vec<(Arc<str>, Latencies)> {
        let mut numbers = self.lock();
        numbers.asked += 1;
        vec![("strategy".into(), numbers.latencies.clone())]
    }

    fn kept(&self) -> Kept {
        self.lock().kept.clone()
    }
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap()
    }
}

/// A monitor of made-up numbers, by a clock that is moved by hand.
struct Bench {
    fake: Arc<Fake>,
    clock: Arc<ManualClock>,
    resident: Arc<AtomicU64>,
    told: Arc<Mutex<Vec<Alert>>>,
    monitor: Monitor,
}

fn bench_with(performance: PerformanceConfig, alerts: AlertConfig) -> Bench {
    let (fake, clock) = (Arc::<Fake>::default(), Arc::<ManualClock>::default());
    let (resident, told) = (Arc::new(AtomicU64::new(1_000_000)), Arc::<Mutex<Vec<Alert>>>::default());
    let (bytes, telling) = (resident.clone(), told.clone());
    let tell = move |alert: &Alert| telling.lock().unwrap().push(alert.clone());
    let breaks = |_: &Alert| panic!("a sink that breaks");
    let monitor = Monitor::new(MonitorParts {
        name: "kraken".into(),
        watched: fake.clone(),
        clock: clock.clone(),
        performance,
        alerts,
        breaker_rest: Duration::from_secs(60),
        // Whatever becomes of one sink, the next is told, by every test here.
        sinks: vec![Arc::new(breaks), Arc::new(tell)],
        memory: Some(Box::new(move || Some(bytes.load(Ordering::Relaxed)))),
    });
    Bench { fake, clock, resident, told, monitor }
}

fn bench() -> Bench {
    bench_with(PerformanceConfig::default(), AlertConfig::default())
}

impl Bench {
    /// So many seconds pass in steps of 30, with a look at each; before each, a busy minute's messages come in.
    fn looks(&self, times: usize, each: impl Fn(&mut Numbers)) {
        for _ in 0..times {
            self.clock.advance(Duration::from_secs(30));
            each(&mut self.fake.lock());
            self.monitor.look();
        }
    }

    /// The rules that were raised or resolved, in order.
    fn told(&self) -> Vec<(String, AlertState)> {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        told.into_iter().map(|alert| (alert.rule, alert.state)).collect()
    }

    fn report(&self) -> Value {
        serde_json::to_value(self.monitor.performance_report()).unwrap()
    }
}

fn component(numbers: &mut Numbers) -> &mut ComponentStats {
    numbers.stats.components.entry("strategy".into()).or_default()
}

/// 3,000 messages that all went well.
fn well(numbers: &mut Numbers) {
    numbers.stats.messages_processed += 3_000;
    let source = numbers.stats.sources.entry("kraken".into()).or_default();
    *source = SourceStats {
        taken_in: source.taken_in + 3_000,
        accepted: source.accepted + 3_000,
        ..source.clone()
    };
    (0..3_000).for_each(|_| numbers.latencies.add(1, Stage::Done, 400));
    let stats = component(numbers);
    stats.accepted += 3_000;
    stats.delivered += 3_000;
    stats.calls += 3_000;
    stats.queued = [0; 4];
}

/// Raised and resolved, each once, however long it stays and however it swings below.
fn rings_once(bench: &Bench, rules: &[&str], bad: impl Fn(&mut Numbers), good: impl Fn(&mut Numbers)) {
    let all = |state: AlertState| rules.iter().map(|rule| (rule.to_string(), state)).collect::<Vec<_>>();
    bench.looks(4, &good);
    assert_eq!(bench.told(), [], "{rules:?} is not raised while all is well");
    bench.looks(6, &bad);
    assert_eq!(bench.told(), all(AlertState::Raised));
    assert!(bench.report()["alerts"][0]["rule"] == rules[0]);
    bench.looks(8, &good);
    assert_eq!(bench.told(), all(AlertState::Resolved));
    assert!(bench.monitor.alerts().is_empty() && bench.monitor.is_healthy());
}

#[test]
fn a_slow_tail_is_alerted_by_the_99th_percentile_and_not_by_the_mean() {
    let slow = |numbers: &mut Numbers| {
        well(numbers);
        (0..60).for_each(|_| numbers.latencies.add(1, Stage::Done, 70_000));
    };
    rings_once(&bench(), &["latency", "latency:strategy"], slow, well);
    let bench = bench();
    bench.looks(6, |numbers| {
        well(numbers);
        (0..10).for_each(|_| numbers.latencies.add(1, Stage::Done, 900_000));
    });
    assert_eq!(bench.told(), [], "one of three hundred is no tail");
}

#[test]
fn memory_is_alerted_at_both_its_thresholds() {
    let bench = bench();
    let at = |bytes: u64| {
        let resident = bench.resident.clone();
        move |numbers: &mut Numbers| {
            resident.store(bytes, Ordering::Relaxed);
            well(numbers);
        }
    };
    rings_once(&bench, &["memory_usage"], at(101_000_000), at(1_000_000));
    assert!(bench.monitor.is_healthy());
    bench.looks(3, at(501_000_000));
    let rules: Vec<_> = bench.told().into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["memory", "memory_usage"]);
    assert!(!bench.monitor.is_healthy());
    assert_eq!(bench.report()["current_metrics"]["memory_mb"], 501.0);
}

#[test]
fn errors_and_drops_are_alerted_in_percent_of_the_window() {
    let failing = |numbers: &mut Numbers| {
        well(numbers);
        let stats = component(numbers);
        stats.accepted += 8;
        *stats.dead_lettered.entry("max_retries").or_default() += 8;
        stats.delivered -= 180;
        stats.conflated += 180;
    };
    rings_once(&bench(), &["dead_letters:strategy"], failing, well);
    let failing = |numbers: &mut Numbers| {
        well(numbers);
        let stats = component(numbers);
        stats.delivered -= 180;
        *stats.dead_lettered.entry("validation").or_default() += 180;
    };
    let both = bench();
    both.looks(6, failing);
    let rules: Vec<_> = both.told().into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["dead_letters:strategy", "error_rate", "error_rate:strategy"]);
    let rate = both.report()["current_metrics"]["error_rate_percent"].as_f64().unwrap();
    assert!((rate - 6.0).abs() < 1e-9, "{rate}");
    let dropping = |numbers: &mut Numbers| {
        well(numbers);
        let stats = component(numbers);
        stats.delivered -= 75;
        *stats.dropped.entry("overflow").or_default() += 75;
    };
    rings_once(&bench(), &["drop_rate", "drop_rate:strategy"], dropping, well);
}

#[test]
fn a_rate_of_a_few_messages_says_nothing() {
    let bench = bench_with(
        PerformanceConfig::default(),
        AlertConfig { min_throughput_msgs_per_sec: 0.0, ..AlertConfig::default() },
    );
    bench.looks(6, |numbers| {
        numbers.latencies.add(0, Stage::Done, 5_000_000);
        let stats = component(numbers);
        (stats.accepted, stats.calls, stats.slow) = (stats.accepted + 2, stats.calls + 2, stats.slow + 2);
        stats.delivered += 1;
        *stats.dead_lettered.entry("panic").or_default() += 1;
        *stats.dropped.entry("overflow").or_default() += 1;
    });
    assert_eq!(bench.told(), []);
}

#[test]
fn queues_are_judged_by_the_sum_of_a_components_lanes() {
    let waiting = |queued: [u64; 4]| {
        move |numbers: &mut Numbers| {
            well(numbers);
            component(numbers).queued = queued;
        }
    };
    let bench = bench();
    rings_once(&bench, &["queue_size_warning:strategy"], waiting([400, 400, 400, 301]), well);
    bench.looks(4, waiting([375, 375, 375, 375]));
    assert_eq!(bench.told(), [], "the threshold itself is not past it");
    bench.looks(1, waiting([500, 500, 500, 301]));
    assert_eq!(bench.told(), [("queue_size_critical:strategy".to_string(), AlertState::Raised)], "at once");
    assert!(!bench.monitor.is_healthy());
    bench.looks(3, waiting([360; 4]));
    let swings = bench.told();
    assert!(!swings.contains(&("queue_size_warning:strategy".into(), AlertState::Resolved)), "{swings:?}");
}

#[test]
fn slow_calls_are_alerted_when_more_than_one_of_a_hundred_takes_too_long() {
    let slow = |numbers: &mut Numbers| {
        well(numbers);
        component(numbers).slow += 33;
    };
    rings_once(&bench(), &["processing_time:strategy"], slow, well);
}

#[test]
fn breakers_calls_that_hang_and_spilled_messages_are_alerted_at_the_next_look() {
    let open = |breaker| {
        move |numbers: &mut Numbers| {
            well(numbers);
            component(numbers).breaker = breaker;
        }
    };
    let bench = bench();
    rings_once(&bench, &["breaker_open:strategy"], open(BreakerState::Open), open(BreakerState::Closed));
    bench.looks(1, open(BreakerState::Open));
    bench.looks(2, open(BreakerState::HalfOpen));
    bench.looks(1, open(BreakerState::Open));
    assert_eq!(bench.told().len(), 1, "a trial that fails does not ring again");
    let hung = |hung| {
        move |numbers: &mut Numbers| {
            well(numbers);
            component(numbers).hung = hung;
        }
    };
    rings_once(&self::bench(), &["hung:strategy"], hung(true), hung(false));
    let spilling = |numbers: &mut Numbers| {
        well(numbers);
        *component(numbers).dead_lettered.entry("overflow").or_default() += 1;
    };
    rings_once(&self::bench(), &["critical_spill:strategy"], spilling, well);
}

#[test]
fn refused_updates_are_alerted_at_the_next_look() {
    let refusing = |numbers: &mut Numbers| {
        well(numbers);
        numbers.stats.sources.get_mut("kraken").unwrap().refused += 1;
    };
    rings_once(&bench(), &["refused"], refusing, well);
}

#[test]
fn alerts_of_a_component_that_is_unregistered_are_resolved() {
    let bench = bench();
    bench.looks(2, |numbers| {
        well(numbers);
        (component(numbers).hung, component(numbers).breaker) = (true, BreakerState::Open);
    });
    assert_eq!(bench.told().len(), 2);
    assert!(!bench.monitor.is_healthy());
    bench.looks(1, |numbers| {
        numbers.stats.components.clear();
    });
    let resolved = ["breaker_open:strategy", "hung:strategy"].map(|rule| (rule.into(), AlertState::Resolved));
    assert_eq!(bench.told(), resolved);
    assert!(bench.monitor.is_healthy() && bench.monitor.alerts().is_empty());
}

#[test]
fn rates_that_cannot_be_judged_any_more_are_resolved() {
    let bench = bench();
    let dropping = |numbers: &mut Numbers| {
        well(numbers);
        let stats = component(numbers);
        stats.delivered -= 300;
        *stats.dropped.entry("overflow").or_default() += 300;
        (0..100).for_each(|_| numbers.latencies.add(1, Stage::Done, 900_000));
    };
    bench.looks(4, dropping);
    let raised =
        |told: &[(String, AlertState)], state| told.iter().filter(|(_, told)| *told == state).count();
    assert_eq!(raised(&bench.told(), AlertState::Raised), 4);
    bench.looks(6, |numbers| {
        let stats = component(numbers);
        (stats.accepted, stats.delivered) = (stats.accepted + 1, stats.delivered + 1);
        numbers.stats.messages_processed += 100;
    });
    assert_eq!(raised(&bench.told(), AlertState::Resolved), 4);
    assert!(bench.monitor.alerts().is_empty());
}

#[test]
fn one_component_that_fails_beside_a_busy_one_is_alerted_by_itself() {
    let failing = |numbers: &mut Numbers| {
        well(numbers);
        let executor = numbers.stats.components.entry("executor".into()).or_default();
        executor.accepted += 4;
        *executor.dead_lettered.entry("validation").or_default() += 4;
    };
    rings_once(&bench(), &["error_rate:executor"], failing, well);
}

#[test]
fn a_few_critical_messages_that_take_too_long_are_alerted() {
    let slow = |numbers: &mut Numbers| {
        well(numbers);
        (0..2).for_each(|_| numbers.latencies.add(0, Stage::Done, 900_000));
    };
    rings_once(&bench(), &["latency:strategy"], slow, well);
}

#[test]
fn a_component_that_goes_on_failing_and_a_queue_around_its_bound_are_one_alert() {
    let bench = bench();
    let turn = std::cell::Cell::new(0);
    let flapping = |numbers: &mut Numbers| {
        well(numbers);
        turn.set(turn.get() + 1);
        let is_bad = turn.get() % 2 == 1;
        component(numbers).breaker = if is_bad { BreakerState::Open } else { BreakerState::Closed };
    };
    bench.looks(20, flapping);
    assert_eq!(bench.told(), [("breaker_open:strategy".to_string(), AlertState::Raised)]);
    let bench = self::bench();
    for n in 0..100 {
        bench.clock.advance(Duration::from_secs(1));
        component(&mut bench.fake.lock()).queued = [if n % 4 < 2 { 1_900 } else { 0 }, 0, 0, 0];
        bench.monitor.look();
    }
    assert_eq!(bench.told(), [("queue_size_critical:strategy".to_string(), AlertState::Raised)]);
}

#[test]
fn dead_letters_that_nobody_looks_at_are_alerted() {
    let bench = bench();
    let wall_us = bench.clock.now().wall_us;
    let old = move |numbers: &mut Numbers| {
        well(numbers);
        numbers.kept.oldest_us = Some(wall_us - 3_600_000_000);
    };
    let none = |numbers: &mut Numbers| {
        well(numbers);
        numbers.kept.oldest_us = None;
    };
    rings_once(&bench, &["dead_letter_age"], old, none);
}

fn silent(_: &mut Numbers) {}

#[test]
fn silence_is_alerted_where_data_is_to_be_expected() {
    rings_once(&bench(), &["throughput"], silent, well);
}

#[test]
fn heartbeats_are_no_data() {
    let beats = |numbers: &mut Numbers| {
        numbers.stats.messages_processed += 3_000;
        numbers.stats.sources.entry("kraken".into()).or_default().taken_in += 3_000;
        numbers.stats.components.entry(NAME.into()).or_default().accepted += 3_000;
    };
    rings_once(&bench(), &["throughput"], beats, |numbers| {
        beats(numbers);
        well(numbers);
    });
    let bench = bench();
    bench.looks(6, |numbers| {
        beats(numbers);
        component(numbers);
    });
    assert_eq!(bench.told(), [], "no data has ever come");
}

fn status(text: &str) -> Arc<Update> {
    Arc::new(Update {
        source: "kraken".into(),
        channel: VenueChannel::Status,
        kind: UpdateKind::Change,
        symbol: None,
        data: text.to_string().into(),
        id: None,
        sequence: None,
        venue_us: None,
        received: Now::default(),
    })
}

fn handle(component: &dyn Component, update: &Arc<Update>) {
    let mut call = component.handle(update);
    let answer = call.as_mut().poll(&mut Context::from_waker(TaskWaker::noop()));
    assert_eq!(answer, Poll::Ready(Ok(())));
}

#[test]
fn silence_is_no_fault_before_data_in_maintenance_and_without_subscriptions() {
    let none = bench();
    none.looks(6, |numbers| {
        component(numbers);
    });
    assert_eq!(none.told(), [], "nothing has ever come");
    let bench = bench();
    bench.looks(4, well);
    handle(&*bench.monitor.component(), &status(r#"{"system":"maintenance","version":"2.0.6"}"#));
    bench.looks(6, silent);
    assert_eq!(bench.told(), []);
    assert_eq!(bench.report()["sources"]["kraken"]["state"], "maintenance");
    handle(&*bench.monitor.component(), &status(r#"[{"system":"online"}]"#));
    bench.monitor.set_source_state("kraken", SourceState::Idle);
    bench.looks(6, silent);
    assert_eq!(bench.told(), [], "nothing is subscribed");
    bench.monitor.set_source_state("kraken", SourceState::Live);
    bench.looks(3, silent);
    assert_eq!(bench.told(), [("throughput".to_string(), AlertState::Raised)]);
}

#[test]
fn a_venues_maintenance_is_heard_of_a_source_that_is_fed_under_another_name() {
    let desk = |numbers: &mut Numbers| {
        well(numbers);
        let mut sources = std::mem::take(&mut numbers.stats.sources).into_values();
        numbers.stats.sources.insert("desk".into(), sources.next().unwrap());
    };
    let bench = bench();
    bench.looks(4, desk);
    handle(&*bench.monitor.component(), &status(r#"{"system":"maintenance"}"#));
    bench.looks(6, silent);
    assert_eq!(bench.told(), []);
    bench.monitor.set_source_state("desk", SourceState::Live);
    bench.looks(2, silent);
    assert_eq!(bench.told(), [], "the venue has not said that it is over");
    handle(&*bench.monitor.component(), &status(r#"{"system":"online"}"#));
    bench.looks(3, silent);
    assert_eq!(bench.told(), [("throughput".to_string(), AlertState::Raised)]);
    handle(&*bench.monitor.component(), &status(r#"{"system":"maintenance"}"#));
    bench.looks(3, silent);
    assert_eq!(bench.told(), [("throughput".to_string(), AlertState::Resolved)], "silence is no fault now");
}

#[test]
fn heartbeats_reach_the_monitor() {
    let bench = bench();
    bench.looks(1, well);
    let beat = Update { channel: VenueChannel::Heartbeat, ..(*status("{}")).clone() };
    let component = bench.monitor.component();
    assert!(component.takes(&VenueChannel::Heartbeat) && !component.takes(&VenueChannel::Ticker));
    handle(&*component, &Arc::new(beat));
    bench.clock.advance(Duration::from_secs(5));
    let source = bench.report()["sources"]["kraken"].clone();
    assert_eq!((&source["heartbeats"], &source["last_heartbeat_seconds"]), (&1.into(), &5.0.into()));
}

#[test]
fn a_report_has_the_documents_keys_and_what_explains_them() {
    let bench = bench();
    bench.looks(3, well);
    bench.clock.advance(Duration::from_secs(30));
    well(&mut bench.fake.lock());
    component(&mut bench.fake.lock()).queued = [1, 2, 3, 4];
    let report = bench.report();
    let current = &report["current_metrics"];
    assert_eq!(current["throughput_msgs_per_sec"], 100.0);
    assert_eq!(current["window_seconds"], 60.0);
    assert!((current["avg_latency_ms"].as_f64().unwrap() - 0.4).abs() < 1e-9, "{current}");
    assert_eq!(current["memory_mb"], 1.0);
    assert_eq!((&current["error_rate_percent"], &current["drop_rate_percent"]), (&0.0.into(), &0.0.into()));
    let queues = serde_json::json!({"critical": 1, "high": 2, "medium": 3, "low": 4});
    assert_eq!(current["queue_sizes"], queues);
    assert_eq!(current["component_health"], serde_json::json!({"strategy": "healthy"}));
    assert_eq!(report["history"].as_array().map(Vec::len), Some(2), "looks without the first");
    assert_eq!(report["components"]["strategy"]["queue_size"], 10);
    let p99 = report["latency"]["high"]["done"]["p99_ms"].as_f64().unwrap();
    assert!((0.4..=0.45).contains(&p99), "{p99}");
    assert_eq!(report["messages_processed"], 12_000);
}

#[test]
fn without_enable_metrics_nothing_is_measured_and_nobody_is_told() {
    let off = PerformanceConfig { enable_metrics: false, ..PerformanceConfig::default() };
    let bench = bench_with(off, AlertConfig::default());
    bench.monitor.start().unwrap();
    bench.looks(6, |numbers| {
        well(numbers);
        component(numbers).hung = true;
    });
    assert_eq!(bench.told(), []);
    let report = bench.report();
    assert_eq!(
        (&report["enable_metrics"], &report["current_metrics"]["throughput_msgs_per_sec"]),
        (&false.into(), &0.0.into())
    );
    assert_eq!(report["history"], serde_json::json!([]));
    assert_eq!(report["messages_processed"], 18_000, "counting is the pipeline's");
}

#[test]
fn without_latency_tracking_no_time_is_asked_for_and_none_is_judged() {
    let untimed = PerformanceConfig { enable_latency_tracking: false, ..PerformanceConfig::default() };
    let bench = bench_with(untimed, AlertConfig::default());
    bench.looks(6, |numbers| {
        well(numbers);
        (0..3_000).for_each(|_| numbers.latencies.add(1, Stage::Done, 900_000));
    });
    assert_eq!(bench.told(), []);
    assert_eq!(bench.fake.lock().asked, 0);
    assert_eq!(bench.report()["current_metrics"]["avg_latency_ms"], 0.0);
}

#[test]
fn every_alert_setting_moves_its_threshold() {
    let strict = AlertConfig {
        max_latency_ms: 0.3,
        max_memory_mb: 0.5,
        max_error_rate_percent: 0.1,
        max_drop_rate_percent: 0.1,
        min_throughput_msgs_per_sec: 1_000.0,
        queue_size_warning_threshold: 5,
        queue_size_critical_threshold: 7,
    };
    let measures = PerformanceConfig { memory_usage_threshold_mb: 0.5, ..PerformanceConfig::default() };
    let little = |numbers: &mut Numbers| {
        well(numbers);
        let stats = component(numbers);
        stats.delivered -= 10;
        *stats.dead_lettered.entry("timeout").or_default() += 5;
        *stats.dropped.entry("overflow").or_default() += 5;
        stats.queued = [2; 4];
    };
    let lenient = bench();
    lenient.looks(6, little);
    assert_eq!(lenient.told(), []);
    let bench = bench_with(measures, strict);
    bench.looks(6, little);
    let mut rules: Vec<_> = bench.told().into_iter().map(|(rule, _)| rule).collect();
    rules.sort();
    assert_eq!(
        rules,
        [
            "drop_rate",
            "drop_rate:strategy",
            "error_rate",
            "error_rate:strategy",
            "latency",
            "latency:strategy",
            "memory",
            "memory_usage",
            "queue_size_critical:strategy",
            "queue_size_warning:strategy",
            "throughput"
        ]
    );
}

#[test]
fn a_report_is_written_whole_and_a_path_that_cannot_be_says_so() {
    let bench = bench();
    bench.looks(3, well);
    let folder = std::env::temp_dir().join(format!("tapeline-report-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("performance_report.json");
    for _ in 0..2 {
        bench.monitor.export_performance_data(&path).unwrap();
    }
    let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(written["current_metrics"]["throughput_msgs_per_sec"], 100.0);
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["performance_report.json"], "nothing is left beside it");
    let error = bench.monitor.export_performance_data(folder.join("none").join("x.json")).unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with("the report cannot be written to ") && told.contains("none/x.json: No such file"),
        "{told}"
    );
    assert!(bench.monitor.export_performance_data("/").is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn numbers_are_told_in_openmetrics() {
    let bench = bench();
    bench.looks(2, well);
    bench.looks(3, |numbers| {
        well(numbers);
        component(numbers).queued = [501, 500, 500, 500];
        component(numbers).dropped.insert("overflow", 7);
        numbers.kept.letters.insert(("strategy".into(), "timeout"), 3);
        numbers.kept.oldest_us = Some(numbers.stats.messages_processed);
    });
    let text = bench.monitor.metrics_text();
    for line in [
        r#"tapeline_messages_received_total{source="kraken",result="accepted"} 15000"#,
        r#"tapeline_messages_delivered_total{component="strategy"} 15000"#,
        r#"tapeline_messages_dropped_total{component="strategy",reason="overflow"} 7"#,
        r#"tapeline_queue_depth{component="strategy",lane="critical"} 501"#,
        r#"tapeline_circuit_state{component="strategy"} 0"#,
        r#"tapeline_dead_letters{component="strategy",reason="timeout"} 3"#,
        r#"tapeline_handler_seconds_count{component="strategy",lane="high"} 15000"#,
        r#"tapeline_handler_seconds_bucket{le="0.00025",component="strategy",lane="high"} 0"#,
        r#"tapeline_handler_seconds_bucket{le="0.0005",component="strategy",lane="high"} 15000"#,
        r#"tapeline_alert{rule="queue_size_critical:strategy"} 1"#,
        r#"tapeline_alerts_total{rule="queue_size_critical",state="raised"} 1"#,
        r#"process_resident_memory_bytes{pipeline="kraken"} 1000000.0"#,
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    let kinds: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let mut once = kinds.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), kinds.len(), "each metric is described once");
}
