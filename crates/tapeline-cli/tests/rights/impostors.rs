//! Who is not believed: every way in is closed to them, whatever their tokens say, and nothing that they say arrives.

use serde_json::{Value, json};

use super::people::{Person, World};
use super::support::raw::handshake;
use super::support::{Client, Raw};
use super::table::rows;
use super::{answers::Ear, mark};

/// The token of a header line.
fn token(person: &Person) -> &str {
    person.header.trim_start_matches("Authorization: Bearer ").trim_end()
}

/// Every request that could be made, over HTTP.
fn over_http(world: &World, person: &Person) {
    let ask = |method: &str, path: &str, body: String| {
        let answer = world.hub.request(method, path, &person.header, body);
        let about = format!("{method} {path} as {}", person.name);
        assert_eq!(answer.refusal(), (401, "invalid_token".to_string()), "{about}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{about}");
        assert!(!answer.text().contains("seed-"), "{about}: {}", answer.text());
    };
    for (n, row) in rows().enumerate() {
        let data = row.data_with(&mark("http", person.name, n));
        let envelope = format!("{{\"channel\":\"{}\",\"data\":{data}}}", row.channel);
        ask("GET", &format!("/last/{}", row.channel), String::new());
        ask("GET", &format!("/history?channel={}", row.channel), String::new());
        ask("POST", "/publish", envelope.clone());
        ask("POST", "/publish/batch", format!("[{envelope}]"));
        if let Some(path) = row.broadcast() {
            ask("POST", &path, data);
        }
    }
    for path in
        ["/store", "/store/a:b", "/presence", "/stats", "/metrics", "/inspect", "/incidents", "/channels"]
    {
        ask("GET", path, String::new());
    }
}

/// Every request that could be made, on a connection that has not said who it is.
fn before_the_token(world: &World, who: &str) {
    let mut client = Client::connect(&world.hub);
    for (n, row) in rows().enumerate() {
        let data: Value = serde_json::from_str(&row.data_with(&mark("early", who, n))).expect("it is JSON");
        for request in [
            json!({"action": "subscribe", "channel": row.channel}),
            json!({"action": "subscribe", "channel": row.channel, "since": {"offset": 0}}),
            json!({"action": "publish", "channel": row.channel, "data": data, "req": 1}),
            json!({"action": "history", "channel": row.channel}),
            json!({"action": "last", "channel": row.channel}),
        ] {
            let answer = client.ask(&request);
            assert_eq!(answer.json["code"], "invalid_token", "{request}: {}", answer.text);
        }
    }
    for request in [
        json!({"action": "subscribe", "pattern": "*"}),
        json!({"action": "subscribe", "symbol": "AAPL"}),
        json!({"action": "list"}),
        json!({"action": "unsubscribe", "all": true}),
    ] {
        let answer = client.ask(&request);
        assert_eq!(answer.json["code"], "invalid_token", "{request}: {}", answer.text);
    }
    assert!(client.settle().is_empty(), "nothing is heard");
}

/// Nobody gets to a socket by a header, and by the other places only to be told why not.
fn at_the_door(world: &World, person: &Person) {
    let mut raw = Raw::send_to(&world.hub, handshake(&world.hub, "/ws", &person.header));
    assert_eq!(raw.head().status, 401, "the handshake of {}", person.name);
    let in_query = format!("/ws?token={}", token(person));
    let as_protocol = format!("Sec-WebSocket-Protocol: tapeline.v1, auth.{}\r\n", token(person));
    let mut sockets = vec![Client::connect_with(&world.hub, "/ws", &as_protocol)];
    if !token(person).starts_with("tk_") {
        sockets.push(Client::connect_with(&world.hub, &in_query, ""));
    }
    for mut client in sockets {
        let told = client.next_of("error");
        assert_eq!(told.json["code"], "invalid_token", "{}", told.text);
        assert_eq!(client.closed().code, 1008, "{}", person.name);
    }
}

/// A first message that is not believed ends a connection that is nobody's, and nothing else of a stranger's.
fn as_first_message(world: &World, person: &Person, strangers: bool) {
    let mut client = Client::connect(&world.hub);
    let told = client.ask(&json!({"action": "token", "token": token(person), "req": 1}));
    assert_eq!(told.json["code"], "invalid_token", "{}", told.text);
    if strangers {
        let answer = client.ask(&json!({"action": "subscribe", "channel": "alerts:risk"}));
        assert_eq!(answer.json["code"], "forbidden", "it is a stranger's still: {}", answer.text);
    } else {
        assert_eq!(client.closed().code, 1008, "{}", person.name);
    }
}

#[test]
fn who_is_not_believed_gets_and_gives_nothing_in_any_way() {
    for strangers in [true, false] {
        let world = World::with_strangers(strangers);
        let operator = world.person("operator");
        let mut ear = Ear::of(&world, operator);
        ear.ask(json!({"action": "subscribe", "pattern": "*"}));
        for person in &world.impostors {
            over_http(&world, person);
            if person.name == "stranger" {
                before_the_token(&world, person.name);
            } else {
                at_the_door(&world, person);
                as_first_message(&world, person, strangers);
            }
        }
        ear.settle();
        for (n, _) in rows().enumerate() {
            for way in ["http", "early"] {
                let heard = world.impostors.iter().any(|person| ear.count(&mark(way, person.name, n)) > 0);
                assert!(!heard, "what an impostor published has arrived");
            }
        }
    }
}
