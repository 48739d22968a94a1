//! `tapeline feed`: what a venue says, printed without a hub; and what a feed cannot be started with, said before anything is.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::run_to_end;
use support::venue::market;
use tapeline_faults::kraken::{Fault, Kraken, Pace};

fn tapeline(words: &[&str]) -> Command {
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.args(words).stdin(Stdio::null());
    command
}

fn feed(kraken: &Kraken, more: &[&str]) -> Command {
    let mut command = tapeline(&["feed", "kraken", "--symbols", "BTC/USD", "--url"]);
    command.arg(kraken.url()).args(more);
    command
}

#[test]
fn each_event_is_an_object_a_line_and_a_book_that_does_not_hold_is_said() {
    let kraken = market(40);
    kraken.spoil("book", None, Fault::WrongChecksum, 1);
    kraken.pace(Pace::PerSecond(200.0));
    let (status, out, err) =
        run_to_end(feed(&kraken, &["--json", "--channels", "book,trade", "--count", "60"]));
    assert!(status.success(), "{err}");
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events.len(), 60);
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((of("connected"), of("book_lost")), (1, 1), "{out}");
    assert!(of("book") > 20 && of("trade") > 0 && of("ticker") == 0, "{out}");
    let snapshots = events.iter().filter(|event| event["event"] == "book" && event["kind"] == "snapshot");
    assert_eq!(snapshots.count(), 2, "one at first, one after the checksum that did not hold");
    assert!(err.contains("1 checksum that did not hold"), "{err}");
}

#[test]
fn lines_for_eyes_name_pair_and_channel_and_what_the_venue_refuses() {
    let kraken = market(40);
    let mut command =
        tapeline(&["feed", "kraken", "--symbols", "BTC/USD,WWW/USD", "--channels", "ticker,book"]);
    command.args(["--url", &kraken.url(), "--count", "6"]);
    let (status, out, err) = run_to_end(command);
    assert!(status.success(), "{err}");
    for wanted in [
        "status    online",
        "connected",
        "BTC/USD   ticker    last",
        "BTC/USD   book      bid",
        "holds)",
        "REFUSED: Currency pair not supported WWW/USD",
    ] {
        assert!(out.contains(wanted), "{wanted:?} is not in\n{out}");
    }
}

#[test]
fn it_ends_well_at_ctrl_c_and_when_nobody_reads_any_more() {
    let kraken = market(40);
    kraken.pace(Pace::PerSecond(200.0));
    for ends_by_signal in [true, false] {
        let mut process = feed(&kraken, &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        assert!(lines.by_ref().take(5).all(|line| line.is_ok()));
        if ends_by_signal {
            let id = i32::try_from(process.id()).expect("a process id fits");
            kill_process(Pid::from_raw(id).expect("it is not 0"), Signal::INT).expect("it is running");
            lines.for_each(drop);
        } else {
            drop(lines);
        }
        let status = process.wait().expect("a child can be waited for");
        assert!(status.success(), "{status}");
    }
}

#[test]
fn it_ends_with_standard_input() {
    // Its input is empty: at its end there is nothing left to wait for.
    let (status, out, err) = run_to_end(tapeline(&["feed", "futu", "--url", "-", "--json"]));
    assert!(status.success(), "{err}");
    assert!(out.contains("\"connected\""), "{out}");
}

#[test]
fn what_a_feed_cannot_be_started_with_is_said_with_the_flag_that_is_wrong() {
    for (words, told) in [
        (&["--feed", "krakn"][..], "there is no feed \"krakn\"; there are kraken and futu"),
        (&["--feed", "kraken"], "--symbols BTC/USD,ETH/USD"),
        (&["--feed", "kraken", "--symbols", "BTCUSD"], "BASE/QUOTE such as BTC/USD"),
        (
            &["--feed", "kraken", "--symbols", "BTC/USD", "--depth", "20"],
            "expected 10, 25, 100, 500 or 1000, found 20",
        ),
        (
            &["--feed", "kraken", "--symbols", "BTC/USD", "--feed-url", "http://x"],
            "kraken is at ws://HOST or wss://HOST",
        ),
        (&["--symbols", "BTC/USD"], "feed.names is missing (--feed kraken)"),
        (&["--feed", "futu"], "tcp://HOST:PORT"),
    ] {
        let mut command = tapeline(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(words);
        let (status, out, err) = run_to_end(command);
        assert!(!status.success() && out.is_empty(), "{words:?} starts: {out}");
        assert!(err.contains(told), "{words:?}: {err}");
    }
}

#[test]
fn a_secret_of_a_feed_is_not_shown() {
    let mut command = tapeline(&["config"]);
    for (name, secret) in [("API_KEY", "the-key"), ("API_SECRET", "the-secret"), ("TOKEN", "the-token")] {
        command.env(format!("TAPELINE_FEED__{name}"), secret);
    }
    let (status, out, err) = run_to_end(command);
    assert!(status.success(), "{err}");
    assert!(out.contains("feed.api_secret = \"***\""), "{out}");
    for secret in ["the-key", "the-secret", "the-token"] {
        assert!(!out.contains(secret), "{out}");
    }
}
