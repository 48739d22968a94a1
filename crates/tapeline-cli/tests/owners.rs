//! Whose a channel is, by every way in of a running hub.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use serde_json::{Value, json};
use support::people::{self, Key, bearer, key, token};
use support::{Client, Hub, eventually, temporary};
use tapeline::{Error, connect};
use tapeline_faults::RedisServer;

/// A publish of an execution, as its envelope is on the wire.
fn fill(channel: &str, owner: Option<&str>) -> Value {
    let mut envelope = json!({"channel": channel, "data": {"n": 1}});
    if let Some(owner) = owner {
        envelope["owner"] = owner.into();
    }
    envelope
}

/// What became of a publish over HTTP: its offset, or the code it was refused with.
fn outcome(answer: &Value) -> String {
    match answer["offset"].as_u64() {
        Some(offset) => offset.to_string(),
        None => answer["error"]["code"].as_str().expect("a code").to_owned(),
    }
}

/// Publishes for ann, for bob and for nobody; ann is first.
fn check(way: &str, mut publish: impl FnMut(Option<&str>) -> String) {
    let outcomes = [Some("ann"), Some("bob"), None, Some("ann")].map(&mut publish);
    assert_eq!(outcomes, ["1", "owner_conflict", "2", "3"], "{way}");
}

#[test]
fn a_publish_says_whose_the_channel_is_by_every_way_over_http() {
    let hub = Hub::start();
    check("/publish", |owner| outcome(&hub.post("/publish", fill("executions:a", owner).to_string()).json()));
    let conflict = hub.post("/publish", fill("executions:a", Some("bob")).to_string());
    assert_eq!(conflict.refusal(), (409, "owner_conflict".to_owned()));
    let told = "executions:a belongs to another owner; the first owner of a channel stays";
    assert_eq!(conflict.json()["error"]["message"], told, "it does not say whose");
    assert_eq!(hub.stats()["refused"], 2, "a conflict counts as refused");
    let owners = [Some("ann"), Some("bob"), None, Some("ann")];
    let items = |channel: &str| owners.map(|owner| fill(channel, owner).to_string());
    let results = |answer: &Value| -> Vec<String> {
        answer["results"].as_array().expect("results").iter().map(outcome).collect()
    };
    let list = hub.post("/publish/batch", format!("[{}]", items("executions:b").join(",")));
    assert_eq!(results(&list.json()), ["1", "owner_conflict", "2", "3"], "a list");
    let kind = "content-type: application/x-ndjson\r\n";
    let lines = hub.request("POST", "/publish/batch", kind, items("executions:c").join("\n"));
    assert_eq!(results(&lines.json()), ["1", "owner_conflict", "2", "3"], "lines");
    check("/broadcast", |owner| {
        let data = json!({"order_id": "7", "status": "filled", "owner": owner});
        outcome(&hub.post("/broadcast/order_status?order_id=7", data.to_string()).json())
    });
}

#[test]
fn a_publish_says_whose_the_channel_is_over_websocket_and_on_the_command_line() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    check("websocket", |owner| {
        let mut request = fill("executions:a", owner);
        request["action"] = "publish".into();
        request["req"] = 1.into();
        let answer = client.ask(&request);
        match answer.kind() {
            "published" => answer.offset().to_string(),
            _ => answer.json["code"].as_str().expect("a code").to_owned(),
        }
    });
    check("command line", |owner| {
        let mut words = vec!["pub", "balances:b", r#"{"asset":"BTC"}"#, "--json"];
        words.extend(owner.into_iter().flat_map(|owner| ["--owner", owner]));
        let (status, out, err) = hub.run(&words);
        if status.success() {
            return outcome(&serde_json::from_str(&out).expect("an answer"));
        }
        assert!(err.contains("belongs to another owner"), "{err}");
        "owner_conflict".to_owned()
    });
}

#[tokio::test]
async fn a_publish_says_whose_the_channel_is_from_the_library() {
    let hub = Hub::start();
    let bus = connect(&format!("ws://{}", hub.address())).await.expect("the hub is there");
    let publish = |owner: &'static str| {
        let publish = bus.publish("executions:a", json!({"n": 1}));
        async move { publish.owner(owner).await }
    };
    assert_eq!(publish("ann").await.expect("ann is first").offset, 1);
    let refused = publish("bob").await;
    assert!(matches!(&refused, Err(Error::Refused { code, .. }) if code == "owner_conflict"), "{refused:?}");
    assert_eq!(publish("ann").await.expect("it is ann's").offset, 2);
}

#[test]
fn an_owner_is_refused_where_nobody_reads_by_it_or_where_it_is_none() {
    let hub = Hub::start();
    let refused = |body: Value| {
        let answer = hub.post("/publish", body.to_string());
        let message = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        (answer.refusal().1, message)
    };
    for channel in ["trades:p1", "executions", "my.own"] {
        let (code, message) = refused(fill(channel, Some("ann")));
        assert_eq!(code, "invalid_request", "{channel}");
        assert!(message.starts_with(&format!("{channel} takes no owner")), "{message}");
    }
    let (code, message) = refused(fill("executions:a", Some("")));
    assert_eq!(code, "invalid_data");
    assert!(message.starts_with("executions:a: owner is empty"), "{message}");
    let (code, message) = refused(fill("executions:a", Some("a\u{7}")));
    assert_eq!((&*code, &*message), ("invalid_data", "executions:a: owner has a control character"));
    let (code, message) = refused(fill("executions:a", Some(&"a".repeat(257))));
    assert_eq!((&*code, &*message), ("invalid_data", "executions:a: owner is 257 bytes, the limit is 256"));
    let (code, message) = refused(json!({"channel": "executions:a", "data": {"owner": 7}}));
    assert_eq!(code, "invalid_data");
    assert!(message.contains("data.owner is not a string"), "{message}");
    assert_eq!(hub.publish("my.own", r#"{"owner":7}"#)["offset"], 1, "elsewhere it is data");
}

#[test]
fn an_owner_is_known_after_a_kill_and_a_redriven_letter_keeps_its_own() {
    let dir = temporary("owners");
    let mut hub = Hub::in_dir(&dir, &[]);
    assert_eq!(outcome(&hub.post("/publish", fill("executions:a", Some("ann")).to_string()).json()), "1");
    hub.kill();
    let hub = Hub::in_dir(&dir, &[]);
    let again = hub.post("/publish", fill("executions:a", Some("bob")).to_string());
    assert_eq!(outcome(&again.json()), "owner_conflict");

    let at = "2026-01-01T12:00:00Z";
    let letter = |original: &Value| {
        json!({"reason": "timeout", "attempts": 1, "first_at": at, "last_at": at, "original": original})
            .to_string()
    };
    for (owner, channel) in [("ann", "executions:b"), ("bob", "executions:a")] {
        hub.publish("dead_letters:desk", &letter(&fill(channel, Some(owner))));
    }
    let redriven =
        hub.post("/admin/dead-letters/redrive", json!({"source": "desk", "all": true}).to_string());
    assert_eq!(redriven.status(), 200, "{}", redriven.text());
    assert!(redriven.text().contains("belongs to another owner"), "{}", redriven.text());
    let claimed = hub.post("/publish", fill("executions:b", Some("bob")).to_string());
    assert_eq!(outcome(&claimed.json()), "owner_conflict", "the redriven letter has lost its owner");
    drop(hub);
    assert!(eventually(|| std::fs::remove_dir_all(&dir).is_ok()));
}

const ABOUT: &str = "freshness:executions:a";

/// A hub that asks who everybody is, and the key of who may publish everything.
fn guarded(words: &[&str], publisher: &Key) -> Hub {
    Hub::with_config_and(&people::auth("", &[publisher]), words)
}

fn say(hub: &Hub, publisher: &Key, envelope: &Value) {
    let answer = hub.request("POST", "/publish", &bearer(&publisher.text), envelope.to_string());
    assert_eq!(answer.status(), 200, "{envelope}: {}", answer.text());
}

/// How fresh a channel is, published on the channel that is about it.
fn freshness(about: &str) -> Value {
    let of = about.strip_prefix("freshness:").expect("a channel of the family");
    json!({"channel": about, "data": {"of": of, "state": "stale", "age_ms": 7}})
}

/// Somebody who hears this pattern, confirmed.
fn listener(hub: &Hub, subject: &str, pattern: &str) -> Client {
    let mut client = Client::connect_with(hub, "/ws?heartbeat=0", &bearer(&token(subject, &json!({}))));
    let answer = client.ask(&json!({"action": "subscribe", "pattern": pattern}));
    assert_eq!(answer.kind(), "subscription_confirmed", "{subject}: {}", answer.text);
    client
}

/// The channels of the messages that come until one of `last` has.
fn channels_until(client: &mut Client, last: &str) -> Vec<String> {
    let mut channels = Vec::new();
    loop {
        let frame = client.next();
        if frame.is_message() {
            if frame.channel() == last {
                return channels;
            }
            channels.push(frame.channel().to_owned());
        }
    }
}

#[test]
fn what_is_about_a_channel_reaches_its_owners_pattern_from_when_there_is_one_and_nobody_elses() {
    let publisher = key("publish = [\"*\"]");
    let hub = guarded(&[], &publisher);
    let listeners = ["ann", "bob"].into_iter().flat_map(|subject| {
        ["*", "freshness:*", "freshness:*:a"].map(|pattern| (subject, listener(&hub, subject, pattern)))
    });
    let mut listeners: Vec<(&str, Client)> = listeners.collect();
    // All of one lane, so they come in the order in which they are published.
    let mut how_many = |mark| {
        let is_about = |channel: &String| channel == ABOUT;
        let heard = listeners.iter_mut().map(|(subject, client)| {
            (*subject, channels_until(client, mark).into_iter().filter(is_about).count())
        });
        heard.collect::<Vec<_>>()
    };
    say(&hub, &publisher, &fill("executions:a", None));
    say(&hub, &publisher, &freshness(ABOUT));
    say(&hub, &publisher, &freshness("freshness:social:a"));
    // Read before there is an owner: an owner decides from when he is known, also for what has not yet been handed on.
    let before = how_many("freshness:social:a");
    say(&hub, &publisher, &fill("executions:a", Some("ann")));
    say(&hub, &publisher, &freshness(ABOUT));
    say(&hub, &publisher, &freshness("freshness:news:a"));
    let after = how_many("freshness:news:a");
    for (subject, heard) in before {
        assert_eq!(heard, 0, "{subject} hears of a channel that has no owner");
    }
    for (subject, heard) in after {
        assert_eq!(heard, usize::from(subject == "ann"), "{subject}");
    }
}

#[test]
fn a_node_that_hears_only_what_is_about_a_channel_asks_whose_it_is() {
    let redis = RedisServer::start();
    let words = ["--broker", &redis.url()];
    let publisher = key("publish = [\"*\"]");
    let (here, there) = (guarded(&words, &publisher), guarded(&words, &publisher));
    let [mut ann, mut bob] = ["ann", "bob"].map(|subject| listener(&here, subject, "freshness:*"));
    say(&there, &publisher, &freshness(ABOUT));
    say(&there, &publisher, &fill("executions:a", Some("ann")));
    let hears = |frames: Vec<support::client::Frame>| {
        frames.iter().any(|frame| frame.is_message() && frame.channel() == ABOUT)
    };
    let heard = eventually(|| {
        say(&there, &publisher, &freshness(ABOUT));
        hears(ann.settle())
    });
    assert!(heard, "nobody has told this node whose executions:a is");
    assert!(!hears(bob.settle()), "it is ann's");
}
