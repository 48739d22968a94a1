//! The commands, run as people run them: the real binary against a real hub on a free port.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail loudly")]

mod commands {
    pub(crate) mod program;
    pub(crate) mod relay;
}

use std::path::{Path, PathBuf};
use std::time::Duration;

use commands::program::{Hub, Program, run, run_with_input, run_with_token};
use commands::relay::Relay;
use serde_json::Value;

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn published(hub: &Hub, channel: &str, data: &str) {
    let outcome = run(&["pub", channel, data, "--url", &hub.url]);
    assert!(outcome.ok, "{}", outcome.err);
}

/// A recording of so many trades, a millisecond apart.
fn recording(name: &str, symbol: &str, trades: u64) -> PathBuf {
    let line = |n| {
        let at = 1_700_000_000_000_000_000_u64 + n * 1_000_000;
        format!("{at} {{\"stream\":\"x@trade\",\"data\":{{\"s\":\"{symbol}\",\"t\":{n}}}}}\n")
    };
    written(name, &(0..trades).map(line).collect::<String>())
}

fn written(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn what_is_published_is_heard_as_it_was_said() {
    let hub = Hub::start();
    let mut sub = Program::start(&["sub", "my.signals", "--json", "--count", "2", "--url", &hub.url]);
    assert_eq!(json(&sub.line())["type"], "subscription_confirmed");
    let data = r#"{"type":"BUY","price":60000.10}"#;
    let flags = ["--type", "my_signal", "--correlation-id", "c-1", "--idempotency-key", "k-1"];
    let all = [["pub", "my.signals", data].as_slice(), &flags, &["--url", &hub.url]].concat();
    let first = run(&all);
    let expected = "published my.signals offset 1 epoch ";
    assert!(first.out.starts_with(expected) && first.out.ends_with(", 1 subscriber\n"), "{}", first.out);
    let again = run(&[all.as_slice(), &["--json"]].concat());
    assert_eq!((&json(&again.out)["offset"], &json(&again.out)["duplicate"]), (&1.into(), &true.into()));

    let line = sub.line();
    assert!(line.contains(data), "{line}");
    let frame = json(&line);
    assert_eq!((&frame["type"], &frame["correlation_id"]), (&"my_signal".into(), &"c-1".into()));
    assert_eq!((&frame["offset"], &frame["channel"]), (&1.into(), &"my.signals".into()));
    published(&hub, "my.signals", "-1.5");
    assert_eq!(json(&sub.line())["data"], Value::from(-1.5));
    assert!(sub.end().0);
}

#[test]
fn people_see_one_line_a_message_and_the_rest_on_standard_error() {
    let hub = Hub::start();
    let mut sub = Program::start(&["sub", "markt_data:AAPL", "--count", "1", "--url", &hub.url]);
    let confirmed = sub.err_line();
    assert!(confirmed.starts_with("subscribed markt_data:AAPL (offset 0, "), "{confirmed}");
    assert!(confirmed.ends_with("no family declares it; did you mean market_data:AAPL?)"), "{confirmed}");
    published(&hub, "markt_data:AAPL", "{\"a\":\n \"\u{9b}\"}");
    let line = sub.line();
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.len() == 27, "{line}");
    assert_eq!(rest, r#"markt_data:AAPL 1 message {"a":  "\u{9b}"}"#);
    assert!(sub.end().0);
}

#[test]
fn a_pattern_hears_every_channel_that_matches_and_resumes_each() {
    let hub = Hub::start();
    let relay = Relay::start(&hub.address);
    let mut sub = Program::start(&["sub", "training.log:*", "--json", "--url", &relay.url]);
    assert_eq!(json(&sub.line())["pattern"], "training.log:*");
    let log = |run: &str, text: &str| {
        let data = format!(r#"{{"experiment_id":"{run}","message":"{text}"}}"#);
        published(&hub, &format!("training.log:{run}"), &data);
    };
    let heard = |line: &str| {
        let frame = json(line);
        (
            frame["channel"].as_str().unwrap().to_string(),
            frame["data"]["message"].as_str().unwrap().to_string(),
        )
    };
    log("a", "1");
    assert_eq!(heard(&sub.line()), ("training.log:a".into(), "1".into()));
    relay.refuse();
    assert!(sub.err_line().contains("trying again in "));
    published(&hub, "notes", "{}");
    log("a", "2");
    log("b", "1");
    relay.forward_to(&hub.address);
    let resumed = sub.err_line_with("connected to ");
    assert!(resumed.ends_with("again; resuming training.log:*"), "{resumed}");
    let confirmed = json(&sub.line());
    assert_eq!(
        (&confirmed["type"], &confirmed["recovered"]),
        (&"subscription_confirmed".into(), &true.into())
    );
    let mut missed = [heard(&sub.line()), heard(&sub.line())];
    missed.sort();
    assert_eq!(missed, [("training.log:a".into(), "2".into()), ("training.log:b".into(), "1".into())]);
    log("a", "3");
    assert_eq!(heard(&sub.line()).1, "3");
}

#[test]
fn a_cut_connection_costs_no_message() {
    let hub = Hub::start();
    let relay = Relay::start(&hub.address);
    let mut sub = Program::start(&["sub", "notes", "--url", &relay.url, "--count", "3"]);
    sub.err_line_with("subscribed notes");
    published(&hub, "notes", "1");
    assert!(sub.line().ends_with(" notes 1 message 1"));
    relay.refuse();
    sub.err_line_with("trying again in ");
    published(&hub, "notes", "2");
    published(&hub, "notes", "3");
    relay.forward_to(&hub.address);
    assert!(sub.err_line_with("connected to ").ends_with("again; resuming notes after offset 1"));
    assert!(sub.line().ends_with(" notes 2 message 2"));
    assert!(sub.line().ends_with(" notes 3 message 3"));
    let (ok, err) = sub.end();
    assert!(ok && !err.contains("gap"), "{err}");
}

#[test]
fn a_hub_that_was_killed_and_started_again_tells_the_gap() {
    let hub = Hub::start();
    let relay = Relay::start(&hub.address);
    let mut sub = Program::start(&["sub", "notes", "--url", &relay.url]);
    sub.err_line_with("subscribed notes");
    published(&hub, "notes", "1");
    assert!(sub.line().ends_with(" notes 1 message 1"));
    relay.refuse();
    drop(hub);
    let hub = Hub::start();
    published(&hub, "notes", "2");
    relay.forward_to(&hub.address);
    let gap = sub.err_line_with("gap notes");
    assert!(gap.contains("from offset 2 on is unknown, the channel counts anew (epoch)"), "{gap}");
    assert!(sub.line().ends_with(" notes 1 message 2"));
}

#[test]
fn a_place_can_be_asked_for() {
    let hub = Hub::start();
    for n in ["1", "2", "3"] {
        published(&hub, "notes", n);
    }
    let some = run(&["sub", "notes", "--since", "1", "--count", "2", "--url", &hub.url]);
    assert!(
        some.out.contains(" notes 2 message 2\n") && some.out.ends_with(" notes 3 message 3\n"),
        "{}",
        some.out
    );
    let all = run(&["sub", "n*", "--since", "0", "--count", "3", "--json", "--url", &hub.url]);
    let offsets: Vec<Value> = all
        .out
        .lines()
        .map(json)
        .filter(|frame| frame["type"] == "message")
        .map(|frame| frame["offset"].clone())
        .collect();
    assert_eq!(offsets, [1, 2, 3]);
    let void = run(&["sub", "notes", "--since", "1@other", "--count", "1", "--url", &hub.url]);
    assert!(void.err.contains("gap notes: "), "{}", void.err);
}

#[test]
fn wishes_reach_the_hub_and_a_refusal_of_all_ends_it() {
    let hub = Hub::start();
    let mut sub = Program::start(&[
        "sub",
        "market_data:A",
        "--max-rate",
        "15",
        "--delivery",
        "latest",
        "--url",
        &hub.url,
    ]);
    let confirmed = sub.err_line();
    assert!(confirmed.contains("at most 10 a second"), "{confirmed}");
    let refused = run(&["sub", "trades:p", "--delivery", "latest", "--url", &hub.url]);
    assert!(!refused.ok);
    assert!(refused.err.contains("(unsupported_delivery)"), "{}", refused.err);
    assert!(refused.err.contains("the hub refused every subscription"), "{}", refused.err);
}

#[test]
fn an_interrupt_ends_it_quietly() {
    let hub = Hub::start();
    let mut sub = Program::start(&["sub", "notes", "--url", &hub.url]);
    sub.err_line_with("subscribed notes");
    sub.interrupt();
    assert_eq!(sub.end(), (true, String::new()));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let hub = Hub::start();
    let mut sub = Program::start_unread(&["sub", "notes", "--url", &hub.url]);
    sub.err_line_with("subscribed notes");
    published(&hub, "notes", "1");
    assert_eq!(sub.end(), (true, String::new()));
}

#[test]
fn lines_are_published_in_order_up_to_the_first_that_is_not_json() {
    let hub = Hub::start();
    let outcome =
        run_with_input(&["pub", "notes", "-", "--json", "--url", &hub.url], "1\n\n{\"a\": 2}\nthree\n4\n");
    assert!(!outcome.ok);
    assert!(outcome.err.contains("line 4 is not JSON") && outcome.err.contains(": three"), "{}", outcome.err);
    let offsets: Vec<Value> = outcome.out.lines().map(|line| json(line)["offset"].clone()).collect();
    assert_eq!(offsets, [1, 2]);
    let keyed = ["pub", "remarks", "-", "--idempotency-key", "k", "--url", &hub.url];
    assert!(run_with_input(&keyed, "1\n2\n").out.lines().all(|line| line.starts_with("published ")));
    assert!(run_with_input(&keyed, "1\n2\n").out.lines().all(|line| line.starts_with("duplicate of ")));
}

#[test]
fn stats_are_a_table_or_the_answer_as_it_came() {
    let hub = Hub::start();
    published(&hub, "notes", "1");
    let mut sub = Program::start(&["sub", "market_data:A", "--url", &hub.url]);
    sub.err_line_with("subscribed");
    let table = run(&["stats", "--url", &hub.url]);
    let row = |name: &str| {
        let line =
            table.out.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{}", table.out));
        line.split_whitespace().nth(1).unwrap().to_string()
    };
    assert_eq!((row("connections"), row("published"), row("dropped")), ("1".into(), "1".into(), "0".into()));
    assert_eq!((row("market_data:A"), row("notes")), ("1".into(), "0".into()));
    let raw = json(&run(&["stats", "--json", "--url", &hub.url]).out);
    assert_eq!((&raw["published"], &raw["subscriptions"]), (&1.into(), &1.into()));
}

#[test]
fn stats_go_on_while_watched() {
    let hub = Hub::start();
    let mut watch = Program::start(&["stats", "--watch", "--json", "--url", &hub.url]);
    assert_eq!(json(&watch.line())["published"], 0);
    published(&hub, "notes", "1");
    while json(&watch.line())["published"] != 1 {}
}

#[test]
fn recordings_are_replayed_and_counted() {
    let hub = Hub::start();
    let (spot, usdm) = (recording("spot-x.txt", "BTCUSDT", 700), recording("usdm-x.txt", "BTCUSDT", 300));
    let (spot, usdm) = (spot.to_str().unwrap(), usdm.to_str().unwrap());
    let outcome = run(&["replay", spot, usdm, "--into", &hub.url, "--speed", "max", "--window", "10"]);
    assert!(outcome.ok, "{}", outcome.err);
    assert!(
        outcome.out.starts_with("published 1,000 in ") && outcome.out.ends_with(", refused 0\n"),
        "{}",
        outcome.out
    );
    let newest = |channel: &str, since: &str| {
        let heard = run(&["sub", channel, "--since", since, "--count", "10", "--json", "--url", &hub.url]);
        let last = json(heard.out.lines().last().unwrap());
        (last["offset"].clone(), last["data"]["data"]["t"].clone())
    };
    assert_eq!(newest("bn_trade:BTCUSDT-SPOT", "690"), (700.into(), 699.into()));
    assert_eq!(newest("bn_trade:BTCUSDT-USDM", "290"), (300.into(), 299.into()));
}

#[test]
fn recorded_times_are_kept() {
    let hub = Hub::start();
    let file = recording("times.txt", "A", 301);
    let play = |speed: &str| {
        let started = std::time::Instant::now();
        let outcome = run(&["replay", file.to_str().unwrap(), "--into", &hub.url, "--speed", speed]);
        assert!(outcome.ok, "{}", outcome.err);
        started.elapsed()
    };
    assert!(play("1") >= Duration::from_millis(300));
    assert!(play("0.5") >= Duration::from_millis(600));
}

#[test]
fn what_a_hub_refuses_and_what_is_no_recording_is_said() {
    let hub = Hub::start();
    let into = ["--into", &hub.url, "--speed", "max"];
    let odd = recording("odd.txt", "BTC USDT", 20);
    let refused = run(&[["replay", odd.to_str().unwrap()].as_slice(), &into].concat());
    assert!(!refused.ok);
    assert!(
        refused.out.contains("published 0 in ")
            && refused.out.contains("refused 20\n  20 bad_channel, first: ")
    );
    let bad = written("bad.txt", "5 {\"stream\":\"x@trade\",\"data\":{\"s\":\"B\"}}\n\n6 {oops}\n");
    let bad = run(&[["replay", bad.to_str().unwrap()].as_slice(), &into].concat());
    assert!(!bad.ok && bad.out.starts_with("published 1 in "), "{}{}", bad.out, bad.err);
    assert!(bad.err.contains("bad.txt line 3: is not JSON: "), "{}", bad.err);
    let missing = run(&[["replay", "no-such-file.gz"].as_slice(), &into].concat());
    assert!(missing.err.contains("cannot open no-such-file.gz: "), "{}", missing.err);
}

#[test]
fn a_hub_that_is_not_there_is_named_with_what_to_do() {
    let url = format!("http://127.0.0.1:{}", tapeline_faults::free_port());
    let file = recording("lonely.txt", "A", 1);
    let commands: [&[&str]; 4] = [
        &["pub", "notes", "1", "--url", &url],
        &["sub", "notes", "--url", &url],
        &["stats", "--url", &url],
        &["replay", file.to_str().unwrap(), "--into", &url],
    ];
    for command in commands {
        let outcome = run(command);
        assert_eq!(outcome.code, Some(1), "{command:?}");
        let told = format!("error: no hub answers at {url}; start one with tapeline serve\n");
        assert_eq!(outcome.err.to_lowercase(), told);
        assert_eq!(outcome.out, "");
    }
}

#[test]
fn a_slip_on_the_command_line_is_told_with_a_suggestion() {
    let cases: [(&[&str], &str); 7] = [
        (&["sub", "notes", "--cout", "1"], "a similar argument exists: '--count'"),
        (&["stat"], "a similar subcommand exists: 'stats'"),
        (&["stats", "--url", "ftp://h"], "ftp"),
        (&["replay", "a.gz"], "--into <URL>"),
        (&["sub", "n*", "--since", "7"], "n* is a pattern"),
        (&["sub", "notes", "--delivery", "all"], "not one of latest, table, every"),
        (&["pub", "notes", "hello"], "DATA is not JSON: "),
    ];
    for (command, expected) in cases {
        let outcome = run(command);
        assert!(!outcome.ok && outcome.err.contains(expected), "{command:?}: {}", outcome.err);
    }
}

#[test]
fn every_help_ends_with_an_example() {
    for command in ["pub", "sub", "stats", "replay", "serve"] {
        let help = run(&[command, "--help"]).out;
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{help}"));
        let mut lines = examples.trim_end().lines();
        assert!(lines.all(|line| line.starts_with(&format!("  tapeline {command}"))), "{examples}");
    }
}

#[test]
fn a_token_does_no_harm_where_none_is_asked_for() {
    let hub = Hub::start();
    assert!(run_with_token("tk_any", &["pub", "notes", "1", "--url", &hub.url]).ok);
    let heard =
        run_with_token("tk_any", &["sub", "notes", "--since", "0", "--count", "1", "--url", &hub.url]);
    assert!(heard.out.ends_with(" notes 1 message 1\n"), "{}", heard.err);
}

#[test]
fn http_and_ws_addresses_are_the_same_hub() {
    let hub = Hub::start();
    let ws = format!("ws://{}/ws", hub.address);
    assert!(run(&["pub", "notes", "1", "--url", &ws]).ok);
    assert!(run(&["stats", "--url", &ws]).ok);
    let http = format!("http://{}/", hub.address);
    assert!(
        run(&["sub", "notes", "--since", "0", "--count", "1", "--url", &http])
            .out
            .ends_with(" notes 1 message 1\n")
    );
}
