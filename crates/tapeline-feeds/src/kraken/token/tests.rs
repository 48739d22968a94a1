//! The signature against the venue's own example, and fetching over a real socket on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use tapeline_core::Now;

use super::*;

/// The secret of the venue's example; <https://docs.kraken.com/api/docs/guides/spot-rest-auth>.
const SECRET: &str =
    "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";

struct Fixed(AtomicU64);

impl Clock for Fixed {
    fn now(&self) -> Now {
        Now { mono_us: 1, wall_us: self.0.load(Ordering::Relaxed) }
    }
}

fn tokens(url: &str, clock: Arc<Fixed>) -> FetchedTokens {
    FetchedTokens::new(url, "public-key", SECRET, None, clock).unwrap()
}

fn at(wall_us: u64) -> Arc<Fixed> {
    Arc::new(Fixed(AtomicU64::new(wall_us)))
}

#[test]
fn the_signature_is_that_of_the_venues_example() {
    let secret = hmac::Key::new(hmac::HMAC_SHA512, &BASE64.decode(SECRET).unwrap());
    let body = "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25";
    assert_eq!(
        signature(&secret, "/0/private/AddOrder", "1616492376594", body),
        "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    );
    // Python: base64.b64encode(hmac.new(base64.b64decode(secret), path + sha256(nonce + body).digest(), "sha512").digest())
    assert_eq!(
        signature(&secret, PATH, "1616492376594", "nonce=1616492376594"),
        "+mRDmY9Ks0Moc1zjv/BjfvYa98buO0x1yHChZR5onlfAzAUbfIYlLggUZzdQ0RsmXm4Sh+Q8iAIZdo2wSeHeiA=="
    );
}

#[test]
fn a_nonce_only_grows_though_the_clock_is_set_back_and_after_a_restart() {
    let clock = at(1_700_000_000_000_000);
    let before = tokens("http://127.0.0.1:1", clock.clone());
    let first = [before.nonce(), before.nonce()];
    assert_eq!(first, [1_700_000_000_000_000, 1_700_000_000_000_001]);
    clock.0.store(1_600_000_000_000_000, Ordering::Relaxed);
    assert_eq!(before.nonce(), 1_700_000_000_000_002);
    let restarted = tokens("http://127.0.0.1:1", at(1_700_000_000_500_000));
    assert!(restarted.nonce() > before.nonce());
}

/// Answers one request; what was asked.
fn answer(status: &'static str, body: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0);
        }
        let length = head.to_lowercase();
        let length =
            length.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        let mut form = vec![0; length];
        reader.read_exact(&mut form).unwrap();
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
        format!("{head}{}", String::from_utf8(form).unwrap())
    });
    (url, asked)
}

#[test]
fn a_token_is_asked_for_with_key_nonce_and_signature() {
    let (url, asked) = answer(
        "200 OK",
        r#"{"error":[],"result":{"token":"1Dwc4lzSwNWOAwkMdqhssNNFhs1ed606d1WcF3XfEMw","expires":900}}"#,
    );
    let token = tokens(&url, at(1_616_492_376_594)).fetch();
    assert_eq!(token.as_deref(), Ok("1Dwc4lzSwNWOAwkMdqhssNNFhs1ed606d1WcF3XfEMw"));
    let asked = asked.join().unwrap();
    assert!(asked.starts_with("POST /0/private/GetWebSocketsToken HTTP/1.1\r\n"), "{asked}");
    let lower = asked.to_lowercase();
    assert!(lower.contains("\r\napi-key: public-key\r\n"));
    assert!(lower.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"));
    // As in Python above.
    let sign = "+mRDmY9Ks0Moc1zjv/BjfvYa98buO0x1yHChZR5onlfAzAUbfIYlLggUZzdQ0RsmXm4Sh+Q8iAIZdo2wSeHeiA==";
    assert!(asked.contains(sign), "{asked}");
    assert!(asked.ends_with("\r\n\r\nnonce=1616492376594"));
}

#[test]
fn a_refusal_is_told_in_the_venues_words() {
    let (url, asked) = answer("200 OK", r#"{"error":["EGeneral:Permission denied"]}"#);
    assert_eq!(tokens(&url, at(5)).fetch(), Err("EGeneral:Permission denied".to_string()));
    asked.join().unwrap();
}

#[test]
fn what_is_no_answer_is_told_without_what_it_says() {
    let (url, asked) = answer("200 OK", r#"{"result":{"token":17,"secret":"s3cret"}}"#);
    let error = tokens(&url, at(5)).fetch().unwrap_err();
    assert_eq!(error, "the answer with the token cannot be read");
    asked.join().unwrap();
    let (url, asked) = answer("503 Service Unavailable", "s3cret");
    let error = tokens(&url, at(5)).fetch().unwrap_err();
    assert_eq!(error, "asked for a token the venue answers 503 Service Unavailable");
    asked.join().unwrap();
}

#[test]
fn keys_that_nobody_can_have_are_refused_without_being_shown() {
    let error = |key: &str, secret: &str, url: &str| {
        FetchedTokens::new(url, key, secret, None, at(1)).err().unwrap().to_string()
    };
    assert_eq!(error("key", "not base64!", "http://x"), "the API secret is no base64");
    assert_eq!(error("key", "", "http://x"), "the API secret is no base64");
    assert!(error("a\nb", SECRET, "http://x").starts_with("the API key is empty, or"));
    assert!(error("key", SECRET, "ftp://x").contains("ftp://x"));
}
