//! Frames as lines for people.

use super::super::output::shown;
use super::frame::{Heard, Said};

/// Names that a confirmation lists.
const COVERS: usize = 5;

/// Time, channel, offset, type, data.
pub(super) fn message(message: &Heard<'_>) -> String {
    let Heard { kind, channel, timestamp, data, offset, .. } = message;
    shown(&format!("{timestamp} {channel} {offset} {kind} {}", data.get())).into_owned()
}

/// What the hub says itself; `None` for signs of life.
pub(super) fn sentence(said: &Said) -> Option<String> {
    let about = said.about();
    Some(match said.kind() {
        "heartbeat" | "pong" => return None,
        "subscription_confirmed" => confirmation(said),
        "gap" => gap(said),
        "notice" => {
            let count = said.number("count").map(|count| format!(" {count}")).unwrap_or_default();
            format!("notice {about}: {}{count}", said.text("notice").unwrap_or_default())
        }
        "error" => {
            let colon = if about.is_empty() { "error" } else { "error " };
            let (message, code) =
                (said.text("message").unwrap_or_default(), said.text("code").unwrap_or_default());
            format!("{colon}{about}: {message} ({code})")
        }
        "token_expiring" => format!("the token ends in {} s", said.number("in_s").unwrap_or_default()),
        "token_ok" => match said.text("expires_at") {
            Some(end) => format!("the hub takes the token, until {end}"),
            None => "the hub takes the token".to_string(),
        },
        "reconnect" => "the hub asks to connect again".to_string(),
        other => format!("{other} {about}"),
    })
}

fn confirmation(said: &Said) -> String {
    let mut facts = Vec::new();
    if let Some(place) = said.place() {
        facts.push(format!("offset {}, epoch {}", place.offset, place.epoch));
    }
    if said.flag("recovered") == Some(false) {
        facts.push("not everything was kept".to_string());
    }
    if let Some(rate) = said.number("max_rate") {
        facts.push(format!("at most {rate} a second"));
    }
    if said.flag("declared") == Some(false) {
        facts.push("no family declares it".to_string());
    }
    if let Some(hint) = said.text("hint") {
        facts.push(hint.to_string());
    }
    let covers: Vec<&str> = said.list("covers").collect();
    if let Some(shown) = covers.get(..COVERS.min(covers.len())).filter(|shown| !shown.is_empty()) {
        let more = covers.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        facts.push(format!("covers {}{more}", shown.join(", ")));
    }
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join("; ")) };
    format!("subscribed {}{facts}", said.about())
}

fn gap(said: &Said) -> String {
    let (about, reason) = (said.about(), said.text("reason").unwrap_or_default());
    match (said.number("from"), said.number("to")) {
        (Some(from), Some(to)) => format!("gap {about}: offsets {from} to {to} are missing ({reason})"),
        (Some(from), None) if reason == "epoch" => {
            format!(
                "gap {about}: what came from offset {from} on is unknown, the channel counts anew (epoch)"
            )
        }
        (Some(from), None) => format!("gap {about}: offsets from {from} on are missing ({reason})"),
        (None, _) => format!("gap {about} ({reason})"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Frame;
    use super::*;

    fn said(json: &str) -> Option<String> {
        match Frame::read(json) {
            Some(Frame::Said(said)) => sentence(&said),
            Some(Frame::Message(heard)) => Some(message(&heard)),
            None => panic!("not a frame: {json}"),
        }
    }

    #[test]
    fn each_frame_is_one_sentence() {
        let cases = [
            (
                r#"{"type":"subscription_confirmed","channel":"markt_data:A","offset":0,"epoch":"k","declared":false,"hint":"did you mean market_data:A?"}"#,
                "subscribed markt_data:A (offset 0, epoch k; no family declares it; did you mean market_data:A?)",
            ),
            (
                r#"{"type":"subscription_confirmed","pattern":"*","recovered":false,"max_rate":10,"covers":["1","2","3","4","5","6"]}"#,
                "subscribed * (not everything was kept; at most 10 a second; covers 1, 2, 3, 4, 5 and 1 more)",
            ),
            (
                r#"{"type":"gap","channel":"c","from":4,"to":6,"reason":"trimmed"}"#,
                "gap c: offsets 4 to 6 are missing (trimmed)",
            ),
            (
                r#"{"type":"gap","channel":"c","from":4,"to":null,"reason":"epoch"}"#,
                "gap c: what came from offset 4 on is unknown, the channel counts anew (epoch)",
            ),
            (r#"{"type":"notice","notice":"conflated","channel":"c","count":3}"#, "notice c: conflated 3"),
            (r#"{"type":"token_expiring","in_s":60}"#, "the token ends in 60 s"),
            (
                r#"{"type":"token_ok","expires_at":"2026-01-01T13:00:00Z"}"#,
                "the hub takes the token, until 2026-01-01T13:00:00Z",
            ),
            (r#"{"type":"error","code":"bad_json","message":"no"}"#, "error: no (bad_json)"),
            (
                r#"{"type":"t","channel":"c","data":{"a": 1.50},"timestamp":"T","id":"i","offset":7,"epoch":"k","symbol":"S"}"#,
                "T c 7 t {\"a\": 1.50}",
            ),
        ];
        for (json, sentence) in cases {
            assert_eq!(said(json).as_deref(), Some(sentence));
        }
        assert_eq!(said(r#"{"type":"heartbeat","time":"T"}"#), None);
    }
}
