//! Dead letters sent anew.
#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

#[expect(dead_code, reason = "each file of tests uses some of it")]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::{Probe, until, update};
use tapeline_core::feed::VenueChannel;
use tapeline_core::testkit::ManualClock;
use tapeline_pipeline::component::Failure;
use tapeline_pipeline::dead_letters::{Filter, LetterId};
use tapeline_pipeline::{
    ComponentOptions, NotRedriven, Pipeline, PipelineConfig, Pushed, Redrive, Rehearsal, Source,
};

const LONG: Duration = Duration::from_secs(60);
const CHANNELS: [VenueChannel; 2] = [VenueChannel::Executions, VenueChannel::Ticker];

/// A pipeline with two components; `broken` refuses everything until it is mended.
struct Stage {
    pipeline: Pipeline,
    clock: Arc<ManualClock>,
    source: Source,
    broken: Arc<Probe>,
    fine: Arc<Probe>,
    is_mended: Arc<AtomicBool>,
}

impl Stage {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let pipeline = Pipeline::builder(PipelineConfig::default()).clock(clock.clone()).start().unwrap();
        let is_mended = Arc::new(AtomicBool::new(false));
        let mended = is_mended.clone();
        let broken = Probe::new(move |_| match mended.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(Failure::Message("not today".to_string())),
        });
        let fine = Probe::new(|_| Ok(()));
        pipeline.register("broken", broken.clone(), &CHANNELS, ComponentOptions::default()).unwrap();
        pipeline.register("fine", fine.clone(), &CHANNELS, ComponentOptions::default()).unwrap();
        let source = pipeline.source("kraken");
        Stage { pipeline, clock, source, broken, fine, is_mended }
    }

    fn fail(&self, channel: VenueChannel, numbers: std::ops::Range<u64>) {
        let before = self.letters().len();
        let more = usize::try_from(numbers.end - numbers.start).unwrap();
        for number in numbers {
            assert_eq!(self.source.push(update(channel.clone(), "BTC/USD", number)), Pushed::Accepted);
        }
        until(|| self.letters().len() == before + more);
    }

    fn letters(&self) -> Vec<LetterId> {
        let letters = self.pipeline.dead_letters().list(&Filter::default(), usize::MAX);
        letters.into_iter().map(|(id, _)| id).collect()
    }

    fn mend(&self) {
        self.is_mended.store(true, Ordering::SeqCst);
    }
}

fn real() -> Redrive {
    Redrive { rehearsal: Rehearsal::Real, ..Redrive::default() }
}

#[test]
fn letters_go_to_their_own_component_only_and_are_counted() {
    let stage = Stage::new();
    stage.fail(VenueChannel::Executions, 0..5);
    stage.mend();
    let dry = stage.pipeline.redrive(&Redrive::default());
    assert_eq!((dry.sent.len(), stage.letters().len()), (5, 5), "a dry run sends nothing");
    let redriven = stage.pipeline.redrive(&real());
    assert_eq!((redriven.sent, redriven.kept), (dry.sent, vec![]));
    stage.broken.await_count(5);
    assert!(stage.letters().is_empty());
    let stats = stage.pipeline.stop(LONG);
    let broken = &stats.components["broken"];
    assert_eq!((broken.redriven, broken.accepted, broken.delivered), (5, 10, 5));
    assert!(broken.balances());
    assert_eq!(stage.fine.numbers(), [0, 1, 2, 3, 4]);
}

#[test]
fn one_that_fails_again_keeps_its_history_and_goes_a_second_time_only_by_name() {
    let stage = Stage::new();
    stage.fail(VenueChannel::Executions, 0..1);
    let first = stage.letters()[0];
    assert_eq!(stage.pipeline.redrive(&real()).sent, [first]);
    until(|| stage.letters().iter().any(|id| *id != first));
    let (id, letter) = stage.pipeline.dead_letters().list(&Filter::default(), 9).pop().unwrap();
    assert_eq!((letter.redriven, letter.history.len()), (1, 1));
    assert_eq!(stage.pipeline.redrive(&real()).kept, [(id, NotRedriven::Again)]);
    stage.mend();
    let by_name = Redrive { filter: Filter { id: Some(id), ..Filter::default() }, ..real() };
    assert_eq!(stage.pipeline.redrive(&by_name).sent, [id]);
    stage.broken.await_count(1);
}

#[test]
fn what_is_latest_is_refused_where_a_newer_one_has_come() {
    let stage = Stage::new();
    stage.fail(VenueChannel::Ticker, 0..3);
    stage.mend();
    let redriven = stage.pipeline.redrive(&real());
    let letters = redriven.kept.clone();
    assert_eq!(redriven.sent.len(), 1);
    assert!(letters.iter().all(|(_, why)| *why == NotRedriven::Older) && letters.len() == 2, "{letters:?}");
    stage.broken.await_count(1);
    assert_eq!(stage.broken.numbers(), [2]);
}

#[test]
fn only_so_many_go_a_second() {
    let stage = Stage::new();
    stage.fail(VenueChannel::Executions, 0..5);
    stage.mend();
    let slow = Redrive { per_second: 2, ..real() };
    let redriven = stage.pipeline.redrive(&slow);
    assert_eq!(redriven.sent.len(), 2);
    assert!(redriven.kept.iter().all(|(_, why)| *why == NotRedriven::Later));
    assert_eq!(stage.pipeline.redrive(&slow).sent.len(), 0);
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(stage.pipeline.redrive(&slow).sent.len(), 2, "time that has passed is not saved up");
}

#[test]
fn a_letter_whose_component_is_gone_stays() {
    let stage = Stage::new();
    stage.fail(VenueChannel::Executions, 0..1);
    stage.pipeline.unregister("broken").unwrap();
    assert_eq!(stage.pipeline.redrive(&real()).kept[0].1, NotRedriven::NoComponent);
    assert_eq!(stage.letters().len(), 1);
}
