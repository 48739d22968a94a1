//! When it opens, for how long, and what closes it, with time as it is handed in.

use super::*;
use crate::testing::at;

fn config() -> BreakerConfig {
    BreakerConfig { minimum_calls: 4, trial_calls: 3, ..BreakerConfig::default() }
}

fn call(breaker: &mut Breaker, verdict: Verdict, now: Now) {
    let permit = breaker.permit(now).unwrap();
    breaker.on_result(permit, verdict, now, 1.0);
}

fn opened(now: Now) -> Breaker {
    let mut breaker = Breaker::new(config());
    (0..4).for_each(|_| call(&mut breaker, Verdict::Failure, now));
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker
}

#[test]
fn it_opens_at_the_rate_and_not_before_the_least_number_of_calls() {
    let mut breaker = Breaker::new(config());
    call(&mut breaker, Verdict::Success, at(1.0));
    call(&mut breaker, Verdict::Success, at(1.0));
    call(&mut breaker, Verdict::Failure, at(2.0));
    assert_eq!(breaker.state(), BreakerState::Closed);
    call(&mut breaker, Verdict::Failure, at(3.0));
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(breaker.permit(at(7.9)).unwrap_err(), Some(8_000_000));
}

#[test]
fn what_is_older_than_the_window_does_not_count() {
    let mut breaker = Breaker::new(config());
    (0..3).for_each(|_| call(&mut breaker, Verdict::Failure, at(1.0)));
    call(&mut breaker, Verdict::Failure, at(11.5));
    assert_eq!(breaker.state(), BreakerState::Closed);
    (0..3).for_each(|_| call(&mut breaker, Verdict::Failure, at(20.0)));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn failures_that_a_message_is_to_blame_for_never_open_it() {
    let mut breaker = Breaker::new(config());
    (0..1_000).for_each(|_| call(&mut breaker, Verdict::Ignored, at(1.0)));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_few_calls_are_let_through_for_a_trial_and_close_it_when_they_succeed() {
    let mut breaker = opened(at(1.0));
    let trials: Vec<_> = (0..3).map(|_| breaker.permit(at(6.0)).unwrap()).collect();
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(breaker.permit(at(6.0)).unwrap_err(), None, "no more than the trials");
    for trial in trials {
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.on_result(trial, Verdict::Success, at(6.1), 1.0);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_trial_whose_message_is_to_blame_gives_its_permit_back() {
    let mut breaker = opened(at(1.0));
    for _ in 0..100 {
        call(&mut breaker, Verdict::Ignored, at(6.0));
    }
    (0..3).for_each(|_| call(&mut breaker, Verdict::Success, at(6.0)));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn each_failed_trial_doubles_the_time_up_to_the_longest_and_a_success_starts_small_again() {
    let mut breaker = opened(at(1.0));
    let mut now_s = 1.0;
    let mut opens = Vec::new();
    for _ in 0..6 {
        let until_us = breaker.permit(at(now_s)).unwrap_err().unwrap();
        opens.push((until_us as f64 / 1e6 - now_s).round());
        now_s = until_us as f64 / 1e6;
        (0..2).for_each(|_| call(&mut breaker, Verdict::Failure, at(now_s)));
    }
    assert_eq!(opens, [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]);
    now_s += 60.0;
    (0..3).for_each(|_| call(&mut breaker, Verdict::Success, at(now_s)));
    (0..4).for_each(|_| call(&mut breaker, Verdict::Failure, at(now_s)));
    let until_us = breaker.permit(at(now_s)).unwrap_err().unwrap();
    assert_eq!(until_us, at(now_s + 5.0).mono_us);
}

#[test]
fn chance_shortens_the_time_by_half_at_most() {
    for (fraction, wanted_us) in [(0.0, 2_500_000), (0.5, 3_750_000), (1.0, 5_000_000), (7.0, 5_000_000)] {
        let mut breaker = Breaker::new(config());
        breaker.open(at(0.0), fraction);
        assert_eq!(breaker.permit(at(0.0)).unwrap_err(), Some(wanted_us));
    }
}

#[test]
fn a_call_that_began_in_another_state_does_not_count() {
    let mut breaker = Breaker::new(config());
    let early: Vec<_> = (0..20).map(|_| breaker.permit(at(1.0)).unwrap()).collect();
    (0..4).for_each(|_| call(&mut breaker, Verdict::Failure, at(1.0)));
    let trial = breaker.permit(at(6.0)).unwrap();
    for permit in early {
        breaker.on_result(permit, Verdict::Failure, at(6.0), 1.0);
    }
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    breaker.on_result(trial, Verdict::Success, at(6.0), 1.0);
    (0..2).for_each(|_| call(&mut breaker, Verdict::Success, at(6.0)));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_clock_that_stands_still_or_leaps_does_no_harm() {
    let mut breaker = Breaker::new(config());
    for second in [0.0, 0.0, 1e9, 1e9, 2e12, 2e12] {
        call(&mut breaker, Verdict::Success, at(second));
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    let far = Now { mono_us: u64::MAX, wall_us: 0 };
    (0..4).for_each(|_| call(&mut breaker, Verdict::Failure, far));
    assert_eq!(breaker.state(), BreakerState::Open);
    // The end of its time is the end of time.
    assert!(breaker.permit(far).is_ok());
}
