//! A pipeline with real threads, used as its owner would: without a runtime.

#[expect(dead_code, reason = "each file of tests uses some of it")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Probe, ticker};
use tapeline_core::feed::VenueChannel;
use tapeline_pipeline::component::Failure;
use tapeline_pipeline::config::QueueConfig;
use tapeline_pipeline::{ComponentOptions, Pipeline, PipelineConfig, Pushed};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn what_a_source_pushes_reaches_every_component_that_takes_it_in_order() {
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let (first, second) = (Probe::new(|_| Ok(())), Probe::new(|_| Ok(())));
    let channels = [VenueChannel::Ticker, VenueChannel::Trade];
    pipeline.register("first", first.clone(), &channels, ComponentOptions::default()).unwrap();
    pipeline.register("second", second.clone(), &channels[..1], ComponentOptions::default()).unwrap();
    let source = pipeline.source("kraken");
    for number in 0..500 {
        assert_eq!(source.push(ticker("BTC/USD", number)), Pushed::Accepted);
    }
    let stats = pipeline.stop(LONG);
    let all: Vec<u64> = (0..500).collect();
    assert_eq!((first.numbers(), second.numbers()), (all.clone(), all));
    assert_eq!(stats.messages_processed, 500);
    assert!(stats.components.values().all(|counts| counts.balances() && counts.delivered == 500));
    assert!(matches!(source.push(ticker("BTC/USD", 501)), Pushed::Refused(_)));
}

#[test]
fn a_panic_costs_one_message_and_the_thread_goes_on() {
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let probe = Probe::new(|number| match number {
        3 => panic!("three is too much"),
        5 => Err(Failure::Message("five is none".to_string())),
        _ => Ok(()),
    });
    pipeline.register("risk", probe.clone(), &[VenueChannel::Ticker], ComponentOptions::default()).unwrap();
    let source = pipeline.source("kraken");
    for number in 0..8 {
        assert_eq!(source.push(ticker("BTC/USD", number)), Pushed::Accepted);
    }
    let letters = Arc::clone(pipeline.dead_letters());
    let stats = pipeline.stop(LONG);
    assert_eq!(probe.numbers(), [0, 1, 2, 4, 6, 7]);
    let counts = &stats.components["risk"];
    assert!(counts.balances(), "{counts:?}");
    assert_eq!(
        counts.dead_lettered.clone().into_iter().collect::<Vec<_>>(),
        [("panic", 1), ("validation", 1)]
    );
    let told: Vec<_> =
        letters.list(&Default::default(), 10).iter().map(|(_, letter)| letter.error.clone()).collect();
    assert_eq!(told, ["three is too much".into(), "five is none".into()]);
}

#[test]
fn a_channel_that_is_named_twice_is_taken_once() {
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let probe = Probe::new(|_| Ok(()));
    let (ticker_channel, critical) = (VenueChannel::Ticker, VenueChannel::Balances);
    let channels = [ticker_channel.clone(), critical.clone(), ticker_channel, critical];
    pipeline.register("twice", probe.clone(), &channels, ComponentOptions::default()).unwrap();
    let source = pipeline.source("kraken");
    assert_eq!(source.push(ticker("BTC/USD", 1)), Pushed::Accepted);
    // Before the critical one, which would lock for ever.
    assert_eq!(pipeline.stats().components["twice"].accepted, 1);
    assert_eq!(source.push(support::update(VenueChannel::Balances, "BTC", 2)), Pushed::Accepted);
    assert_eq!(pipeline.stop(LONG).components["twice"].delivered, 2);
}

#[test]
fn a_number_that_makes_no_sense_is_refused_by_its_name() {
    let with = |timeout_seconds| QueueConfig { timeout_seconds, ..QueueConfig::default() };
    for seconds in [-1.0, 0.0, f64::NAN, f64::INFINITY] {
        let config = PipelineConfig { queue: with(seconds), ..PipelineConfig::default() };
        let error = Pipeline::builder(config).start().unwrap_err();
        assert!(error.to_string().starts_with("timeout_seconds is "), "{error}");
    }
    let pipeline = Pipeline::builder(PipelineConfig::default()).start().unwrap();
    let options = ComponentOptions { queue: Some(with(-1.0)), ..ComponentOptions::default() };
    let error =
        pipeline.register("one", Probe::new(|_| Ok(())), &[VenueChannel::Ticker], options).unwrap_err();
    assert_eq!(error.to_string(), "timeout_seconds is -1; it must be greater than 0 and at most 3.2e9");
}
