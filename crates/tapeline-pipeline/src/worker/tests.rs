//! What becomes of calls, with time and chance as they are handed in.

use std::time::Duration;

use super::*;
use crate::dead_letters::{Filter, Letter, MemoryBounds, MemoryLetters};
use crate::testing::{at, item};

const START: f64 = 100.0;

/// A worker, its letters, and chance at its longest.
struct Bench {
    worker: Worker,
    letters: MemoryLetters,
}

impl Bench {
    fn new(bounds: Bounds) -> Self {
        let worker = Worker::new("risk".into(), 1, bounds, Box::new(|| 1.0));
        Bench { worker, letters: MemoryLetters::default() }
    }

    fn offer(&mut self, channel: &str, number: u64) {
        self.worker.offer(item(channel, "a", number));
    }

    fn step(&mut self, done: Option<(CallId, Outcome)>, second: f64) -> Step {
        let step = self.worker.step(done, at(second), &self.letters);
        assert!(self.worker.stats().balances(), "{:?}", self.worker.stats());
        step
    }

    /// The call that is next; ends it so and tells what is next then.
    fn call(&mut self, second: f64, outcome: Outcome) -> Step {
        let id = called(&self.step(None, second));
        self.step(Some((id, outcome)), second)
    }

    fn letters(&self) -> Vec<Arc<Letter>> {
        self.letters.list(&Filter::default(), 99).into_iter().map(|(_, letter)| letter).collect()
    }
}

fn called(step: &Step) -> CallId {
    match step {
        Step::Call { id, .. } => *id,
        step => panic!("no call, but {step:?}"),
    }
}

fn waits_ms(step: &Step, since_s: f64) -> u64 {
    match step {
        Step::Wait { until_us } => (until_us - at(since_s).mono_us) / 1_000,
        step => panic!("no wait, but {step:?}"),
    }
}

fn transient() -> Outcome {
    Outcome::Failed(Failure::Transient("no connection".to_string()))
}

#[test]
fn a_transient_failure_is_tried_again_after_a_wait_that_doubles_and_then_given_up() {
    let mut bench = Bench::new(Bounds::default());
    bench.offer("trade", 1);
    assert_eq!(waits_ms(&bench.call(START, transient()), START), 50);
    assert_eq!(waits_ms(&bench.call(START + 0.05, transient()), START + 0.05), 100);
    assert!(matches!(bench.call(START + 0.15, transient()), Step::Idle));
    let letters = bench.letters();
    assert_eq!((letters[0].reason, letters[0].attempts), (DeadLetterReason::MaxRetries, 3));
    assert_eq!((letters[0].first_us, letters[0].last_us), (at(START).wall_us, at(START + 0.15).wall_us));
    assert_eq!(&*letters[0].error, "no connection");
    let stats = bench.worker.stats();
    assert_eq!((stats.calls, stats.retried, stats.failed["transient"]), (3, 2, 3));
}

#[test]
fn what_cannot_succeed_is_not_tried_again() {
    let permanent = Outcome::Failed(Failure::Permanent("no".to_string()));
    let message = Outcome::Failed(Failure::Message("what".to_string()));
    let cases = [
        (permanent, DeadLetterReason::MaxRetries),
        (message, DeadLetterReason::Validation),
        (Outcome::Panicked("oh".into()), DeadLetterReason::Panic),
    ];
    for (outcome, reason) in cases {
        let mut bench = Bench::new(Bounds::default());
        bench.offer("trade", 1);
        assert!(matches!(bench.call(START, outcome), Step::Idle));
        assert_eq!((bench.letters()[0].reason, bench.letters()[0].attempts), (reason, 1));
    }
}

#[test]
fn a_call_that_times_out_is_tried_again_and_given_up_as_a_timeout() {
    let mut bench = Bench::new(Bounds::default());
    bench.offer("trade", 1);
    for second in [0.0, 1.0, 2.0] {
        bench.call(START + second, Outcome::TimedOut);
    }
    assert_eq!(bench.letters()[0].reason, DeadLetterReason::Timeout);
}

#[test]
fn a_budget_bounds_the_retries_of_a_component_that_only_fails() {
    let retry = RetryConfig { budget: Some(2), ..RetryConfig::default() };
    let breaker = BreakerConfig { minimum_calls: 10_000, ..BreakerConfig::default() };
    let mut bench = Bench::new(Bounds { retry, breaker, ..Bounds::default() });
    let mut second = START;
    for number in 0..100 {
        bench.offer("trade", number);
        while let Step::Call { id, .. } = bench.step(None, second) {
            bench.step(Some((id, transient())), second);
            second += 1.0;
        }
    }
    // Two at first, and one for every ten first calls.
    let retried = bench.worker.stats().retried;
    assert!((10..=12).contains(&retried), "{retried}");
}

#[test]
fn what_is_too_old_gets_no_call_and_a_critical_one_becomes_a_dead_letter() {
    let mut bench = Bench::new(Bounds { deadline: Some(Duration::from_secs(5)), ..Bounds::default() });
    bench.offer("trade", 1);
    bench.offer("executions", 2);
    assert!(matches!(bench.step(None, 5.1), Step::Idle));
    assert_eq!(bench.worker.stats().dropped["expired"], 1);
    assert_eq!(bench.letters()[0].reason, DeadLetterReason::Expired);
}

#[test]
fn a_critical_message_without_room_for_its_letter_is_kept_until_there_is() {
    let mut bench = Bench::new(Bounds::default());
    bench.letters = MemoryLetters::new(MemoryBounds { letters: 1, ..MemoryBounds::default() });
    let message = || Outcome::Failed(Failure::Message("what".to_string()));
    bench.offer("executions", 1);
    bench.offer("balances", 2);
    let first = called(&bench.step(None, START));
    let second = called(&bench.step(Some((first, message())), START));
    assert_eq!(waits_ms(&bench.step(Some((second, message())), START), START), 1_000);
    assert_eq!(bench.worker.stats().queued, [1, 0, 0, 0]);
    assert!(bench.worker.take_happenings().contains(&Happening::NoRoomForLetters));
    let (id, _) = bench.letters.list(&Filter::default(), 1)[0].clone();
    bench.letters.take(id).unwrap();
    assert!(matches!(bench.step(None, START + 1.0), Step::Idle));
    assert_eq!(bench.letters()[0].update.sequence, Some(2));
}

#[test]
fn a_call_that_does_not_come_back_is_given_up_and_its_late_answer_ignored() {
    let mut bench = Bench::new(Bounds::default());
    bench.offer("executions", 1);
    bench.offer("executions", 2);
    let id = called(&bench.step(None, START));
    bench.worker.on_hung(id, at(START + 2.0), &bench.letters);
    let stats = bench.worker.stats();
    assert!(stats.hung && stats.balances() && stats.breaker == BreakerState::Open, "{stats:?}");
    assert_eq!(bench.letters()[0].reason, DeadLetterReason::Timeout);
    let next = bench.step(Some((id, Outcome::Delivered)), START + 3.0);
    assert!(matches!(next, Step::Wait { .. }));
    let stats = bench.worker.stats();
    assert_eq!((stats.hung, stats.delivered, stats.queued), (false, 0, [1, 0, 0, 0]));
    assert!(matches!(bench.call(START + 8.0, Outcome::Delivered), Step::Idle));
}

#[test]
fn while_it_is_switched_off_only_the_newest_of_what_is_latest_waits_and_critical_ones_all_do() {
    let breaker = BreakerConfig { minimum_calls: 1, ..BreakerConfig::default() };
    let mut bench = Bench::new(Bounds { breaker, ..Bounds::default() });
    bench.offer("ticker", 1);
    bench.offer("ticker", 2);
    bench.offer("executions", 3);
    let panicked = Outcome::Panicked("oh".into());
    assert!(matches!(bench.call(START, panicked), Step::Wait { .. }));
    (4..9).for_each(|number| bench.offer("ticker", number));
    (9..12).for_each(|number| bench.offer("executions", number));
    let stats = bench.worker.stats();
    assert_eq!((stats.queued, stats.conflated), ([3, 1, 0, 0], 6));
    assert!(!bench.worker.holds_back());
}

#[test]
fn a_slow_call_is_counted_and_times_are_measured_from_the_receipt() {
    let mut bench = Bench::new(Bounds::default());
    bench.offer("executions", 1);
    let id = called(&bench.step(None, 0.001));
    bench.step(Some((id, Outcome::Delivered)), 0.011);
    assert_eq!(bench.worker.stats().slow, 1);
    let latencies = bench.worker.latencies().unwrap();
    let at_us = |stage| latencies.of(0, stage).unwrap().quantile_us(0.99);
    assert_eq!(at_us(Stage::Queued), 0);
    assert!((1_000..1_130).contains(&at_us(Stage::Called)), "{}", at_us(Stage::Called));
    assert!((11_000..12_400).contains(&at_us(Stage::Done)), "{}", at_us(Stage::Done));
}
