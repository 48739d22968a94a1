//! `tapeline serve --demo`, the real binary: every family's data arrives, the page is served, and it ends when told.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a pattern's subscriber hears of within the first moments, one name a family.
const FAMILIES: &[&str] = &[
    "market_data:AAPL",
    "market_data:TSLA",
    "market_data:MSFT",
    "market_data:BTC/USD",
    "market_data:EUR/USD",
    "orderbook:AAPL",
    "market_trades:AAPL",
    "sentiment:AAPL",
    "trades:portfolio-123",
    "order_status:demo-0001",
    "portfolio:portfolio-123",
    "positions:portfolio-123",
    "portfolio_value:portfolio-123",
    "agent_status",
    "system_health",
    "metrics",
    "training.status:exp_123",
    "training.progress:exp_123",
    "training.metrics:exp_123",
    "quantum_signals",
    "news",
];

struct Demo {
    process: Child,
    url: String,
    /// What it says after the line with its address.
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Demo {
    fn start() -> Demo {
        let mut command = tapeline_faults::command(env!("CARGO_BIN_EXE_tapeline"));
        command.args(["serve", "--demo", "--listen", "127.0.0.1:0"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let url = first.strip_prefix("listening on ").unwrap().to_string();
        Demo { process, url, lines }
    }

    async fn end(mut self) -> ExitStatus {
        let id = i32::try_from(self.process.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
        let wait = async {
            loop {
                if let Some(status) = self.process.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("the hub ends when it is told to")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn the_demo_sends_every_familys_data_and_ends_cleanly() {
    let demo = Demo::start();
    let socket = format!("{}/ws", demo.url.replace("http://", "ws://"));
    let (mut socket, _) = tokio_tungstenite::connect_async(socket).await.unwrap();
    let all = json!({ "action": "subscribe", "pattern": "*" });
    socket.send(Message::text(all.to_string())).await.unwrap();
    let mut missing: BTreeSet<&str> = FAMILIES.iter().copied().collect();
    let listen = async {
        while !missing.is_empty() {
            let Message::Text(text) = socket.next().await.unwrap().unwrap() else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_ne!(message["type"], "error", "{message}");
            if message["data"].is_object() {
                missing.remove(message["channel"].as_str().unwrap_or_default());
            }
        }
    };
    let heard = timeout(PATIENCE, listen).await;
    assert!(heard.is_ok(), "nothing came of {missing:?}");
    assert_eq!(demo.end().await.code(), Some(0));
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(close) = message {
            assert_eq!(u16::from(close.expect("a hub says why it closes").code), 1001);
        }
    }
}

#[tokio::test]
async fn a_newcomer_is_told_where_to_look_and_finds_a_page_there() {
    let mut demo = Demo::start();
    let said: Vec<String> = demo.lines.by_ref().take(5).map(Result::unwrap).collect();
    let said = said.join("\n");
    for hint in [&format!("{}/\n", demo.url), &format!("curl {}/", demo.url), "tapeline sub 'market_data:*'"]
    {
        assert!(said.contains(hint), "{hint:?} is not in {said}");
    }
    let url = format!("{}/", demo.url);
    let page = tokio::task::spawn_blocking(move || {
        let mut answer = ureq::get(&url).call().unwrap();
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        answer.body_mut().read_to_string().unwrap()
    });
    let page = page.await.unwrap();
    assert!(page.contains("<title>Tapeline</title>"));
    assert!(page.len() < 24 << 10, "{} bytes", page.len());
    assert!(!page.contains("http://") && !page.contains("https://"), "the page names another host");
}
