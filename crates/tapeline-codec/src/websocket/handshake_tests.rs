//! Requests that may become a WebSocket, and one that breaks each rule.

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const GOOD: [(&str, &str); 5] = [
    ("Host", "hub.example"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", KEY),
];

fn opened(headers: &[(&str, &str)]) -> Result<Accept, HandshakeError> {
    check(&Request { method: "GET", http_version: (1, 1), headers: &headers })
}

/// The good request, with `name` having these values instead.
fn with(name: &str, values: &[&'static str]) -> Result<Accept, HandshakeError> {
    let mut headers: Vec<(&str, &str)> = GOOD.into_iter().filter(|(own, _)| *own != name).collect();
    headers.extend(values.iter().map(|value| (name, *value)));
    opened(&headers)
}

#[test]
fn the_key_of_the_rfc_gets_the_answer_of_the_rfc() {
    assert_eq!(accept_key(KEY).as_deref(), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(opened(&GOOD), Ok(Accept { accept_key: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned() }));
}

#[test]
fn token_lists_are_read_whatever_their_case_and_lines() {
    assert!(with("Connection", &["keep-alive, UPGRADE"]).is_ok());
    assert!(with("Connection", &["keep-alive", "upgrade"]).is_ok());
    assert!(with("Upgrade", &["h2c , WebSocket"]).is_ok());
    assert_eq!(with("Connection", &["upgraded"]), Err(HandshakeError::Connection));
    assert_eq!(with("Upgrade", &["websockets"]), Err(HandshakeError::Upgrade));
}

#[test]
fn an_absent_header_is_named() {
    assert_eq!(with("Connection", &[]), Err(HandshakeError::Connection));
    assert_eq!(with("Upgrade", &[]), Err(HandshakeError::Upgrade));
    assert_eq!(with("Sec-WebSocket-Version", &[]), Err(HandshakeError::Version));
    assert_eq!(with("Sec-WebSocket-Key", &[]), Err(HandshakeError::KeyCount(0)));
}

#[test]
fn there_is_exactly_one_key_of_16_bytes() {
    assert_eq!(with("Sec-WebSocket-Key", &[KEY, KEY]), Err(HandshakeError::KeyCount(2)));
    assert!(with("Sec-WebSocket-Key", &["  dGhlIHNhbXBsZSBub25jZQ== "]).is_ok());
    // The last character's four stray bits carry nothing: 16 bytes all the same.
    assert!(accept_key("dGhlIHNhbXBsZSBub25jZR==").is_ok());
    for bad in [
        "",
        "dGhlIHNhbXBsZQ==",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25jZSEh",
        "dGhlIHNhbXBsZSBub25jZ*==",
        "dGhlIHNhbXBsZSBub25jZé==",
    ] {
        assert_eq!(accept_key(bad), Err(HandshakeError::Key), "{bad}");
    }
}

#[test]
fn another_version_is_answered_426_with_ours() {
    for values in [&["8"][..], &["13, 8"], &["13", "13"], &[""]] {
        let error = with("Sec-WebSocket-Version", values).unwrap_err();
        assert_eq!((error.status(), error.code()), (426, "websocket_version"));
        assert_eq!(error.header(), Some(("Sec-WebSocket-Version", "13")));
    }
}

#[test]
fn the_method_is_get_and_http_is_at_least_1_1() {
    let headers: &[(&str, &str)] = &GOOD;
    let post = check(&Request { method: "POST", http_version: (1, 1), headers: &headers }).unwrap_err();
    assert_eq!((post.status(), post.header()), (405, Some(("Allow", "GET"))));
    let old = check(&Request { method: "GET", http_version: (1, 0), headers: &headers }).unwrap_err();
    assert_eq!((old.status(), old.header()), (400, None));
    assert!(check(&Request { method: "GET", http_version: (2, 0), headers: &headers }).is_ok());
}

#[test]
fn the_clients_first_known_subprotocol_is_selected() {
    let headers: &[(&str, &str)] =
        &[("Sec-WebSocket-Protocol", "v2.tapeline, v1.tapeline"), ("Sec-WebSocket-Protocol", "json")];
    assert_eq!(select_protocol(&headers, &["json", "v1.tapeline"]), Some("v1.tapeline"));
    assert_eq!(select_protocol(&headers, &["json"]), Some("json"));
    assert_eq!(select_protocol(&headers, &["JSON"]), None);
    assert_eq!(select_protocol(&headers, &[]), None);
}
