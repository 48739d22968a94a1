//! Who was believed by a key that is gone: by a secret that is another now, by a key that its issuer's set has no more.

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

use support::{Desk, Named, SECRET, eventually, secret_settings, set};
use tapeline_auth::api_key::{KeySettings, NewKey};
use tapeline_auth::mint::Signer;
use tapeline_auth::{Algorithm, JwtSettings, Settings};
use tapeline_core::rights::{Authority, Identity};

const OTHER: &str = "AnotherSecretThatIsLongEnoughAndFair0123456789AndForHs512AsWell0";

fn with_secret(secret: &str, algorithms: &[Algorithm]) -> Settings {
    let jwt =
        JwtSettings { secret: secret.to_string(), algorithms: algorithms.to_vec(), ..JwtSettings::default() };
    Settings { jwt, ..secret_settings() }
}

/// Keys that an issuer has at an address.
fn at(url: &str) -> Settings {
    let jwt = JwtSettings { jwks_url: url.to_string(), ..JwtSettings::default() };
    Settings { jwt, failures_per_minute: 0, ..Settings::default() }
}

/// The same without this algorithm.
fn without(struck: Algorithm, mut settings: Settings) -> Settings {
    settings.jwt.algorithms.retain(|algorithm| *algorithm != struck);
    settings
}

const URL: &str = "https://issuer.example/jwks";

/// Somebody with a token of each key, by a desk that has fetched their set.
fn believed<const N: usize>(keys: [&Named; N]) -> (Desk, [Arc<Identity>; N]) {
    let desk = Desk::new(at(URL));
    let claims = desk.claims(|_| {});
    // They ask before there is a set, so they wait for it.
    let asked = keys.map(|key| desk.ask(&key.token(&claims), support::FROM));
    desk.issuer.give(Ok(set(&keys)));
    let who = asked.map(|answer| answer.recv_timeout(support::PATIENCE).unwrap().unwrap());
    (desk, who)
}

impl Desk {
    /// Reloads so late that the set may be fetched again, with this answer of the issuer.
    fn reload(&self, settings: Settings, answer: Result<String, &str>) {
        self.clock.advance(Duration::from_secs(11));
        self.issuer.give(answer);
        self.auth.replace(settings).unwrap();
    }
}

#[test]
fn who_was_believed_by_a_secret_is_lost_when_it_is_another_and_nobody_else_is() {
    let NewKey { text, id, hash } = NewKey::make().unwrap();
    let keys = vec![KeySettings { id, hash, ..KeySettings::default() }];
    let with_key = |settings| Settings { keys: keys.clone(), ..settings };
    let desk = Desk::new(with_key(secret_settings()));
    let (ann, program) = (desk.identify(&desk.token(|_| {})).unwrap(), desk.identify(&text).unwrap());
    assert!(!desk.auth.is_revoked(&ann));
    let revision = desk.auth.revision();
    desk.auth.replace(with_key(with_secret(OTHER, Algorithm::USUAL))).unwrap();
    assert!(desk.auth.revision() > revision);
    assert!(desk.auth.is_revoked(&ann) && !desk.auth.is_revoked(&program));
    desk.auth.replace(with_key(Settings::default())).unwrap();
    assert!(desk.auth.is_revoked(&ann) && !desk.auth.is_revoked(&program), "there is no secret at all");
    desk.auth.replace(with_key(secret_settings())).unwrap();
    assert!(!desk.auth.is_revoked(&ann), "it is believed again");
}

#[test]
fn a_secret_that_stays_beside_its_successor_ends_nothing() {
    let path = std::env::temp_dir().join(format!("tapeline-auth-successor-{}.txt", std::process::id()));
    std::fs::write(&path, OTHER).unwrap();
    let mut both = secret_settings();
    both.jwt.secret_file = path.display().to_string();
    let desk = Desk::with_secret();
    let ann = desk.identify(&desk.token(|_| {})).unwrap();
    desk.auth.replace(both.clone()).unwrap();
    let signer = Signer::secret(Algorithm::Hs256, OTHER.as_bytes()).unwrap();
    let bob = desk.identify(&signer.token(&desk.claims(|_| {}), None, "JWT").unwrap()).unwrap();
    assert!(!desk.auth.is_revoked(&ann) && !desk.auth.is_revoked(&bob));
    both.jwt.secret.clear();
    desk.auth.replace(both).unwrap();
    assert!(desk.auth.is_revoked(&ann) && !desk.auth.is_revoked(&bob));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_key_with_other_algorithms_is_the_same_as_long_as_it_has_the_tokens_own() {
    let desk = Desk::new(with_secret(SECRET, &[Algorithm::Hs256]));
    let ann = desk.identify(&desk.token(|_| {})).unwrap();
    desk.auth.replace(with_secret(SECRET, &[Algorithm::Hs512, Algorithm::Hs256])).unwrap();
    assert!(!desk.auth.is_revoked(&ann));
    desk.auth.replace(with_secret(SECRET, &[Algorithm::Hs512])).unwrap();
    assert!(desk.auth.is_revoked(&ann), "no token is taken as hers was");
}

#[test]
fn a_rotation_that_keeps_the_old_key_ends_nothing_and_its_end_comes_with_the_next_set() {
    let (one, two) = (Named::make("one"), Named::make("two"));
    let (desk, [ann]) = believed([&one]);
    desk.reload(at(URL), Ok(set(&[&two, &one])));
    eventually("both are known", || desk.auth.status().keys == 2);
    let bob = desk.identify(&two.token(&desk.claims(|_| {}))).unwrap();
    assert!(!desk.auth.is_revoked(&ann) && !desk.auth.is_revoked(&bob));
    let revision = desk.auth.revision();
    desk.reload(at(URL), Ok(set(&[&two])));
    eventually("the old one is gone", || desk.auth.is_revoked(&ann));
    assert!(desk.auth.revision() > revision && !desk.auth.is_revoked(&bob));
}

#[test]
fn a_key_under_another_name_is_the_same() {
    let one = Named::make("one");
    let (desk, [ann]) = believed([&one]);
    let renamed = Named { id: "renamed", pair: one.pair };
    desk.reload(at(URL), Ok(set(&[&renamed, &Named::make("two")])));
    eventually("the set is there", || desk.auth.status().keys == 2);
    assert!(!desk.auth.is_revoked(&ann));
}

#[test]
fn an_issuer_that_is_away_ends_nothing_however_long() {
    let (one, two) = (Named::make("one"), Named::make("two"));
    let (desk, [ann, bob]) = believed([&one, &two]);
    for answer in [Err("is down"), Ok("no JSON".to_string()), Ok(set(&[]))] {
        // Each is told in other words, so it is known when the fetch is over.
        let before = desk.auth.status().fetch_error;
        desk.reload(at(URL), answer);
        eventually("the failure is told", || desk.auth.status().fetch_error != before);
        assert!(!desk.auth.is_revoked(&ann) && !desk.auth.is_revoked(&bob));
    }
    desk.clock.advance(Duration::from_secs(25 * 60 * 60));
    desk.reload(at(URL), Err("is down"));
    eventually("the failure is told", || {
        desk.auth.status().fetch_error.is_some_and(|told| told == "is down")
    });
    assert_eq!(desk.auth.status().keys, 0, "the last good set is too old");
    assert!(!desk.auth.is_revoked(&ann) && !desk.auth.is_revoked(&bob));
    desk.reload(at(URL), Ok(set(&[&two])));
    eventually("it says what it has", || desk.auth.is_revoked(&ann));
    assert!(!desk.auth.is_revoked(&bob));
}

#[test]
fn another_address_ends_nothing_before_its_set_has_come_and_none_ends_all() {
    let (one, two) = (Named::make("one"), Named::make("two"));
    let (desk, [ann, bob]) = believed([&one, &two]);
    let other = "https://other.example/jwks";
    desk.reload(at(other), Err("is down"));
    eventually("the failure is told", || desk.auth.status().fetch_error.is_some());
    assert!(!desk.auth.is_revoked(&ann) && !desk.auth.is_revoked(&bob));
    desk.reload(at(other), Ok(set(&[&two])));
    eventually("its set is there", || desk.auth.is_revoked(&ann));
    assert!(!desk.auth.is_revoked(&bob));
    desk.auth.replace(secret_settings()).unwrap();
    assert!(desk.auth.is_revoked(&ann) && desk.auth.is_revoked(&bob));
}

#[test]
fn an_algorithm_that_is_struck_ends_what_it_let_in_though_no_set_comes_any_more() {
    let one = Named::make("one");
    // The issuer is away, or its set has only keys that are for nothing that is taken.
    for answer in [Err("is down"), Ok(set(&[&one]))] {
        let (desk, [ann]) = believed([&one]);
        desk.issuer.give(Err("is down"));
        desk.auth.replace(without(Algorithm::Rs256, at(URL))).unwrap();
        eventually("the failure is told", || desk.auth.status().fetch_error.is_some());
        assert!(!desk.auth.is_revoked(&ann), "she came by another algorithm");
        let revision = desk.auth.revision();
        desk.issuer.give(answer);
        desk.auth.replace(without(Algorithm::EdDsa, at(URL))).unwrap();
        assert!(desk.auth.is_revoked(&ann) && desk.auth.revision() > revision);
        eventually("the failure is told", || desk.auth.status().fetch_error.is_some());
        assert!(desk.auth.is_revoked(&ann));
        desk.auth.replace(without(Algorithm::Rs256, at(URL))).unwrap();
        assert!(desk.auth.is_revoked(&ann), "nobody has said yet that her key is still there");
        desk.issuer.give(Ok(set(&[&one])));
        eventually("the set is there", || !desk.auth.is_revoked(&ann));
    }
}
