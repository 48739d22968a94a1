//! When keys are fetched, and who waits.

use tapeline_core::testkit::ManualClock;
use tapeline_core::{Clock, Refusal};

use super::*;
use crate::algorithm::Algorithm;
use crate::{mint, pem};

fn key() -> Key {
    let pair = mint::pair(Algorithm::EdDsa).unwrap();
    pem::public_keys(Algorithm::ALL, pair.public.as_bytes()).unwrap().remove(0)
}

fn waiting() -> Waiting {
    let answer = Box::new(|_: Result<_, Refusal>| {});
    Waiting { credential: "t".to_string(), address: "127.0.0.1".to_string(), sender: None, answer }
}

fn remote(url: &str) -> Remote {
    Remote::new(Source { url: url.to_string(), algorithms: Algorithm::ALL.to_vec() })
}

fn why(asked: Asked) -> Option<Why> {
    match asked {
        Asked::Waits => None,
        Asked::Refused(_, why) => Some(why),
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_set_is_fetched_at_once_and_then_as_its_answer_says_within_bounds() {
    let (clock, mut remote) = (ManualClock::default(), remote("https://one.example"));
    assert_eq!(remote.idle(clock.now()), Duration::ZERO);
    for (max_age, expected) in [(None, 3_600), (Some(1), 300), (Some(600), 600), (Some(90_000), 3_600)] {
        remote.on_asking();
        remote.on_fetched(Ok((vec![key()], max_age.map(Duration::from_secs))), clock.now());
        assert_eq!(remote.idle(clock.now()), Duration::from_secs(expected));
        assert_eq!(remote.state(clock.now()), (Some(Duration::ZERO), None));
    }
}

#[test]
fn unknown_keys_have_it_fetched_once_for_all_and_then_there_is_a_pause() {
    let (clock, mut remote) = (ManualClock::default(), remote("https://one.example"));
    remote.on_fetched(Ok((vec![key()], None)), clock.now());
    assert_eq!(why(remote.ask(waiting(), clock.now())), Some(Why::Known), "it has just been fetched");
    clock.advance(PAUSE);
    for _ in 0..WAITING_LIMIT {
        assert_eq!(why(remote.ask(waiting(), clock.now())), None);
    }
    assert_eq!(why(remote.ask(waiting(), clock.now())), Some(Why::Full), "no more than the limit wait");
    assert_eq!(remote.idle(clock.now()), Duration::ZERO);
    remote.on_asking();
    remote.on_fetched(Ok((vec![key()], None)), clock.now());
    assert_eq!(remote.on_applied().len(), WAITING_LIMIT);
    clock.advance(PAUSE - SECOND);
    assert_eq!(why(remote.ask(waiting(), clock.now())), Some(Why::Known));
    clock.advance(SECOND);
    assert_eq!(why(remote.ask(waiting(), clock.now())), None);
}

#[test]
fn who_comes_while_it_is_fetched_waits_for_that() {
    let (clock, mut remote) = (ManualClock::default(), remote("https://one.example"));
    remote.on_fetched(Ok((vec![key()], None)), clock.now());
    remote.on_asking();
    assert_eq!(why(remote.ask(waiting(), clock.now())), None);
    remote.on_fetched(Err("down".to_string()), clock.now());
    assert_eq!(remote.on_applied().len(), 1);
}

#[test]
fn who_comes_before_a_set_that_has_come_has_effect_is_not_told_that_its_key_is_unknown() {
    let (clock, mut remote) = (ManualClock::default(), remote("https://one.example"));
    remote.on_asking();
    remote.on_fetched(Ok((vec![key()], None)), clock.now());
    assert_eq!(why(remote.ask(waiting(), clock.now())), None);
    assert_eq!(remote.on_applied().len(), 1);
    assert_eq!(why(remote.ask(waiting(), clock.now())), Some(Why::Known));
}

#[test]
fn the_last_good_set_serves_for_a_day_when_no_other_can_be_had() {
    let (clock, mut remote) = (ManualClock::default(), remote("https://one.example"));
    remote.on_fetched(Err("down".to_string()), clock.now());
    assert_eq!(why(remote.ask(waiting(), clock.now())), Some(Why::OutOfReach));
    assert_eq!(remote.idle(clock.now()), PAUSE);
    remote.on_fetched(Ok((vec![key()], None)), clock.now());
    clock.advance(LAST_GOOD - SECOND);
    remote.on_fetched(Err("down".to_string()), clock.now());
    assert_eq!(remote.keys(clock.now()).len(), 1);
    assert_eq!(remote.state(clock.now()), (Some(LAST_GOOD - SECOND), Some("down")));
    clock.advance(2 * SECOND);
    assert!(remote.keys(clock.now()).is_empty());
    assert_eq!(why(remote.ask(waiting(), clock.now())), Some(Why::OutOfReach));
}

#[test]
fn nothing_of_one_address_serves_another_and_nobody_waits_for_none() {
    let (clock, mut remote) = (ManualClock::default(), remote("https://one.example"));
    let one = remote.source().clone();
    remote.on_fetched(Ok((vec![key()], None)), clock.now());
    clock.advance(PAUSE);
    assert_eq!(why(remote.ask(waiting(), clock.now())), None);
    assert!(remote.ask_of(one.clone(), clock.now()).is_empty(), "it is the same");
    assert_eq!(remote.keys(clock.now()).len(), 1);
    let fewer = Source { algorithms: vec![Algorithm::Es256], ..one };
    assert_eq!(remote.ask_of(fewer, clock.now()).len(), 1, "who waited is answered");
    assert!(remote.keys(clock.now()).is_empty());
    assert_eq!(why(remote.ask(waiting(), clock.now())), None);
    assert_eq!(remote.ask_of(Source::default(), clock.now()).len(), 1);
    assert_eq!(why(remote.ask(waiting(), clock.now())), Some(Why::OutOfReach));
}

#[test]
fn who_was_believed_by_a_set_is_until_the_next_one_has_come() {
    let (clock, mut remote) = (ManualClock::default(), remote("https://one.example"));
    let (one, two) = (key(), key());
    let of = |keys: &[&Key]| keys.iter().flat_map(|key| key.marks()).collect::<Vec<_>>();
    remote.on_fetched(Ok((vec![one.clone(), two.clone()], None)), clock.now());
    assert_eq!(remote.marks(), of(&[&one, &two]));
    clock.advance(2 * LAST_GOOD);
    remote.on_fetched(Err("down".to_string()), clock.now());
    assert!(remote.keys(clock.now()).is_empty());
    assert_eq!(remote.marks(), of(&[&one, &two]), "no new token, but who is there stays");
    let elsewhere = Source { url: "https://two.example".to_string(), ..remote.source().clone() };
    remote.ask_of(elsewhere, clock.now());
    assert_eq!(remote.marks(), of(&[&one, &two]));
    remote.on_fetched(Ok((vec![two.clone()], None)), clock.now());
    assert_eq!(remote.marks(), of(&[&two]));
    remote.ask_of(Source::default(), clock.now());
    assert!(remote.marks().is_empty(), "nobody will say any more whether it is gone");
}

#[test]
fn an_algorithm_that_is_struck_takes_its_marks_along_at_once_and_no_others() {
    let (clock, mut remote) = (ManualClock::default(), remote("https://one.example"));
    let rsa = |algorithms: &[Algorithm]| Key::rsa(algorithms, &[0xff; 256], &[1, 0, 1]).unwrap();
    let both = rsa(&[Algorithm::Rs256, Algorithm::Ps256]);
    let by_ps: Vec<_> = rsa(&[Algorithm::Ps256]).marks().collect();
    remote.on_fetched(Ok((vec![both.clone()], None)), clock.now());
    assert_eq!(remote.marks(), both.marks().collect::<Vec<_>>());
    let without_rs = Source { algorithms: vec![Algorithm::Ps256], ..remote.source().clone() };
    remote.ask_of(without_rs.clone(), clock.now());
    assert_eq!(remote.marks(), by_ps);
    let elsewhere = Source { url: "https://two.example".to_string(), algorithms: vec![Algorithm::Es256] };
    remote.ask_of(elsewhere, clock.now());
    assert!(remote.marks().is_empty(), "its set has no say in it either");
    remote.ask_of(without_rs, clock.now());
    assert!(remote.marks().is_empty(), "what is gone does not come back without a set");
}

#[test]
fn a_reload_has_the_set_fetched_as_soon_as_the_pause_is_over() {
    let (clock, mut remote) = (ManualClock::default(), remote("https://one.example"));
    remote.on_fetched(Ok((vec![key()], None)), clock.now());
    let same = remote.source().clone();
    remote.ask_of(same.clone(), clock.now());
    assert_eq!(remote.idle(clock.now()), PAUSE);
    clock.advance(2 * PAUSE);
    remote.on_fetched(Ok((vec![key()], None)), clock.now());
    clock.advance(2 * PAUSE);
    assert!(remote.idle(clock.now()) > PAUSE);
    remote.ask_of(same.clone(), clock.now());
    assert_eq!(remote.idle(clock.now()), Duration::ZERO);
    // What is on its way may have been sent before the reload.
    remote.on_asking();
    remote.ask_of(same, clock.now());
    remote.on_fetched(Ok((vec![key()], None)), clock.now());
    assert_eq!(remote.idle(clock.now()), PAUSE);
}

#[test]
fn one_sender_does_not_fill_the_list_of_those_who_wait() {
    let (clock, mut remote) = (ManualClock::default(), remote("https://one.example"));
    let of = |sender: &str| Waiting { sender: sender.parse().ok(), ..waiting() };
    for _ in 0..WAITING_OF_ONE {
        assert_eq!(why(remote.ask(of("192.0.2.1"), clock.now())), None);
    }
    assert_eq!(why(remote.ask(of("192.0.2.1"), clock.now())), Some(Why::Full));
    assert_eq!(why(remote.ask(of("192.0.2.2"), clock.now())), None);
}
