//! A feed against a hub that is busy for a while.

use super::fake::{intake, said};
use tapeline_core::stats::Count;

use super::*;

fn counts(intake: &Intake) -> [u64; 4] {
    let stats = intake.stats();
    [&stats.published, &stats.conflated, &stats.dropped, &stats.refused].map(Count::read)
}

#[test]
fn a_roomy_hub_gets_everything_in_order() {
    let (mut intake, notebook) = intake();
    assert!(intake.publish((0..1_000).map(|n| said("trades:p", n))));
    let expected: Vec<_> = (0..1_000).map(|n| format!("trades:p {n}")).collect();
    assert_eq!(notebook.taken(), expected);
    assert_eq!(counts(&intake), [1_000, 0, 0, 0]);
}

#[test]
fn while_the_hub_is_busy_only_the_newest_of_a_latest_channel_waits() {
    let (mut intake, notebook) = intake();
    notebook.be_busy(true);
    for n in 0..3 {
        let due = [said("market_data:A", n), said("trades:p", n), said("market_data:B", n), said("news", n)];
        assert!(!intake.publish(due));
    }
    notebook.be_busy(false);
    assert!(intake.flush());
    let expected = [
        "trades:p 0",
        "news 0",
        "trades:p 1",
        "news 1",
        "market_data:A 2",
        "trades:p 2",
        "market_data:B 2",
        "news 2",
    ];
    assert_eq!(notebook.taken(), expected);
    assert_eq!(counts(&intake), [8, 4, 0, 0]);
}

#[test]
fn past_the_bound_the_oldest_are_dropped_and_counted() {
    let (mut intake, notebook) = intake();
    notebook.be_busy(true);
    intake.publish((0..WAITING_LIMIT + 500).map(|n| said("trades:p", n)));
    notebook.be_busy(false);
    assert!(intake.flush());
    assert_eq!(counts(&intake), [WAITING_LIMIT as u64, 0, 500, 0]);
    assert_eq!(notebook.taken()[0], "trades:p 500");
}

#[test]
fn a_refused_message_is_counted_and_the_next_goes_on() {
    let (mut intake, notebook) = intake();
    assert!(intake.publish([said("not a name", 1), said("news", 2)]));
    assert_eq!(notebook.taken(), ["news 2"]);
    assert_eq!(counts(&intake), [1, 0, 0, 1]);
}
