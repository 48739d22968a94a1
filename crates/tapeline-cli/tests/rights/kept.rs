//! What is kept, and who gets it: history, last values and resuming, over WebSocket and over HTTP.

use std::collections::HashMap;

use serde_json::{Value, json};
use tapeline_faults::RedisServer;

use super::answers::{Ear, judge};
use super::pattern_of;
use super::people::{Person, World};
use super::support::temporary;
use super::table::{Row, rows};

/// The epoch of every channel that keeps a history, as the operator knows it.
fn epochs(world: &World) -> HashMap<&'static str, Value> {
    let operator = world.person("operator");
    let epoch = |row: &Row| {
        let answer = world.hub.request("GET", &format!("/history/{}", row.channel), &operator.header, "");
        (answer.status() == 200).then(|| answer.json()["epoch"].clone())
    };
    rows().filter_map(|row| Some((row.channel, epoch(row)?))).collect()
}

/// Asserts that the seeds in this text are of rows that the person may read, in the row's own way or by a roll-up.
fn holds_nothing_else(text: &str, person: &Person, about: &str) {
    for (n, row) in rows().enumerate() {
        let may = row.is_for(person.name) || row.is_rolled_up_for(person.name);
        assert!(
            may || !text.contains(&format!("seed-{n}-")),
            "{}: {about} holds {}",
            person.name,
            row.channel
        );
    }
}

fn over_http(world: &World, person: &Person, n: usize, row: &Row, has_history: bool) {
    let channel = row.channel;
    let all = ["/last/", "/last?channel=", "/history/", "/history?channel="];
    for route in all.into_iter().filter(|route| has_history || route.starts_with("/last")) {
        let path = format!("{route}{channel}");
        let answer = world.hub.request("GET", &path, &person.header, "");
        let allowed = row.is_for(person.name);
        let about = format!("GET {path} by {}", person.name);
        if allowed {
            assert_eq!(answer.status(), 200, "{about}: {}", answer.text());
            assert!(answer.text().contains(&format!("seed-{n}-")), "{about}: {}", answer.text());
        } else {
            assert_eq!(answer.refusal(), (403, "forbidden".to_string()), "{about}");
        }
        holds_nothing_else(answer.text(), person, &about);
    }
}

fn over_websocket(ear: &mut Ear, person: &Person, n: usize, row: &Row, epoch: Option<&Value>) {
    let (channel, allowed) = (row.channel, row.is_for(person.name));
    let mut tried = vec![json!({"action": "last", "channel": channel})];
    if epoch.is_some() {
        tried.push(json!({"action": "history", "channel": channel}));
        tried.push(
            json!({"action": "history", "channel": channel, "since": {"offset": 0, "epoch": "of-old"}}),
        );
    }
    for request in tried {
        let answer = ear.ask(request.clone());
        let about = format!("{request} by {}", person.name);
        judge(allowed, &answer, &about);
        assert_eq!(answer.to_string().contains(&format!("seed-{n}-")), allowed, "{about}: {answer}");
        holds_nothing_else(&answer.to_string(), person, &about);
    }
}

/// Comes back to each channel by its name, on a connection of its own.
fn resumed(world: &World, person: &Person, n: usize, row: &Row, epoch: &Value) {
    let mut ear = Ear::of(world, person);
    let since = json!({"offset": 0, "epoch": epoch});
    let answer = ear.ask(json!({"action": "subscribe", "channel": row.channel, "since": since}));
    let due = row.is_for(person.name).then(|| format!("seed-{n}-"));
    ear.settle_with(due.as_slice());
    let about = format!("{} since the beginning by {}", row.channel, person.name);
    judge(row.is_for(person.name), &answer, &about);
    assert_eq!(ear.count(&format!("seed-{n}-")), usize::from(row.is_for(person.name)), "{about}");
    holds_nothing_else(&ear.heard, person, &about);
}

/// Comes back by patterns that list their places, and by one that lists only the time.
fn resumed_by_patterns(world: &World, person: &Person, epochs: &HashMap<&str, Value>) {
    let mut ear = Ear::of(world, person);
    for (channel, epoch) in epochs {
        let since = json!({*channel: {"offset": 0, "epoch": epoch}});
        let answer = ear.ask(json!({"action": "subscribe", "pattern": pattern_of(channel), "since": since}));
        assert_eq!(answer["type"], "subscription_confirmed", "{answer}");
    }
    let mut by_time = Ear::of(world, person);
    let places: Value =
        epochs.keys().map(|name| ((*name).to_string(), json!({"offset": 9, "epoch": "of-old"}))).collect();
    by_time
        .ask(json!({"action": "subscribe", "pattern": "[a-m]*", "since": {"time": "2020-01-01T00:00:00Z"}}));
    by_time.ask(json!({"action": "subscribe", "pattern": "[^a-m]*", "since": places}));
    for (about, mut ear) in [("patterns with places", ear), ("patterns with a time", by_time)] {
        let tried = || rows().enumerate().filter(|(_, row)| epochs.contains_key(row.channel));
        let due = tried().filter(|(_, row)| row.is_for(person.name)).map(|(n, _)| format!("seed-{n}-"));
        ear.settle_with(&due.collect::<Vec<_>>());
        for (n, row) in tried() {
            let count = ear.count(&format!("seed-{n}-"));
            let about = format!("{about} by {}: {}", person.name, row.channel);
            assert_eq!(count, usize::from(row.is_for(person.name)), "{about}");
            let told = ear.heard.contains(&format!("\"channel\":\"{}\"", row.channel));
            assert!(row.is_for(person.name) || !told, "{about} is named");
        }
    }
}

fn check(world: &World) {
    let epochs = epochs(world);
    assert!(epochs.len() > 50, "most channels keep a history: {epochs:?}");
    for person in &world.people {
        let mut ear = Ear::of(world, person);
        for (n, row) in rows().enumerate() {
            let epoch = epochs.get(row.channel);
            over_http(world, person, n, row, epoch.is_some());
            over_websocket(&mut ear, person, n, row, epoch);
            if let Some(epoch) = epoch {
                resumed(world, person, n, row, epoch);
            }
        }
        resumed_by_patterns(world, person, &epochs);
    }
}

#[test]
fn in_every_way_of_reading_what_is_kept_it_is_given_to_those_of_the_table_and_to_nobody_else() {
    check(&World::with_strangers(true));
}

#[test]
fn a_hub_that_was_started_again_gives_what_it_kept_to_those_of_the_table_and_to_nobody_else() {
    let dir = temporary("data");
    let words = ["--data-dir", dir.to_str().expect("a test's path is text")];
    let world = World::start(true, &words).started_again(&words);
    // Whose a channel is has not been asked yet: the first who asks for what is about it must be judged right.
    let olga = world.person("olga");
    let about = world.hub.request("GET", "/last/freshness:order_status:o1", &olga.header, "");
    assert_eq!(about.status(), 200, "{}", about.text());
    check(&world);
    let revoked = world.impostors.iter().find(|person| person.name == "revoked").expect("there is one");
    let answer = world.hub.request("GET", "/last/news", &revoked.header, "");
    assert_eq!(answer.status(), 401, "what was taken back stays taken back");
    drop(world);
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn another_node_gives_what_redis_keeps_to_those_of_the_table_and_to_nobody_else() {
    let redis = RedisServer::start();
    let words = ["--broker", &redis.url()];
    let mut world = World::start(true, &words);
    let other = world.beside(&words);
    let first = std::mem::replace(&mut world.hub, other);
    // Whose a channel is this node has not been told yet.
    let olga = world.person("olga");
    let about = world.hub.request("GET", "/last/freshness:order_status:o1", &olga.header, "");
    assert_eq!(about.status(), 200, "{}", about.text());
    check(&world);
    drop(first);
}
