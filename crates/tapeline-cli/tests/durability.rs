//! What a hub with a data directory keeps, against the real binary: killed under load, full, damaged, moved, copied.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use support::{Client, Hub, eventually, run_to_end, serve, temporary};

/// Fills acknowledged in a round; a channel keeps 10,000 of all rounds.
const ENOUGH: usize = 300;

/// A directory that goes with its test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        Dir(temporary("data"))
    }

    /// Its files of this kind, in their order.
    fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let listed = std::fs::read_dir(&self.0).expect("there is a directory");
        let paths = listed.map(|entry| entry.expect("it can be read").path());
        let is_one =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
        let mut found: Vec<PathBuf> = paths.filter(is_one).collect();
        found.sort();
        found
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn fill(number: u64) -> String {
    format!(r#"{{"portfolio_id":"p","symbol":"A","trade_type":"BUY","quantity":{number},"price":1}}"#)
}

/// Publishes numbered fills until the hub is gone; answers the acknowledged ones: number, offset, epoch.
fn load(hub: &Hub, next: &mut u64, enough: &AtomicBool) -> Vec<(u64, u64, String)> {
    let mut client = Client::connect(hub);
    let mut acknowledged = Vec::new();
    let mut sent = *next;
    for _ in 0..16 {
        client.send(&publish(sent));
        sent += 1;
    }
    while let Ok(frame) = client.read() {
        if frame.kind() != "published" {
            continue;
        }
        let (number, epoch) =
            (frame.json["req"].as_u64().expect("the request's number"), &frame.json["epoch"]);
        acknowledged.push((number, frame.offset(), epoch.as_str().expect("an epoch").to_string()));
        if acknowledged.len() == ENOUGH {
            enough.store(true, Ordering::Relaxed);
        }
        // What was acknowledged before the hub went is still to be read.
        client.offer(&publish(sent));
        sent += 1;
    }
    *next = sent;
    acknowledged
}

fn publish(number: u64) -> Value {
    let data: Value = serde_json::from_str(&fill(number)).expect("JSON");
    json!({"action": "publish", "channel": "trades:p", "data": data, "req": number})
}

/// All that is kept of a channel: offset and data.
fn history(hub: &Hub, channel: &str) -> Vec<(u64, Value)> {
    let mut all = Vec::new();
    loop {
        let since = all.last().map_or(0, |(offset, _)| *offset);
        let page = hub.get(&format!("/history/{channel}?since={since}&limit=1000")).json();
        let messages = page["messages"].as_array().unwrap_or_else(|| panic!("no messages in {page}"));
        if messages.is_empty() {
            return all;
        }
        all.extend(
            messages
                .iter()
                .map(|message| (message["offset"].as_u64().expect("an offset"), message["data"].clone())),
        );
    }
}

/// One round: load until enough is acknowledged, the end, and what is there afterwards.
fn kill_under_load(dir: &Path, hub: &mut Hub, next: &mut u64, known: &mut Vec<(u64, u64, String)>) {
    let enough = AtomicBool::new(false);
    let more = std::thread::scope(|scope| {
        let (running, told) = (&*hub, &enough);
        let loading = scope.spawn(move || load(running, next, told));
        assert!(eventually(|| enough.load(Ordering::Relaxed)), "{ENOUGH} fills are not acknowledged in time");
        running.kill_now();
        loading.join().expect("the load ends with the hub")
    });
    known.extend(more);
    hub.wait();
    *hub = Hub::in_dir(dir, &[]);
    let kept = history(hub, "trades:p");
    assert!(kept.iter().map(|(offset, _)| *offset).eq(1..=kept.len() as u64), "a hole, or an offset twice");
    let numbers: Vec<u64> = kept.iter().filter_map(|(_, data)| data["quantity"].as_u64()).collect();
    for (number, offset, _) in known.iter() {
        assert_eq!(
            numbers.get(*offset as usize - 1),
            Some(number),
            "what was acknowledged at {offset} is not there"
        );
    }
    assert_eq!(numbers.len(), kept.len(), "something else is there");
    assert!(numbers.is_sorted_by(|one, other| one < other), "something is there twice or out of order");
    let epochs: std::collections::BTreeSet<&String> = known.iter().map(|(_, _, epoch)| epoch).collect();
    assert_eq!(epochs.len(), 1, "offsets went on under another epoch");
}

fn kill_times(times: usize) {
    let dir = Dir::new();
    let mut hub = Hub::in_dir(&dir.0, &[]);
    let (mut next, mut known) = (1, Vec::new());
    for _ in 0..times {
        kill_under_load(&dir.0, &mut hub, &mut next, &mut known);
    }
    assert!(known.len() >= times * ENOUGH, "only {} were acknowledged", known.len());
}

#[test]
fn a_hub_killed_three_times_under_load_has_every_acknowledged_fill_once_and_in_order() {
    kill_times(3);
}

#[test]
#[ignore = "takes a minute; cargo xtask soak runs it"]
fn a_hub_killed_twenty_times_under_load_has_every_acknowledged_fill_once_and_in_order() {
    kill_times(20);
}

#[test]
fn a_client_resumes_and_a_repeat_is_known_after_the_hub_was_killed() {
    let dir = Dir::new();
    let mut hub = Hub::in_dir(&dir.0, &[]);
    let mut client = Client::connect(&hub);
    client.subscribe("trades:p");
    hub.publish("trades:p", &fill(1));
    let place = client.message(1).place();
    let keyed = format!(r#"{{"channel":"trades:p","data":{},"idempotency_key":"k"}}"#, fill(2));
    let first = hub.post("/publish", &keyed).json();
    hub.publish("market_data:AAPL", r#"{"symbol":"AAPL","price":1,"change":0,"volume":1}"#);
    hub.publish("positions:p", r#"{"symbol":"AAPL","quantity":10}"#);
    hub.publish("positions:p", r#"{"symbol":"TSLA","quantity":5}"#);
    let stored = hub.request("PUT", "/store/a:b:c:d", "Content-Type: application/json\r\n", "42");
    assert_eq!(stored.status(), 200, "{}", stored.text());
    hub.kill();
    let hub = Hub::in_dir(&dir.0, &[]);
    let mut client = Client::connect(&hub);
    let confirmed = client.subscribe_with("trades:p", json!({"since": place}));
    assert_eq!(confirmed.json["recovered"], true, "{}", confirmed.text);
    assert_eq!(client.message(2).json["data"]["quantity"], 2);
    let again = hub.post("/publish", &keyed).json();
    assert_eq!((&again["offset"], &again["id"]), (&first["offset"], &first["id"]), "{again}");
    assert_eq!(again["duplicate"], true, "{again}");
    assert_eq!(hub.get("/last/market_data:AAPL").json()["data"]["price"], 1);
    let rows = &hub.get("/last/positions:p").json()["data"]["rows"];
    assert_eq!(rows.as_array().map(Vec::len), Some(2), "{rows}");
    assert_eq!(hub.get("/store/a:b:c:d").json()["value"], 42);
    assert_eq!(hub.publish("trades:p", &fill(3))["offset"], 3);
}

#[test]
fn a_full_directory_refuses_what_is_kept_and_lets_the_rest_and_reads_go_on() {
    let dir = Dir::new();
    let text = "[storage]\nmax_bytes = 200000\nreserve_bytes = 100000\n";
    let config = temporary("toml");
    std::fs::write(&config, text).expect("it can be written");
    let path = config.to_str().expect("text");
    let hub = Hub::in_dir(&dir.0, &["--config", path]);
    let note = |n: usize| format!(r#"{{"user_id":"u","title":"{n}{}"}}"#, "x".repeat(8_000));
    let refused =
        (0..).map(|n| hub.post("/publish", format!(r#"{{"channel":"notifications:u","data":{}}}"#, note(n))));
    let refused = refused.take(500).find(|answer| answer.status() != 200).expect("it is full some time");
    assert_eq!(refused.refusal(), (503, "storage_full".to_string()));
    assert!(refused.text().contains(dir.0.to_str().expect("text")), "{}", refused.text());
    let price = r#"{"symbol":"AAPL","price":1,"change":0,"volume":1}"#;
    // The hub makes room at this moment.
    for (number, fill) in (1..=20).map(|n| (n, fill(n))) {
        hub.publish("market_data:AAPL", price);
        assert_eq!(hub.publish("trades:p", &fill)["offset"], number, "a critical family uses the reserve");
    }
    assert_eq!(history(&hub, "trades:p").len(), 20);
    assert!(!history(&hub, "notifications:u").is_empty());
    let health = hub.get("/health");
    assert_eq!((health.status(), &health.json()["status"]), (503, &json!("storage_full")));
    let _ = std::fs::remove_file(&config);
}

#[test]
fn a_directory_belongs_to_one_hub() {
    let dir = Dir::new();
    let hub = Hub::in_dir(&dir.0, &[]);
    let mut second = serve("127.0.0.1:0");
    second.arg("--data-dir").arg(&dir.0);
    let (status, _, told) = run_to_end(second);
    assert_eq!(status.code(), Some(1), "{told}");
    let shown = dir.0.to_str().expect("text");
    assert!(told.contains(shown) && told.contains(&hub.id().to_string()), "{told}");
}

#[test]
fn a_damaged_middle_is_refused_by_name_and_a_torn_end_is_cut() {
    let dir = Dir::new();
    let mut hub = Hub::in_dir(&dir.0, &[]);
    (1..=20).for_each(|n| drop(hub.publish("trades:p", &fill(n))));
    hub.kill();
    let log = dir.files("log-").pop().expect("there is a log");
    let whole = std::fs::read(&log).expect("it can be read");
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle] ^= 0xff;
    std::fs::write(&log, &damaged).expect("it can be written");
    let mut command = serve("127.0.0.1:0");
    command.arg("--data-dir").arg(&dir.0);
    let (status, _, told) = run_to_end(command);
    assert_eq!(status.code(), Some(1), "{told}");
    let name = log.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(told.contains(&name) && told.contains("byte"), "{told}");
    std::fs::write(&log, [&whole[..], &[7, 0, 0, 0, 1, 2]].concat()).expect("it can be written");
    let hub = Hub::in_dir(&dir.0, &[]);
    assert_eq!(history(&hub, "trades:p").len(), 20);
    assert!(hub.log().contains("the end of the log is cut"), "{}", hub.log());
}

#[test]
fn acknowledged_bytes_that_are_gone_begin_a_new_epoch() {
    let dir = Dir::new();
    let mut hub = Hub::in_dir(&dir.0, &[]);
    (1..=5).for_each(|n| drop(hub.publish("trades:p", &fill(n))));
    let epoch = hub.publish("trades:p", &fill(6))["epoch"].clone();
    hub.kill();
    let log = dir.files("log-").pop().expect("there is a log");
    let whole = std::fs::read(&log).expect("it can be read");
    // In the midst of the last message; how far was acknowledged may be written behind it.
    let last = fill(6);
    let at = whole.windows(last.len()).rposition(|bytes| bytes == last.as_bytes()).expect("it is in the log");
    std::fs::write(&log, &whole[..at + 9]).expect("it can be written");
    let hub = Hub::in_dir(&dir.0, &[]);
    assert_eq!(history(&hub, "trades:p").len(), 5);
    let next = hub.publish("trades:p", &fill(7));
    assert_eq!(next["offset"], 6);
    assert_ne!(next["epoch"], epoch);
}

#[test]
fn moving_from_memory_to_a_directory_is_told_as_another_epoch() {
    let dir = Dir::new();
    let mut memory = Hub::start();
    let mut client = Client::connect(&memory);
    client.subscribe("trades:p");
    memory.publish("trades:p", &fill(1));
    let place = client.message(1).place();
    memory.kill();
    let hub = Hub::in_dir(&dir.0, &[]);
    hub.publish("trades:p", &fill(2));
    let mut client = Client::connect(&hub);
    let confirmed = client.subscribe_with("trades:p", json!({"since": place}));
    assert_eq!(confirmed.json["recovered"], false, "{}", confirmed.text);
    assert_eq!(client.next_of("gap").json["reason"], "epoch");
}

#[test]
fn a_backup_of_a_running_hub_is_restored_under_new_epochs() {
    let (dir, other, file) = (Dir::new(), Dir::new(), temporary("tape"));
    let hub = Hub::in_dir(&dir.0, &[]);
    (1..=10).for_each(|n| drop(hub.publish("trades:p", &fill(n))));
    let epoch = hub.publish("trades:p", &fill(11))["epoch"].clone();
    hub.publish("positions:p", r#"{"symbol":"AAPL","quantity":10}"#);
    let path = file.to_str().expect("text");
    let (status, told, wrong) = hub.run(&["backup", path]);
    assert!(status.success() && told.contains("checked"), "{told}{wrong}");
    hub.publish("trades:p", &fill(12));
    let restore = |file: &Path| {
        let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
        command.arg("restore").arg(file).arg(&other.0);
        run_to_end(command)
    };
    let damaged = temporary("tape");
    let mut bytes = std::fs::read(&file).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).expect("it can be written");
    let (status, _, told) = restore(&damaged);
    assert!(!status.success() && told.contains("byte") && !other.0.exists(), "{told}");
    let (status, _, told) = restore(&file);
    assert!(status.success(), "{told}");
    assert!(!restore(&file).0.success(), "a directory that is not empty was written over");
    let restored = Hub::in_dir(&other.0, &[]);
    assert_eq!(history(&restored, "trades:p").len(), 11);
    let next = restored.publish("trades:p", &fill(12));
    assert_eq!(next["offset"], 12);
    assert_ne!(next["epoch"], epoch);
    assert_eq!(restored.get("/last/positions:p").json()["data"]["rows"][0]["quantity"], 10);
    let url = format!("http://{}", restored.address());
    for of in [dir.0.to_str().expect("text"), &url] {
        let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
        command.args(["data", "du", of]);
        let (status, told, wrong) = run_to_end(command);
        assert!(status.success() && told.contains("trades") && told.contains("positions"), "{told}{wrong}");
    }
    let _ = (std::fs::remove_file(&file), std::fs::remove_file(&damaged));
}

#[test]
fn a_directory_beside_another_message_broker_is_an_error_that_names_both() {
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.args(["serve", "--data-dir", "here", "--broker", "file:there"]);
    let (status, _, told) = run_to_end(command);
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("here") && told.contains("file:there"), "{told}");
}
