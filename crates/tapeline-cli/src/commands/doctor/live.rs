//! The way a client goes: handshake, ping, and a subscription that waits for a message.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::super::hub_url::HubUrl;
use super::super::socket::{Socket, Unconnected, connect_from};
use super::finding::{Findings, spell_ms};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Clocks that differ by more confuse ages.
const SKEW_MS: i64 = 2_000;

/// Connects, pings, and hears the topic (pattern or not, name) for a while.
pub(super) fn examine(
    url: &HubUrl,
    origin: Option<&str>,
    topic: Option<(bool, &str)>,
    wait: Duration,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the network could not be started")?;
    runtime.block_on(async {
        let began = Instant::now();
        let mut socket = match connect_from(url, origin).await {
            Ok(socket) => socket,
            Err(Unconnected::NoAnswer) => {
                let remedy = "HTTP works there: is there a proxy in between that does not pass Upgrade on?";
                return findings.problem(format!("no WebSocket at {}", url.ws()), remedy);
            }
            Err(Unconnected::Refused(error)) => {
                let remedy = match origin {
                    Some(_) => "if the origin is refused, add it to http.allowed_origins",
                    None => "is there a proxy in between that does not pass Upgrade on?",
                };
                return findings.problem(format!("{error:#}"), remedy);
            }
        };
        let _ = socket.send(Message::text(json!({"action": "ping"}).to_string())).await;
        match next(&mut socket, ANSWER, |frame| frame["type"] == "pong").await {
            Some(pong) => {
                findings.ok(format!(
                    "WebSocket: connected and answered within {} ms",
                    began.elapsed().as_millis()
                ));
                skew(&pong, findings);
            }
            None => {
                return findings
                    .problem("WebSocket: connected, but a ping was not answered", "see the hub's log");
            }
        }
        if let Some((is_pattern, name)) = topic {
            subscribe(&mut socket, is_pattern, name, wait, findings).await;
        }
        let _ = socket.close(None).await;
    });
    Ok(())
}

fn skew(pong: &Value, findings: &mut Findings) {
    let Some(Ok(time)) = pong["time"].as_str().map(str::parse::<jiff::Timestamp>) else { return };
    let off_ms = jiff::Timestamp::now().duration_since(time).as_millis();
    let off_ms = i64::try_from(off_ms).unwrap_or(i64::MAX);
    if off_ms.abs() > SKEW_MS {
        let apart = spell_ms(off_ms.unsigned_abs());
        findings.note(
            format!("this clock and the hub's are {apart} apart"),
            "ages of messages are off by as much",
        );
    }
}

async fn subscribe(
    socket: &mut Socket,
    is_pattern: bool,
    name: &str,
    wait: Duration,
    findings: &mut Findings,
) {
    let key = if is_pattern { "pattern" } else { "channel" };
    let request = json!({"action": "subscribe", key: name, "req": 1});
    let _ = socket.send(Message::text(request.to_string())).await;
    let answer = next(socket, ANSWER, |frame| frame["req"] == 1).await;
    let Some(answer) = answer else {
        return findings.problem(format!("subscribing to {name} was not answered"), "see the hub's log");
    };
    if answer["type"] == "error" {
        let (code, message) = (answer["code"].as_str(), answer["message"].as_str());
        let text = format!(
            "subscribing to {name} is refused: {}: {}",
            code.unwrap_or_default(),
            message.unwrap_or_default()
        );
        return findings.problem(text, "");
    }
    let began = Instant::now();
    match next(socket, wait, |frame| frame.get("data").is_some() && frame["offset"].is_u64()).await {
        Some(message) => findings.ok(format!(
            "subscribed; {} came within {} ms",
            message["channel"].as_str().unwrap_or("a message"),
            began.elapsed().as_millis()
        )),
        None => findings.note(
            format!("subscribed, and nothing came within {} s", wait.as_secs()),
            "publish something, or wait longer with --wait",
        ),
    }
}

/// The next frame of a kind, if it comes in time.
async fn next(socket: &mut Socket, within: Duration, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
    let found = async {
        while let Some(Ok(message)) = socket.next().await {
            let frame = message.to_text().ok().and_then(|text| serde_json::from_str::<Value>(text).ok());
            if let Some(frame) = frame.filter(|frame| wanted(frame)) {
                return Some(frame);
            }
        }
        None
    };
    tokio::time::timeout(within, found).await.ok().flatten()
}
