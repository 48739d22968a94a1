//! The binary as a process: its help, a port that is taken, and a stop that clients understand.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Client, Hub, eventually, run_to_end, serve, temporary};

#[test]
fn a_stop_closes_every_client_with_1001_and_ends_with_0() {
    let mut hub = Hub::start();
    let mut clients: Vec<Client> = ["/ws", "/ws/c"].map(|path| Client::connect_to(&hub, path)).into();
    clients[0].subscribe("trades:p");
    clients[1].expect_silence();
    let fill = r#"{"portfolio_id":"p","symbol":"A","trade_type":"BUY","quantity":1,"price":1}"#;
    hub.publish("trades:p", fill);
    let start = Instant::now();
    hub.terminate();
    clients[0].message(1);
    for client in &mut clients {
        let closed = client.closed();
        assert_eq!(closed.code, 1001, "{closed:?}");
    }
    assert_eq!(hub.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
}

#[test]
fn a_hang_up_stops_a_hub_that_has_no_file_to_read_and_a_second_one_does_not_hurry_it() {
    let mut hub = Hub::start();
    let mut slow = Client::connect(&hub);
    slow.subscribe("orderbook:X");
    let big = format!(r#"{{"pad":"{}"}}"#, "x".repeat(1 << 20 >> 1));
    (0..20).for_each(|_| drop(hub.publish("orderbook:X", &big)));
    hub.hang_up();
    assert!(eventually(|| hub.get("/ready").status() == 503), "it does not stop");
    hub.hang_up();
    assert_eq!(hub.wait().code(), Some(0));
}

#[test]
fn a_hub_that_was_started_to_outlive_its_terminal_lets_hang_ups_be() {
    let script = "trap '' HUP; exec \"$0\" serve --shards 1 --listen 127.0.0.1:0";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_tapeline")]).stdout(Stdio::piped()).stderr(Stdio::null());
    tapeline_faults::without_settings(&mut shell, "tapeline");
    let mut hub = shell.spawn().expect("the hub starts");
    let mut line = String::new();
    let out = hub.stdout.take().expect("stdout is piped");
    BufReader::new(out).read_line(&mut line).expect("stdout is text");
    let status = std::fs::read_to_string(format!("/proc/{}/status", hub.id())).expect("the hub is running");
    hub.kill().and_then(|()| hub.wait()).expect("the hub can be stopped");
    assert!(line.starts_with("listening on"), "{line}");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("Linux says SigIgn");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a mask");
    assert_eq!(ignored & 1, 1, "{status}");
}

#[test]
fn a_client_that_does_not_read_cannot_hold_up_a_stop() {
    let mut hub = Hub::start();
    let mut slow = Client::connect(&hub);
    slow.subscribe("orderbook:X");
    let big = format!(r#"{{"pad":"{}"}}"#, "x".repeat(1 << 20 >> 1));
    (0..20).for_each(|_| drop(hub.publish("orderbook:X", &big)));
    let start = Instant::now();
    hub.terminate();
    assert_eq!(hub.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(6), "it took {:?}", start.elapsed());
}

#[test]
fn a_port_that_is_taken_is_named_with_a_way_out() {
    let hub = Hub::start();
    let (status, _, err) = run_to_end(serve(hub.address()));
    assert_eq!(status.code(), Some(1));
    let port = hub.port();
    let expected =
        format!("address in use: 127.0.0.1:{port}; try --listen 127.0.0.1:{}", port.wrapping_add(1));
    assert!(err.contains(&expected), "{err}");
    assert!(!err.contains("panicked"), "{err}");
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused_and_names_it() {
    let path = temporary("toml");
    std::fs::write(&path, "[limits]\nheart_beat_s = 1\n").expect("the configuration can be written");
    let mut command = serve("127.0.0.1:0");
    command.arg("--config").arg(&path);
    let (status, _, err) = run_to_end(command);
    std::fs::remove_file(&path).expect("the configuration can be removed");
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("heart_beat_s"), "{err}");
}

#[test]
fn help_tells_what_there_is() {
    for (args, words) in [
        (vec!["--help"], vec!["serve"]),
        (vec!["serve", "--help"], vec!["--listen", "--config", "Examples:"]),
    ] {
        let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
        command.args(&args);
        let (status, out, _) = run_to_end(command);
        assert_eq!(status.code(), Some(0), "{args:?}");
        for word in words {
            assert!(out.contains(word), "{word} in the help of {args:?}");
        }
    }
}
