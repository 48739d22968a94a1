//! Keys and secrets that change while the hub runs.

use serde_json::json;

use super::support::people::{Key, OTHER_SECRET, SECRET, auth, bearer, claims, key, signed};
use super::support::raw::handshake;
use super::support::{Client, Hub, Raw, eventually};

fn status(hub: &Hub, credential: &str) -> u16 {
    Raw::send_to(hub, handshake(hub, "/ws", &bearer(credential))).head().status
}

#[test]
fn a_reload_lets_a_new_key_in_and_closes_the_connections_of_one_that_is_gone() {
    let (admin, old, kept, new) = (key("admin = true"), key("read = [\"*\"]"), key(""), key(""));
    let hub = Hub::with_config(&auth("", &[&admin, &old, &kept]));
    let mut of_old = Client::connect_with(&hub, "/ws", &bearer(&old.text));
    let mut of_kept = Client::connect_with(&hub, "/ws", &bearer(&kept.text));
    of_old.subscribe("alerts:risk");
    of_kept.subscribe("news");
    assert_eq!(status(&hub, &new.text), 401);
    hub.rewrite(&auth("", &[&admin, &kept, &new]));
    let answer = hub.request("POST", "/admin/reload", &bearer(&admin.text), "");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(of_old.closed().code, 4003);
    assert_eq!((status(&hub, &old.text), status(&hub, &new.text)), (401, 101));
    of_kept.expect_to_stay();
    for secret in [&old.text, &new.text, &kept.text] {
        assert!(!answer.text().contains(secret.as_str()), "{}", answer.text());
    }
}

#[test]
fn a_key_that_loses_rights_is_closed_and_comes_back_with_what_it_has() {
    let (admin, mut desk) = (key("admin = true"), key("read = [\"alerts:*\", \"trades:*\"]"));
    let hub = Hub::with_config(&auth("", &[&admin, &desk]));
    let mut client = Client::connect_with(&hub, "/ws", &bearer(&desk.text));
    client.subscribe("alerts:risk");
    desk.toml = desk.toml.replace("\"alerts:*\", ", "");
    hub.rewrite(&auth("", &[&admin, &desk]));
    assert_eq!(hub.request("POST", "/admin/reload", &bearer(&admin.text), "").status(), 200);
    assert_eq!(client.closed().code, 4003);
    let mut client = Client::connect_with(&hub, "/ws", &bearer(&desk.text));
    let refused = client.ask(&json!({"action": "subscribe", "channel": "alerts:risk"}));
    assert_eq!(refused.json["code"], "forbidden");
    client.subscribe("trades:p1");
}

#[test]
fn a_hang_up_takes_another_secret_and_closes_what_the_old_one_opened_and_nothing_else() {
    let desk = key("read = [\"*\"]");
    let hub = Hub::with_config(&auth("", &[&desk]));
    let old = signed(SECRET, &claims("ann", &json!({}), 600));
    let new = signed(OTHER_SECRET, &claims("ann", &json!({}), 600));
    let mut client = Client::connect_with(&hub, "/ws", &bearer(&old));
    client.subscribe("news");
    let mut desks = Client::connect_with(&hub, "/ws", &bearer(&desk.text));
    desks.subscribe("news");
    assert_eq!((status(&hub, &old), status(&hub, &new)), (101, 401));
    hub.rewrite(&auth("", &[&desk]).replace(SECRET, OTHER_SECRET));
    hub.hang_up();
    assert!(eventually(|| status(&hub, &new) == 101), "the new secret is not taken");
    assert_eq!(status(&hub, &old), 401);
    assert_eq!(client.closed().code, 4003);
    desks.expect_to_stay();
}

#[test]
fn a_key_that_may_not_come_from_here_any_more_is_closed() {
    let (admin, mut desk) = (key("admin = true"), key("addresses = [\"127.0.0.0/8\"]"));
    let hub = Hub::with_config(&auth("", &[&admin, &desk]));
    let mut client = Client::connect_with(&hub, "/ws", &bearer(&desk.text));
    let mut admins = Client::connect_with(&hub, "/ws", &bearer(&admin.text));
    client.subscribe("news");
    admins.subscribe("news");
    let reload = |desk: &Key| {
        hub.rewrite(&auth("", &[&admin, desk]));
        assert_eq!(hub.request("POST", "/admin/reload", &bearer(&admin.text), "").status(), 200);
    };
    desk.toml = desk.toml.replace("127.0.0.0/8", "127.0.0.1");
    reload(&desk);
    client.expect_to_stay();
    desk.toml = desk.toml.replace("127.0.0.1", "10.0.0.0/8");
    reload(&desk);
    assert_eq!(client.closed().code, 4003);
    assert_eq!(status(&hub, &desk.text), 401);
    admins.expect_to_stay();
}

#[test]
fn a_reload_that_cannot_be_changes_nobody() {
    let (admin, old) = (key("admin = true"), key("read = [\"*\"]"));
    let hub = Hub::with_config(&auth("", &[&admin, &old]));
    let mut client = Client::connect_with(&hub, "/ws", &bearer(&old.text));
    client.subscribe("alerts:risk");
    hub.rewrite(&auth("", &[&admin]).replace("sha256:", "md5:"));
    let answer = hub.request("POST", "/admin/reload", &bearer(&admin.text), "");
    assert_eq!(answer.refusal().0, 400, "{}", answer.text());
    assert_eq!(status(&hub, &old.text), 101);
    client.expect_to_stay();
}

#[test]
fn who_hears_a_family_changes_with_its_readers() {
    let (admin, desk) = (key("admin = true"), key("read = [\"fx:*\"]\npublish = [\"*\"]"));
    let read = |readers: &str| {
        let family = "[[channel]]\ntemplate = \"fx:{pair}\"\ntype = \"fx_rate\"\n";
        format!("{}{family}read = \"{readers}\"\n", auth("", &[&admin, &desk]))
    };
    let hub = Hub::with_config(&read("public"));
    let joe = bearer(&signed(SECRET, &claims("joe", &json!({}), 600)));
    let (mut by_name, mut by_pattern) =
        (Client::connect_with(&hub, "/ws", &joe), Client::connect_with(&hub, "/ws", &joe));
    let mut desks = Client::connect_with(&hub, "/ws", &bearer(&desk.text));
    let publish = |n: u32| {
        let body = format!("{{\"channel\":\"fx:EURUSD\",\"data\":{n}}}");
        assert_eq!(hub.request("POST", "/publish", &bearer(&desk.text), body).status(), 200);
    };
    let reload = |readers: &str| {
        hub.rewrite(&read(readers));
        let answer = hub.request("POST", "/admin/reload", &bearer(&admin.text), "");
        assert_eq!(answer.status(), 200, "{}", answer.text());
    };
    publish(1);
    by_name.subscribe("fx:EURUSD");
    desks.subscribe("fx:EURUSD");
    by_pattern.send(&json!({"action": "subscribe", "pattern": "fx:*"}));
    by_pattern.next_of("subscription_confirmed");
    publish(2);
    for client in [&mut by_name, &mut by_pattern, &mut desks] {
        client.message(2);
    }
    reload("operator");
    publish(3);
    assert_eq!(by_name.next_of("error").json["code"], "forbidden");
    desks.message(3);
    by_name.expect_silence();
    by_pattern.expect_silence();
    assert_eq!(hub.request("GET", "/last/fx:EURUSD", &joe, "").status(), 403);
    reload("public");
    publish(4);
    by_pattern.message(4);
    desks.message(4);
    by_name.expect_silence();
}
