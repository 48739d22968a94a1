//! Channels whose owner becomes known, and families whose readers change, while somebody listens.

use serde_json::{Value, json};
use tapeline_faults::RedisServer;

use super::answers::Ear;
use super::people::{Person, World};
use super::support::Hub;

fn publish(world: &World, through: &Hub, envelope: &Value) -> u16 {
    let publisher = world.person("publisher");
    through.request("POST", "/publish", &publisher.header, envelope.to_string()).status()
}

/// Somebody's ears on more than one shard.
fn ears(world: &World, person: &Person, patterns: &[&str]) -> Vec<Ear> {
    let listening = |_| {
        let mut ear = Ear::of(world, person);
        ear.ask(json!({"action": "subscribe", "channel": "social"}));
        for pattern in patterns {
            let answer = ear.ask(json!({"action": "subscribe", "pattern": pattern}));
            assert_eq!(answer["type"], "subscription_confirmed", "{answer}");
        }
        ear
    };
    (0..6).map(listening).collect()
}

fn counts(ears: &mut [Ear], mark: &str) -> Vec<usize> {
    ears.iter_mut()
        .map(|ear| {
            ear.wait_for("<end>");
            ear.settle();
            ear.count(mark)
        })
        .collect()
}

/// Channels begin through a hub that may be another than the one at which everybody listens.
fn check(world: &World, through: &Hub) {
    let patterns = ["executions:*", "freshness:*", "quality:*"];
    let mut olgas = ears(world, world.person("olga"), &patterns);
    let mut others: Vec<Ear> = ["otto", "joe", "stranger", "part"]
        .iter()
        .flat_map(|name| ears(world, world.person(name), &patterns))
        .collect();
    let of = |owner: Option<&str>, mark: &str| match owner {
        Some(owner) => json!({"channel": "executions:new", "owner": owner, "data": {"exec_id": mark}}),
        None => json!({"channel": "executions:late", "data": {"exec_id": mark}}),
    };
    assert_eq!(publish(world, through, &of(Some("olga"), "<first>")), 200);
    assert_eq!(publish(world, through, &of(Some("otto"), "<stolen>")), 409);
    assert_eq!(publish(world, through, &of(None, "<nobodys>")), 200);
    let now = json!({"channel": "executions:late", "owner": "olga", "data": {"exec_id": "<now>"}});
    assert_eq!(publish(world, through, &now), 200);
    let about = json!({"channel": "quality:executions:new", "data": {"note": "<about>"}});
    assert_eq!(publish(world, through, &about), 200);
    assert_eq!(publish(world, through, &json!({"channel": "social", "data": {"text": "<end>"}})), 200);
    for (mark, due) in [("<first>", 1), ("<stolen>", 0), ("<now>", 1), ("<about>", 1)] {
        assert!(
            counts(&mut olgas, mark).iter().all(|count| *count == due),
            "{mark}: {:?}",
            counts(&mut olgas, mark)
        );
        assert_eq!(counts(&mut others, mark).iter().sum::<usize>(), 0, "{mark}");
    }
    assert_eq!(
        counts(&mut others, "<nobodys>").iter().sum::<usize>(),
        0,
        "without an owner it is the operators'"
    );
}

#[test]
fn the_first_message_of_a_new_channel_reaches_the_owner_whose_pattern_waited_for_it() {
    let world = World::with_strangers(true);
    check(&world, &world.hub);
}

#[test]
fn so_it_does_where_the_first_message_comes_from_another_node() {
    let redis = RedisServer::start();
    let words = ["--broker", &redis.url()];
    let world = World::start(true, &words);
    let other = world.beside(&words);
    check(&world, &other);
}
