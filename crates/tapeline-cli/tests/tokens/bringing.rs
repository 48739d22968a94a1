//! The four places of a token: the header, the offered protocols, the query and the first message.

use std::time::{Duration, Instant};

use serde_json::json;

use super::support::people::{bearer, key, token};
use super::support::raw::handshake;
use super::support::{Client, Hub, PATIENCE, Raw};
use super::{ann, hub, hub_with, is_anns, renew};

fn offering(token: &str) -> String {
    format!("Sec-WebSocket-Protocol: tapeline.v1, auth.{token}\r\n")
}

/// The status of a handshake, and the whole answer's head where it is an upgrade.
fn status(hub: &Hub, path: &str, more: &str) -> u16 {
    Raw::send_to(hub, handshake(hub, path, more)).head().status
}

/// Asserts that a client is let in, told what is wrong with its token, and closed.
fn is_told(hub: &Hub, path: &str, more: &str) {
    let mut client = Client::connect_with(hub, path, more);
    let told = client.next_of("error");
    assert_eq!(told.json["code"], "invalid_token", "{}", told.text);
    assert_eq!(client.closed().code, 1008);
}

#[test]
fn a_token_is_taken_in_each_place_and_the_same_in_several() {
    let (hub, ann) = (hub(), ann());
    let in_query = format!("/ws?token={ann}");
    let in_all = format!("{}{}", bearer(&ann), offering(&ann));
    for (path, more) in [
        ("/ws", bearer(&ann)),
        ("/ws/desk", bearer(&ann).replace("Bearer", "bEARER")),
        ("/ws", offering(&ann)),
        (&*in_query, String::new()),
        (&*in_query, in_all),
    ] {
        assert!(is_anns(&mut Client::connect_with(&hub, path, &more)), "{path} {more}");
    }
    let mut client = Client::connect(&hub);
    let answer = renew(&mut client, &ann);
    assert_eq!((&answer["type"], &answer["req"]), (&json!("token_ok"), &json!("renewed")));
    assert!(answer["expires_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{answer}");
    assert!(is_anns(&mut client));
}

#[test]
fn of_the_offered_protocols_only_the_one_without_the_token_is_selected() {
    let (hub, ann) = (hub(), ann());
    let mut raw = Raw::send_to(&hub, handshake(&hub, "/ws", &offering(&ann)));
    let head = raw.head();
    assert_eq!((head.status, head.header("sec-websocket-protocol")), (101, Some("tapeline.v1")));
    // The token alone: nothing is offered that could be selected, and the token is not.
    let alone = format!("Sec-WebSocket-Protocol: auth.{ann}\r\n");
    let mut raw = Raw::send_to(&hub, handshake(&hub, "/ws", &alone));
    let head = raw.head();
    assert_eq!((head.status, head.header("sec-websocket-protocol")), (101, None));
}

#[test]
fn two_different_tokens_are_one_too_many() {
    let (hub, ann) = (hub(), ann());
    let bob = token("bob", &json!({}));
    let in_query = format!("/ws?token={bob}");
    for (path, more) in [
        ("/ws", format!("{}{}", bearer(&ann), offering(&bob))),
        (&*in_query, bearer(&ann)),
        (&*in_query, offering(&ann)),
        ("/ws", format!("{}{}", bearer(&ann), bearer(&bob))),
        ("/ws", format!("Sec-WebSocket-Protocol: tapeline.v1, auth.{ann}, auth.{bob}\r\n")),
        (&*format!("/ws?token={bob}&token={ann}"), String::new()),
    ] {
        let mut raw = Raw::send_to(&hub, handshake(&hub, path, &more));
        let head = raw.head();
        assert_eq!(head.status, 401, "{path} {more}");
        assert_eq!(head.header("www-authenticate"), Some("Bearer"));
    }
}

#[test]
fn a_key_is_taken_everywhere_but_in_the_query() {
    let key = key("read = [\"trades:*\"]");
    let hub = hub_with("", &[&key]);
    assert!(is_anns(&mut Client::connect_with(&hub, "/ws", &bearer(&key.text))));
    assert!(is_anns(&mut Client::connect_with(&hub, "/ws", &offering(&key.text))));
    let mut client = Client::connect(&hub);
    assert_eq!(renew(&mut client, &key.text)["type"], "token_ok");
    assert!(is_anns(&mut client));
    let in_query = format!("/ws?token={}", key.text);
    for more in [String::new(), bearer(&key.text), bearer(&ann())] {
        assert_eq!(status(&hub, &in_query, &more), 401, "{more}");
    }
}

#[test]
fn what_is_no_token_is_refused_in_each_place() {
    let hub = hub();
    let tampered = {
        let whole = ann();
        let (head, signature) = whole.rsplit_once('.').expect("a token has parts");
        format!("{head}.A{signature}")
    };
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDB9.";
    for garbage in ["x", "a.b.c", "..", "tk_", "null", unsigned, &tampered] {
        assert_eq!(status(&hub, "/ws", &bearer(garbage)), 401, "{garbage}");
        is_told(&hub, "/ws", &offering(garbage));
        if !garbage.starts_with("tk_") {
            is_told(&hub, &format!("/ws?token={garbage}"), "");
        }
        let mut client = Client::connect(&hub);
        assert_eq!(renew(&mut client, garbage)["code"], "invalid_token");
        assert_eq!(client.closed().code, 1008, "{garbage}");
    }
    for more in [
        "Authorization: Basic YTpi\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: \r\n",
        "Authorization: \u{e9}\r\n",
    ] {
        assert_eq!(status(&hub, "/ws", more), 401, "{more}");
    }
    is_told(&hub, "/ws?token=", "");
    is_told(&hub, "/ws", "Sec-WebSocket-Protocol: tapeline.v1, auth.\r\n");
}

#[test]
fn a_token_that_is_too_long_is_refused_in_each_place() {
    let hub = hub();
    let long = format!("{}.{}.{}", "e".repeat(3_000), "e".repeat(3_000), "e".repeat(3_000));
    for (path, more) in
        [("/ws", bearer(&long)), ("/ws", offering(&long)), (&*format!("/ws?token={long}"), String::new())]
    {
        let status = status(&hub, path, &more);
        assert!(matches!(status, 401 | 431 | 101), "{status}");
        if status == 101 {
            is_told(&hub, path, &more);
        }
    }
    let mut client = Client::connect(&hub);
    assert_eq!(renew(&mut client, &long)["code"], "invalid_token");
    assert_eq!(client.closed().code, 1008);
    assert!(is_anns(&mut Client::connect_with(&hub, "/ws", &bearer(&ann()))), "the hub is none the worse");
}

#[test]
fn who_does_not_say_who_it_is_in_time_is_closed() {
    let hub = hub_with("first_message_timeout_s = 3", &[]);
    let began = Instant::now();
    let mut client = Client::connect(&hub);
    // Pings and refused requests are no excuse.
    assert_eq!(client.ask(&json!({"action": "ping"})).kind(), "pong");
    assert_eq!(client.ask(&json!({"action": "list"})).json["code"], "invalid_token");
    let closed = client.closed();
    assert_eq!(closed.code, 1008);
    assert!(closed.reason.contains("auth.first_message_timeout_s"), "{}", closed.reason);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(3) && took < PATIENCE, "{took:?}");
    let mut known = Client::connect(&hub);
    assert_eq!(renew(&mut known, &ann())["type"], "token_ok");
    let silence = known.read_within(Duration::from_secs(5));
    assert!(silence.is_none(), "who has said it stays: {silence:?}");
}
