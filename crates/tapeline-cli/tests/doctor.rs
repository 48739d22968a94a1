//! `tapeline doctor` names failures that are planted here, as their users would meet them: data that has stopped behind a
//! living connection, a recovery that did not happen, several hubs behind one address, patterns that match nothing.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::client::Frame;
use support::{Client, Hub, PATIENCE, run_to_end};

/// What the doctor says of this, and whether it found a problem.
fn doctor(hub: &Hub, target: &[&str]) -> (bool, String) {
    let words = [&["doctor", "--wait", "0"], target].concat();
    let (status, out, err) = hub.run(&words);
    assert!(matches!(status.code(), Some(0 | 1)), "{words:?}: {out}{err}");
    (!status.success(), out)
}

/// The lines of its findings of one level, each with what to do.
fn lines<'a>(text: &'a str, level: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(level)).collect()
}

/// A problem whose line holds all of these, and what is advised.
fn problem(text: &str, parts: &[&str]) -> String {
    let at = text
        .lines()
        .position(|line| line.starts_with("PROBLEM") && parts.iter().all(|part| line.contains(part)))
        .unwrap_or_else(|| panic!("no problem says {parts:?}:\n{text}"));
    text.lines().nth(at + 1).unwrap_or_default().to_string()
}

fn price(symbol: &str, price: usize) -> Value {
    json!({"symbol": symbol, "price": price, "change": 0, "volume": 1})
}

/// The next notice of a kind about a channel; messages and others are passed over.
fn notice(client: &mut Client, kind: &str, channel: &str) -> Frame {
    let end = Instant::now() + 3 * PATIENCE;
    while Instant::now() < end {
        if let Some(Ok(frame)) = client.read_within(Duration::from_secs(1))
            && frame.kind() == "notice"
            && frame.json["notice"] == kind
            && frame.channel() == channel
        {
            return frame;
        }
    }
    panic!("no notice {kind} of {channel}");
}

#[test]
fn a_healthy_hub_and_channel_have_no_problem() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    for topic in ["market_data:AAPL", "price_updates"] {
        client.subscribe(topic);
    }
    client.send(&json!({"action": "subscribe", "pattern": "market_data:*"}));
    client.next_of("subscription_confirmed");
    hub.publish("market_data:AAPL", &price("AAPL", 1).to_string());
    let (found, text) = doctor(&hub, &["market_data:AAPL"]);
    assert!(!found && text.ends_with("no problem found\n"), "{text}");
    let ok = lines(&text, "ok").join("\n");
    for part in [
        "one hub stands behind the address",
        "market_data:AAPL is declared: market_data:{symbol}, type price_update, latest, high priority",
        "its offset is 1",
        "1 session listens: 1 by its name, 1 through price_updates, 1 through market_data:*; who hears it in several \
         ways gets each message once",
        "WebSocket: connected and answered",
        "subscribed; market_data:AAPL came within",
    ] {
        assert!(ok.contains(part), "{part}:\n{text}");
    }
    let (found, text) = doctor(&hub, &[]);
    assert!(!found, "{text}");
}

#[test]
fn data_that_has_stopped_behind_a_living_connection_is_named_and_told() {
    let hub = Hub::start();
    let mut client = Client::connect(&hub);
    for topic in ["market_data:QUIET", "market_data:FROZEN"] {
        client.subscribe(topic);
    }
    let mut freshness = Client::connect(&hub);
    freshness.subscribe("freshness");
    let mut publisher = Client::connect(&hub);
    let publish = |publisher: &mut Client, symbol: &str, n: usize| {
        let channel = format!("market_data:{symbol}");
        publisher.send(&json!({"action": "publish", "channel": channel, "data": price(symbol, n)}));
    };
    // Ten a second each; one of them ends after two seconds, and the other never says anything new.
    let began = Instant::now();
    for n in 0..150 {
        if n < 40 {
            publish(&mut publisher, "QUIET", n);
        }
        publish(&mut publisher, "FROZEN", 1);
        std::thread::sleep(
            (began + Duration::from_millis(100) * (n as u32 + 1)).saturating_duration_since(Instant::now()),
        );
    }
    let stale = notice(&mut client, "stale", "market_data:QUIET");
    assert_eq!(stale.json["state"], "stale", "{}", stale.text);
    assert!(stale.json["age_ms"].as_u64().expect("an age") >= 5_000, "{}", stale.text);
    let (found, text) = doctor(&hub, &["market_data:QUIET"]);
    assert!(found, "{text}");
    let remedy =
        problem(&text, &["the data of market_data:QUIET has stopped", "every 0.1 s", "heartbeats go on"]);
    assert!(remedy.contains("freshness:market_data:QUIET"), "{remedy}");
    problem(&doctor(&hub, &["market_data:FROZEN"]).1, &["market_data:FROZEN is frozen"]);
    problem(&doctor(&hub, &[]).1, &["market_data:QUIET has stopped"]);
    // Whoever comes late is told with the last value.
    let mut late = Client::connect(&hub);
    late.subscribe("market_data:QUIET");
    notice(&mut late, "stale", "market_data:QUIET");
    let told = freshness.settle();
    let states: Vec<_> =
        told.iter().map(|frame| (frame.channel(), frame.json["data"]["state"].as_str())).collect();
    let of = |name: &str| -> Vec<_> {
        states.iter().filter(|(of, _)| *of == name).map(|(_, state)| *state).collect()
    };
    assert_eq!(of("freshness:market_data:QUIET"), [Some("delayed"), Some("stale")], "{states:?}");
    assert_eq!(of("freshness:market_data:FROZEN").first(), Some(&Some("frozen")), "{states:?}");
    let metrics = hub.get("/metrics").text().to_string();
    assert!(metrics.contains("tapeline_channels_late{state=\"stale\"} 1\n"), "{metrics}");
    publish(&mut publisher, "QUIET", 99);
    notice(&mut client, "restored", "market_data:QUIET");
    let (_, text) = doctor(&hub, &["market_data:QUIET"]);
    assert!(!text.contains("has stopped"), "{text}");
}

#[test]
fn a_recovery_that_did_not_happen_is_named_with_its_cause() {
    let hub = Hub::with_config(
        "[[channel]]\ntemplate = \"fills:{account}\"\ntype = \"fill\"\ndelivery = \"every\"\nkeep = { count = 5 }\n",
    );
    for n in 1..=10 {
        hub.publish("fills:a", &n.to_string());
    }
    let mut client = Client::connect_to(&hub, "/ws/desk-7");
    let epoch = client.subscribe("fills:a").json["epoch"].clone();
    let mut back = Client::connect_to(&hub, "/ws/desk-7");
    let resumed = back.subscribe_with("fills:a", json!({"since": {"offset": 2, "epoch": epoch}}));
    assert_eq!(resumed.json["recovered"], false);
    let (found, text) = doctor(&hub, &["fills:a"]);
    assert!(found, "{text}");
    let remedy = problem(
        &text,
        &["recovery of desk-7 (127.0.0.1) on fills:a did not happen", "after offset 2", "begins at 6"],
    );
    assert!(remedy.contains("keep.count"), "{remedy}");
    let mut back = Client::connect_to(&hub, "/ws/desk-7");
    let resumed = back.subscribe_with("fills:a", json!({"since": {"offset": 9, "epoch": "of-yore"}}));
    assert_eq!(resumed.json["recovered"], false);
    let (_, text) = doctor(&hub, &["fills:a"]);
    problem(&text, &["recovery of desk-7", "epoch of-yore"]);
    assert_eq!(hub.stats()["resumed"], json!({"recovered": 0, "not_recovered": 2}));
    // A client that is given all that it missed is no finding.
    let before = hub.stats()["incidents"]["not_recovered"].clone();
    Client::connect(&hub).subscribe_with("fills:a", json!({"since": {"offset": 7, "epoch": epoch}}));
    assert_eq!(hub.stats()["incidents"]["not_recovered"], before);
    assert_eq!(hub.stats()["resumed"]["recovered"], 1);
}

/// One address for several hubs, a connection each in turn, as a balancer does it.
fn balancer(hubs: &[&Hub]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let targets: Vec<String> = hubs.iter().map(|hub| hub.address().to_string()).collect();
    std::thread::spawn(move || {
        for (client, target) in listener.incoming().map_while(Result::ok).zip(targets.iter().cycle()) {
            let hub = TcpStream::connect(target).expect("the hub listens");
            for (from, to) in [(&client, &hub), (&hub, &client)] {
                let (mut from, mut to) =
                    (from.try_clone().expect("a clone"), to.try_clone().expect("a clone"));
                std::thread::spawn(move || {
                    // Either side may end it.
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    format!("http://{address}")
}

#[test]
fn several_hubs_without_a_common_broker_behind_one_address_are_named() {
    let hubs = [Hub::start(), Hub::start()];
    let url = balancer(&[&hubs[0], &hubs[1]]);
    let run = |url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapeline"));
        command.args(["doctor", "--wait", "0", "market_data:AAPL", "--url", url]);
        run_to_end(command).1
    };
    let remedy = problem(
        &run(&url),
        &["2 different hubs answer at this address", "only what is published at its own"],
    );
    assert!(remedy.contains("one message broker"), "{remedy}");
    let text = run(&balancer(&[&hubs[0]]));
    assert!(text.contains("one hub stands behind the address") && !text.contains("different hubs"), "{text}");
}

#[test]
fn a_pattern_that_matches_nothing_is_named_with_the_one_that_was_meant() {
    let hub = Hub::start();
    hub.publish("market_data:AAPL", &price("AAPL", 1).to_string());
    let mut client = Client::connect(&hub);
    client.send(&json!({"action": "subscribe", "pattern": "market_data.*"}));
    client.next_of("subscription_confirmed");
    let remedy = problem(
        &doctor(&hub, &["market_data:AAPL"]).1,
        &["1 session listens to the pattern market_data.*, which matches no channel"],
    );
    assert!(remedy.contains("did you mean market_data:*?"), "{remedy}");
    let remedy =
        problem(&doctor(&hub, &["market_data.*"]).1, &["the pattern market_data.* matches no channel"]);
    assert!(remedy.contains("did you mean market_data:*?"), "{remedy}");
    let (found, text) = doctor(&hub, &["market_data:*"]);
    assert!(!found && text.contains("the pattern matches 1 channel: market_data:AAPL"), "{text}");
    // A name is no pattern, and a wildcard in a name is refused, which is remembered.
    client.send(&json!({"action": "subscribe", "channel": "market_data:*"}));
    client.next_of("error");
    problem(&doctor(&hub, &[]).1, &["requests of 127.0.0.1 on market_data:* were refused", "bad_channel"]);
}

#[test]
fn a_channel_that_nobody_declares_or_publishes_is_named_with_what_may_be_meant() {
    let hub = Hub::start();
    let (found, text) = doctor(&hub, &["marketdata:AAPL"]);
    assert!(found, "{text}");
    let remedy = problem(&text, &["no family declares marketdata:AAPL"]);
    assert!(remedy.contains("did you mean market_data:AAPL?"), "{remedy}");
    problem(&text, &["nothing has been published on marketdata:AAPL"]);
    assert!(lines(&text, "note").iter().any(|line| line.contains("nobody listens")), "{text}");
    problem(&doctor(&hub, &["a b"]).1, &["there can be no channel a b"]);
    let strict = Hub::with_config("strict_channels = true\n");
    problem(&doctor(&strict, &["marketdata:AAPL"]).1, &["strict_channels refuses such names"]);
}

#[test]
fn refused_publishes_limits_and_origins_are_named_with_the_client() {
    let hub = Hub::with_config("[limits]\nsubscriptions_per_client = 1\n");
    assert_eq!(
        hub.post("/publish", r#"{"channel":"market_data:AAPL","data":{"symbol":"AAPL"}}"#).status(),
        400
    );
    let (_, text) = doctor(&hub, &["market_data:AAPL"]);
    problem(
        &text,
        &["publishes of 127.0.0.1 on market_data:AAPL were refused (once", "field `price` is missing"],
    );
    let mut client = Client::connect_to(&hub, "/ws/chart");
    client.subscribe("orderbook:A");
    client.send(&json!({"action": "subscribe", "channel": "orderbook:B"}));
    client.next_of("error");
    let remedy = problem(&doctor(&hub, &["orderbook:B"]).1, &["chart (127.0.0.1)", "limit_subscriptions"]);
    assert!(remedy.contains("raise the limit"), "{remedy}");
    let (_, text) = doctor(&hub, &["--origin", "https://desk.example"]);
    let remedy = problem(&text, &["origin https://desk.example is not allowed"]);
    assert!(remedy.contains("http.allowed_origins"), "{remedy}");
    problem(&doctor(&hub, &[]).1, &["connections of 127.0.0.1 were not let in", "foreign_origin"]);
    assert_eq!(hub.stats()["refused_by"], json!({"invalid_data": 1}));
}

#[test]
fn what_is_no_hub_is_said_to_be_none() {
    let run = |url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapeline"));
        command.args(["doctor", url]);
        let (status, out, _) = run_to_end(command);
        assert_eq!(status.code(), Some(1), "{out}");
        out
    };
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    assert!(problem(&run(&format!("http://{free}")), &["no hub answers"]).contains("tapeline serve"));
}

#[test]
fn findings_are_also_given_as_json() {
    let hub = Hub::start();
    let (_, out) = doctor(&hub, &["--json", "nowhere"]);
    let told: Value = serde_json::from_str(&out).expect("JSON");
    let findings = told["findings"].as_array().expect("a list");
    assert!(findings.iter().any(|one| one["level"] == "problem"), "{told}");
    assert!(findings.iter().all(|one| one["text"].is_string()), "{told}");
}
