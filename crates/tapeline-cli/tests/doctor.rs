//! `tapeline doctor` names failures that are planted here, as their users would meet them: data that has stopped behind a
//! living connection, a recovery that did not happen, several hubs behind one address, patterns that match nothing.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::client::Frame;
use support::{Client, Hub, PATIENCE, eventually, run_to_end};

/// What is published in a rhythm comes so often.
const PACE: Duration = Duration::from_millis(100);

/// What the doctor says of this, and whether it found a problem.
fn doctor(hub: &Hub, target: &[&str]) -> (bool, String) {
    let wait: &[&str] = if target.contains(&"--wait") { &[] } else { &["--wait", "0"] };
    let words = [&["doctor"], wait, target].concat();
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
        "subscribed; the kept value of market_data:AAPL came",
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
    // Ten a second each; one of them ends after four seconds, and the other goes on to the end with nothing new.
    let (hold, held) = std::sync::mpsc::sync_channel::<()>(0);
    let mut going_on = Client::connect(&hub);
    let frozen = std::thread::spawn(move || {
        while held.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
            publish(&mut going_on, "FROZEN", 1);
        }
    });
    let began = Instant::now();
    for n in 0..40 {
        publish(&mut publisher, "QUIET", n);
        publisher.send(&json!({"action": "publish", "channel": "ticks", "data": n}));
        std::thread::sleep((began + PACE * (n as u32 + 1)).saturating_duration_since(Instant::now()));
    }
    let stale = notice(&mut client, "stale", "market_data:QUIET");
    assert_eq!(stale.json["state"], "stale", "{}", stale.text);
    assert!(stale.json["age_ms"].as_u64().expect("an age") >= 5_000, "{}", stale.text);
    let (found, text) = doctor(&hub, &["market_data:QUIET"]);
    assert!(found, "{text}");
    let remedy =
        problem(&text, &["the data of market_data:QUIET has stopped", "every 0.1 s", "heartbeats go on"]);
    assert!(remedy.contains("freshness:market_data:QUIET"), "{remedy}");
    // Where each message counts nobody is told, but whoever asks.
    problem(&doctor(&hub, &["ticks"]).1, &["ticks has said nothing for", "usually came every 0.1 s"]);
    eventually(|| doctor(&hub, &["market_data:FROZEN"]).1.contains("market_data:FROZEN is frozen"));
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
    // Before, a publisher that stalls is late now and then.
    assert!(of("freshness:market_data:QUIET").ends_with(&[Some("delayed"), Some("stale")]), "{states:?}");
    assert!(of("freshness:market_data:FROZEN").contains(&Some("frozen")), "{states:?}");
    let metrics = hub.get("/metrics").text().to_string();
    assert!(metrics.contains("tapeline_channels_late{state=\"stale\"} 1\n"), "{metrics}");
    publish(&mut publisher, "QUIET", 99);
    notice(&mut client, "restored", "market_data:QUIET");
    let (_, text) = doctor(&hub, &["market_data:QUIET"]);
    assert!(!text.contains("has stopped"), "{text}");
    drop(hold);
    frozen.join().expect("it goes on to the end");
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
        let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
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
    assert!(
        lines(&text, "note").iter().any(|line| line.contains("nobody listens to this pattern")),
        "{text}"
    );
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
    let remedy =
        problem(&text, &["no family declares marketdata:AAPL, nothing has been published on it and nobody"]);
    assert!(remedy.contains("did you mean market_data:AAPL?"), "{remedy}");
    assert_eq!(lines(&text, "PROBLEM").len(), 1, "one is enough: {text}");
    // What works although nobody declares it is no problem.
    hub.publish("marketdata:AAPL", "1");
    let (found, text) = doctor(&hub, &["marketdata:AAPL"]);
    assert!(!found && text.contains("did you mean market_data:AAPL?"), "{text}");
}

#[test]
fn what_the_doctor_does_is_no_trouble_that_it_reports_the_next_time() {
    let hub = Hub::start();
    let (_, text) = doctor(&hub, &["a b"]);
    problem(&text, &["there can be no channel a b"]);
    assert_eq!(lines(&text, "PROBLEM").len(), 1, "{text}");
    let strict = Hub::with_config("strict_channels = true\n");
    let (_, text) = doctor(&strict, &["marketdata:AAPL"]);
    problem(&text, &["strict_channels refuses such names"]);
    assert_eq!(lines(&text, "PROBLEM").len(), 1, "{text}");
    for hub in [hub, strict] {
        let (found, text) = doctor(&hub, &[]);
        assert!(!found, "{text}");
        assert_eq!(hub.get("/incidents").json()["incidents"], json!([]));
    }
}

#[test]
fn what_is_advised_for_an_empty_channel_can_be_pasted() {
    let hub = Hub::start();
    for channel in ["market_data:AAPL", "it's:mine"] {
        let (_, text) = doctor(&hub, &[channel]);
        let remedy = problem(&text, &["nothing has been published on", channel]);
        let command = remedy.trim().strip_prefix("-> try: tapeline").expect("a command");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{} {command}", env!("CARGO_BIN_EXE_tapeline"))]);
        tapeline_faults::without_settings(&mut shell, "tapeline");
        let (status, _, err) = run_to_end(shell);
        assert!(status.success(), "{command}: {err}");
        assert!(!doctor(&hub, &[channel]).0);
    }
}

#[test]
fn what_is_kept_is_told_from_what_is_new() {
    let hub = Hub::start();
    hub.publish("market_data:AAPL", &price("AAPL", 1).to_string());
    for (target, kept) in [("market_data:AAPL", true), ("market_data:*", false), ("price_updates", true)] {
        let (found, text) = doctor(&hub, &["--wait", "1", target]);
        assert!(!found && !text.contains("a new message"), "{text}");
        assert!(text.contains("nothing new came within 1 s"), "{text}");
        let came = text.contains("subscribed; the kept value of market_data:AAPL came");
        assert!(came || !kept, "{target}: {text}");
        let heard = std::thread::scope(|scope| {
            let heard = scope.spawn(|| doctor(&hub, &["--wait", "10", target]).1);
            for n in 2.. {
                hub.publish("market_data:AAPL", &price("AAPL", n).to_string());
                if heard.is_finished() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            heard.join().expect("the doctor ends")
        });
        assert!(heard.contains("a new message of market_data:AAPL came within"), "{target}: {heard}");
    }
}

#[test]
fn the_same_trouble_of_many_channels_and_of_dead_letters_is_one_line() {
    let hub = Hub::start();
    for n in 0..40 {
        assert_eq!(hub.post("/publish", format!(r#"{{"channel":"bad {n}","data":1}}"#)).status(), 400);
    }
    let letter = json!({"reason": "overflow", "attempts": 1, "first_at": "2026-01-01T00:00:00Z",
        "last_at": "2026-01-01T00:00:00Z", "original": {}});
    for _ in 0..2 {
        hub.publish("dead_letters:desk", &letter.to_string());
    }
    let (_, text) = doctor(&hub, &[]);
    let problems = lines(&text, "PROBLEM");
    assert_eq!(problems.len(), 1, "{text}");
    problem(&text, &["publishes on more than 32 channels, such as bad", "(40 times, last of 127.0.0.1"]);
    let letters = "2 dead letters since the hub started: desk overflow 2";
    assert!(lines(&text, "note").iter().any(|line| line.contains(letters)), "{text}");
    assert!(text.contains("-> tapeline dlq list"), "{text}");
    assert!(text.contains("0 connections, 0 subscriptions, "), "{text}");
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
    let remedy =
        problem(&text, &["origin https://desk.example is not allowed", "now among the hub's incidents"]);
    assert!(remedy.contains("http.allowed_origins"), "{remedy}");
    problem(&doctor(&hub, &[]).1, &["connections of 127.0.0.1 were not let in", "foreign_origin"]);
    assert_eq!(hub.stats()["refused_by"], json!({"invalid_data": 1}));
}

/// A server that answers each path with a status and a body, one request a connection.
fn fake(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&client).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            lines.find(String::is_empty);
            let path = first.split([' ', '?']).nth(1).unwrap_or_default();
            let (status, body) = answer(path);
            let head =
                format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            // Whoever asked may have gone.
            let _ = client.write_all((head + &body).as_bytes());
        }
    });
    format!("http://{address}")
}

/// A command, how it ended, and for how long it ran; what it printed on both.
fn told(words: &[&str]) -> (bool, String, Duration) {
    let began = Instant::now();
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.args(words);
    let (status, out, err) = run_to_end(command);
    (!status.success(), out + &err, began.elapsed())
}

const HEALTHY: &str = r#"{"status":"ok","version":"0.0.9","instance":"i"}"#;

#[test]
fn what_is_no_hub_is_said_to_be_none() {
    let free = format!("127.0.0.1:{}", tapeline_faults::free_port());
    let (found, text, _) = told(&["doctor", &free]);
    assert!(found && problem(&text, &["no hub answers"]).contains("tapeline serve"), "{text}");
    assert_eq!(text.matches("tapeline serve").count(), 1, "{text}");
    let (found, text, _) = told(&["doctor", "http://nobody.invalid:8000"]);
    assert!(found && problem(&text, &["no such host"]).contains("spelled"), "{text}");
    let foreign = fake(|_| (200, r#"{"hello":"world"}"#.to_string()));
    problem(&told(&["doctor", &foreign]).1, &["is no Tapeline hub"]);
    let (failed, text, _) = told(&["top", "--once", &foreign]);
    assert!(failed && text.contains("no hub's answer"), "{text}");
    let half = fake(|path| match path {
        "/health" => (200, HEALTHY.replace("instance", "other")),
        _ => (200, r#"{"hello":"world"}"#.to_string()),
    });
    let (_, text, _) = told(&["doctor", &half]);
    for route in ["/stats", "/inspect", "/incidents"] {
        problem(&text, &[route, "is no hub's answer"]);
    }
    assert!(text.contains("note    cannot tell how many hubs stand behind the address"), "{text}");
    problem(&told(&["doctor", "news", "--url", &half]).1, &["/inspect", "is no hub's answer"]);
}

#[test]
fn an_older_hub_is_examined_as_far_as_it_goes() {
    let older = fake(|path| match path {
        "/health" => (200, HEALTHY.to_string()),
        "/stats" => (200, r#"{"version":"0.0.9","connections":1,"published":3}"#.to_string()),
        _ => (404, r#"{"error":{"code":"not_found","message":"no such route"}}"#.to_string()),
    });
    let (_, text, _) = told(&["doctor", &older]);
    for route in ["/inspect", "/incidents"] {
        let expected = format!("this hub is 0.0.9 and knows no {route}; this command is");
        assert!(lines(&text, "note").iter().any(|line| line.contains(&expected)), "{text}");
    }
    assert!(text.contains("1 connection, 0 subscriptions"), "{text}");
    problem(&text, &["WebSocket"]);
    let (_, text, _) = told(&["doctor", "--json", "news", "--url", &older]);
    let found: Value = serde_json::from_str(&text).expect("JSON");
    assert!(found["findings"].to_string().contains("knows no /inspect"), "{text}");
}

#[test]
fn what_hangs_is_said_to_hang_before_anybody_loses_patience() {
    let hub = Hub::start();
    let stopped = Pid::from_raw(i32::try_from(hub.id()).expect("an id fits")).expect("no 0");
    kill_process(stopped, Signal::STOP).expect("the hub is running");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    for address in [hub.address().to_string(), silent.local_addr().expect("an address").to_string()] {
        let (found, text, took) = told(&["doctor", &address]);
        let remedy = problem(&text, &["accepts connections but answered nothing within 3 s"]);
        assert!(found && remedy.contains("hangs") && !text.contains("tapeline serve"), "{text}");
        assert!(took < Duration::from_secs(9), "{took:?}");
        let (failed, text, took) = told(&["top", &address]);
        assert!(failed && text.contains("answered nothing within 2 s"), "{text}");
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
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
