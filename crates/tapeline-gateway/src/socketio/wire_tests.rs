//! Messages and replies as clients read them.

use tapeline_codec::websocket::encoder::payload_of;
use tapeline_core::directory::Directory;
use tapeline_core::message::Draft;
use tapeline_core::reply::GapReason;
use tapeline_core::{Channel, Refusal};
use tapeline_schema::{Catalog, ErrorCode};

use super::*;

fn channel(name: &str) -> Channel {
    Directory::new(Catalog::built_in()).channel(name).unwrap()
}

fn message(name: &str, kind: Option<&str>, data: &'static [u8]) -> Message {
    let draft = Draft {
        channel: channel(name),
        kind: kind.map(Into::into),
        data: data.into(),
        rows: None,
        correlation_id: Some("c\"1".into()),
        idempotency: None,
        owner: None,
        from_plain_name: false,
        id: Default::default(),
        timestamp_us: 0,
    };
    Message::new(draft, 7, "k3".into(), Default::default())
}

fn text(frame: &[u8]) -> &str {
    assert_eq!(frame[0], 0x81);
    std::str::from_utf8(payload_of(frame)).unwrap()
}

#[test]
fn a_message_is_an_event_with_the_bare_data_as_it_came() {
    let signal = message("quantum_signals", None, b"{\"price\": 1.50}");
    assert_eq!(text(&plain().message(&signal)), r#"42["new_signal",{"price": 1.50}]"#);
    let bytes = message("undeclared", None, b"\xff\x00not json");
    assert_eq!(text(&plain().message(&bytes)), r#"42["message",{"data_b64":"/wBub3QganNvbg=="}]"#);
    let named = message("undeclared", Some("disconnect"), b"1");
    assert_eq!(text(&plain().message(&named)), r#"42["message",1]"#);
}

#[test]
fn a_header_follows_the_data_where_it_was_asked_for() {
    let wire = USUAL.pick(true, false);
    let frame = wire.message(&message("quantum_signals", None, b"[]"));
    let header = r#"{"channel":"quantum_signals","type":"new_signal","offset":7,"epoch":"k3","timestamp":"1970-01-01T00:00:00.000000Z","id":"00000000-0000-0000-0000-000000000000","correlation_id":"c\"1"}"#;
    assert_eq!(text(&frame), format!(r#"42["new_signal",[],{header}]"#));
}

#[test]
fn all_clients_of_a_kind_share_one_frame() {
    let signal = message("quantum_signals", None, b"1");
    let (quiet, other) = (signal.encoded(USUAL.pick(false, true)), signal.encoded(USUAL.pick(false, false)));
    assert!(std::ptr::eq(quiet, other));
    assert!(!std::ptr::eq(quiet, signal.encoded(USUAL.pick(true, true))));
}

#[test]
fn events_are_renamed_by_channel_before_family() {
    let events = [("market_data", "price"), ("market_data:A", "price_of_a"), ("news", "headline")];
    let events: Events = events.map(|(of, name)| (of.to_string(), name.to_string())).into();
    let wire = Wires::of(&events).pick(false, false);
    let event = |name| text(&wire.message(&message(name, None, b"1"))).to_string();
    assert_eq!(event("market_data:A"), r#"42["price_of_a",1]"#);
    assert_eq!(event("market_data:B"), r#"42["price",1]"#);
    assert_eq!(event("news"), r#"42["headline",1]"#);
    assert_eq!(event("social"), r#"42["social",1]"#);
}

#[test]
fn a_reply_goes_where_its_mark_says() {
    let error = |req| Reply::Error { refusal: Refusal::new(ErrorCode::Forbidden, "no"), about: None, req };
    let object = r#"{"type":"error","code":"forbidden","message":"no"}"#;
    let said = |req| plain().reply(&error(req));
    assert_eq!(text(&said(Mark::ack(Some(12)))), format!("4312[{object}]"));
    assert_eq!(text(&said(None)), format!(r#"42["error",{object}]"#));
    assert_eq!(text(&said(Mark::connect("s"))), r#"44{"message":"no","data":{"code":"forbidden"}}"#);
    // Only that it could not be done is told of what nobody has asked for.
    assert_eq!(text(&said(Mark::quiet())), format!(r#"42["error",{object}]"#));
    let elsewhere = r#"44/admin,{"message":"no","data":{"code":"forbidden"}}"#;
    assert_eq!(text(&said(Mark::elsewhere("/admin"))), elsewhere);
    let pong = |pong, req| Reply::Time { pong, time_us: 0, req };
    assert_eq!(plain().reply(&pong(true, Mark::quiet())), "");
    let ok = Reply::TokenOk { until_us: None, req: Mark::connect("s1") };
    assert_eq!(text(&plain().reply(&ok)), r#"40{"sid":"s1"}"#);
}

#[test]
fn only_who_has_subscribed_something_is_told_of_gaps() {
    let gap = Reply::Gap { channel: channel("news"), from: 3, to: None, reason: GapReason::Trimmed };
    let told = r#"42["gap",{"type":"gap","channel":"news","from":3,"to":null,"reason":"trimmed"}]"#;
    assert_eq!(text(&plain().reply(&gap)), told);
    let quiet = USUAL.pick(false, true);
    assert_eq!(quiet.reply(&gap), "");
    for notice in [
        Reply::Conflated { channel: channel("news"), count: 1 },
        Reply::BookResync { channel: channel("news") },
        Reply::Degraded(true),
        Reply::Time { pong: false, time_us: 0, req: None },
        Reply::Reconnect { after_ms: 1 },
    ] {
        assert_eq!(quiet.reply(&notice), "", "{notice:?}");
    }
    assert_eq!(plain().ping(), &b"\x81\x012"[..]);
}

#[test]
fn who_has_subscribed_nothing_is_answered_without_an_acknowledgement_too() {
    let news = channel("news");
    for (reply, event) in [
        (Reply::Time { pong: true, time_us: 0, req: None }, "pong"),
        (Reply::Last { channel: news.clone(), message: None, req: None }, "last"),
        (Reply::Subscriptions { topics: Vec::new(), req: None }, "subscriptions"),
        (
            Reply::History { channel: news, epoch: "k3".into(), messages: Vec::new(), next: None, req: None },
            "history",
        ),
        (Reply::Unsubscribed { topic: None, req: None }, "unsubscription_confirmed"),
        (Reply::TokenOk { until_us: None, req: None }, "token_ok"),
        (Reply::TokenExpiring { in_s: 9 }, "token_expiring"),
    ] {
        let frame = USUAL.pick(false, true).reply(&reply);
        assert!(text(&frame).starts_with(&format!(r#"42["{event}",{{"type":"{event}""#)), "{reply:?}");
    }
}
