//! Events as JSON, an object each: `event` says what it is, numbers have the digits that the venue wrote.

use std::fmt::Write;

use serde_json::json;
use tapeline_core::Now;
use tapeline_core::clock::rfc3339;
use tapeline_core::feed::{Update, UpdateKind};
use tapeline_feeds::venue::{BookChange, Event};

use super::show::{reason, state_word};

/// The line of an event.
pub(super) fn line(event: &Event, now: Now) -> Option<String> {
    let received = rfc3339(now.wall_us);
    let told = match event {
        Event::Update(update) => return Some(of_update(update)),
        Event::Book(change) => return Some(of_book(change)),
        Event::BookLost { symbol, why } => {
            json!({"event": "book_lost", "symbol": **symbol, "why": reason(why)})
        }
        Event::Gap { channel, symbol, why } => {
            json!({"event": "gap", "channel": channel.name(), "symbol": symbol.as_deref(), "why": reason(why)})
        }
        Event::Connected => json!({"event": "connected"}),
        Event::Disconnected { why } => json!({"event": "disconnected", "why": **why}),
        Event::State(state) => json!({"event": "state", "state": state_word(*state)}),
        Event::Refused { channel, symbol, error } => json!({
            "event": "refused", "channel": channel.name(), "symbol": symbol.as_deref(), "error": **error,
        }),
        Event::Unanswered { channel, symbol, error } => json!({
            "event": "unanswered", "channel": channel.name(), "symbol": symbol.as_deref(), "error": error.as_deref(),
        }),
        Event::Held { channel, symbol } => {
            json!({"event": "held", "channel": channel.name(), "symbol": symbol.as_deref()})
        }
        Event::Silent { channel, symbol, .. } => {
            json!({"event": "silent", "channel": channel.name(), "symbol": symbol.as_deref()})
        }
        Event::Resumed { channel, symbol } => {
            json!({"event": "resumed", "channel": channel.name(), "symbol": symbol.as_deref()})
        }
    };
    let mut told = told;
    if let Some(fields) = told.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
        fields.insert("received".to_string(), received.into());
    }
    Some(told.to_string())
}

fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn of_update(update: &Update) -> String {
    let mut line = format!("{{\"event\":{}", quoted(update.channel.name()));
    let kind = if update.kind == UpdateKind::Snapshot { "snapshot" } else { "update" };
    let _ = write!(line, ",\"kind\":\"{kind}\"");
    if let Some(symbol) = &update.symbol {
        let _ = write!(line, ",\"symbol\":{}", quoted(symbol));
    }
    let data = String::from_utf8_lossy(&update.data);
    let _ = write!(line, ",\"data\":{data},\"received\":\"{}\"}}", rfc3339(update.received.wall_us));
    line
}

fn of_book(change: &BookChange) -> String {
    let kind = if change.is_snapshot { "snapshot" } else { "update" };
    let rows = change.rows.iter().map(|row| format!("[\"{}\",{},{}]", row.side.letter(), row.price, row.qty));
    let rows: Vec<String> = rows.collect();
    let mut line = format!("{{\"event\":\"book\",\"kind\":\"{kind}\",\"symbol\":{}", quoted(&change.symbol));
    let _ = write!(line, ",\"rows\":[{}]", rows.join(","));
    if let Some(checksum) = change.checksum {
        let _ = write!(line, ",\"checksum\":{checksum}");
    }
    if let Some(timestamp) = &change.timestamp {
        let _ = write!(line, ",\"timestamp\":{}", quoted(timestamp));
    }
    let _ = write!(line, ",\"received\":\"{}\"}}", rfc3339(change.received.wall_us));
    line
}
