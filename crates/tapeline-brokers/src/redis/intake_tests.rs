//! What others publish is told apart without a hub, and what may be lost is heard from a real Redis.

use super::*;
use crate::redis::testing::RedisServer;

fn message(payload: &'static str) -> Publication {
    match read("c".into(), payload.into()) {
        Foreign::Message(message) => message,
        other => panic!("{payload}: {other:?}"),
    }
}

#[test]
fn json_of_any_shape_is_data_whole() {
    for payload in
        [r#"{"type":"BUY","price":60000}"#, r#"{"type":1,"data":2,"channel":3}"#, "7", "\"x\"", "null"]
    {
        let message = message(payload);
        assert_eq!((&*message.data, message.kind), (payload.as_bytes(), None), "{payload}");
    }
    assert_eq!(message(r#"{"tapeline":2,"data":1}"#).data, r#"{"tapeline":2,"data":1}"#);
}

#[test]
fn an_envelope_marks_itself() {
    let message = message(
        r#" {"tapeline":1,"type":"halt","data":{"a":1.0},"idempotency_key":"k","correlation_id":"c"}"#,
    );
    assert_eq!(message.data, r#"{"a":1.0}"#);
    assert_eq!(message.kind.as_deref(), Some("halt"));
    assert_eq!(message.idempotency_key.as_deref(), Some("k"));
    assert_eq!(message.correlation_id.as_deref(), Some("c"));
}

/// Hears what may be lost.
struct Ear {
    catalog: Arc<Catalog>,
    lost: std::sync::mpsc::SyncSender<String>,
}

impl Takes for Ear {
    fn has_room(&self) -> bool {
        true
    }
    fn take(&self, messages: Vec<Foreign>) {
        panic!("it takes nothing in: {messages:?}");
    }
    fn lost(&self, channel: &str) {
        self.lost.send(channel.to_owned()).unwrap();
    }
    fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }
}

#[test]
fn a_hub_that_takes_nothing_in_hears_what_may_be_lost() {
    let server = RedisServer::start();
    let (to, lost) = std::sync::mpsc::sync_channel(256);
    let ear = Arc::new(Ear { catalog: Arc::new(Catalog::built_in()), lost: to });
    let address = Address::parse(&server.url()).unwrap();
    let intake = Intake::start(address, "one", Vec::new(), ear, false).unwrap();
    let told = std::iter::repeat_with(|| {
        server.ask("PUBLISH market_data:AAPL 1");
        server.ask(&format!("PUBLISH {LOST} market_data:AAPL"));
        lost.recv_timeout(Duration::from_millis(100)).ok()
    });
    assert_eq!(told.take(100).flatten().next().as_deref(), Some("market_data:AAPL"));
    assert!(!intake.holds());
}

#[test]
fn what_comes_after_the_lease_ran_out_counts_as_missed() {
    let address = Address::parse("redis://127.0.0.1:1").unwrap();
    let (to, _lost) = std::sync::mpsc::sync_channel(256);
    let takes = Arc::new(Ear { catalog: Arc::new(Catalog::built_in()), lost: to });
    let shared = Arc::new_cyclic(|me| Shared {
        me: me.clone(),
        link: Link::new(address, "test"),
        takes,
        holder: "one".into(),
        mirror: Vec::new(),
        takes_in: true,
        state: Mutex::default(),
    });
    let heard = |topic: &'static str| VecDeque::from([Heard { topic: topic.into(), payload: "1".into() }]);
    shared.on_heard(&mut heard("market_data:AAPL"));
    assert!(!lock(&shared.state).broken, "it has never held it");
    lock(&shared.state).holds_until = Some(Instant::now());
    shared.on_heard(&mut heard("tapeline:c:market_data:AAPL"));
    assert!(!lock(&shared.state).broken, "a hub's own frame");
    shared.on_heard(&mut heard("market_data:AAPL"));
    assert!(lock(&shared.state).broken);
}

#[test]
fn what_is_not_json_is_kept_as_it_came() {
    for payload in ["", "{", "BUY", "{} {}", "\u{fffd}"] {
        assert!(matches!(read("c".into(), payload.into()), Foreign::NotJson { .. }), "{payload:?}");
    }
}
