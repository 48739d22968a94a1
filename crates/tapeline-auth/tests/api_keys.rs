//! API keys as a hub asks: who is known, what the configuration must say, and what a reload takes away.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[expect(dead_code, reason = "each file of tests uses some of it")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Desk, FROM};
use tapeline_auth::api_key::{KeySettings, NewKey};
use tapeline_auth::{Auth, AuthParts, Settings};
use tapeline_core::rights::Authority;
use tapeline_schema::ErrorCode;

fn settings(keys: Vec<KeySettings>) -> Settings {
    Settings { keys, ..Settings::default() }
}

fn made() -> (NewKey, KeySettings) {
    let key = NewKey::make().unwrap();
    let known = KeySettings {
        id: key.id.clone(),
        name: Some("feeder".to_string()),
        hash: key.hash.clone(),
        publish: vec!["market_data:*".to_string()],
        ..KeySettings::default()
    };
    (key, known)
}

#[test]
fn a_key_says_who_it_is_and_what_it_may() {
    let (key, known) = made();
    let desk = Desk::new(settings(vec![known]));
    let who = desk.identify(&key.text).unwrap();
    assert_eq!(*who.subject, format!("key:{}", key.id));
    assert_eq!(who.rights.publish.len(), 1);
    assert!(who.rights.publish[0].matches("market_data:AAPL"));
    assert_eq!(who.until_us, None);
    assert!(!desk.auth.is_revoked(&who));
}

#[test]
fn an_unknown_key_and_a_wrong_secret_get_the_same_answer() {
    let (key, known) = made();
    let (stranger, _) = made();
    let desk = Desk::new(settings(vec![known]));
    let wrong = format!("tk_{}_{}", key.id, stranger.text.rsplit_once('_').unwrap().1);
    let mut answers: Vec<_> =
        [&wrong, &stranger.text, &format!("{}x", key.text), "tk_", "tk__", &key.text[..20]]
            .map(|text| desk.identify(text).unwrap_err())
            .to_vec();
    answers.push(desk.identify(&format!("tk_{}", "x".repeat(100_000))).unwrap_err());
    assert!(
        answers.iter().all(|answer| *answer == answers[0] && answer.code == ErrorCode::InvalidToken),
        "{answers:?}"
    );
}

#[test]
fn a_key_ends_and_comes_only_from_its_addresses() {
    let (key, known) = made();
    let known = KeySettings {
        expires: Some("2026-01-01T01:00:00Z".to_string()),
        addresses: Some(vec!["10.0.0.0/8".to_string(), "2001:db8::/32".to_string()]),
        ..known
    };
    let desk = Desk::new(settings(vec![known]));
    for good in ["10.1.2.3", "10.1.2.3:4567", "::ffff:10.1.2.3", "[2001:db8::1]:80"] {
        assert!(desk.identify_from(&key.text, good).unwrap().until_us.is_some());
    }
    for bad in [FROM, "unknown", ""] {
        assert!(desk.identify_from(&key.text, bad).unwrap_err().message.contains("address"));
    }
    desk.clock.advance(std::time::Duration::from_secs(3_600));
    assert!(desk.identify_from(&key.text, "10.1.2.3").unwrap_err().message.contains("expired"));
}

#[test]
fn two_keys_of_one_name_serve_while_one_takes_the_others_place() {
    let ((old, old_known), (new, new_known)) = (made(), made());
    let desk = Desk::new(settings(vec![old_known, new_known.clone()]));
    let (before, after) = (desk.identify(&old.text).unwrap(), desk.identify(&new.text).unwrap());
    let revision = desk.auth.revision();
    desk.auth.replace(settings(vec![new_known])).unwrap();
    assert!(desk.auth.revision() > revision);
    assert!(desk.auth.is_revoked(&before) && !desk.auth.is_revoked(&after));
    desk.identify(&old.text).unwrap_err();
    desk.identify(&new.text).unwrap();
}

#[test]
fn a_key_that_loses_a_right_or_its_secret_is_revoked_and_one_that_gains_is_not() {
    let ((key, known), (_, other)) = (made(), made());
    let desk = Desk::new(settings(vec![known.clone()]));
    let who = desk.identify(&key.text).unwrap();
    let more = KeySettings { operator: true, ..known.clone() };
    desk.auth.replace(settings(vec![more])).unwrap();
    assert!(!desk.auth.is_revoked(&who));
    let less = KeySettings { publish: Vec::new(), ..known.clone() };
    desk.auth.replace(settings(vec![less])).unwrap();
    assert!(desk.auth.is_revoked(&who));
    desk.auth.replace(settings(vec![known.clone()])).unwrap();
    assert!(!desk.auth.is_revoked(&who));
    let sooner = KeySettings { expires: Some("2100-01-01T00:00:00Z".into()), ..known.clone() };
    desk.auth.replace(settings(vec![sooner])).unwrap();
    assert!(desk.auth.is_revoked(&who), "it knows of no end");
    let another_secret = KeySettings { hash: other.hash, ..known };
    desk.auth.replace(settings(vec![another_secret])).unwrap();
    assert!(desk.auth.is_revoked(&who));
}

#[test]
fn a_key_that_is_not_for_an_address_any_more_is_lost_there_and_nowhere_else() {
    let (key, known) = made();
    let of = |ranges: &[&str]| KeySettings {
        addresses: Some(ranges.iter().map(ToString::to_string).collect()),
        ..known.clone()
    };
    let desk = Desk::new(settings(vec![known.clone()]));
    let [office, cellar, nowhere] =
        ["10.1.2.3:4567", "192.168.0.9", "unknown"].map(|from| desk.identify_from(&key.text, from).unwrap());
    desk.auth.replace(settings(vec![of(&["10.0.0.0/8", "192.168.0.0/16"])])).unwrap();
    assert!(!desk.auth.is_revoked(&office) && !desk.auth.is_revoked(&cellar));
    assert!(desk.auth.is_revoked(&nowhere), "nobody knows that it is in a range");
    desk.auth.replace(settings(vec![of(&["10.0.0.0/8"])])).unwrap();
    assert!(!desk.auth.is_revoked(&office) && desk.auth.is_revoked(&cellar));
    desk.identify_from(&key.text, "192.168.0.9").unwrap_err();
}

#[test]
fn a_key_that_is_revoked_stays_so_longer_than_any_token_lives() {
    let (key, known) = made();
    let desk = Desk::new(settings(vec![known]));
    let who = desk.identify(&key.text).unwrap();
    let kept = support::revoke(&desk.auth, tapeline_auth::What::Subject(who.subject.clone()));
    assert_eq!(kept.until_us, None);
    desk.clock.advance(Duration::from_secs(400 * 86_400));
    assert!(desk.auth.is_revoked(&who));
    desk.identify(&key.text).unwrap_err();
}

#[test]
fn a_key_that_cannot_be_is_refused_by_name_and_changes_nothing() {
    let (key, known) = made();
    let desk = Desk::new(settings(vec![known.clone()]));
    let cases = [
        (KeySettings { id: "short".into(), ..known.clone() }, "an id is 8 to 64 letters"),
        (KeySettings { id: "has_underscore".into(), ..known.clone() }, "an id is 8 to 64 letters"),
        (KeySettings { hash: String::new(), ..known.clone() }, "needs hash"),
        (KeySettings { hash: format!("sha256:{}", "g".repeat(64)), ..known.clone() }, "needs hash"),
        (KeySettings { hash: format!("sha256:{}", "+f".repeat(32)), ..known.clone() }, "needs hash"),
        (KeySettings { publish: vec![String::new()], ..known.clone() }, "publish: pattern is empty"),
        (KeySettings { expires: Some("tomorrow".into()), ..known.clone() }, "which is no time"),
        (
            KeySettings { addresses: Some(vec!["10.0.0.0/99".into()]), ..known.clone() },
            "no address and no network",
        ),
    ];
    for (broken, expected) in cases {
        let told = desk.auth.replace(settings(vec![broken])).unwrap_err();
        assert!(told.contains(expected) && told.contains("[[auth.key]] \"feeder\""), "{told}");
    }
    for id in [key.text.clone(), "s".repeat(65)] {
        let whole = KeySettings { id: id.clone(), name: None, ..known.clone() };
        assert!(!format!("{whole:?}").contains(&id));
        let told = desk.auth.replace(settings(vec![whole])).unwrap_err();
        assert!(told.contains("[[auth.key]] number 1 has something else") && !told.contains(&id), "{told}");
    }
    let told = desk.auth.replace(settings(vec![known.clone(), known])).unwrap_err();
    assert!(told.contains("has the id of another key"), "{told}");
    desk.identify(&key.text).unwrap();
}

#[test]
fn a_hub_without_configuration_is_open_on_loopback_and_refused_elsewhere() {
    let start = |settings: Settings, listens: &[&str]| {
        let desk = Desk::new(Settings::default());
        let parts = AuthParts {
            settings,
            listens: listens.iter().map(|address| address.parse().unwrap()).collect(),
            store: desk.store.clone(),
            clock: desk.clock.clone(),
            fetch: desk.issuer.clone(),
        };
        Auth::start(parts).map(|auth| auth.is_off())
    };
    use tapeline_auth::Mode;
    let with = |mode, anonymous| Settings { mode, anonymous, ..Settings::default() };
    assert_eq!(start(Settings::default(), &["127.0.0.1:8000", "[::1]:8000"]), Ok(true));
    let told = start(Settings::default(), &["127.0.0.1:8000", "0.0.0.0:8000"]).unwrap_err();
    assert!(told.contains("0.0.0.0:8000") && told.contains("auth = \"off\""), "{told}");
    assert_eq!(start(with(Mode::Off, false), &["0.0.0.0:8000"]), Ok(true));
    assert!(
        start(with(Mode::On, false), &["127.0.0.1:8000"]).unwrap_err().contains("nobody could be let in")
    );
    assert_eq!(start(with(Mode::On, true), &["0.0.0.0:8000"]), Ok(false));
    assert_eq!(start(settings(vec![made().1]), &["0.0.0.0:8000"]), Ok(false));
    assert_eq!(start(settings(vec![made().1]), &["127.0.0.1:8000"]), Ok(false));
}

#[test]
fn who_brings_nothing_is_somebody_only_where_that_is_said() {
    let (_, known) = made();
    let desk = Desk::new(settings(vec![known.clone()]));
    assert_eq!(desk.auth.anonymous(), None);
    let desk = Desk::new(Settings { anonymous: true, ..settings(vec![known.clone()]) });
    let anybody = desk.auth.anonymous().unwrap();
    assert_eq!(*anybody.rights, tapeline_core::rights::Rights::default());
    assert!(!desk.auth.is_revoked(&anybody));
    desk.auth.replace(settings(vec![known])).unwrap();
    assert!(desk.auth.is_revoked(&anybody));
    let _: Arc<_> = anybody;
}
