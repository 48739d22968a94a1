//! Tokens: where they are sent, when another is asked for, and what becomes of a bus whose token is refused or ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tapeline::{ConnectionState, Error, ErrorCode, EventBus, Settings, TokenSource};

use super::script::{Peer, Script, soon};
use super::{connect, offset, quick, subscribe};

fn with(token: impl Into<TokenSource>) -> Settings {
    Settings { token: Some(token.into()), ..quick() }
}

/// `token-1`, then `token-2` and so on, each time that it is called.
fn counting() -> TokenSource {
    let calls = Arc::new(AtomicU32::new(0));
    TokenSource::call(move || {
        let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
        async move { Ok::<_, std::io::Error>(format!("token-{call}")) }
    })
}

/// A bus, its hub's end, and what it called itself.
async fn connected(script: &Script, url: &str, settings: Settings) -> (EventBus, Peer, Option<String>) {
    let (bus, (peer, given)) = tokio::join!(tapeline::connect_with(url, settings), script.peer_with_token());
    (bus.expect("the script answers"), peer, given)
}

async fn refused(script: &Script, url: &str, settings: Settings) -> Error {
    let refusal = script.refuses("401 Unauthorized", "invalid_token");
    tokio::join!(tapeline::connect_with(url, settings), refusal).0.unwrap_err()
}

/// Answers a token as the hub does.
async fn takes_token(peer: &mut Peer) -> Value {
    let given = peer.hears().await;
    assert_eq!(given["action"], "token");
    let end = "2026-01-01T13:00:00Z";
    peer.says(json!({"type": "token_ok", "expires_at": end, "req": given["req"]})).await;
    given["token"].clone()
}

#[tokio::test]
async fn the_token_is_sent_with_the_handshake_and_where_there_is_none_nothing_is() {
    let (script, url) = Script::start().await;
    let (_bus, _peer, given) = connected(&script, &url, with("tk_7")).await;
    assert_eq!(given.as_deref(), Some("Bearer tk_7"));
    let (_bus, _peer, given) = connected(&script, &url, quick()).await;
    assert_eq!(given, None);
}

#[tokio::test]
async fn a_token_that_the_hub_does_not_take_is_an_error_with_its_reason() {
    let (script, url) = Script::start().await;
    for settings in [with("tk_7"), with(counting()), quick()] {
        let error = refused(&script, &url, settings).await;
        assert_eq!(error, Error::Unauthorized { reason: "the test says no".to_string() });
        assert_eq!(error.code(), Some(ErrorCode::InvalidToken));
    }
}

#[tokio::test]
async fn a_source_that_gives_no_token_is_an_error_and_nobody_is_asked() {
    let (_script, url) = Script::start().await;
    let empty = TokenSource::call(|| async { Err::<String, _>("the backend is away") });
    let error = tapeline::connect_with(&url, with(empty)).await.unwrap_err();
    assert_eq!(error, Error::NoToken { reason: "the backend is away".to_string() });
    let never = TokenSource::call(std::future::pending::<Result<String, std::io::Error>>);
    let settings = Settings { connect_timeout: Duration::from_millis(50), ..with(never) };
    let error = tapeline::connect_with(&url, settings).await.unwrap_err().to_string();
    assert_eq!(error, "no token: none came within 50ms (Settings::token)");
}

#[tokio::test]
async fn a_token_about_to_end_is_renewed_on_the_connection_that_stands() {
    let (script, url) = Script::start().await;
    let (bus, mut peer, given) = connected(&script, &url, with(counting())).await;
    assert_eq!(given.as_deref(), Some("Bearer token-1"));
    let mut events = subscribe(&bus, &mut peer, 5).await;
    for token in ["token-2", "token-3"] {
        peer.says(json!({"type": "token_expiring", "in_s": 60})).await;
        assert_eq!(takes_token(&mut peer).await, token);
    }
    peer.brings("desk", 6, "e").await;
    assert_eq!(offset(&mut events).await, 6);
    assert_eq!(bus.statistics().reconnects, 0);
}

#[tokio::test]
async fn a_source_that_fails_for_a_moment_is_asked_again_while_the_old_token_lasts() {
    let (script, url) = Script::start().await;
    let calls = Arc::new(AtomicU32::new(0));
    let flaky = TokenSource::call(move || {
        let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
        async move { if call == 2 { Err("away") } else { Ok(format!("token-{call}")) } }
    });
    let (_bus, mut peer) = connect(&script, &url, with(flaky)).await;
    peer.says(json!({"type": "token_expiring", "in_s": 60})).await;
    assert_eq!(takes_token(&mut peer).await, "token-3");
}

#[tokio::test]
async fn a_connection_whose_token_ended_comes_back_with_another_and_resumes() {
    let (script, url) = Script::start().await;
    let (bus, mut peer, _) = connected(&script, &url, with(counting())).await;
    let mut events = subscribe(&bus, &mut peer, 5).await;
    peer.closes(4001).await;
    let (mut peer, given) = script.peer_with_token().await;
    assert_eq!(given.as_deref(), Some("Bearer token-2"));
    let asked = peer.hears().await;
    assert_eq!(asked["since"], json!({"offset": 5, "epoch": "e"}));
    peer.confirms(&asked, 6, "e").await;
    peer.brings("desk", 6, "e").await;
    assert_eq!(offset(&mut events).await, 6);
}

#[tokio::test]
async fn a_token_refused_on_the_way_back_is_renewed_until_the_hub_takes_one() {
    let (script, url) = Script::start().await;
    let (bus, peer, _) = connected(&script, &url, with(counting())).await;
    drop(peer);
    let head = script.refuses("401 Unauthorized", "invalid_token").await;
    assert!(head.to_lowercase().contains("authorization: bearer token-2\r\n"), "{head}");
    let (_peer, given) = script.peer_with_token().await;
    assert_eq!(given.as_deref(), Some("Bearer token-3"));
    soon(bus.state().wait_for(|state| *state == ConnectionState::Connected)).await.unwrap();
}

#[tokio::test]
async fn a_text_that_has_ended_ends_the_bus() {
    let (script, url) = Script::start().await;
    let (bus, peer, _) = connected(&script, &url, with("tk_7")).await;
    peer.closes(4001).await;
    let ended = |state: &ConnectionState| matches!(state, ConnectionState::Closed(_));
    let state = soon(bus.state().wait_for(ended)).await.unwrap().clone();
    assert_eq!(
        state,
        ConnectionState::Closed(Error::Unauthorized { reason: "as the test wants".to_string() })
    );
}

#[tokio::test]
async fn a_text_refused_on_the_way_back_ends_the_bus() {
    let (script, url) = Script::start().await;
    let (bus, peer, _) = connected(&script, &url, with("tk_7")).await;
    drop(peer);
    script.refuses("401 Unauthorized", "invalid_token").await;
    let ended =
        |state: &ConnectionState| matches!(state, ConnectionState::Closed(Error::Unauthorized { .. }));
    soon(bus.state().wait_for(ended)).await.unwrap();
}

#[tokio::test]
async fn the_store_is_asked_with_the_token_and_a_stale_one_is_renewed_once() {
    let (script, url) = Script::start().await;
    let (bus, _peer, _) = connected(&script, &url, with(counting())).await;
    let hub = async {
        let stale = script.refuses("401 Unauthorized", "invalid_token").await;
        let fresh = script.answers("200 OK", r#"{"key":"a:b:c:d","version":1,"value":7}"#).await;
        [stale, fresh].map(|head| head.to_lowercase())
    };
    let (value, heads) = tokio::join!(async { bus.store().get::<u32>("a:b:c:d").await }, hub);
    assert_eq!(value, Ok(Some(7)));
    for (head, token) in heads.iter().zip(["token-1", "token-2"]) {
        assert!(head.contains(&format!("authorization: bearer {token}\r\n")), "{head}");
    }
}
