//! What tokens are believed, as a hub asks: signatures, headers, claims and rights, against tables.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[expect(dead_code, reason = "each file of tests uses some of it")]
mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::{Desk, SECRET, secret_settings, signed, signer};
use tapeline_auth::mint::{self, Signer};
use tapeline_auth::{Algorithm, JwtSettings, Settings};
use tapeline_core::Clock;
use tapeline_schema::ErrorCode;

fn rules(change: impl FnOnce(&mut tapeline_auth::claims::Rules)) -> Settings {
    let mut settings = secret_settings();
    change(&mut settings.jwt.rules);
    settings
}

#[test]
fn a_good_token_says_who_it_is_and_what_it_may() {
    let desk = Desk::with_secret();
    let token = desk.token(|claims| {
        claims.insert("jti".into(), json!("t1"));
        claims.insert("anything".into(), json!({"else": [1]}));
        claims.insert(
            "tapeline".into(),
            json!({"read": ["metrics", "b*"], "publish": ["news"], "keys": {"portfolio_id": ["p2", "p1"]},
                   "store": {"read": ["a:*"], "write": ["a:b"]}, "operator": true}),
        );
    });
    let who = desk.identify(&token).unwrap();
    assert_eq!(&*who.subject, "u1");
    assert_eq!(who.issued_us, Some(desk.now_s() * 1_000_000));
    assert_eq!(who.until_us, Some((desk.now_s() + 600) * 1_000_000));
    assert_eq!(who.token_id.as_deref(), Some("t1"));
    let rights = &who.rights;
    let texts = |patterns: &[tapeline_schema::Pattern]| {
        patterns.iter().map(|pattern| pattern.as_str().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        (texts(&rights.read), texts(&rights.publish)),
        (vec!["b*".into(), "metrics".into()], vec!["news".into()])
    );
    assert_eq!(
        (texts(&rights.store_read), texts(&rights.store_write)),
        (vec!["a:*".into()], vec!["a:b".into()])
    );
    assert_eq!(rights.keys, [("portfolio_id".into(), vec!["p1".into(), "p2".into()])]);
    assert!(rights.operator && !rights.admin);
}

#[test]
fn equal_rights_are_one_value_and_a_token_is_checked_once() {
    let desk = Desk::with_secret();
    let with = |subject: &str, read: Value| {
        desk.token(|claims| {
            claims.insert("sub".into(), json!(subject));
            claims.insert("tapeline".into(), json!({"read": read}));
        })
    };
    let one = desk.identify(&with("u1", json!(["a", "b"]))).unwrap();
    let other = desk.identify(&with("u2", json!(["b", "a", "b"]))).unwrap();
    assert!(std::sync::Arc::ptr_eq(&one.rights, &other.rights));
    let again = desk.identify(&with("u1", json!(["a", "b"]))).unwrap();
    assert!(std::sync::Arc::ptr_eq(&one, &again), "it is remembered");
}

/// A case: what is changed in good claims, and what is told.
type Case = (fn(&mut serde_json::Map<String, Value>, u64), &'static str);

fn put(claims: &mut serde_json::Map<String, Value>, name: &str, value: impl Into<Value>) {
    claims.insert(name.to_string(), value.into());
}

#[test]
fn a_claim_that_breaks_a_rule_is_refused_with_its_reason() {
    let settings = rules(|rules| {
        rules.issuer = "https://issuer".to_string();
        rules.audience = vec!["tapeline".to_string(), "other".to_string()];
    });
    let desk = Desk::new(settings);
    let cases: &[Case] = &[
        (|_, _| {}, ""),
        (|claims, _| put(claims, "aud", json!(["x", "tapeline"])), ""),
        (|claims, now| put(claims, "exp", now - 29), ""),
        (|claims, now| put(claims, "exp", now - 30), "expired"),
        (|claims, now| put(claims, "exp", now - 61), "expired"),
        (|claims, now| put(claims, "exp", now as f64 + 0.5), ""),
        (|claims, now| put(claims, "nbf", now + 30), ""),
        (|claims, now| put(claims, "nbf", now + 31), "not valid yet"),
        (|claims, now| put(claims, "iat", now + 31), "not valid yet"),
        (|claims, now| put(claims, "exp", now + 86_400), ""),
        (|claims, now| put(claims, "exp", now + 86_401), "lives longer"),
        (|claims, _| drop(claims.remove("iat")), ""),
        (
            |claims, now| {
                claims.remove("iat");
                put(claims, "exp", now + 90_000);
            },
            "lives longer",
        ),
        (|claims, _| drop(claims.remove("exp")), "lacks a claim"),
        (|claims, _| drop(claims.remove("sub")), "lacks a claim"),
        (|claims, _| drop(claims.remove("iss")), "lacks a claim"),
        (|claims, _| drop(claims.remove("aud")), "lacks a claim"),
        (|claims, _| put(claims, "iss", "https://issuer/"), "wrong issuer"),
        (|claims, _| put(claims, "iss", json!(["https://issuer"])), "wrong issuer"),
        (|claims, _| put(claims, "aud", "tapelines"), "wrong audience"),
        (|claims, _| put(claims, "aud", json!([])), "wrong audience"),
        (|claims, _| put(claims, "aud", json!(["tapeline", 1])), "wrong audience"),
        (|claims, _| put(claims, "exp", "tomorrow"), "neither a token"),
        (|claims, _| put(claims, "exp", -1), "neither a token"),
        (|claims, _| put(claims, "exp", 1e300), "neither a token"),
        (|claims, _| put(claims, "exp", Value::Null), "neither a token"),
        (|claims, _| put(claims, "sub", ""), "neither a token"),
        (|claims, _| put(claims, "sub", 7), "neither a token"),
        (|claims, _| put(claims, "sub", "a\nb"), "neither a token"),
        (|claims, _| put(claims, "sub", "x".repeat(257)), "neither a token"),
        (|claims, _| put(claims, "sub", "key:feeder"), "neither a token"),
        (|claims, _| put(claims, "jti", 7), "neither a token"),
    ];
    judge(&desk, cases);
}

#[test]
fn rights_that_are_not_understood_or_too_many_are_refused() {
    let cases: &[Case] = &[
        (|claims, _| put(claims, "tapeline", json!({"raed": ["a"]})), "claim tapeline is malformed"),
        (|claims, _| put(claims, "tapeline", json!({"store": {"reed": []}})), "claim tapeline is malformed"),
        (|claims, _| put(claims, "tapeline", json!({"read": [""]})), "claim tapeline is malformed"),
        (|claims, _| put(claims, "tapeline", json!({"read": "a"})), "claim tapeline is malformed"),
        (|claims, _| put(claims, "tapeline", json!({"admin": 1})), "claim tapeline is malformed"),
        (|claims, _| put(claims, "tapeline", json!(["read"])), "claim tapeline is malformed"),
        (|claims, _| put(claims, "tapeline", json!({"read": vec!["a"; 257]})), "claim tapeline is malformed"),
        (
            |claims, _| put(claims, "tapeline", json!({"keys": {"k": vec!["a"; 1_025]}})),
            "claim tapeline is malformed",
        ),
    ];
    judge(&Desk::with_secret(), cases);
}

/// Changes good claims as each case says, and sees what is told.
fn judge(desk: &Desk, cases: &[Case]) {
    for (number, (change, expected)) in cases.iter().enumerate() {
        let token = desk.token(|claims| {
            put(claims, "iss", "https://issuer");
            put(claims, "aud", "tapeline");
            change(claims, desk.now_s());
        });
        let told = desk.identify(&token).err();
        match (told, *expected) {
            (None, "") => {}
            (Some(refusal), expected) if !expected.is_empty() => {
                assert!(refusal.message.contains(expected), "case {number}: {refusal}");
                assert_eq!(refusal.code, ErrorCode::InvalidToken);
            }
            (told, expected) => panic!("case {number}: {told:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn a_token_with_what_no_rule_asks_for_is_taken() {
    let desk = Desk::with_secret();
    let token = desk.token(|claims| {
        put(claims, "aud", "somebody");
        put(claims, "iss", json!(7));
    });
    desk.identify(&token).unwrap();
    // A lifetime of any length, where that is said.
    let desk = Desk::new(rules(|rules| rules.max_lifetime_s = 0));
    desk.identify(&desk.token(|claims| put(claims, "exp", 9e9))).unwrap();
}

#[test]
fn a_wanted_kind_of_token_is_asked_for() {
    let desk = Desk::new(rules(|rules| rules.kind = "at+jwt".to_string()));
    let claims = desk.claims(|_| {});
    let of_kind = |kind: &str| signer().token(&claims, None, kind).unwrap();
    for good in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        desk.identify(&of_kind(good)).unwrap();
    }
    assert!(desk.refused(&of_kind("JWT")).contains("wrong type"));
    let without = signer().sign(br#"{"alg":"HS256"}"#, claims.to_string().as_bytes()).unwrap();
    assert!(desk.refused(&without).contains("wrong type"));
}

#[test]
fn headers_that_try_to_lead_astray_are_refused_or_ignored() {
    let desk = Desk::with_secret();
    let claims = desk.claims(|_| {}).to_string();
    let with = |header: &str| signer().sign(header.as_bytes(), claims.as_bytes()).unwrap();
    let refused = [
        (r#"{"alg":"none"}"#, "algorithm"),
        (r#"{"alg":"nOnE"}"#, "algorithm"),
        (r#"{"alg":"None"}"#, "algorithm"),
        (r#"{"alg":"hs256"}"#, "algorithm"),
        (r#"{"alg":"RS256"}"#, "algorithm"),
        (r#"{"alg":"ES256"}"#, "algorithm"),
        (r#"{"alg":"HS384"}"#, "signature"),
        (r#"{"alg":"HS256","crit":["exp"]}"#, "neither a token"),
        (r#"{"alg":"HS256","crit":[]}"#, "neither a token"),
        (r#"{"alg":"HS256","alg":"HS256"}"#, "neither a token"),
        (r#"{"alg":["HS256"]}"#, "neither a token"),
        (r#"{"typ":"JWT"}"#, "neither a token"),
        (r#"{"alg":"HS256","kid":7}"#, "neither a token"),
        (r#"["HS256"]"#, "neither a token"),
        ("", "neither a token"),
    ];
    for (header, expected) in refused {
        let told = desk.refused(&with(header));
        assert!(told.contains(expected), "{header}: {told}");
    }
    assert!(
        desk.refused(&with(&format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(257)))).contains("neither")
    );
    let ignored = [
        r#"{"alg":"HS256","jku":"https://evil.example/jwks","jwk":{"kty":"oct","k":"AAAA"},"x5u":"u","x5c":["c"]}"#,
        r#"{"alg":"HS256","kid":"../../dev/null"}"#,
        r#"{"alg":"HS256","kid":"x' or '1'='1"}"#,
    ];
    for header in ignored {
        desk.identify(&with(header)).unwrap();
    }
}

#[test]
fn what_is_no_token_is_refused_before_anything_is_looked_up() {
    let desk = Desk::with_secret();
    let good = desk.token(|_| {});
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let unsigned =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), signed.split_once('.').unwrap().1);
    let huge = format!("{good}{}", "A".repeat(2 << 20));
    let broken = [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "Bearer x",
        &good[1..],
        signed,
        &format!("{good}."),
        &format!("{good}="),
        &format!("{good} "),
        &format!(" {good}"),
        &format!("{signed}.{signature}A"),
        &format!("{signed}."),
        &unsigned,
        &huge,
        "\u{0}",
        "\u{e9}.\u{e9}.\u{e9}",
    ];
    for token in broken {
        let told = desk.refused(token);
        assert!(!told.contains(signature) && told.len() < 100, "{told}");
    }
    desk.identify(&good).unwrap();
}

#[test]
fn a_key_that_stands_twice_in_the_claims_is_refused() {
    let desk = Desk::with_secret();
    let now = desk.now_s();
    let twice = [
        format!(r#"{{"sub":"u1","exp":{},"sub":"u2"}}"#, now + 60),
        format!(r#"{{"sub":"u1","exp":{},"tapeline":{{"admin":false,"admin":true}}}}"#, now + 60),
    ];
    for claims in twice {
        let token = signer().sign(br#"{"alg":"HS256"}"#, claims.as_bytes()).unwrap();
        assert!(desk.refused(&token).contains("neither a token"));
    }
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let pair = mint::pair(Algorithm::Es256).unwrap();
    let path = std::env::temp_dir().join(format!("tapeline-auth-confusion-{}.pem", std::process::id()));
    std::fs::write(&path, &pair.public).unwrap();
    let jwt = JwtSettings { public_key_file: path.display().to_string(), ..JwtSettings::default() };
    let desk = Desk::new(Settings { jwt, failures_per_minute: 0, ..Settings::default() });
    std::fs::remove_file(path).unwrap();
    let claims = desk.claims(|_| {});
    let good = Signer::private_key(Algorithm::Es256, pair.private.as_bytes()).unwrap();
    desk.identify(&good.token(&claims, None, "JWT").unwrap()).unwrap();
    let confused = Signer::secret(Algorithm::Hs256, pair.public.as_bytes()).unwrap();
    assert!(desk.refused(&confused.token(&claims, None, "JWT").unwrap()).contains("algorithm"));
    assert!(desk.refused(&signed(&claims)).contains("algorithm"), "no secret is configured");
}

#[test]
fn an_algorithm_that_is_not_on_the_list_is_refused_though_the_key_fits() {
    let mut settings = secret_settings();
    settings.jwt.algorithms = vec![Algorithm::Hs512];
    let desk = Desk::new(settings);
    let claims = desk.claims(|_| {});
    assert!(desk.refused(&signed(&claims)).contains("algorithm"));
    let allowed = Signer::secret(Algorithm::Hs512, SECRET.as_bytes()).unwrap();
    desk.identify(&allowed.token(&claims, None, "JWT").unwrap()).unwrap();
}

#[test]
fn a_token_ends_when_it_says_so_however_often_it_was_seen() {
    let desk = Desk::with_secret();
    let token = desk.token(|_| {});
    desk.identify(&token).unwrap();
    desk.clock.advance(std::time::Duration::from_secs(600 + 31));
    assert!(desk.clock.now().wall_us > 0);
    assert!(desk.refused(&token).contains("expired"));
}
