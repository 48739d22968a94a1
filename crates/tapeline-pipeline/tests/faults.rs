//! Components that hang, panic, fail for a while and are too slow, with real threads. Nothing here waits for a time to
//! pass: each test awaits what it is about.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod support;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use support::{Latch, Probe, ticker, update};
use tapeline_core::clock::Clock;
use tapeline_core::feed::{Update, VenueChannel};
use tapeline_core::testkit::ManualClock;
use tapeline_pipeline::component::{Component, Failure, Handling};
use tapeline_pipeline::config::{BreakerConfig, QueueConfig, RetryConfig};
use tapeline_pipeline::stats::BreakerState;
use tapeline_pipeline::{ComponentOptions, Happening, Observe, Pipeline, PipelineConfig, Pushed, Refusal};

const LONG: Duration = Duration::from_secs(60);

/// Hears what happens.
struct Ear(SyncSender<(String, Happening)>);

impl Observe for Ear {
    fn on_happening(&self, component: &str, happening: Happening) {
        let _ = self.0.try_send((component.to_string(), happening));
    }
}

fn listen(pipeline: &Pipeline) -> Receiver<(String, Happening)> {
    let (ear, heard) = sync_channel(10_000);
    pipeline.observe(Arc::new(Ear(ear)));
    heard
}

fn await_happening(heard: &Receiver<(String, Happening)>, wanted: Happening) {
    while heard.recv_timeout(LONG).expect("it happens before long").1 != wanted {}
}

fn quick() -> ComponentOptions {
    let queue = QueueConfig { timeout_seconds: 0.05, ..QueueConfig::default() };
    let breaker = BreakerConfig { open: Duration::from_millis(10), ..BreakerConfig::default() };
    ComponentOptions { queue: Some(queue), breaker: Some(breaker), ..ComponentOptions::default() }
}

fn patient() -> ComponentOptions {
    let queue = QueueConfig { timeout_seconds: 600.0, max_size: 2, ..QueueConfig::default() };
    ComponentOptions { queue: Some(queue), ..ComponentOptions::default() }
}

fn execution(number: u64) -> tapeline_core::feed::Update {
    update(VenueChannel::Executions, "BTC/USD", number)
}

#[test]
fn a_component_that_hangs_costs_one_message_and_the_others_nothing_and_goes_on_when_it_comes_back() {
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let heard = listen(&pipeline);
    let (latch, other) = (Latch::new(), Probe::new(|_| Ok(())));
    let held = latch.clone();
    let hangs = Probe::new(move |number| {
        if number == 1 {
            held.wait();
        }
        Ok(())
    });
    let channels = [VenueChannel::Executions];
    pipeline.register("hangs", hangs.clone(), &channels, quick()).unwrap();
    pipeline.register("other", other.clone(), &channels, ComponentOptions::default()).unwrap();
    let source = pipeline.source("kraken");
    for number in 0..100 {
        assert_eq!(source.push(execution(number)), Pushed::Accepted);
    }
    await_happening(&heard, Happening::Hung);
    other.await_count(100);
    let stats = pipeline.stats().components.remove("hangs").unwrap();
    assert!(stats.hung && stats.balances() && stats.dead_lettered["timeout"] == 1, "{stats:?}");
    latch.open();
    await_happening(&heard, Happening::Back);
    hangs.await_count(99 + 1);
    let stats = pipeline.stop(LONG).components.remove("hangs").unwrap();
    // The late success of the first is ignored: it is a dead letter already.
    assert!(stats.balances() && stats.delivered == 99 && !stats.hung, "{stats:?}");
    assert_eq!(other.numbers(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_call_that_awaits_for_too_long_is_dropped_where_it_awaits_and_tried_again() {
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let sleeper = support::Sleeper::new(2);
    pipeline.register("sleeper", sleeper.clone(), &[VenueChannel::Executions], quick()).unwrap();
    assert_eq!(pipeline.source("kraken").push(execution(1)), Pushed::Accepted);
    sleeper.taken.await_count(1);
    let stats = pipeline.stop(LONG).components.remove("sleeper").unwrap();
    assert!(stats.balances() && stats.delivered == 1, "{stats:?}");
    assert_eq!((stats.failed["timeout"], stats.retried), (2, 2));
    assert_eq!(sleeper.dropped(), 2);
}

#[test]
fn a_full_critical_lane_holds_a_source_back_that_can_wait() {
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let latch = Latch::new();
    let held = latch.clone();
    let probe = Probe::new(move |_| {
        held.wait();
        Ok(())
    });
    pipeline.register("slow", probe.clone(), &[VenueChannel::Executions], patient()).unwrap();
    let source = pipeline.source("kraken");
    let pushing = std::thread::spawn(move || {
        (0..50)
            .map(|number| source.push_wait(execution(number)))
            .filter(|pushed| *pushed == Pushed::Accepted)
            .count()
    });
    // One is being called and four wait in the lane; the sixth waits outside.
    support::until(|| pipeline.stats().sources["kraken"].accepted == 5);
    latch.open();
    assert_eq!(pushing.join().unwrap(), 50);
    let stats = pipeline.stop(LONG).components.remove("slow").unwrap();
    assert!(stats.delivered == 50 && stats.dead_lettered.is_empty(), "{stats:?}");
    assert_eq!(probe.numbers(), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_source_that_waits_is_told_when_the_pipeline_stops() {
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let latch = Latch::new();
    let held = latch.clone();
    let probe = Probe::new(move |_| {
        held.wait();
        Ok(())
    });
    pipeline.register("slow", probe, &[VenueChannel::Executions], patient()).unwrap();
    let source = pipeline.source("kraken");
    let pushing = std::thread::spawn(move || {
        (0..).map(|number| source.push_wait(execution(number))).find(|pushed| *pushed != Pushed::Accepted)
    });
    support::until(|| pipeline.stats().sources["kraken"].accepted == 5);
    let stopping = std::thread::spawn(move || pipeline.stop(LONG));
    assert_eq!(pushing.join().unwrap(), Some(Pushed::Refused(Refusal::Stopped)));
    latch.open();
    let stats = stopping.join().unwrap();
    assert_eq!(stats.components["slow"].delivered, 5);
    assert_eq!(stats.sources["kraken"].refused, 1);
}

#[test]
fn a_source_that_cannot_wait_has_critical_messages_spilled_to_dead_letters_and_somebody_is_told() {
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let heard = listen(&pipeline);
    let latch = Latch::new();
    let held = latch.clone();
    let probe = Probe::new(move |_| {
        held.wait();
        Ok(())
    });
    pipeline.register("slow", probe, &[VenueChannel::Executions], patient()).unwrap();
    let source = pipeline.source("kraken");
    for number in 0..20 {
        assert_eq!(source.push(execution(number)), Pushed::Accepted);
    }
    await_happening(&heard, Happening::Spilled);
    latch.open();
    let stats = pipeline.stop(LONG).components.remove("slow").unwrap();
    assert!(stats.balances(), "{stats:?}");
    assert_eq!(stats.delivered + stats.dead_lettered["overflow"], 20);
}

#[test]
fn a_component_that_fails_for_thirty_seconds_is_switched_off_and_on_again() {
    let clock = Arc::new(ManualClock::default());
    let pipeline = Pipeline::builder(PipelineConfig::default()).clock(clock.clone()).start().unwrap();
    let heard = listen(&pipeline);
    let (time, start_us) = (clock.clone(), clock.now().mono_us);
    let fails = Probe::new(move |_| {
        let is_down = time.now().mono_us - start_us < 30_000_000;
        if is_down { Err(Failure::Transient("no connection".to_string())) } else { Ok(()) }
    });
    let other = Probe::new(|_| Ok(()));
    let options = ComponentOptions {
        retry: Some(RetryConfig { attempts: 1, ..RetryConfig::default() }),
        ..ComponentOptions::default()
    };
    pipeline.register("fails", fails.clone(), &[VenueChannel::Executions], options).unwrap();
    pipeline
        .register("other", other.clone(), &[VenueChannel::Executions], ComponentOptions::default())
        .unwrap();
    let source = pipeline.source("kraken");
    for number in 0..100 {
        assert_eq!(source.push(execution(number)), Pushed::Accepted);
    }
    await_happening(&heard, Happening::Breaker(BreakerState::Open));
    other.await_count(100);
    // It is tried again and again; each trial that fails is followed by a longer rest.
    for _ in 0..10 {
        clock.advance(Duration::from_secs(10));
        await_happening(&heard, Happening::Breaker(BreakerState::HalfOpen));
        match heard.recv_timeout(LONG).unwrap().1 {
            Happening::Breaker(BreakerState::Closed) => break,
            happening => assert_eq!(happening, Happening::Breaker(BreakerState::Open)),
        }
        clock.advance(Duration::from_secs(50));
    }
    let stats = pipeline.stop(LONG).components.remove("fails").unwrap();
    assert!(stats.balances() && stats.breaker == BreakerState::Closed, "{stats:?}");
    assert_eq!(stats.delivered + stats.dead_lettered["max_retries"], 100);
    assert!(stats.delivered >= 40, "{stats:?}");
}

#[test]
fn a_restart_under_load_loses_nothing() {
    let pipeline = Arc::new(Pipeline::builder(PipelineConfig::default()).start().unwrap());
    let probe = Probe::new(|_| Ok(()));
    pipeline
        .register("one", probe.clone(), &[VenueChannel::Executions], ComponentOptions::default())
        .unwrap();
    let source = pipeline.source("kraken");
    let pushing = std::thread::spawn(move || {
        for number in 0..5_000 {
            assert_eq!(source.push_wait(execution(number)), Pushed::Accepted);
        }
    });
    for _ in 0..5 {
        assert!(pipeline.restart().unwrap().is_empty());
    }
    pushing.join().unwrap();
    let stats = pipeline.stop(LONG);
    assert_eq!(stats.components["one"].delivered, 5_000);
    assert_eq!(probe.numbers(), (0..5_000).collect::<Vec<_>>());
}

#[test]
fn components_come_and_go_while_updates_come_in() {
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let (stays, goes) = (Probe::new(|_| Ok(())), Probe::new(|_| Err(Failure::Transient("no".to_string()))));
    pipeline.register("stays", stays.clone(), &[VenueChannel::Ticker], ComponentOptions::default()).unwrap();
    let source = pipeline.source("kraken");
    assert_eq!(source.push(ticker("BTC/USD", 0)), Pushed::Accepted);
    pipeline
        .register("goes", goes.clone(), &[VenueChannel::Executions], ComponentOptions::default())
        .unwrap();
    assert!(pipeline.register("goes", goes, &[], ComponentOptions::default()).is_err());
    for number in 0..100 {
        assert_eq!(source.push(execution(number)), Pushed::Accepted);
    }
    let gone = pipeline.unregister("goes").unwrap();
    assert!(gone.balances() && gone.queued == [0; 4] && gone.accepted == 100, "{gone:?}");
    assert_eq!(gone.dead_lettered.values().sum::<u64>(), 100, "critical ones are never lost");
    assert!(pipeline.unregister("goes").is_err());
    assert_eq!(source.push(execution(100)), Pushed::Accepted);
    stays.await_count(1);
}

/// Asks for the numbers on the thread where something happens.
struct Asks(std::sync::Weak<Pipeline>, SyncSender<u64>);

impl Observe for Asks {
    fn on_happening(&self, _: &str, happening: Happening) {
        if happening == Happening::Spilled
            && let Some(pipeline) = self.0.upgrade()
        {
            let _ =
                self.1.try_send(pipeline.stats().sources.get("kraken").map_or(0, |counts| counts.accepted));
        }
    }
}

/// A pipeline with a component that holds its first call, and a source that has filled its lane.
fn with_a_full_lane(pipeline: &Pipeline) -> Arc<Latch> {
    let latch = Latch::new();
    let held = latch.clone();
    let probe = Probe::new(move |_| {
        held.wait();
        Ok(())
    });
    pipeline.register("slow", probe, &[VenueChannel::Executions], patient()).unwrap();
    let source = pipeline.source("kraken");
    assert_eq!(source.push(execution(0)), Pushed::Accepted);
    support::until(|| pipeline.stats().components.get("slow").is_some_and(|counts| counts.calls == 1));
    (1..5).for_each(|number| assert_eq!(source.push(execution(number)), Pushed::Accepted));
    latch
}

#[test]
fn an_observer_may_ask_the_pipeline_for_its_numbers_during_a_push() {
    let pipeline = Arc::new(Pipeline::builder(PipelineConfig::default()).start().unwrap());
    let (answer, answers) = sync_channel(10);
    pipeline.observe(Arc::new(Asks(Arc::downgrade(&pipeline), answer)));
    let latch = with_a_full_lane(&pipeline);
    let source = pipeline.source("kraken");
    let pushing = std::thread::spawn(move || source.push(execution(5)));
    assert_eq!(answers.recv_timeout(LONG), Ok(6));
    assert_eq!(pushing.join().unwrap(), Pushed::Accepted);
    latch.open();
}

struct Panics;

impl Observe for Panics {
    #[expect(clippy::panic, reason = "the fault that is tried")]
    fn on_happening(&self, _: &str, _: Happening) {
        panic!("an observer's own fault");
    }
}

#[test]
fn an_observer_that_panics_costs_neither_a_component_nor_the_others_their_news() {
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    pipeline.observe(Arc::new(Panics));
    let heard = listen(&pipeline);
    let probe = Probe::new(|number| if number == 0 { panic!("a call's") } else { Ok(()) });
    pipeline
        .register("one", probe.clone(), &[VenueChannel::Executions], ComponentOptions::default())
        .unwrap();
    let source = pipeline.source("kraken");
    assert_eq!(source.push(execution(0)), Pushed::Accepted);
    await_happening(&heard, Happening::Panicked);
    assert_eq!(source.push(execution(1)), Pushed::Accepted);
    probe.await_count(1);
    assert_eq!(pipeline.stop(LONG).components["one"].delivered, 1);
}

/// Begins work on a thread of its runtime that does not end, and succeeds.
struct LeavesWork(Arc<Latch>);

impl Component for LeavesWork {
    fn takes(&self, _: &VenueChannel) -> bool {
        true
    }

    fn handle<'a>(&'a self, _: &'a Arc<Update>) -> Handling<'a> {
        let latch = self.0.clone();
        Box::pin(async move {
            drop(tokio::task::spawn_blocking(move || latch.wait()));
            Ok(())
        })
    }
}

#[test]
fn blocking_work_that_a_component_has_begun_holds_up_neither_a_restart_nor_a_stop() {
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let latch = Latch::new();
    let component = Arc::new(LeavesWork(latch.clone()));
    pipeline.register("one", component, &[VenueChannel::Executions], ComponentOptions::default()).unwrap();
    let source = pipeline.source("kraken");
    for number in 0..2 {
        assert_eq!(source.push(execution(number)), Pushed::Accepted);
        support::until(|| pipeline.stats().components["one"].delivered == number + 1);
        assert!(pipeline.restart().unwrap().is_empty());
    }
    let (stop, stopped) = sync_channel(1);
    let stopping = std::thread::spawn(move || stop.send(pipeline.stop(LONG).components["one"].delivered));
    assert_eq!(stopped.recv_timeout(LONG), Ok(2));
    stopping.join().unwrap().unwrap();
    latch.open();
}

#[test]
fn the_numbers_can_be_read_while_a_restart_waits_for_a_call() {
    let pipeline = Arc::new(Pipeline::builder(PipelineConfig::default()).start().unwrap());
    let latch = Latch::new();
    let held = latch.clone();
    let (called, calls) = sync_channel(10);
    let probe = Probe::new(move |_| {
        let _ = called.try_send(());
        held.wait();
        Ok(())
    });
    pipeline.register("slow", probe, &[VenueChannel::Executions], patient()).unwrap();
    assert_eq!(pipeline.source("kraken").push(execution(0)), Pushed::Accepted);
    calls.recv_timeout(LONG).unwrap();
    let restarted = pipeline.clone();
    let restarting = std::thread::spawn(move || restarted.restart());
    // However far the restart has come by then: the call ends only after this.
    for _ in 0..1_000 {
        assert_eq!(pipeline.stats().components["slow"].calls, 1);
        std::thread::yield_now();
    }
    latch.open();
    assert!(restarting.join().unwrap().unwrap().is_empty());
    assert_eq!(pipeline.stop(LONG).components["slow"].delivered, 1);
}
