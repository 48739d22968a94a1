//! Tokens in plain requests: what is answered without one and without a right, and what web pages need.

use serde_json::json;

use super::support::people::{bearer, token};
use super::support::raw::handshake;
use super::support::{Hub, Raw};
use super::{ann, hub};

#[test]
fn without_a_token_it_is_401_and_without_a_right_403() {
    let hub = hub();
    let answer = hub.get("/last/news");
    assert_eq!(answer.refusal(), (401, "invalid_token".to_string()));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    let answer = hub.request("GET", "/last/alerts:risk", &bearer(&ann()), "");
    assert_eq!(answer.refusal(), (403, "forbidden".to_string()));
    assert_eq!(answer.header("www-authenticate"), None);
    let body = r#"{"channel":"alerts:risk","data":{}}"#;
    assert_eq!(hub.request("POST", "/publish", &bearer(&ann()), body).refusal().0, 403);
    let answer = hub.request("GET", "/last/news", &bearer(&ann()), "");
    assert_eq!(answer.refusal(), (404, "no_value".to_string()));
    // Only a handshake may bring it in its query: of plain requests logs keep it.
    let answer = hub.get(&format!("/last/news?token={}", ann()));
    assert_eq!(answer.status(), 401, "{}", answer.text());
    for path in ["/store/a:b", "/presence/news", "/dead-letters", "/admin/revocations"] {
        let answer = hub.request("GET", path, &bearer(&ann()), "");
        assert_eq!(answer.refusal(), (403, "forbidden".to_string()), "{path}");
    }
}

#[test]
fn what_is_open_is_open_to_a_bad_token_too() {
    let hub = hub();
    for path in ["/health", "/ready", "/", "/asyncapi.json", "/openapi.json"] {
        assert_eq!(hub.get(path).status(), 200, "{path}");
        assert_eq!(hub.request("GET", path, &bearer("garbage"), "").status(), 200, "{path}");
    }
}

#[test]
fn a_preflight_needs_no_token_and_allows_to_bring_one() {
    let hub = hub();
    let question = "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: POST\r\n\
                    Access-Control-Request-Headers: authorization, content-type\r\n";
    for path in ["/publish", "/last/news", "/store/a:b"] {
        let answer = hub.request("OPTIONS", path, question, "");
        assert_eq!(answer.status(), 204, "{path}");
        let allowed = answer.header("access-control-allow-headers").expect("headers are allowed");
        assert!(allowed.split(", ").any(|name| name == "authorization"), "{allowed}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    }
    let refused = hub.request("GET", "/last/news", "Origin: http://localhost:3000\r\n", "");
    assert_eq!(refused.status(), 401);
    let readable = refused.header("access-control-allow-origin");
    assert_eq!(readable, Some("http://localhost:3000"), "a page can read why");
}

#[test]
fn a_token_does_not_let_a_foreign_page_in() {
    let hub = hub();
    let foreign = format!("Origin: https://evil.example\r\n{}", bearer(&ann()));
    let answer = hub.request("GET", "/last/news", &foreign, "");
    assert_eq!(answer.refusal(), (403, "foreign_origin".to_string()));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    for path in ["/ws".to_string(), format!("/ws?token={}", ann())] {
        assert_eq!(Raw::send_to(&hub, handshake(&hub, &path, &foreign)).head().status, 403, "{path}");
    }
}

#[test]
fn the_inside_is_for_operators_and_the_public_side_of_it_for_everybody() {
    let hub = hub();
    let operator = bearer(&token("oscar", &json!({"operator": true})));
    let reader = bearer(&token("rita", &json!({"read": ["*"], "publish": ["*"]})));
    let ask = |path: &str, who: &str| hub.request("GET", path, who, "");
    for path in
        ["/stats", "/metrics", "/inspect", "/incidents", "/presence", "/presence/news", "/dead-letters"]
    {
        assert_eq!(ask(path, "").refusal(), (401, "invalid_token".to_string()), "{path}");
        assert_eq!(ask(path, &reader).refusal(), (403, "forbidden".to_string()), "{path}");
        // Some want a parameter, which is asked for after the right.
        let status = ask(path, &operator).status();
        assert!(matches!(status, 200 | 400), "{path}: {status}");
    }
    assert_eq!(ask("/channels", "").status(), 401);
    assert_eq!(ask("/channels", &reader).status(), 200);
    assert_eq!(ask("/last/alerts:risk", &operator).refusal().0, 403, "who operates does not read for that");
}

fn put(hub: &Hub, key: &str, who: &str) -> u16 {
    hub.request("PUT", &format!("/store/{key}"), who, "1").status()
}

#[test]
fn the_store_is_read_written_and_listed_by_those_whose_patterns_say_so() {
    let hub = hub();
    let ann = json!({"store": {"read": ["desk:*", "all:[ab]*"], "write": ["desk:ann:*"]}});
    let ann = bearer(&token("ann", &ann));
    let root = bearer(&token("root", &json!({"store": {"read": ["*"], "write": ["*"]}})));
    let other = bearer(&token("otto", &json!({"read": ["*"], "publish": ["*"], "operator": true})));
    for key in ["desk:ann:1", "desk:bob:1", "all:a", "private:x"] {
        assert_eq!(put(&hub, key, &root), 200, "{key}");
    }
    let ask = |method: &str, path: &str, who: &str| hub.request(method, path, who, "").status();
    for (key, ann_reads, ann_writes) in
        [("desk:ann:1", 200, 200), ("desk:bob:1", 200, 403), ("all:a", 200, 403), ("private:x", 403, 403)]
    {
        let path = format!("/store/{key}");
        assert_eq!((ask("GET", &path, &ann), put(&hub, key, &ann)), (ann_reads, ann_writes), "{key}");
        assert_eq!((ask("GET", &path, &other), put(&hub, key, &other)), (403, 403), "{key}");
        assert_eq!((ask("GET", &path, ""), put(&hub, key, "")), (401, 401), "{key}");
        assert_eq!(ask("DELETE", &path, &other), 403, "{key}");
    }
    assert_eq!(ask("DELETE", "/store/desk:bob:1", &ann), 403);
    assert_eq!(ask("DELETE", "/store/desk:ann:1", &ann), 200);
    // A listing must lie whole within a pattern that ends in one star; "all:[ab]*" says more than a beginning.
    for (prefix, status) in
        [("desk:", 200), ("desk:bob:", 200), ("des", 403), ("", 403), ("all:a", 403), ("private:", 403)]
    {
        assert_eq!(ask("GET", &format!("/store?prefix={prefix}"), &ann), status, "{prefix:?}");
    }
    assert_eq!(ask("GET", "/store", &root), 200);
    assert_eq!(ask("GET", "/store", &other), 403);
}

#[test]
fn the_hubs_own_keys_of_the_store_are_nobodys() {
    let hub = hub();
    let root = bearer(&token("root", &json!({"store": {"read": ["*"], "write": ["*"]}, "admin": true})));
    for key in ["tapeline:x", "tapeline:revoked:a:b", "tapeline%3Ax"] {
        assert_eq!(put(&hub, key, &root), 403, "{key}");
        assert_eq!(hub.request("DELETE", &format!("/store/{key}"), &root, "").status(), 403, "{key}");
    }
    assert_eq!(put(&hub, "tapelines:x", &root), 200);
    let open = Hub::start();
    assert_eq!(put(&open, "tapeline:x", ""), 403, "with authentication off neither");
}
