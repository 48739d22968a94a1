//! What is let in, and what is known again.

use std::sync::Arc;

use tapeline_core::feed::UpdateKind;

use super::*;
use crate::testing::{at, update};

fn intake(config: IntakeConfig) -> Intake {
    Intake::new(config, &QueueConfig::default())
}

/// Whether it is let in, and remembered.
fn takes(intake: &mut Intake, update: &Update, second: f64) -> bool {
    match intake.admit(update, at(second)) {
        Admission::Admitted(Some(mark)) => {
            intake.remember(mark, at(second));
            true
        }
        Admission::Admitted(None) => true,
        _ => false,
    }
}

fn invalid(update: &Update, config: IntakeConfig) -> Option<String> {
    match intake(config).admit(update, at(1.0)) {
        Admission::Invalid(invalid) => Some(invalid.to_string()),
        _ => None,
    }
}

#[test]
fn the_same_number_of_the_same_channel_and_symbol_is_left_out_within_the_window() {
    let mut intake = intake(IntakeConfig::default());
    assert!(takes(&mut intake, &update("ticker", "a", 1), 1.0));
    assert!(!takes(&mut intake, &update("ticker", "a", 1), 1.09));
    assert!(takes(&mut intake, &update("ticker", "b", 1), 1.09));
    assert!(takes(&mut intake, &update("trade", "a", 1), 1.09));
    assert!(takes(&mut intake, &update("ticker", "a", 2), 1.09));
    assert!(takes(&mut intake, &update("ticker", "a", 1), 1.1), "the window has passed");
}

#[test]
fn an_id_comes_before_a_number_and_what_has_neither_is_never_left_out() {
    let mut intake = intake(IntakeConfig::default());
    let named = |id: &str, number| Update { id: Some(id.into()), ..update("executions", "a", number) };
    assert!(takes(&mut intake, &named("x", 1), 1.0));
    assert!(!takes(&mut intake, &named("x", 2), 1.0));
    assert!(takes(&mut intake, &named("y", 1), 1.0));
    let nameless = Update { sequence: None, ..update("trade", "a", 1) };
    assert!(takes(&mut intake, &nameless, 1.0) && takes(&mut intake, &nameless, 1.0));
}

#[test]
fn content_is_compared_only_where_a_channel_says_so() {
    let nameless = |channel| Update { sequence: None, ..update(channel, "a", 1) };
    let by_content = vec![VenueChannel::Ticker, VenueChannel::Balances];
    let mut intake = intake(IntakeConfig { by_content, ..IntakeConfig::default() });
    for (channel, again) in [("ticker", false), ("balances", false), ("trade", true)] {
        assert!(takes(&mut intake, &nameless(channel), 1.0));
        assert_eq!(takes(&mut intake, &nameless(channel), 1.0), again, "{channel}");
    }
}

#[test]
fn what_was_not_accepted_may_come_again() {
    let mut intake = intake(IntakeConfig::default());
    let update = update("executions", "a", 1);
    assert!(matches!(intake.admit(&update, at(1.0)), Admission::Admitted(Some(_))));
    assert!(takes(&mut intake, &update, 1.0));
    assert!(matches!(intake.admit(&update, at(1.0)), Admission::Repeated));
}

#[test]
fn critical_updates_are_compared_by_the_id_itself() {
    let dedup = Dedup::new(Duration::from_secs(1), 100);
    let mark = |channel| dedup.mark(&update(channel, "a", 1), None).unwrap();
    assert!(matches!(mark("executions"), Mark::Whole(_)));
    assert!(matches!(mark("ticker"), Mark::Hash(_)));
}

#[test]
fn memory_is_bounded_and_a_shorter_window_is_counted() {
    let mut intake = intake(IntakeConfig { remembered: 10, ..IntakeConfig::default() });
    for number in 0..1_000 {
        assert!(takes(&mut intake, &update("ticker", "a", number), 1.0));
    }
    assert!(!takes(&mut intake, &update("ticker", "a", 999), 1.0));
    assert!(takes(&mut intake, &update("ticker", "a", 0), 1.0));
    assert!(intake.shortened() >= 190, "{}", intake.shortened());
}

#[test]
fn a_clock_that_leaps_ends_the_window_and_one_that_stands_does_not() {
    let mut intake = intake(IntakeConfig::default());
    assert!(takes(&mut intake, &update("ticker", "a", 1), 1.0));
    assert!(!takes(&mut intake, &update("ticker", "a", 1), 1.0));
    assert!(takes(&mut intake, &update("ticker", "a", 1), 1e9));
}

#[test]
fn deduplication_can_be_switched_off() {
    let off = QueueConfig { enable_deduplication: false, ..QueueConfig::default() };
    let mut intake = Intake::new(IntakeConfig::default(), &off);
    assert!(takes(&mut intake, &update("ticker", "a", 1), 1.0));
    assert!(takes(&mut intake, &update("ticker", "a", 1), 1.0));
}

#[test]
fn what_is_not_what_its_channel_says_is_told_with_the_limit() {
    let with = |channel, data: &'static str| Update { data: data.into(), ..update(channel, "a", 1) };
    let told = |update: Update| invalid(&update, IntakeConfig { max_bytes: 20, ..IntakeConfig::default() });
    assert_eq!(told(with("ticker", "{\"n\":1}")), None);
    assert_eq!(told(with("ticker", " {\"n\":1} ")), None);
    assert_eq!(told(with("ticker", "{\"n\":1")).unwrap(), "the data is not JSON");
    assert_eq!(told(with("ticker", "{\"n\" 1}")).unwrap(), "the data is not JSON");
    assert_eq!(told(with("ticker", "")).unwrap(), "the data is not JSON");
    assert_eq!(told(with("ticker", "[1]")).unwrap(), "the data of ticker is to be an object");
    assert_eq!(told(with("balances", "7")).unwrap(), "the data of balances is to be an object or a list");
    assert_eq!(told(with("balances", "[1]")), None);
    let long = "{\"n\":1111111111111111}";
    assert_eq!(told(with("ticker", long)).unwrap(), "the data is 22 bytes, the limit is 20");
    let nameless = Update { symbol: None, ..with("book", "{}") };
    assert_eq!(told(nameless).unwrap(), "an update of book needs a symbol");
    assert_eq!(told(Update { symbol: None, ..with("executions", "{}") }), None);
}

#[test]
fn an_owners_rule_is_asked_of_its_channel() {
    let rule = Rule::new(|update: &Update| match update.kind {
        UpdateKind::Snapshot => Ok(()),
        UpdateKind::Change => Err("snapshots only".to_string()),
    });
    let config = IntakeConfig { rules: vec![(VenueChannel::Book, rule)], ..IntakeConfig::default() };
    assert_eq!(invalid(&update("book", "a", 1), config.clone()).unwrap(), "snapshots only");
    assert_eq!(invalid(&update("ticker", "a", 1), config), None);
}

#[test]
fn data_that_is_only_looked_at_at_its_ends_may_be_broken_between() {
    let broken = Update { data: "{nothing}".into(), ..update("ticker", "a", 1) };
    let config = IntakeConfig { look: Look::Ends, ..IntakeConfig::default() };
    assert_eq!(invalid(&broken, config), None);
    assert!(invalid(&broken, IntakeConfig::default()).is_some());
    let _ = Arc::new(broken);
}

#[test]
fn a_rule_that_panics_lets_nothing_in() {
    let rule = Rule::new(|_| panic!("not thought of"));
    let config = IntakeConfig { rules: vec![(VenueChannel::Ticker, rule)], ..IntakeConfig::default() };
    assert_eq!(
        invalid(&update("ticker", "a", 1), config).as_deref(),
        Some("a rule panicked: not thought of")
    );
}

#[test]
fn the_same_number_of_another_venue_is_another_update() {
    let mut intake = intake(IntakeConfig::default());
    for channel in ["ticker", "executions"] {
        let of = |source: &str| Update { source: source.into(), ..update(channel, "a", 1) };
        assert!(takes(&mut intake, &of("kraken"), 1.0));
        assert!(takes(&mut intake, &of("futu"), 1.0));
        assert!(!takes(&mut intake, &of("kraken"), 1.0));
    }
}
