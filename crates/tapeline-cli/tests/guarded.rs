//! The library and the commands against a real hub that asks who is there: tokens that live for seconds, and a key.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use support::{Hub, run_to_end, temporary};
use tapeline::{ConnectionState, Error, ErrorCode, Event, EventBus, Events, Settings, TokenSource};
use tapeline_auth::Algorithm;
use tapeline_auth::mint::Signer;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "3kVnq0xE7yTz5aLw9cRb2mHs8dJf6gUp";
/// A key's text and its digest.
const KEY: &str = "tk_0a1b2c3d4e5f_p5YbZ3uWqX0cVn8RtLkJ2hGfD7sA1mEo";
const KEY_HASH: &str = "sha256:0e3454e8d2d6eafea71a23d4b43332e45fab530ed2ac236a6dfe5aa797298ccd";

fn guarded() -> Hub {
    Hub::with_config(&format!(
        "[auth.jwt]\nsecret = {SECRET:?}\n\n[[auth.key]]\nid = \"0a1b2c3d4e5f\"\nhash = {KEY_HASH:?}\n\
         publish = [\"*\"]\nread = [\"*\"]\nstore_read = [\"*\"]\nstore_write = [\"*\"]\noperator = true\n"
    ))
}

/// A token of user `u` with these rights for so long.
fn token(rights: &Value, lives: Duration) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let claims =
        json!({"sub": "u", "iat": now.as_secs(), "exp": (now + lives).as_secs_f64(), "tapeline": rights});
    Signer::secret(Algorithm::Hs256, SECRET.as_bytes()).unwrap().token(&claims, None, "JWT").unwrap()
}

async fn connect(hub: &Hub, token: impl Into<Option<TokenSource>>) -> Result<EventBus, Error> {
    let (backoff_base, backoff_cap) = (Duration::from_millis(2), Duration::from_millis(50));
    let settings = Settings { token: token.into(), backoff_base, backoff_cap, ..Settings::default() };
    tapeline::connect_with(&format!("ws://{}", hub.address()), settings).await
}

async fn publisher(hub: &Hub) -> EventBus {
    connect(hub, TokenSource::text(KEY)).await.expect("the key is good")
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("this was due")
}

async fn number(events: &mut Events) -> u64 {
    match soon(events.next()).await {
        Some(Event::Message(message)) => message.data().as_u64().unwrap(),
        other => panic!("a message was due: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_lives_longer_than_each_of_its_tokens_and_misses_nothing() {
    let hub = guarded();
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let source = TokenSource::call(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Error>(token(&json!({}), Duration::from_secs(3))) }
    });
    let bus = connect(&hub, source).await.expect("the token is good");
    let mut notes = bus.subscribe_stream("notes").await.expect("names of nobody are public");
    let desk = publisher(&hub).await;
    // As long as three tokens.
    for n in 1..=90 {
        desk.publish("notes", n).await.expect("the key may");
        assert_eq!(number(&mut notes).await, n);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(calls.load(Ordering::Relaxed) >= 3, "{calls:?}");
    assert_eq!((bus.statistics().reconnects, bus.statistics().gaps), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_with_a_text_ends_with_its_token() {
    let hub = guarded();
    let text = TokenSource::text(token(&json!({}), Duration::from_secs(2)));
    let bus = connect(&hub, text).await.expect("the token is good");
    let mut notes = bus.subscribe_stream("notes").await.expect("names of nobody are public");
    let ended = soon(notes.next()).await;
    assert!(matches!(ended, Some(Event::Ended(Error::Unauthorized { .. }))), "{ended:?}");
    let closed =
        |state: &ConnectionState| matches!(state, ConnectionState::Closed(Error::Unauthorized { .. }));
    soon(bus.state().wait_for(closed)).await.expect("it says so");
}

#[tokio::test]
async fn what_a_token_does_not_allow_is_refused_and_without_one_all_is() {
    let hub = guarded();
    let user = token(&json!({"keys": {"portfolio_id": ["p1"]}}), Duration::from_secs(60));
    let bus = connect(&hub, TokenSource::text(user)).await.expect("the token is good");
    bus.subscribe_stream("trades:p1").await.expect("it is the user's own");
    let code = |refused: Result<_, Error>| refused.err().and_then(|error| error.code());
    assert_eq!(code(bus.subscribe_stream("trades:p2").await.map(drop)), Some(ErrorCode::Forbidden));
    assert_eq!(code(bus.publish("notes", 1).await.map(drop)), Some(ErrorCode::Forbidden));
    assert_eq!(code(bus.store().get::<u32>("a:b:c:d").await.map(drop)), Some(ErrorCode::Forbidden));
    publisher(&hub).await.store().set("a:b:c:d", 7).await.expect("the key may");

    let stranger = connect(&hub, None).await.expect("the token may come later");
    let refused = stranger.subscribe_stream("notes").await.map(drop);
    assert!(matches!(refused, Err(Error::Unauthorized { .. })), "{refused:?}");
    let refused = stranger.store().get::<u32>("a:b:c:d").await;
    assert!(matches!(refused, Err(Error::Unauthorized { .. })), "{refused:?}");
    let refused = connect(&hub, TokenSource::text("tk_0a1b2c3d4e5f_wrong")).await.map(drop);
    assert!(matches!(refused, Err(Error::Unauthorized { .. })), "{refused:?}");
}

/// A command with a token, against the hub.
fn tapeline(hub: &Hub, token: &str, words: &[&str]) -> (bool, String, String) {
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.args(words).args(["--url", &format!("http://{}", hub.address())]).env("TAPELINE_TOKEN", token);
    let (status, out, err) = run_to_end(command);
    (status.success(), out, err)
}

#[test]
fn commands_do_what_their_token_allows() {
    let hub = guarded();
    let (ok, out, err) = tapeline(&hub, KEY, &["pub", "notes", "1"]);
    assert!(ok && out.starts_with("published notes offset 1 "), "{err}");
    assert!(tapeline(&hub, KEY, &["stats"]).0);
    let user = token(&json!({"read": ["trades:p1"]}), Duration::from_secs(60));
    let (ok, _, err) = tapeline(&hub, &user, &["pub", "notes", "1"]);
    assert!(!ok && err.contains("takes a grant that names it (publish) (forbidden)"), "{err}");
    let (ok, out, err) = tapeline(&hub, &user, &["sub", "notes", "--since", "0", "--count", "1"]);
    assert!(ok && out.ends_with(" notes 1 message 1\n"), "{out}{err}");
    let (ok, _, err) = tapeline(&hub, &user, &["stats"]);
    assert!(!ok && err.contains("operator"), "{err}");
    let (ok, out, _) = tapeline(&hub, &user, &["doctor", "notes", "--wait", "0"]);
    let said = ["authentication is on", "the hub takes the token, until ", "it is u, reads trades:p1, ends "];
    assert!(ok && said.iter().all(|part| out.contains(part)), "{out}");
    let (ok, out, _) = tapeline(&hub, "no.good.token", &["doctor", "--wait", "0"]);
    assert!(!ok && out.contains("the hub does not take the token"), "{out}");
}

#[test]
fn a_subscription_reads_its_token_again_and_outlives_the_first() {
    let hub = guarded();
    let file = temporary("token");
    let write = |lives| std::fs::write(&file, token(&json!({}), Duration::from_secs(lives))).unwrap();
    write(2);
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    let url = format!("http://{}", hub.address());
    command.args(["sub", "notes", "--count", "1", "--url", &url, "--token-file", file.to_str().unwrap()]);
    let publish = std::thread::spawn(move || {
        // After the end of the first token, whatever became of the connection by then.
        std::thread::sleep(Duration::from_secs(4));
        assert!(tapeline(&hub, KEY, &["pub", "notes", "1"]).0);
        hub
    });
    let rewrite = std::thread::spawn({
        let file = file.clone();
        move || {
            std::thread::sleep(Duration::from_millis(300));
            std::fs::write(file, token(&json!({}), Duration::from_secs(60))).unwrap();
        }
    });
    let (status, out, err) = run_to_end(command);
    assert!(status.success() && out.contains(" notes 1 "), "{out}{err}");
    assert!(err.contains("the token ends in ") && err.contains("the hub takes the token"), "{err}");
    rewrite.join().unwrap();
    drop(publish.join().unwrap());
    std::fs::remove_file(file).unwrap();
}
