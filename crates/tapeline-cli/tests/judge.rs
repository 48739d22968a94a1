//! The judge of the tests that break things can itself fail: each kind of loss, repetition and invention is found, and
//! what was told is accepted. Then the whole apparatus on a hub that nothing happens to.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::time::{Duration, Instant};

use support::Hub;
use support::counting::judge::{self, Verdict};
use support::counting::publisher::{Publisher, publish_one};
use support::counting::subscriber::Subscriber;
use support::counting::{Fate, Heard, Place, Publication};

const CHANNEL: &str = "trades:p";

fn publication(number: u64, fate: Fate) -> Publication {
    let status = match &fate {
        Fate::Acknowledged(_) => 200,
        Fate::Held => 202,
        Fate::Refused(_) => 503,
        Fate::Unknown => 0,
    };
    let (begun, took) = (Instant::now(), Duration::from_millis(1));
    Publication { number, channel: CHANNEL.to_string(), fate, status, begun, took }
}

fn acknowledged(number: u64, offset: u64, epoch: &str) -> Publication {
    publication(number, Fate::Acknowledged(Place::new(offset, epoch)))
}

/// Numbers 1, 2, … of epoch `a`, at their own offsets.
fn three() -> Vec<Publication> {
    (1..=3).map(|number| acknowledged(number, number, "a")).collect()
}

fn message(number: u64, offset: u64, epoch: &str) -> Heard {
    Heard::Message { channel: CHANNEL.to_string(), number, place: Place::new(offset, epoch) }
}

fn gap(from: u64, to: Option<u64>, reason: &str) -> Heard {
    Heard::Gap { channel: CHANNEL.to_string(), from, to, reason: reason.to_string() }
}

fn begin() -> Heard {
    Heard::Confirmed { head: Some(Place::new(0, "a")), recovered: None }
}

fn resumed(recovered: bool) -> Heard {
    Heard::Confirmed { head: Some(Place::new(9, "a")), recovered: Some(recovered) }
}

fn every(published: &[Publication], heard: &[Heard]) -> Result<Verdict, String> {
    judge::every(CHANNEL, published, heard)
}

fn complaint(published: &[Publication], heard: &[Heard]) -> String {
    every(published, heard).expect_err("this is not to be accepted")
}

#[test]
fn everything_once_and_in_order_is_accepted() {
    let heard = [begin(), message(1, 1, "a"), message(2, 2, "a"), resumed(true), message(3, 3, "a")];
    let verdict = Verdict { heard: 3, recovered: vec![true], ..Verdict::default() };
    assert_eq!(every(&three(), &heard), Ok(verdict));
}

#[test]
fn what_is_missing_at_the_end_or_in_the_middle_without_a_word_is_found() {
    let end = [begin(), message(1, 1, "a"), message(2, 2, "a")];
    assert_eq!(
        complaint(&three(), &end),
        r#"3 was acknowledged at Place { offset: 3, epoch: "a" } and never came"#
    );
    let middle = [begin(), message(1, 1, "a"), message(3, 3, "a")];
    assert_eq!(complaint(&three(), &middle), r#"3 is at 3, where 2 is due in Some("a")"#);
    assert!(every(&three(), &[begin(), message(1, 1, "a"), resumed(true)]).is_err());
}

#[test]
fn what_is_missing_in_a_gap_is_accepted_and_counted() {
    let heard = [begin(), message(1, 1, "a"), gap(2, Some(2), "trimmed"), message(3, 3, "a")];
    let verdict = every(&three(), &heard).expect("it was told");
    assert_eq!((verdict.missing, verdict.gaps), (1, vec!["trimmed".to_string()]));
    let elsewhere = [begin(), message(1, 1, "a"), gap(3, Some(3), "trimmed"), message(3, 4, "a")];
    assert_eq!(complaint(&three(), &elsewhere), r#"the gap is at 3, where 2 is due in Some("a")"#);
}

#[test]
fn another_epoch_must_be_told_and_then_begins_at_its_first() {
    let mut published = three();
    published.push(acknowledged(4, 1, "b"));
    let start = [begin(), message(1, 1, "a"), message(2, 2, "a")];
    let with = |rest: &[Heard]| [start.as_slice(), rest].concat();
    let told = every(&published, &with(&[gap(3, None, "epoch"), message(4, 1, "b")]));
    assert_eq!(told.map(|verdict| verdict.missing), Ok(1));
    let silent = complaint(&published, &with(&[message(4, 1, "b")]));
    assert_eq!(silent, "4 came under b; nobody has said that a is over");
    published.push(acknowledged(5, 2, "b"));
    let hole = complaint(&published, &with(&[gap(3, None, "epoch"), message(5, 2, "b")]));
    assert_eq!(hole, "5 is at 2, where 1 is due in None");
}

#[test]
fn an_epoch_that_came_and_went_while_nobody_listened_is_behind_the_word_of_the_next() {
    let published = [acknowledged(1, 1, "a"), acknowledged(2, 1, "b"), acknowledged(3, 1, "c")];
    let heard = [begin(), message(1, 1, "a"), gap(2, None, "epoch"), message(3, 1, "c")];
    assert_eq!(every(&published, &heard).map(|verdict| verdict.missing), Ok(1));
}

#[test]
fn whoever_was_told_that_it_is_not_recovered_may_find_itself_further_on_but_not_back() {
    let heard = [begin(), message(1, 1, "a"), resumed(false), message(3, 3, "a")];
    assert_eq!(every(&three(), &heard).map(|verdict| verdict.missing), Ok(1));
    let lies = [begin(), message(1, 1, "a"), resumed(true), message(3, 3, "a")];
    assert!(every(&three(), &lies).is_err());
    let back = [begin(), message(2, 2, "a"), resumed(false), message(1, 1, "a")];
    assert!(every(&three(), &back).is_err());
}

#[test]
fn what_comes_twice_out_of_order_or_elsewhere_than_it_was_acknowledged_is_found() {
    let twice = [begin(), message(1, 1, "a"), message(1, 2, "a")];
    assert!(complaint(&three(), &twice).starts_with("1 came twice"));
    let repeated = [begin(), message(1, 1, "a"), message(2, 1, "a")];
    assert_eq!(complaint(&three(), &repeated), r#"2 is at 1, where 2 is due in Some("a")"#);
    let swapped = [begin(), message(2, 1, "a"), message(1, 2, "a"), message(3, 3, "a")];
    assert!(complaint(&three(), &swapped).contains("and came at"));
}

#[test]
fn what_was_never_published_refused_or_held_must_not_come_and_the_unknown_may_once() {
    let heard = [begin(), message(1, 1, "a")];
    assert_eq!(complaint(&[], &heard), "1 came and was never published");
    let refused = [publication(1, Fate::Refused("degraded".to_string()))];
    assert_eq!(complaint(&refused, &heard), "1 came and was refused with degraded");
    let unknown = [publication(1, Fate::Unknown)];
    assert_eq!(every(&unknown, &heard).map(|verdict| verdict.heard), Ok(1));
    assert_eq!(every(&unknown, &[begin()]).map(|verdict| verdict.heard), Ok(0));
    assert!(every(&unknown, &[begin(), message(1, 1, "a"), message(1, 2, "a")]).is_err());
    assert!(complaint(&[publication(1, Fate::Held)], &[begin()]).contains("was held"));
}

#[test]
fn what_was_published_before_a_subscriber_came_is_not_owed_to_it() {
    let late = Heard::Confirmed { head: Some(Place::new(2, "a")), recovered: None };
    assert_eq!(every(&three(), &[late.clone(), message(3, 3, "a")]).map(|verdict| verdict.heard), Ok(1));
    assert!(every(&three(), &[late]).is_err());
}

#[test]
fn in_a_roll_up_only_as_many_may_be_missing_as_were_told() {
    let of = |number, offset| Heard::Message {
        channel: "trades".to_string(),
        number,
        place: Place::new(offset, "r"),
    };
    let begin = Heard::Confirmed { head: Some(Place::new(0, "r")), recovered: None };
    let gap =
        Heard::Gap { channel: "trades".to_string(), from: 2, to: Some(2), reason: "trimmed".to_string() };
    let roll_up = |heard: &[Heard]| judge::every("trades", &three(), heard);
    assert_eq!(roll_up(&[begin.clone(), of(1, 1), gap, of(3, 3)]).map(|verdict| verdict.missing), Ok(1));
    assert!(roll_up(&[begin.clone(), of(1, 1), of(2, 2)]).is_err());
    assert!(roll_up(&[begin, of(1, 1), of(3, 2)]).is_err());
}

#[test]
fn a_subscriber_of_the_newest_ends_with_the_newest_and_never_goes_back() {
    let published = [acknowledged(1, 1, "a"), acknowledged(2, 2, "a"), publication(3, Fate::Held)];
    let latest = |heard: &[Heard]| judge::latest(CHANNEL, &published, heard);
    assert_eq!(
        latest(&[begin(), message(1, 1, "a"), message(3, 3, "b")]).map(|verdict| verdict.heard),
        Ok(2)
    );
    assert_eq!(
        latest(&[begin(), message(2, 2, "a")]),
        Err("the newest is Some(3), what came last is Some(2)".into())
    );
    assert!(latest(&[begin(), message(3, 1, "b"), message(2, 2, "b")]).is_err());
    assert!(latest(&[begin(), message(3, 1, "b"), message(3, 2, "b")]).is_err());
    assert!(latest(&[begin(), message(3, 1, "b"), resumed(true), message(3, 1, "b")]).is_ok());
    assert!(latest(&[begin(), message(3, 1, "b"), message(4, 2, "b")]).is_err());
}

#[test]
fn late_answers_and_refusals_for_other_reasons_are_found() {
    let mut late = publication(1, Fate::Refused("degraded".to_string()));
    assert_eq!(judge::answers(std::slice::from_ref(&late)), Ok(()));
    late.took = Duration::from_millis(8_100);
    assert!(judge::answers(&[late]).is_err());
    assert!(judge::answers(&[publication(1, Fate::Refused("internal".to_string()))]).is_err());
}

#[test]
fn on_a_hub_that_nothing_happens_to_everybody_is_given_everything_also_after_coming_back() {
    let hub = Hub::start();
    let hubs = [&hub];
    let one = Subscriber::to(&hubs, CHANNEL);
    let (roll_up, pattern) = (Subscriber::to(&hubs, "trades"), Subscriber::to_pattern(&hubs, "trades:*"));
    let subscribers = [one, roll_up, pattern];
    let publishers = [Publisher::start(&hubs, CHANNEL), Publisher::start(&hubs, CHANNEL)];
    for subscriber in &subscribers {
        publishers[0].wait_for_acknowledged();
        subscriber.move_on();
    }
    publishers[1].wait_for_acknowledged();
    let mut published: Vec<Publication> = publishers.into_iter().flat_map(Publisher::stop).collect();
    let last = publish_one(&hub, CHANNEL);
    published.push(last.clone());
    for (subscriber, channel) in subscribers.into_iter().zip([CHANNEL, "trades", CHANNEL]) {
        subscriber.wait_for("the last message", |heard| heard.is(last.number));
        let verdict = judge::every(channel, &published, &subscriber.stop()).expect("nothing happened");
        assert_eq!((verdict.heard, verdict.recovered), (published.len(), vec![true]));
    }
    assert_eq!(judge::answers(&published), Ok(()));
}
