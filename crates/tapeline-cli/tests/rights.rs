//! Who may do what: every family and roll-up, every way in, every kind of principal, against one table that is written
//! by hand. What is delivered counts as much as what is answered: each payload has a mark, which is looked for in all that
//! anybody received.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "rights/answers.rs"]
mod answers;
#[path = "rights/appearing.rs"]
mod appearing;
#[path = "rights/impostors.rs"]
mod impostors;
#[path = "rights/kept.rs"]
mod kept;
#[path = "rights/people.rs"]
mod people;
#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;
#[path = "rights/table.rs"]
mod table;

use std::collections::BTreeSet;

use answers::{Ear, judge};
use people::{Person, World};
use serde_json::{Value, json};
use table::{ROLL_UPS, ROWS, Row, rows};
use tapeline_schema::Catalog;

/// The ways in which messages can be asked for.
const HEARING: [&str; 6] = ["name", "every", "pattern", "star", "roll-up", "symbol"];
/// The ways in which a message can be published.
const PUBLISHING: [&str; 5] = ["websocket", "publish", "batch", "lines", "broadcast"];

fn is_roll_up(row: &Row) -> bool {
    ROLL_UPS.iter().any(|up| up.channel == row.channel)
}

#[test]
fn the_table_has_every_family_and_every_roll_up() {
    let world = World::with_strangers(false);
    let operator = world.person("operator");
    let listing = world.hub.request("GET", "/channels", &operator.header, "").json();
    let served = listing["channels"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("a text").to_string();
    let templates: BTreeSet<String> = served.iter().map(|family| text(&family["template"])).collect();
    let built_in: BTreeSet<String> = Catalog::built_in().specs().map(|spec| spec.template.clone()).collect();
    assert!(built_in.is_subset(&templates), "{templates:?}");
    let tried = ROWS.iter().map(|row| row.template.to_string()).filter(|template| !template.is_empty());
    assert_eq!(tried.collect::<BTreeSet<_>>(), templates);
    let ups = served.iter().flat_map(|family| family["rolls_up_to"].as_array().cloned().unwrap_or_default());
    let ups: BTreeSet<String> = ups.map(|up| text(&up)).collect();
    assert_eq!(ROLL_UPS.iter().map(|row| row.channel.to_string()).collect::<BTreeSet<_>>(), ups);
    let collected: BTreeSet<String> =
        ROWS.iter().flat_map(|row| row.up.split(' ')).filter(|up| !up.is_empty()).map(Into::into).collect();
    assert_eq!(collected, ups);
}

/// A pattern that covers this channel and hardly another.
fn pattern_of(channel: &str) -> String {
    let (start, _) = channel.split_at(channel.len() - 1);
    format!("{start}?")
}

/// Asks for all that can be asked for in this way, and checks the answers.
fn listen(world: &World, person: &Person, way: &str) -> Ear {
    let mut ear = Ear::of(world, person);
    let about = |row: &Row| format!("{} for {} by {way}", row.channel, person.name);
    match way {
        "name" => ROWS.iter().for_each(|row| {
            let answer = ear.ask(json!({"action": "subscribe", "channel": row.channel}));
            judge(row.is_for(person.name), &answer, &about(row));
        }),
        "every" => ROWS.iter().for_each(|row| {
            let answer = ear.ask(json!({"action": "subscribe", "channel": row.channel, "delivery": "every"}));
            judge(row.is_for(person.name), &answer, &about(row));
        }),
        "pattern" => ROWS.iter().for_each(|row| {
            let answer = ear.ask(json!({"action": "subscribe", "pattern": pattern_of(row.channel)}));
            let covers = answer["covers"].as_array().unwrap_or_else(|| panic!("no covers in {answer}"));
            assert_eq!(covers.contains(&json!(row.channel)), row.is_for(person.name), "{}", about(row));
        }),
        "star" => {
            let answer = ear.ask(json!({"action": "subscribe", "pattern": "*"}));
            let covers = answer["covers"].as_array().unwrap_or_else(|| panic!("no covers in {answer}"));
            for row in rows() {
                assert_eq!(covers.contains(&json!(row.channel)), row.is_for(person.name), "{}", about(row));
            }
        }
        "roll-up" => ROLL_UPS.iter().for_each(|row| {
            let answer = ear.ask(json!({"action": "subscribe", "channel": row.channel}));
            judge(row.is_for(person.name), &answer, &about(row));
        }),
        "symbol" => {
            let answer = ear.ask(json!({"action": "subscribe", "symbol": "AAPL"}));
            assert_eq!(answer["type"], "subscription_confirmed", "order books are public: {answer}");
        }
        other => panic!("there is no way {other}"),
    }
    ear
}

/// Whether somebody who asked in this way has the row's messages.
fn hears(row: &Row, who: &str, way: &str) -> bool {
    match way {
        "name" | "every" | "pattern" => row.is_for(who) && !is_roll_up(row),
        "star" => row.is_for(who),
        "roll-up" => row.is_rolled_up_for(who),
        "symbol" => row.channel == "orderbook:AAPL",
        other => panic!("there is no way {other}"),
    }
}

/// What tells one publish from all others; no mark is part of another.
fn mark(way: &str, who: &str, row: usize) -> String {
    format!("<{way}-{who}-{row}>")
}

/// Tries to publish on every channel in this way; answers whether any of it was allowed.
fn publish(world: &World, person: &Person, way: &str) -> bool {
    let data = |n: usize, row: &Row| row.data_with(&mark(way, person.name, n));
    let envelope =
        |(n, row): (usize, &Row)| format!("{{\"channel\":\"{}\",\"data\":{}}}", row.channel, data(n, row));
    let check = |row: &Row, answer: &Value| {
        let allowed = row.is_published_by(person.name);
        let about = format!("publishing on {} by {way} as {}", row.channel, person.name);
        let (is, code) = (answer["error"].is_null(), &answer["error"]["code"]);
        assert!(if allowed { is } else { code == "forbidden" }, "{about}, allowed: {allowed}: {answer}");
    };
    let post = |path: &str, kind: &str, body: String| {
        let head = format!("Content-Type: {kind}\r\n{}", person.header);
        world.hub.request("POST", path, &head, body).json()
    };
    match way {
        "websocket" => {
            let mut ear = Ear::of(world, person);
            for (n, row) in rows().enumerate() {
                let data: Value = serde_json::from_str(&data(n, row)).expect("a payload is JSON");
                let answer = ear.ask(json!({"action": "publish", "channel": row.channel, "data": data}));
                let about = format!("publishing on {} as {}", row.channel, person.name);
                judge(row.is_published_by(person.name), &answer, &about);
            }
        }
        "publish" => rows().enumerate().for_each(|(n, row)| {
            check(row, &post("/publish", "application/json", envelope((n, row))));
        }),
        "broadcast" => rows().enumerate().for_each(|(n, row)| {
            if let Some(path) = row.broadcast() {
                check(row, &post(&path, "application/json", data(n, row)));
            }
        }),
        _ => {
            let items: Vec<String> = rows().enumerate().map(envelope).collect();
            let answer = match way {
                "batch" => post("/publish/batch", "application/json", format!("[{}]", items.join(","))),
                _ => post("/publish/batch", "application/x-ndjson", items.join("\n")),
            };
            let results = answer["results"].as_array().unwrap_or_else(|| panic!("no results: {answer}"));
            assert_eq!(results.len(), rows().count());
            rows().zip(results).for_each(|(row, answer)| check(row, answer));
        }
    }
    rows().any(|row| row.is_published_by(person.name))
}

#[test]
fn in_every_way_of_publishing_and_of_hearing_a_message_reaches_those_of_the_table_once_and_nobody_else() {
    let world = World::with_strangers(true);
    let listening = |person: &Person, way: &&'static str| (person.name, *way, listen(&world, person, way));
    let mut ears: Vec<(&str, &str, Ear)> = world
        .people
        .iter()
        .flat_map(|person| HEARING.iter().map(move |way| (person, way)))
        .map(|(person, way)| listening(person, way))
        .collect();
    for way in PUBLISHING {
        for person in &world.people {
            if publish(&world, person, way) {
                ears.iter_mut().for_each(|(_, _, ear)| ear.settle());
            }
        }
    }
    ears.iter_mut().for_each(|(_, _, ear)| ear.settle());
    for (who, hearing, ear) in &ears {
        for (n, row) in rows().enumerate() {
            for way in PUBLISHING.iter().filter(|way| **way != "broadcast" || row.broadcast().is_some()) {
                for publisher in &world.people {
                    let due = row.is_published_by(publisher.name) && hears(row, who, hearing);
                    let count = ear.count(&mark(way, publisher.name, n));
                    assert_eq!(
                        count,
                        usize::from(due),
                        "{who}, who asked by {hearing}, and what {} published on {} by {way}",
                        publisher.name,
                        row.channel
                    );
                }
            }
            let may = row.is_for(who) || hears(row, who, hearing);
            assert!(may || ear.count(&format!("seed-{n}-")) == 0, "{who} has the seed of {}", row.channel);
        }
    }
}
