//! The way a client goes: handshake, ping, and a subscription that waits for a message.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::super::hub_url::HubUrl;
use super::super::output::counted;
use super::super::socket::{Socket, Unconnected, connect_from};
use super::asking::PATIENCE;
use super::finding::{Findings, spell_ms};
use super::token;

/// What is kept comes at once; it has so long, however short the wait for what is new.
const KEPT: Duration = Duration::from_millis(500);
/// Clocks that differ by more confuse ages.
const SKEW_MS: i64 = 2_000;

/// What is subscribed to, and for how long a message is waited for.
pub(super) struct Topic<'a> {
    pub(super) is_pattern: bool,
    pub(super) name: &'a str,
    pub(super) wait: Duration,
}

/// Connects, pings, and hears the topic for a while. An open hub asks nobody who they are.
pub(super) fn examine(
    url: &HubUrl,
    origin: Option<&str>,
    topic: Option<&Topic<'_>>,
    is_open: bool,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the network could not be started")?;
    runtime.block_on(async {
        let began = Instant::now();
        let connecting = tokio::time::timeout(PATIENCE, connect_from(url, origin)).await;
        let mut socket = match connecting.unwrap_or(Err(Unconnected::NoAnswer)) {
            Ok(socket) => socket,
            Err(error) => return unconnected(error, url, origin, findings),
        };
        let _ = socket.send(Message::text(json!({"action": "ping"}).to_string())).await;
        match next(&mut socket, PATIENCE, |frame| frame["type"] == "pong").await {
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
        if let Ok(Some(given)) = url.access().token() {
            let request = json!({"action": "token", "token": given, "req": 0});
            let _ = socket.send(Message::text(request.to_string())).await;
            let is_answer = |frame: &Value| frame["type"] == "token_ok" || frame["req"] == 0;
            let answer = next(&mut socket, PATIENCE, is_answer).await;
            token::examine(&given, answer.as_ref(), is_open, findings);
        }
        if let Some(topic) = topic {
            subscribe(&mut socket, topic, findings).await;
        }
        let _ = tokio::time::timeout(PATIENCE, socket.close(None)).await;
    });
    Ok(())
}

fn unconnected(error: Unconnected, url: &HubUrl, origin: Option<&str>, findings: &mut Findings) {
    match (error, origin) {
        (Unconnected::Unauthorized(error), _) => {
            findings.problem(format!("WebSocket: {error:#}"), "docs/security.md says how tokens are made");
        }
        (Unconnected::NoAnswer, _) => findings.problem(
            format!("no WebSocket at {}", url.ws()),
            "HTTP works there: is there a proxy in between that does not pass Upgrade on?",
        ),
        // The next doctor meets it there.
        (Unconnected::Refused(error), Some(origin)) => findings.problem(
            format!("WebSocket: {error:#}; that {origin} was tried here is now among the hub's incidents"),
            "if the origin is refused, add it to http.allowed_origins",
        ),
        (Unconnected::Refused(error), None) => findings.problem(
            format!("WebSocket: {error:#}"),
            "is there a proxy in between that does not pass Upgrade on?",
        ),
    }
}

fn skew(pong: &Value, findings: &mut Findings) {
    let Some(time) = time(&pong["time"]) else { return };
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

fn time(text: &Value) -> Option<jiff::Timestamp> {
    text.as_str()?.parse().ok()
}

async fn subscribe(socket: &mut Socket, topic: &Topic<'_>, findings: &mut Findings) {
    let name = topic.name;
    let key = if topic.is_pattern { "pattern" } else { "channel" };
    let request = json!({"action": "subscribe", key: name, "req": 1});
    let _ = socket.send(Message::text(request.to_string())).await;
    let answer = next(socket, PATIENCE, |frame| frame["req"] == 1).await;
    let Some(answer) = &answer else {
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
    hear(socket, answer, topic.wait, findings).await;
}

/// What comes: first what is kept, then perhaps something new.
async fn hear(socket: &mut Socket, confirmation: &Value, wait: Duration, findings: &mut Findings) {
    let began = Instant::now();
    let (mut kept, mut example) = (0, String::new());
    let new = loop {
        let most = if kept == 0 { wait.max(KEPT) } else { wait };
        let left = most.saturating_sub(began.elapsed());
        let is_message = |frame: &Value| frame.get("data").is_some() && frame["offset"].is_u64();
        let Some(message) = &next(socket, left, is_message).await else { break None };
        let channel = message["channel"].as_str().unwrap_or_default().to_string();
        if is_new(message, confirmation) {
            break Some(channel);
        }
        (kept, example) = (kept + 1, channel);
    };
    findings.ok(match kept {
        0 => "subscribed".to_string(),
        1 => format!("subscribed; the kept value of {example} came"),
        _ => format!("subscribed; {} came, the last of {example}", counted(kept, "kept message")),
    });
    match new {
        Some(channel) => {
            findings.ok(format!("a new message of {channel} came within {} ms", began.elapsed().as_millis()))
        }
        None if wait.is_zero() => {}
        None => findings.note(
            format!("nothing new came within {} s", wait.as_secs()),
            "publish something, or wait longer with --wait",
        ),
    }
}

/// Whether it was published after the confirmation: by its offset, or by its time where the confirmation is about several
/// channels.
fn is_new(message: &Value, confirmation: &Value) -> bool {
    let is_same = ["channel", "epoch"].iter().all(|key| message[*key] == confirmation[*key]);
    match (message["offset"].as_u64(), confirmation["offset"].as_u64()) {
        (Some(offset), Some(confirmed)) if is_same => offset > confirmed,
        _ => time(&message["timestamp"]) > time(&confirmation["time"]),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_told_from_what_is_new() {
        let of_channel = json!({"channel": "a", "offset": 7, "epoch": "k", "time": "2026-01-01T00:00:10Z"});
        let message = |offset: u64, second: u64| json!({"channel": "a", "offset": offset, "epoch": "k", "timestamp": format!("2026-01-01T00:00:{second}Z")});
        // A clock that was set back does not matter where offsets count.
        for (offset, second, expected) in [(7, 20, false), (8, 20, true), (8, 10, true)] {
            assert_eq!(is_new(&message(offset, second), &of_channel), expected, "{offset} {second}");
        }
        let of_pattern = json!({"pattern": "a*", "time": "2026-01-01T00:00:10.5Z"});
        assert!(!is_new(&message(9, 10), &of_pattern) && is_new(&message(1, 11), &of_pattern));
    }
}
