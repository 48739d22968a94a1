//! `tapeline monitor training` against the real binary: what it prints where there is no terminal.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::json;
use support::Hub;

fn say(hub: &Hub, kind: &str, id: &str, more: serde_json::Value) {
    let mut data = more;
    data["experiment_id"] = json!(id);
    hub.publish(&format!("training.{kind}:{id}"), &data.to_string());
}

fn two_runs(hub: &Hub) {
    say(hub, "status", "exp_1", json!({"status": "running", "message": "started", "namespace": "ppo"}));
    let steps =
        json!({"current_step": 500, "total_steps": 1000, "epoch": 5, "progress": 50, "namespace": "ppo"});
    say(hub, "progress", "exp_1", steps);
    say(hub, "metrics", "exp_1", json!({"metrics": {"loss": 0.045}, "namespace": "ppo"}));
    say(hub, "status", "exp_2", json!({"status": "completed", "message": "done"}));
}

#[test]
fn once_prints_each_run_as_it_is_and_ends() {
    let hub = Hub::start();
    let (status, out, _) = hub.run(&["monitor", "training", "--once"]);
    assert!(status.success());
    assert_eq!(out, "no training run has said anything yet\n");
    two_runs(&hub);
    let (status, out, _) = hub.run(&["monitor", "training", "--once"]);
    assert!(status.success());
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["exp_1  50.0 %  running  500/1000  epoch 5  loss=0.045  started", "exp_2  100.0 %  completed  done"]
    );
    let (_, out, _) = hub.run(&["monitor", "training", "--once", "--namespace", "ppo"]);
    assert!(out.starts_with("exp_1 ") && out.lines().count() == 1, "{out}");
}

struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_a_terminal_each_update_is_a_line() {
    let hub = Hub::start();
    say(&hub, "status", "exp_1", json!({"status": "running"}));
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.args(["monitor", "training", &format!("ws://{}", hub.address())]).stdout(Stdio::piped());
    let mut watching = Watching(command.spawn().expect("the binary starts"));
    let out = watching.0.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(out).lines().map(|line| line.expect("a line of text"));
    // The last status comes first; from then on nothing is missed.
    assert_eq!(lines.next().as_deref(), Some("exp_1  running"));
    let said = [
        ("log", json!({"message": "epoch 1 \u{1b}[2J", "level": "info"}), "log  info  epoch 1 \\u{1b}[2J"),
        ("error", json!({"message": "NaN in loss"}), "error: NaN in loss"),
        ("status", json!({"status": "failed", "message": "NaN"}), "failed  NaN"),
    ];
    // One after the other: among channels no order is promised.
    for (kind, data, told) in said {
        say(&hub, kind, "exp_1", data);
        assert_eq!(lines.next(), Some(format!("exp_1  {told}")));
    }
}

#[test]
fn nobody_there_is_told_with_what_to_do() {
    let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
    command.args(["monitor", "training", "http://127.0.0.1:9"]);
    let (status, _, error) = support::run_to_end(command);
    assert!(!status.success());
    assert!(error.contains("no hub answers at http://127.0.0.1:9; start one with tapeline serve"), "{error}");
}
