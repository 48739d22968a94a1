//! A bus against a hub that plays a script: silence, losses, closes, and what is said again after them.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

#[path = "link/script.rs"]
mod script;
#[path = "link/tokens.rs"]
mod tokens;

use std::time::{Duration, Instant};

use script::{Peer, Script, soon};
use serde_json::json;
use tapeline::{ConnectionState, Error, ErrorCode, Event, EventBus, Events, Settings};

fn quick() -> Settings {
    let (backoff_base, backoff_cap) = (Duration::from_millis(1), Duration::from_millis(20));
    Settings { backoff_base, backoff_cap, ..Settings::default() }
}

async fn connect(script: &Script, url: &str, settings: Settings) -> (EventBus, Peer) {
    let (bus, peer) = tokio::join!(tapeline::connect_with(url, settings), script.peer());
    (bus.expect("the script answers"), peer)
}

/// Subscribes to `desk`, which stands at this offset of epoch `e`.
async fn subscribe(bus: &EventBus, peer: &mut Peer, offset: u64) -> Events {
    let script = async {
        let asked = peer.hears().await;
        assert_eq!((&asked["action"], &asked["channel"]), (&json!("subscribe"), &json!("desk")));
        peer.confirms(&asked, offset, "e").await;
    };
    let (events, ()) = tokio::join!(bus.subscribe_stream("desk").into_future(), script);
    events.unwrap()
}

async fn offset(events: &mut Events) -> u64 {
    match soon(events.next()).await {
        Some(Event::Message(message)) => message.offset(),
        other => panic!("a message was due: {other:?}"),
    }
}

#[tokio::test]
async fn a_subscription_goes_on_where_it_stopped_and_repeats_are_dropped() {
    let (script, url) = Script::start().await;
    let (bus, mut peer) = connect(&script, &url, quick()).await;
    let mut events = subscribe(&bus, &mut peer, 5).await;
    peer.brings("desk", 6, "e").await;
    assert_eq!(offset(&mut events).await, 6);
    drop(peer);
    let mut peer = script.peer().await;
    let asked = peer.hears().await;
    assert_eq!(asked["since"], json!({"offset": 6, "epoch": "e"}));
    peer.confirms(&asked, 8, "e").await;
    for n in [6, 7, 8, 7, 9] {
        peer.brings("desk", n, "e").await;
    }
    assert_eq!([offset(&mut events).await, offset(&mut events).await, offset(&mut events).await], [7, 8, 9]);
    assert_eq!((bus.statistics().reconnects, bus.statistics().repeats), (1, 2));
}

#[tokio::test]
async fn a_loss_before_the_first_message_goes_on_from_the_confirmation() {
    let (script, url) = Script::start().await;
    let (bus, mut peer) = connect(&script, &url, quick()).await;
    let _events = subscribe(&bus, &mut peer, 5).await;
    drop(peer);
    assert_eq!(script.peer().await.hears().await["since"], json!({"offset": 5, "epoch": "e"}));
}

#[tokio::test]
async fn a_pattern_goes_on_by_a_place_per_channel_and_the_time_of_its_confirmation() {
    let (script, url) = Script::start().await;
    let (bus, mut peer) = connect(&script, &url, quick()).await;
    let confirm = async {
        let asked = peer.hears().await;
        assert_eq!(asked["pattern"], "de*");
        peer.says(
            json!({"type": "subscription_confirmed", "pattern": "de*", "time": "T", "req": asked["req"]}),
        )
        .await;
    };
    let (events, ()) = tokio::join!(bus.subscribe_stream("de*").into_future(), confirm);
    let mut events = events.unwrap();
    peer.brings("desk", 4, "e").await;
    peer.brings("depot", 7, "f").await;
    assert_eq!([offset(&mut events).await, offset(&mut events).await], [4, 7]);
    drop(peer);
    let asked = script.peer().await.hears().await;
    let places = json!({"desk": {"offset": 4, "epoch": "e"}, "depot": {"offset": 7, "epoch": "f"}});
    assert_eq!((&asked["since"], &asked["time"]), (&places, &json!("T")));
}

#[tokio::test]
async fn an_unanswered_publish_is_sent_again_with_the_same_key() {
    let (script, url) = Script::start().await;
    let (bus, mut peer) = connect(&script, &url, quick()).await;
    let replies = async {
        let first = peer.hears().await;
        drop(peer);
        let mut peer = script.peer().await;
        let again = peer.hears().await;
        assert_eq!(first, again);
        assert!(again["idempotency_key"].as_str().is_some_and(|key| key.len() > 32), "{again}");
        peer.says(json!({"type": "published", "channel": "desk", "id": "i", "offset": 3, "epoch": "e",
            "duplicate": true, "subscribers": 2, "req": again["req"]}))
            .await;
        peer
    };
    let (published, _peer) = tokio::join!(bus.publish("desk", 1).into_future(), replies);
    let published = published.unwrap();
    assert_eq!((published.offset, published.duplicate, published.subscribers), (3, true, 2));
}

#[tokio::test]
async fn a_hub_gone_silent_is_asked_once_and_then_left() {
    let (script, url) = Script::start().await;
    let settings = Settings { silence: Duration::from_secs(1), ..quick() };
    let (_bus, mut peer) = connect(&script, &url, settings).await;
    assert_eq!(peer.hears().await["action"], "ping");
    // No answer: the bus comes again while this connection is still open. That it comes is all that is asked: who
    // answered it too late would be left in the same way.
    let _second = soon(script.0.accept()).await.unwrap();
    drop(peer);
}

#[tokio::test]
async fn a_hub_that_asks_to_come_back_later_is_obeyed() {
    let (script, url) = Script::start().await;
    let settings = Settings { backoff_cap: Duration::from_secs(5), ..quick() };
    let (_bus, mut peer) = connect(&script, &url, settings).await;
    let asked = Instant::now();
    peer.says(json!({"type": "reconnect", "after_ms": 300})).await;
    script.peer().await;
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_close_for_good_ends_everything_with_its_reason() {
    let (script, url) = Script::start().await;
    let (bus, mut peer) = connect(&script, &url, quick()).await;
    let mut events = subscribe(&bus, &mut peer, 5).await;
    let waiting = bus.publish("desk", 1).into_future();
    let revoke = async {
        peer.hears().await;
        peer.closes(4003).await;
    };
    let (published, ()) = tokio::join!(waiting, revoke);
    let reason = Error::Closed { code: 4003, reason: "as the test wants".to_string() };
    assert_eq!(published, Err(reason.clone()));
    assert!(matches!(soon(events.next()).await, Some(Event::Ended(error)) if error == reason));
    assert!(soon(events.next()).await.is_none());
    assert_eq!(*bus.state().borrow(), ConnectionState::Closed(reason));
}

#[tokio::test]
async fn a_publish_that_is_too_large_for_the_hub_fails_alone() {
    let (script, url) = Script::start().await;
    let (bus, mut peer) = connect(&script, &url, quick()).await;
    let mut events = subscribe(&bus, &mut peer, 5).await;
    let large = bus.publish("desk", "x".repeat(10_000)).into_future();
    let small = bus.publish("desk", 1).into_future();
    let hub = async {
        assert_eq!(
            [peer.hears().await["action"].take(), peer.hears().await["action"].take()],
            ["publish"; 2]
        );
        peer.closes(1009).await;
        let mut peer = script.peer().await;
        let asked = peer.hears().await;
        assert_eq!(asked["since"], json!({"offset": 5, "epoch": "e"}));
        peer.confirms(&asked, 5, "e").await;
        let again = peer.hears().await;
        assert_eq!((&again["action"], &again["data"]), (&json!("publish"), &json!(1)));
        peer.says(json!({"type": "published", "channel": "desk", "id": "i", "offset": 6, "epoch": "e",
            "duplicate": false, "subscribers": 1, "req": again["req"]}))
            .await;
        peer.brings("desk", 6, "e").await;
        peer
    };
    let (large, small, _peer) = tokio::join!(large, small, hub);
    assert_eq!(large, Err(Error::Closed { code: 1009, reason: "as the test wants".to_string() }));
    assert_eq!(small.unwrap().offset, 6);
    assert_eq!(offset(&mut events).await, 6);
}

#[tokio::test]
async fn a_hub_that_finds_all_too_large_is_left_for_good() {
    let (script, url) = Script::start().await;
    let (bus, peer) = connect(&script, &url, quick()).await;
    peer.closes(1009).await;
    let mut state = bus.state();
    let closed = |state: &ConnectionState| matches!(state, ConnectionState::Closed(_));
    soon(state.wait_for(closed)).await.unwrap();
}

#[tokio::test]
async fn other_closes_are_come_back_from() {
    let (script, url) = Script::start().await;
    let (bus, peer) = connect(&script, &url, quick()).await;
    peer.closes(1012).await;
    script.peer().await.closes(1013).await;
    script.peer().await.closes(4002).await;
    let _peer = script.peer().await;
    let mut state = bus.state();
    soon(state.wait_for(|state| *state == ConnectionState::Connected)).await.unwrap();
    assert_eq!(bus.statistics().reconnects, 3);
}

#[tokio::test]
async fn a_hub_that_refuses_the_first_connection_is_an_error_with_its_code() {
    let (script, url) = Script::start().await;
    let refuse = async {
        let (stream, _) = script.0.accept().await.unwrap();
        let mut peer = Peer(tokio_tungstenite::accept_async(stream).await.unwrap());
        peer.says(json!({"type": "error", "code": "limit_connections", "message": "11 connections, the limit is 10"}))
            .await;
        peer.closes(1008).await;
    };
    let (bus, ()) = tokio::join!(tapeline::connect_with(&url, quick()), refuse);
    assert_eq!(bus.err().and_then(|error| error.code()), Some(ErrorCode::LimitConnections));
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_address() {
    let url = format!("ws://127.0.0.1:{}", tapeline_faults::free_port());
    let error = tapeline::connect(&url).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("no hub answers at {url}/ws: ")), "{error}");
}

#[tokio::test]
async fn requests_that_wait_are_bounded_in_number_and_time() {
    let (script, url) = Script::start().await;
    let settings = Settings { waiting_requests: 2, request_timeout: Duration::from_millis(300), ..quick() };
    let (bus, _peer) = connect(&script, &url, settings).await;
    let publish = || bus.publish("desk", 1).into_future();
    let (first, second, third) = tokio::join!(publish(), publish(), publish());
    for late in [first, second] {
        assert!(
            late.unwrap_err().to_string().contains("not answered within 300ms (Settings::request_timeout)")
        );
    }
    let full = third.unwrap_err().to_string();
    assert_eq!(full, "2 requests wait for the hub, the limit is 2 (Settings::waiting_requests)");
    // What nobody waits for any more makes room.
    assert!(matches!(publish().await, Err(Error::Timeout { .. })));
}

#[tokio::test]
async fn a_subscription_that_is_refused_after_a_loss_says_so_and_ends() {
    let (script, url) = Script::start().await;
    let (bus, mut peer) = connect(&script, &url, quick()).await;
    let mut events = subscribe(&bus, &mut peer, 5).await;
    peer.brings("desk", 6, "e").await;
    drop(peer);
    let mut peer = script.peer().await;
    let asked = peer.hears().await;
    peer.says(json!({"type": "error", "code": "forbidden", "message": "no", "req": asked["req"]})).await;
    assert_eq!(offset(&mut events).await, 6);
    let ended = soon(events.next()).await;
    assert!(
        matches!(&ended, Some(Event::Ended(error)) if error.code() == Some(ErrorCode::Forbidden)),
        "{ended:?}"
    );
    assert!(soon(events.next()).await.is_none());
}

#[tokio::test]
async fn a_subscription_that_is_refused_for_now_is_asked_for_again() {
    let (script, url) = Script::start().await;
    let (bus, mut peer) = connect(&script, &url, quick()).await;
    let mut events = subscribe(&bus, &mut peer, 5).await;
    drop(peer);
    let mut peer = script.peer().await;
    let asked = peer.hears().await;
    peer.says(json!({"type": "error", "code": "degraded", "message": "no broker", "req": asked["req"]}))
        .await;
    let again = peer.hears().await;
    assert_eq!(again["since"], json!({"offset": 5, "epoch": "e"}));
    peer.confirms(&again, 6, "e").await;
    peer.brings("desk", 6, "e").await;
    assert_eq!(offset(&mut events).await, 6);
}

#[tokio::test]
async fn a_gap_that_the_hub_tells_reaches_the_subscriber_in_its_place() {
    let (script, url) = Script::start().await;
    let (bus, mut peer) = connect(&script, &url, quick()).await;
    let mut events = subscribe(&bus, &mut peer, 5).await;
    peer.says(json!({"type": "gap", "channel": "desk", "from": 6, "to": 8, "reason": "overflow"})).await;
    peer.brings("desk", 9, "e").await;
    assert!(matches!(soon(events.next()).await, Some(Event::Gap(gap)) if (gap.from, gap.to) == (6, Some(8))));
    assert_eq!(offset(&mut events).await, 9);
    assert_eq!(bus.statistics().missed, 3);
}
