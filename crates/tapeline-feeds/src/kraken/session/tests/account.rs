//! The private socket: tokens, numbered messages, orders put together.

use std::time::Duration;

use serde_json::{Value, json};
use tapeline_core::feed::{UpdateKind, VenueChannel};

use super::talk::{SECOND, Talk, acks, refusal, status};
use crate::kraken::KrakenSettings;
use crate::venue::{Event, Lost, Session as _, Step};

fn private() -> Talk {
    let mut talk = Talk::new(KrakenSettings::private());
    talk.connect();
    talk.say(status("online"));
    talk
}

/// Subscribed with a token; snapshots have come.
fn served() -> Talk {
    let mut talk = private();
    subscribe(&mut talk, "t1");
    talk.events.clear();
    talk
}

fn subscribe(talk: &mut Talk, token: &str) {
    assert_eq!(talk.steps(), [Step::FetchToken { after: Duration::ZERO }]);
    talk.session.on_token(Ok(token.to_string()), talk.now);
    let requests = talk.accept();
    assert_eq!(
        requests.iter().map(|request| &request["params"]["token"]).collect::<Vec<_>>(),
        [token, token]
    );
    talk.say(r#"{"channel":"executions","type":"snapshot","data":[],"sequence":1}"#);
    talk.say(
        r#"{"channel":"balances","type":"snapshot","data":[{"asset":"USD","balance":1.10}],"sequence":1}"#,
    );
    assert_eq!(talk.steps(), []);
}

fn event(sequence: u64, order: &Value) -> String {
    format!(r#"{{"channel":"executions","type":"update","data":[{order}],"sequence":{sequence}}}"#)
}

fn fill(exec_id: &str) -> Value {
    json!({"order_id": "O1", "exec_id": exec_id, "exec_type": "trade", "last_qty": 1.5, "timestamp": "2024-05-18T12:01:56.165888Z"})
}

#[test]
fn an_account_is_subscribed_with_a_token_and_its_updates_say_what_they_are() {
    let mut talk = private();
    subscribe(&mut talk, "t1");
    let events = talk.take_events();
    let [_, Event::Update(balances), Event::Connected] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&balances.channel, balances.kind), (&VenueChannel::Balances, UpdateKind::Snapshot));
    assert_eq!(&balances.data[..], br#"[{"asset":"USD","balance":1.10}]"#);
    talk.say(event(2, &json!({"order_id": "O1", "symbol": "ADX/USD", "exec_type": "new", "timestamp": "2024-05-18T12:00:00Z"})));
    talk.say(event(3, &fill("E1")));
    let events = talk.take_events();
    let [Event::Update(new), Event::Update(fill)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(new.id.as_deref(), Some("O1:new:2024-05-18T12:00:00Z"));
    assert_eq!((fill.id.as_deref(), fill.symbol.as_deref()), (Some("E1"), Some("ADX/USD")));
    assert_eq!((fill.sequence, fill.venue_us), (None, Some(1_716_033_716_165_888)));
}

#[test]
fn a_hole_in_the_numbers_is_told_and_the_account_is_fetched_anew_over_a_new_connection() {
    let mut talk = served();
    talk.say(event(2, &fill("E1")));
    talk.say(event(5, &fill("E2")));
    let events = talk.take_events();
    let [Event::Update(_), Event::Gap { channel: VenueChannel::Executions, why, .. }, Event::Update(second)] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((why, second.id.as_deref()), (&Lost::Numbers { from: 3, to: 4 }, Some("E2")));
    // What comes before the connection is closed is not looked at.
    talk.say(event(6, &fill("E3")));
    let steps = talk.steps();
    assert!(matches!(&steps[..], [Step::Close { why }] if why.contains("3 to 4 of executions")), "{steps:?}");
    talk.say(event(7, &fill("E3")));
    assert_eq!((talk.session.counts().late, talk.events.len()), (2, 0));
    talk.close("asked to");
    talk.connect();
    talk.say(status("online"));
    subscribe(&mut talk, "t2");
    talk.take_events();
    let fills = format!(
        r#"{{"channel":"executions","type":"snapshot","data":[{},{},{}],"sequence":1}}"#,
        fill("E1"),
        fill("E2"),
        fill("E3")
    );
    talk.say(fills);
    assert_eq!(talk.updates("executions").len(), 1);
    assert_eq!((talk.session.counts().repeated, talk.session.counts().gaps), (2, 2));
}

#[test]
fn a_doubled_message_of_an_account_is_told_once() {
    let mut talk = served();
    for _ in 0..2 {
        talk.say(event(2, &json!({"order_id": "O1", "exec_type": "new"})));
    }
    assert_eq!(talk.updates("executions").len(), 1);
    assert_eq!(talk.session.counts().repeated, 1);
}

#[test]
fn what_an_account_may_have_missed_between_two_connections_is_told() {
    let mut talk = served();
    talk.close("cut");
    let events = talk.take_events();
    let gaps =
        events.iter().filter(|event| matches!(event, Event::Gap { why: Lost::Disconnected, .. })).count();
    assert_eq!(gaps, 2, "{events:?}");
    talk.connect();
    talk.close("cut");
    assert!(
        !talk.take_events().iter().any(|event| matches!(event, Event::Gap { .. })),
        "nothing was subscribed"
    );
}

#[test]
fn a_token_that_is_not_believed_is_replaced_once_at_once_and_then_later() {
    let mut talk = private();
    talk.steps();
    let mut waits = Vec::new();
    for _ in 0..8 {
        talk.session.on_token(Ok("stale".to_string()), talk.now);
        for request in talk.sent() {
            talk.say(refusal(&request, None, "ESession:Invalid session"));
        }
        let steps = talk.steps();
        let [Step::FetchToken { after }] = &steps[..] else { panic!("{steps:?}") };
        waits.push(*after);
        talk.move_by(SECOND);
    }
    assert_eq!(waits[0], Duration::ZERO);
    assert!(
        waits.iter().all(|wait| *wait <= 60 * SECOND) && waits[4..].iter().any(|wait| *wait > SECOND),
        "{waits:?}"
    );
    talk.session.on_token(Ok("good".to_string()), talk.now);
    assert_eq!(talk.accept().len(), 2);
}

#[test]
fn a_token_that_is_never_believed_is_told_and_nobody_is_told_that_it_is_connected() {
    let mut talk = private();
    talk.steps();
    for _ in 0..5 {
        talk.session.on_token(Ok("stale".to_string()), talk.now);
        for request in talk.sent() {
            talk.say(refusal(&request, None, "ESession:Invalid session"));
        }
        talk.steps();
        talk.move_by(SECOND);
    }
    let events = talk.take_events();
    let unanswered = |event: &&Event| matches!(event, Event::Unanswered { error: Some(error), .. } if error.contains("Invalid session"));
    assert_eq!(events.iter().filter(unanswered).count(), 2, "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::Connected)), "{events:?}");
    talk.session.on_token(Ok("good".to_string()), talk.now);
    assert_eq!(talk.accept().len(), 2);
    talk.steps();
    assert!(talk.take_events().iter().any(|event| matches!(event, Event::Connected)));
}

#[test]
fn a_key_without_the_permission_is_told_and_never_tried_again() {
    let mut talk = private();
    talk.steps();
    talk.session.on_token(Err("EGeneral:Permission denied".to_string()), talk.now);
    assert_eq!(talk.steps(), []);
    let events = talk.take_events();
    let refused = events.iter().filter(|event| matches!(event, Event::Refused { .. })).count();
    assert_eq!(refused, 2, "{events:?}");
    talk.close("cut");
    talk.connect();
    talk.say(status("online"));
    assert_eq!(talk.steps(), []);
}

#[test]
fn a_token_that_cannot_be_fetched_now_is_fetched_later() {
    let mut talk = private();
    for _ in 0..5 {
        let steps = talk.steps();
        assert!(matches!(&steps[..], [Step::FetchToken { .. }]), "{steps:?}");
        talk.session.on_token(Err("the token cannot be fetched: no route".to_string()), talk.now);
    }
    assert_eq!(talk.steps().len(), 1);
    talk.session.on_token(Ok("t".to_string()), talk.now);
    assert_eq!(talk.accept().len(), 2);
}

#[test]
fn a_subscription_that_the_key_may_not_have_is_refused_and_the_other_held() {
    let mut talk = private();
    talk.steps();
    talk.session.on_token(Ok("t".to_string()), talk.now);
    let requests = talk.sent();
    talk.say(refusal(&requests[0], None, "EGeneral:Permission denied"));
    talk.say(&acks(&requests[1])[0]);
    let steps = talk.pass(4 * SECOND);
    assert_eq!(steps, []);
    let events = talk.take_events();
    assert!(
        events.iter().any(|event| matches!(event, Event::Refused { channel: VenueChannel::Executions, .. }))
    );
}
