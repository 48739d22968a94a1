//! Keys that an issuer publishes: rotation, floods of unknown keys, an issuer that is away; and keys in files that change.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[expect(dead_code, reason = "each file of tests uses some of it")]
mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use support::{Desk, Named, PATIENCE, SECRET, eventually, secret_settings, set, signed};
use tapeline_auth::fetch::{Fetch, Http};
use tapeline_auth::mint::Signer;
use tapeline_auth::{Algorithm, JwtSettings, Settings};
use tapeline_core::rights::Authority;
use tapeline_schema::ErrorCode;

fn settings() -> Settings {
    let jwt = JwtSettings { jwks_url: "https://issuer.example/jwks".to_string(), ..JwtSettings::default() };
    Settings { jwt, failures_per_minute: 0, ..Settings::default() }
}

#[test]
fn the_first_token_waits_for_the_keys_and_a_rotated_key_is_fetched_once_for_all() {
    let (one, two) = (Named::make("one"), Named::make("two"));
    let desk = Desk::new(settings());
    let claims = desk.claims(|_| {});
    let early = desk.ask(&one.token(&claims), support::FROM);
    desk.issuer.give(Ok(set(&[&one])));
    early.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(desk.issuer.fetches(), 1);
    // Within the pause an unknown key is refused at once; after it, it is asked for.
    assert!(desk.refused(&two.token(&claims)).contains("unknown key"));
    desk.clock.advance(Duration::from_secs(11));
    let claims = desk.claims(|_| {});
    let waiting: Vec<_> =
        (0..50).map(|number| desk.ask(&two.token(&claims), &format!("192.0.2.{number}"))).collect();
    desk.identify(&one.token(&claims)).unwrap();
    desk.issuer.give(Ok(set(&[&one, &two])));
    for answer in waiting {
        answer.recv_timeout(PATIENCE).unwrap().unwrap();
    }
    assert_eq!(desk.issuer.fetches(), 2);
}

#[test]
fn a_flood_of_unknown_keys_makes_one_fetch_a_pause() {
    let (one, stranger) = (Named::make("one"), Named::make("stranger"));
    let desk = Desk::new(settings());
    let claims = desk.claims(|_| {});
    desk.issuer.give(Ok(set(&[&one])));
    desk.identify(&one.token(&claims)).unwrap();
    for round in 2..5 {
        desk.clock.advance(Duration::from_secs(11));
        desk.issuer.give(Ok(set(&[&one])));
        for _ in 0..300 {
            assert!(desk.refused(&stranger.token(&claims)).contains("unknown key"));
        }
        assert_eq!(desk.issuer.fetches(), round);
    }
}

#[test]
fn the_last_good_keys_serve_while_the_issuer_is_away() {
    let (one, two) = (Named::make("one"), Named::make("two"));
    let desk = Desk::new(settings());
    desk.issuer.give(Err("is down"));
    let refusal = desk.identify(&one.token(&desk.claims(|_| {}))).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Degraded, "nothing can be said without any key: {refusal}");
    desk.clock.advance(Duration::from_secs(11));
    desk.issuer.give(Ok(set(&[&one])));
    desk.identify(&one.token(&desk.claims(|_| {}))).unwrap();
    assert_eq!(desk.auth.status().fetch_error, None);
    for answer in [Err("is down"), Ok("{}".to_string()), Ok(set(&[])), Ok("x".repeat(300_000))] {
        desk.clock.advance(Duration::from_secs(11));
        desk.issuer.give(answer);
        assert!(desk.refused(&two.token(&desk.claims(|_| {}))).contains("unknown key"));
        desk.identify(&one.token(&desk.claims(|_| {}))).unwrap();
        assert!(desk.auth.status().fetch_error.is_some());
    }
}

#[test]
fn keys_of_a_set_that_do_not_fit_are_passed_over() {
    let one = Named::make("one");
    let mut broken = vec![one.jwk(); 9];
    for (number, (name, value)) in [
        ("use", "enc"),
        ("alg", "RS256"),
        ("crv", "X25519"),
        ("kty", "EC"),
        ("x", "AAAA"),
        ("x", "!"),
        ("kid", &"k".repeat(257)),
        ("alg", "HS256"),
        ("kty", "oct"),
    ]
    .into_iter()
    .enumerate()
    {
        broken[number][name] = value.into();
    }
    broken.push(serde_json::json!(7));
    broken.push(serde_json::json!({"kty": "oct", "alg": "HS256", "k": "A".repeat(64)}));
    let body = serde_json::json!({"keys": broken}).to_string();
    let taken = tapeline_auth::jwks::read(Algorithm::ALL, body.as_bytes()).unwrap();
    assert_eq!((taken.keys.len(), taken.passed_over.len()), (0, 11), "{taken:?}");
    let good = tapeline_auth::jwks::read(Algorithm::ALL, set(&[&one]).as_bytes()).unwrap();
    assert_eq!(good.keys.len(), 1);
}

#[test]
fn a_file_that_changes_is_read_again_and_a_broken_one_changes_nothing() {
    let path = std::env::temp_dir().join(format!("tapeline-auth-file-{}.txt", std::process::id()));
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    let mut settings = secret_settings();
    settings.jwt = JwtSettings { secret_file: path.display().to_string(), ..JwtSettings::default() };
    let desk = Desk::new(settings);
    let claims = desk.claims(|_| {});
    let who = desk.identify(&signed(&claims)).unwrap();
    let revision = desk.auth.revision();
    std::fs::write(&path, "too short").unwrap();
    eventually("the broken file is looked at", || desk.auth.revision() > revision);
    let other = "AnotherSecretThatIsLongEnoughAndFair0123456789";
    let by_other =
        Signer::secret(Algorithm::Hs256, other.as_bytes()).unwrap().token(&claims, None, "JWT").unwrap();
    assert!(desk.refused(&by_other).contains("signature"));
    desk.identify(&signed(&claims)).unwrap();
    assert!(!desk.auth.is_revoked(&who));
    std::fs::write(&path, other).unwrap();
    eventually("the file is read again", || desk.identify(&by_other).is_ok());
    assert!(desk.auth.is_revoked(&who), "who was believed by the old one is not any more");
    assert!(desk.refused(&signed(&claims)).contains("signature"), "nothing of the old key is remembered");
    std::fs::remove_file(path).unwrap();
}

/// Answers one request with this, word for word, and says what was asked.
fn serve_once(answer: String) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut asked, mut part) = (String::new(), [0; 1_024]);
        while !asked.contains("\r\n\r\n") {
            let bytes = stream.read(&mut part).unwrap();
            asked.push_str(std::str::from_utf8(&part[..bytes]).unwrap());
        }
        // Who has read enough hangs up.
        let _ = stream.write_all(answer.as_bytes());
        asked
    });
    (url, serving)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

#[test]
fn a_set_is_fetched_over_http_with_its_age_and_within_its_bounds() {
    let http = Http::new();
    let (url, serving) =
        serve_once(answer("200 OK", "cache-control: public, max-age=900\r\n", "{\"keys\":[]}"));
    let fetched = http.fetch(&url).unwrap();
    assert_eq!((&*fetched.body, fetched.max_age), (&b"{\"keys\":[]}"[..], Some(Duration::from_secs(900))));
    assert!(serving.join().unwrap().starts_with("GET /jwks HTTP/1.1\r\n"));
    let (url, serving) = serve_once(answer("302 Found", "location: http://127.0.0.1:1/elsewhere\r\n", ""));
    assert!(http.fetch(&url).unwrap_err().contains("not followed"));
    serving.join().unwrap();
    let (url, serving) = serve_once(answer("500 Internal Server Error", "", "{}"));
    assert!(http.fetch(&url).unwrap_err().contains("answers 500"));
    serving.join().unwrap();
    let (url, serving) = serve_once(answer("200 OK", "", &"x".repeat(2 << 20)));
    assert_eq!(http.fetch(&url).unwrap().body.len(), tapeline_auth::jwks::SET_BYTES + 1);
    serving.join().unwrap();
    http.fetch("http://127.0.0.1:1/").unwrap_err();
}
