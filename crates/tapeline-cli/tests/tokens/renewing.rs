//! A connection over the life of its token: it is told that it ends, renews it or ends with it, and hears what it may.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::people::{SECRET, bearer, claims, now_s, signed, token};
use super::support::{Client, Hub};
use super::{ann, hub, hub_with, is_anns, renew};

fn ending(subject: &str, rights: &Value, ends_in_s: i64) -> String {
    signed(SECRET, &claims(subject, rights, ends_in_s))
}

fn connect(hub: &Hub, token: &str) -> Client {
    Client::connect_with(hub, "/ws?heartbeat=0", &bearer(token))
}

fn publish(hub: &Hub, channel: &str, data: &Value) {
    let all = token("robot", &json!({"publish": ["*"]}));
    let body = json!({"channel": channel, "type": "probe", "data": data}).to_string();
    let answer = hub.request("POST", "/publish", &bearer(&all), body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

#[test]
fn a_connection_ends_with_its_token_and_not_later() {
    let hub = hub();
    let claims = claims("ann", &json!({}), 4);
    let end = claims["exp"].as_u64().expect("a token says when it ends");
    let mut client = connect(&hub, &signed(SECRET, &claims));
    let told = client.next_of("token_expiring");
    assert!(told.json["in_s"].as_u64().is_some_and(|left| left <= 4), "{}", told.text);
    let closed = client.closed();
    assert_eq!(closed.code, 4001, "{}", closed.reason);
    // The leeway of 30 s is for tokens that come, not for connections that stand.
    assert!(now_s() < end + 15, "it is closed long after its token has ended");
    assert!(now_s() + 3 > end, "it is not closed long before");
}

#[test]
fn a_renewed_token_keeps_the_connection_past_the_end_of_the_old_one() {
    let hub = hub();
    let rights = json!({"keys": {"portfolio_id": ["p1"]}});
    let claims = claims("ann", &rights, 4);
    let old_end = claims["exp"].as_u64().expect("a token says when it ends");
    let mut client = connect(&hub, &signed(SECRET, &claims));
    assert_eq!(client.next().kind(), "token_expiring");
    assert!(is_anns(&mut client));
    let answer = renew(&mut client, &ending("ann", &rights, 3_600));
    assert_eq!(answer["type"], "token_ok", "{answer}");
    while now_s() <= old_end {
        let silence = client.read_within(Duration::from_millis(500));
        assert!(silence.is_none(), "nothing is due: {silence:?}");
    }
    publish(&hub, "trades:p1", &json!("still heard"));
    assert_eq!(client.message(1).channel(), "trades:p1");
}

#[test]
fn a_token_of_somebody_else_is_refused_and_the_connection_goes_on_as_it_was() {
    let hub = hub();
    let mut client = connect(&hub, &ann());
    assert!(is_anns(&mut client));
    let all = json!({"read": ["*"]});
    for wrong in
        [token("bob", &all), signed("a-secret-that-is-not-this-hub-s-own-but-long", &claims("ann", &all, 60))]
    {
        let answer = renew(&mut client, &wrong);
        assert_eq!((&answer["code"], &answer["req"]), (&json!("invalid_token"), &json!("renewed")));
    }
    let answer = client.ask(&json!({"action": "subscribe", "channel": "alerts:risk"}));
    assert_eq!(answer.json["code"], "forbidden", "nobody's rights came with them");
    publish(&hub, "trades:p1", &json!("still heard"));
    assert_eq!(client.message(1).channel(), "trades:p1");
}

#[test]
fn fewer_rights_end_what_is_not_allowed_any_more_and_nothing_else() {
    let hub = hub();
    let both = json!({"read": ["alerts:*"], "keys": {"portfolio_id": ["p1"]}, "publish": ["news"]});
    let mut client = connect(&hub, &token("ann", &both));
    for channel in ["trades:p1", "alerts:risk", "news"] {
        client.subscribe(channel);
    }
    client.send(&json!({"action": "subscribe", "pattern": "*:*"}));
    client.next_of("subscription_confirmed");
    publish(&hub, "agent_result:a", &json!(0));
    client.expect_silence();
    let answer = renew(&mut client, &token("ann", &json!({"keys": {"portfolio_id": ["p1"]}})));
    assert_eq!(answer["type"], "token_ok", "{answer}");
    let ended = client.next_of("error");
    assert_eq!(
        (&ended.json["code"], ended.channel()),
        (&json!("forbidden"), "alerts:risk"),
        "{}",
        ended.text
    );
    publish(&hub, "alerts:risk", &json!("not for her"));
    publish(&hub, "trades:p1", &json!("hers"));
    publish(&hub, "news", &json!("everybody's"));
    let heard = client.settle();
    let channels: Vec<&str> = heard.iter().map(|frame| frame.channel()).collect();
    assert_eq!(channels, ["trades:p1", "news"], "{heard:?}");
    let refused = client.ask(&json!({"action": "publish", "channel": "news", "data": {}, "req": 1}));
    assert_eq!(refused.json["code"], "forbidden", "{}", refused.text);
    let list = client.ask(&json!({"action": "list"}));
    assert!(!list.text.contains("alerts:risk"), "{}", list.text);
}

#[test]
fn more_rights_let_a_standing_pattern_hear_more() {
    let hub = hub();
    let mut client = connect(&hub, &token("ann", &json!({})));
    publish(&hub, "alerts:old", &json!("kept"));
    client.send(&json!({"action": "subscribe", "pattern": "alerts:*"}));
    client.next_of("subscription_confirmed");
    publish(&hub, "alerts:old", &json!("not yet"));
    client.expect_silence();
    let answer = renew(&mut client, &token("ann", &json!({"read": ["alerts:*"]})));
    assert_eq!(answer["type"], "token_ok", "{answer}");
    publish(&hub, "alerts:old", &json!("now"));
    publish(&hub, "alerts:new", &json!("now too"));
    let heard = client.settle();
    let data: Vec<&str> = heard.iter().map(|frame| frame.data_text()).collect();
    assert_eq!(data, ["\"now\"", "\"now too\""], "{heard:?}");
}

#[test]
fn a_stranger_who_says_who_it_is_hears_what_is_its_own_in_the_pattern_that_stands() {
    let hub = hub_with("anonymous = true", &[]);
    let all = token("robot", &json!({"publish": ["*"]}));
    let fill = |n: u32| {
        let body = json!({"channel": "executions:a1", "owner": "olga", "data": {"n": n}}).to_string();
        assert_eq!(hub.request("POST", "/publish", &bearer(&all), body).status(), 200);
    };
    fill(1);
    let mut client = Client::connect(&hub);
    for pattern in ["executions:*", "notifications:*"] {
        client.send(&json!({"action": "subscribe", "pattern": pattern}));
        client.next_of("subscription_confirmed");
    }
    fill(2);
    client.expect_silence();
    // Her rights are a stranger's, but she is somebody.
    let answer = renew(&mut client, &token("olga", &json!({})));
    assert_eq!(answer["type"], "token_ok", "{answer}");
    fill(3);
    publish(&hub, "notifications:olga", &json!("for her"));
    publish(&hub, "notifications:otto", &json!("for him"));
    let heard = client.settle();
    let data: Vec<&str> = heard.iter().map(|frame| frame.data_text()).collect();
    assert_eq!(data, ["{\"n\":3}", "\"for her\""], "{heard:?}");
}

#[test]
fn limits_are_counted_by_client_id_and_subject_together() {
    let hub = hub();
    let bob = token("bob", &json!({}));
    let seat = |token: &str| {
        let mut client = Client::connect_with(&hub, "/ws/desk", &bearer(token));
        client.send(&json!({"action": "subscribe", "channel": "news"}));
        client
    };
    let mut anns: Vec<Client> = (0..10).map(|_| seat(&ann())).collect();
    for client in &mut anns {
        client.next_of("subscription_confirmed");
    }
    let mut refused = Client::connect_with(&hub, "/ws/desk", &bearer(&ann()));
    assert_eq!(refused.next_of("error").json["code"], "limit_connections");
    assert_eq!(refused.closed().reason, "Connection limit exceeded");
    let mut bobs = seat(&bob);
    bobs.next_of("subscription_confirmed");
    // Whose connection it is counts from the first message on, too.
    let mut late = Client::connect_with(&hub, "/ws/desk", "");
    let told = renew(&mut late, &ann());
    assert_eq!(told["code"], "limit_connections", "{told}");
    assert_eq!(late.closed().code, 1008);
    let mut late = Client::connect_with(&hub, "/ws/desk", "");
    assert_eq!(renew(&mut late, &bob)["type"], "token_ok");
}
