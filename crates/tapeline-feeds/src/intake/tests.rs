//! A feed against a hub that is busy for a while.

use tapeline_core::stats::Count;

use super::fake::{Notebook, intake, said};
use super::*;

fn counts(intake: &Intake) -> [u64; 4] {
    let stats = intake.stats();
    [&stats.published, &stats.conflated, &stats.dropped, &stats.refused].map(Count::read)
}

/// The dead letters of the feed, as the broker took them.
fn letters(notebook: &Notebook) -> Vec<serde_json::Value> {
    let taken = notebook.taken();
    let data = taken.iter().filter_map(|line| line.strip_prefix("dead_letters:test "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
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
        let due =
            [said("market_data:A", n), said("market_trades:A", n), said("market_data:B", n), said("news", n)];
        assert!(!intake.publish(due));
    }
    notebook.be_busy(false);
    assert!(intake.flush());
    let expected = [
        "market_trades:A 0",
        "news 0",
        "market_trades:A 1",
        "news 1",
        "market_data:A 2",
        "market_trades:A 2",
        "market_data:B 2",
        "news 2",
    ];
    assert_eq!(notebook.taken(), expected);
    assert_eq!(counts(&intake), [8, 4, 0, 0]);
    assert!(letters(&notebook).is_empty(), "a price that gave way to a newer one is no loss");
}

#[test]
fn past_the_bound_the_oldest_are_dropped_and_counted() {
    let (mut intake, notebook) = intake();
    notebook.be_busy(true);
    intake.publish((0..WAITING_LIMIT + 500).map(|n| said("news", n)));
    notebook.be_busy(false);
    assert!(intake.flush());
    assert_eq!(counts(&intake), [WAITING_LIMIT as u64, 0, 500, 0]);
    assert_eq!(notebook.taken()[0], "news 500");
    let letters = letters(&notebook);
    let numbers: Vec<_> = letters.iter().map(|letter| letter["original"]["data"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    assert_eq!(
        (&letters[7]["reason"], &letters[7]["original"]["channel"]),
        (&"overflow".into(), &"news".into())
    );
}

#[test]
fn past_the_bound_the_last_price_of_a_channel_and_a_tables_row_become_letters() {
    for family in ["market_data", "positions"] {
        let (mut intake, notebook) = intake();
        notebook.be_busy(true);
        let row = |n| Publication {
            kind: None,
            data: format!(r#"{{"symbol":"A","account":"a","quantity":{n}}}"#).into(),
            ..said(&format!("{family}:{n}"), n)
        };
        let price = |n| said(&format!("{family}:{n}"), n);
        let due = (0..WAITING_LIMIT + 500).map(|n| if family == "positions" { row(n) } else { price(n) });
        intake.publish(due);
        notebook.be_busy(false);
        assert!(intake.flush());
        assert_eq!(counts(&intake), [WAITING_LIMIT as u64, 0, 500, 0]);
        let letters = letters(&notebook);
        assert_eq!(letters.len(), 500, "{family}");
        assert_eq!(letters[7]["reason"], "overflow");
        assert_eq!(letters[7]["original"]["channel"], format!("{family}:7"));
    }
}

#[test]
fn a_refused_message_is_counted_and_the_next_goes_on() {
    let (mut intake, notebook) = intake();
    assert!(intake.publish([said("not a name", 1), said("news", 2)]));
    assert_eq!(notebook.taken().pop().unwrap(), "news 2");
    assert_eq!(counts(&intake), [1, 0, 0, 1]);
}

#[test]
fn what_the_hub_refuses_early_or_late_becomes_a_letter_that_says_why() {
    let (mut intake, notebook) = intake();
    notebook.refuse("news");
    assert!(intake.publish([said("not a name", 1), said("news", 2), said("trades:p", 3)]));
    let letters = letters(&notebook);
    assert_eq!(letters.len(), 2, "{letters:?}");
    for (letter, channel, code, number) in
        [(&letters[0], "not a name", "bad_channel", 1), (&letters[1], "news", "storage_full", 2)]
    {
        let error = letter["error"].as_str().unwrap();
        assert!(error.starts_with(code), "{error}");
        let original = serde_json::json!({"channel": channel, "type": "number", "data": number});
        assert_eq!((&letter["reason"], &letter["original"]), (&"refused".into(), &original));
        assert_eq!(letter["attempts"], 1);
    }
    assert_eq!(counts(&intake), [1, 0, 0, 2]);
}

#[test]
fn a_letter_says_whose_the_channel_was_to_be() {
    let (mut intake, notebook) = intake();
    notebook.refuse_with("executions", tapeline_schema::ErrorCode::OwnerConflict);
    let fill = |owner: &str| Publication {
        channel: "executions:a".into(),
        data: "{}".into(),
        owner: Some(owner.into()),
        ..Publication::default()
    };
    // The broker refuses the first, the hub the second at once.
    assert!(intake.publish([fill("ann"), fill(&"é".repeat(200))]));
    let mut owners: Vec<_> =
        letters(&notebook).iter().map(|letter| letter["original"]["owner"].clone()).collect();
    owners.sort_by_key(|owner| owner.as_str().map(str::len));
    assert_eq!(owners[0], "ann");
    assert!(owners[1].as_str().unwrap().len() > 256, "cut to a length that would be taken");
}

#[test]
fn letters_that_are_refused_themselves_are_counted_and_come_to_an_end() {
    let (mut intake, notebook) = intake();
    notebook.refuse("");
    assert!(intake.publish([said("news", 1)]));
    assert_eq!(notebook.taken().len(), 2, "the message and one letter were offered");
    let counts = intake.hub.dead_letters().counts();
    assert_eq!((counts[0].taken, counts[0].lost), (0, 1));
}

#[test]
fn what_is_critical_waits_for_an_outage_to_end_and_comes_in_order() {
    let (mut intake, notebook) = intake();
    notebook.be_busy(true);
    let first = 3 * WAITING_LIMIT;
    assert!(!intake.publish((0..first).map(|n| said("trades:p", n))));
    notebook.be_busy(false);
    notebook.refuse("trades");
    assert!(!intake.flush(), "the broker refuses it for now");
    assert_eq!(counts(&intake), [0, 0, 0, 0]);
    assert!(letters(&notebook).is_empty());
    let offered = notebook.taken().len();
    notebook.refuse_nothing();
    assert!(intake.publish([said("trades:p", first)]));
    let expected: Vec<_> = (0..=first).map(|n| format!("trades:p {n}")).collect();
    assert_eq!(notebook.taken()[offered..], expected);
    assert_eq!(counts(&intake), [first as u64 + 1, 0, 0, 0]);
}

#[test]
fn of_what_is_critical_only_what_is_past_its_bound_becomes_letters_and_every_one_of_it() {
    let (mut intake, notebook) = intake();
    notebook.be_busy(true);
    let over = 300;
    for n in 0..critical::LIMIT + over {
        intake.publish([said("trades:p", n)]);
    }
    assert_eq!(intake.stats().spilled.read(), over as u64);
    notebook.be_busy(false);
    assert!(intake.flush());
    assert_eq!(counts(&intake), [critical::LIMIT as u64, 0, over as u64, 0]);
    let numbers: Vec<_> =
        letters(&notebook).iter().map(|letter| letter["original"]["data"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..over as u64).collect::<Vec<_>>());
}

#[test]
fn a_feed_that_ends_leaves_what_is_critical_as_letters() {
    let (mut intake, notebook) = intake();
    notebook.refuse("trades");
    intake.publish([said("trades:p", 1), said("trades:p", 2)]);
    assert_eq!(intake.stats().critical_waiting.read(), 2);
    intake.close();
    let letters = letters(&notebook);
    assert_eq!(letters.len(), 2);
    assert!(letters[0]["original"]["idempotency_key"].is_string(), "under which it was offered: {letters:?}");
    assert_eq!(intake.stats().critical_waiting.read(), 0);
    assert_eq!(counts(&intake), [0, 0, 2, 0]);
}

#[test]
fn a_table_that_lacks_a_message_is_named_once_and_no_other_channel_is() {
    let (mut intake, notebook) = intake();
    notebook.refuse("positions");
    intake.publish([said("positions:p", 1), said("positions:p", 2), said("news", 3), said("positions:q", 4)]);
    let names: Vec<String> =
        intake.take_unpublished().iter().map(|channel| channel.name().to_string()).collect();
    assert_eq!(names, ["positions:p", "positions:q"]);
    assert!(intake.take_unpublished().is_empty());
}

fn position(n: usize, bytes: usize) -> Publication {
    let data = format!("{{\"symbol\":\"S{n}\",\"note\":\"{}\"}}", "x".repeat(bytes));
    Publication { channel: "positions:p".into(), data: data.into(), ..Publication::default() }
}

#[test]
fn a_tables_messages_that_wait_become_one_that_says_them_all() {
    let (mut intake, notebook) = intake();
    notebook.be_busy(true);
    for n in 0..400 {
        intake.publish([position(n % 7, 1), said("news", n)]);
    }
    notebook.be_busy(false);
    assert!(intake.flush());
    let tables: Vec<String> =
        notebook.taken().into_iter().filter(|line| line.starts_with("positions:p")).collect();
    assert!(tables.len() < 200, "{} messages", tables.len());
    assert_eq!(tables[0].matches("\"symbol\"").count(), 7, "each row once: {}", tables[0]);
    assert_eq!(intake.stats().dropped.read(), 0);
    assert!(intake.take_unpublished().is_empty());
}

#[test]
fn a_table_that_changes_more_than_may_wait_is_dropped_whole_and_named() {
    let (mut intake, notebook) = intake();
    notebook.be_busy(true);
    for n in 0..300 {
        intake.publish([position(n, 4_096)]);
    }
    let names: Vec<_> = intake.take_unpublished().iter().map(|channel| channel.name().to_string()).collect();
    assert_eq!(names, ["positions:p"]);
    assert_eq!(intake.stats().dropped.read(), 1);
    notebook.be_busy(false);
    assert!(intake.flush());
    let letter = &letters(&notebook)[0];
    assert_eq!(letter["original"]["data"]["rows"].as_array().map(Vec::len), None, "too long to be kept");
}

#[test]
fn letters_of_what_is_critical_outlive_the_outage_that_they_come_from() {
    let (mut intake, notebook) = intake();
    for busy in [true, false] {
        notebook.be_busy(busy);
        notebook.refuse("");
        let spilled = 2_000;
        intake.publish((0..critical::LIMIT + spilled).map(|n| said("trades:p", n)));
        intake.hub.sweep();
        assert_eq!(intake.hub.dead_letters().lost(), 0);
        notebook.be_busy(false);
        notebook.refuse_nothing();
        let before = notebook.taken().len();
        intake.hub.sweep();
        let numbers: Vec<_> = letters(&notebook)
            .iter()
            .rev()
            .take(spilled)
            .map(|letter| letter["original"]["data"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers, (0..spilled as u64).rev().collect::<Vec<_>>());
        assert_eq!(notebook.taken().len() - before, spilled, "each is written once");
        assert!(intake.flush());
    }
}

#[test]
fn what_is_critical_when_a_feed_ends_in_an_outage_is_a_letter_once_it_is_over() {
    let (mut intake, notebook) = intake();
    notebook.refuse("");
    intake.publish((0..1_500).map(|n| said("trades:p", n)));
    intake.close();
    let hub = intake.hub.clone();
    drop(intake);
    assert!(!hub.flush_dead_letters());
    assert_eq!(hub.dead_letters().lost(), 0);
    let offered = letters(&notebook).len();
    notebook.refuse_nothing();
    assert!(hub.flush_dead_letters());
    assert_eq!(letters(&notebook).len() - offered, 1_500);
    assert_eq!(hub.dead_letters().counts()[0].taken, 1_500);
}

#[test]
fn past_the_bound_letters_of_what_is_critical_are_lost_and_counted() {
    let (hub, notebook) = super::fake::hub();
    notebook.be_busy(true);
    let mut intake = Intake::new(hub, "feed:test");
    for _ in 0..2 {
        intake.publish((0..critical::LIMIT).map(|n| said("trades:p", n)));
        intake.close();
    }
    assert_eq!(intake.hub.dead_letters().lost(), critical::LIMIT as u64);
    notebook.be_busy(false);
    assert!(intake.hub.flush_dead_letters());
    assert_eq!(letters(&notebook).len(), critical::LIMIT);
}

#[test]
fn what_the_broker_answers_while_a_feed_ends_is_no_letter() {
    let (mut intake, notebook) = intake();
    notebook.owe();
    assert!(!intake.publish([said("trades:p", 1)]));
    let (closing, broker) = (std::sync::Barrier::new(2), notebook.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            closing.wait();
            // The intake is looking by then, or looks next.
            std::thread::yield_now();
            broker.answer();
        });
        closing.wait();
        intake.close();
    });
    assert_eq!(counts(&intake), [1, 0, 0, 0]);
    assert!(letters(&notebook).is_empty());
}

#[test]
fn a_critical_message_that_the_broker_fails_at_for_good_becomes_a_letter_and_the_next_goes_on() {
    let (mut intake, notebook) = intake();
    notebook.refuse_with("trades:bad", tapeline_schema::ErrorCode::Internal);
    intake.publish([said("trades:bad", 1), said("trades:p", 2)]);
    let tries = (0..100).take_while(|_| !intake.flush()).count();
    assert!(tries < 50, "it comes back for ever");
    let offered = notebook.taken().iter().filter(|line| line.starts_with("trades:bad")).count();
    assert_eq!(offered, 25);
    assert_eq!(counts(&intake), [1, 0, 0, 1]);
    assert_eq!(letters(&notebook)[0]["original"]["channel"], "trades:bad");
}

#[test]
fn a_table_is_merged_before_anything_is_dropped_for_it() {
    let (mut intake, notebook) = intake();
    notebook.be_busy(true);
    intake.publish((0..900).map(|n| said("news", n)));
    for n in 0..400 {
        intake.publish([position(n % 7, 1)]);
    }
    assert_eq!(intake.stats().dropped.read(), 0);
}

#[test]
fn a_busy_hub_is_asked_once_for_all_that_is_handed_in_together() {
    let (mut intake, notebook) = intake();
    notebook.be_busy(true);
    intake.publish((0..5_000).map(|n| said("news", n)));
    assert_eq!(notebook.refused(), 2, "once more for the first letter of what is dropped");
    assert_eq!(intake.stats().dropped.read(), 5_000 - WAITING_LIMIT as u64);
}
