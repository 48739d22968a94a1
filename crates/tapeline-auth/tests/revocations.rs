//! What is taken back: at once on a node, soon on others, still after a restart, and forgotten in the end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[expect(dead_code, reason = "each file of tests uses some of it")]
mod support;

use std::time::Duration;

use serde_json::json;
use support::{Desk, eventually, revoke, secret_settings};
use tapeline_auth::What;
use tapeline_core::Clock;
use tapeline_core::rights::Authority;

fn subject(name: &str) -> What {
    What::Subject(name.into())
}

#[test]
fn a_revoked_subject_loses_the_tokens_it_has_and_gets_in_with_a_new_one() {
    let desk = Desk::with_secret();
    let token = desk.token(|_| {});
    let (who, revision) = (desk.identify(&token).unwrap(), desk.auth.revision());
    let other = desk.identify(&desk.token(|claims| drop(claims.insert("sub".into(), json!("u2"))))).unwrap();
    let kept = revoke(&desk.auth, subject("u1"));
    assert!(desk.auth.revision() > revision);
    assert!(desk.auth.is_revoked(&who) && !desk.auth.is_revoked(&other));
    assert!(desk.refused(&token).contains("revoked"));
    let without_iat = desk.token(|claims| drop(claims.remove("iat")));
    assert!(
        desk.refused(&without_iat).contains("revoked"),
        "what does not say when it was issued was issued before"
    );
    desk.clock.advance(Duration::from_secs(30));
    assert!(desk.refused(&desk.token(|_| {})).contains("revoked"), "its issuer's clock may be ahead");
    desk.clock.advance(Duration::from_secs(1));
    desk.identify(&desk.token(|_| {})).unwrap();
    assert_eq!(desk.auth.revocations(), [kept]);
}

#[test]
fn one_token_is_revoked_by_its_id() {
    let desk = Desk::with_secret();
    let with_id = |id: &str| desk.token(|claims| drop(claims.insert("jti".into(), json!(id))));
    let (one, two) = (with_id("t1"), with_id("t2"));
    desk.identify(&one).unwrap();
    revoke(&desk.auth, What::Token("t1".into()));
    assert!(desk.refused(&one).contains("revoked"));
    desk.identify(&two).unwrap();
}

#[test]
fn other_nodes_hear_of_it_and_it_outlives_a_restart() {
    let desk = Desk::with_secret();
    let other = Desk::beside(desk.clock.clone(), desk.store.clone(), secret_settings());
    let (token, odd) = (desk.token(|_| {}), "who, of *[all] \u{e9}?");
    let theirs = desk.token(|claims| drop(claims.insert("sub".into(), json!(odd))));
    let (who, revision) = (other.identify(&token).unwrap(), other.auth.revision());
    for number in 0..1_500 {
        revoke(&desk.auth, What::Token(format!("t{number}").into()));
    }
    revoke(&desk.auth, subject("u1"));
    revoke(&desk.auth, subject(odd));
    eventually("the other node hears of it", || {
        other.auth.is_revoked(&who) && other.identify(&theirs).is_err()
    });
    assert!(other.auth.revision() > revision);
    eventually("it hears of all", || other.auth.revocations().len() == 1_502);
    drop((desk.auth, other.auth));
    let again = Desk::beside(desk.clock.clone(), desk.store.clone(), secret_settings());
    eventually("it is still known", || again.identify(&token).is_err());
}

#[test]
fn it_is_forgotten_when_no_token_of_then_can_be_valid() {
    let desk = Desk::with_secret();
    let kept = revoke(&desk.auth, subject("u1"));
    let day_us = 86_400_000_000;
    assert_eq!(kept.until_us, Some(desk.clock.now().wall_us + day_us + 60_000_000));
    desk.clock.advance(Duration::from_secs(86_400 + 59));
    assert_eq!(desk.auth.revocations().len(), 1);
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.auth.revocations().len(), 0);
}

#[test]
fn who_sends_wrong_tokens_waits_and_others_do_not() {
    let mut settings = secret_settings();
    settings.failures_per_minute = 10;
    let desk = Desk::new(settings);
    let good = desk.token(|_| {});
    let seen_before = desk.token(|claims| drop(claims.insert("sub".into(), json!("u2"))));
    desk.identify(&seen_before).unwrap();
    for _ in 0..10 {
        assert!(desk.refused("a.b.c").contains("neither"));
    }
    let refusal = desk.identify(&good).unwrap_err();
    assert_eq!(refusal.code, tapeline_schema::ErrorCode::RateLimited, "{refusal}");
    desk.identify(&seen_before).unwrap();
    desk.identify_from(&good, "192.0.2.99").unwrap();
    desk.clock.advance(Duration::from_secs(6));
    desk.identify(&good).unwrap();
}

#[test]
fn whoever_had_a_good_token_keeps_nobody_waiting_nor_does_an_exempt_address() {
    let mut settings = secret_settings();
    settings.failures_per_minute = 10;
    settings.exempt = vec!["198.51.100.0/24".parse().unwrap()];
    let desk = Desk::new(settings);
    let expired = desk.token(|claims| drop(claims.insert("exp".into(), json!(1))));
    let revoked = desk.token(|claims| drop(claims.insert("jti".into(), json!("t1"))));
    revoke(&desk.auth, What::Token("t1".into()));
    for _ in 0..20 {
        for wrong in [&*expired, &revoked, "tk_000000000000_wrong"] {
            desk.refused(wrong);
        }
        desk.identify_from("a.b.c", "198.51.100.7").unwrap_err();
    }
    desk.identify(&desk.token(|_| {})).unwrap();
    let other = desk.token(|claims| drop(claims.insert("sub".into(), json!("u2"))));
    desk.identify_from(&other, "198.51.100.7").unwrap();
}
