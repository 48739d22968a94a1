//! One dead letter as JSON. The original's JSON stays as it came, within a bound; what is not JSON is kept as text or in
//! Base64.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tapeline_schema::events::DeadLetterReason;

use crate::channel::push_json_string;
use crate::clock::push_rfc3339;
use crate::message::push_number;
use crate::text::cut;

/// Bytes of an original's data that are kept; of more, only how many they were.
const DATA_BYTES: usize = 16 << 10;
/// Of the bytes that a publish may have, so much is the original's: escaped, text may be six times as long.
const DATA_PART: usize = 8;
/// Bytes of an error or a label.
const TEXT_BYTES: usize = 1_024;

/// A message that is given up.
#[derive(Clone, Copy, Debug)]
pub struct GivenUp<'a> {
    /// Who gives up, as the key of the letter's channel.
    pub source: &'a str,
    /// Why.
    pub reason: DeadLetterReason,
    /// In a sentence.
    pub error: &'a str,
    /// How often it was tried.
    pub attempts: u64,
    /// When first, microseconds since 1970.
    pub first_us: u64,
    /// When last.
    pub last_us: u64,
    /// What.
    pub original: Original<'a>,
}

/// What a letter is about, as it was to be published.
#[derive(Clone, Copy, Debug, Default)]
pub struct Original<'a> {
    /// Where; it may be no channel's name.
    pub channel: &'a str,
    /// Its type, where that was not the family's own.
    pub kind: Option<&'a str>,
    /// Mostly JSON.
    pub data: &'a [u8],
    /// As its publisher gave it.
    pub correlation_id: Option<&'a str>,
    /// As its publisher gave it.
    pub idempotency_key: Option<&'a str>,
    /// As its publisher gave it, or its data.
    pub owner: Option<&'a str>,
}

impl GivenUp<'_> {
    /// The letter's data, where a publish may have so many bytes.
    pub(super) fn json(&self, publish_bytes: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.original.data.len().min(DATA_BYTES));
        out.extend_from_slice(b"{\"reason\":");
        push_json_string(&mut out, self.reason.name());
        out.extend_from_slice(b",\"attempts\":");
        push_number(&mut out, self.attempts);
        for (name, at_us) in [("first_at", self.first_us), ("last_at", self.last_us)] {
            out.extend_from_slice(format!(",\"{name}\":\"").as_bytes());
            push_rfc3339(&mut out, at_us);
            out.push(b'"');
        }
        push_field(&mut out, "error", Some(self.error));
        out.extend_from_slice(b",\"original\":");
        self.original.push_json(&mut out, DATA_BYTES.min(publish_bytes / DATA_PART));
        out.push(b'}');
        out
    }
}

impl Original<'_> {
    fn push_json(&self, out: &mut Vec<u8>, data_bytes: usize) {
        out.extend_from_slice(b"{\"channel\":");
        push_json_string(out, cut(self.channel, TEXT_BYTES));
        push_field(out, "type", self.kind);
        push_field(out, "correlation_id", self.correlation_id);
        push_field(out, "idempotency_key", self.idempotency_key);
        push_field(out, "owner", self.owner);
        if self.data.len() > data_bytes {
            out.extend_from_slice(b",\"cut_bytes\":");
            push_number(out, self.data.len() as u64);
        } else if serde_json::from_slice::<IgnoredAny>(self.data).is_ok() {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(self.data);
        } else if let Ok(text) = std::str::from_utf8(self.data) {
            out.extend_from_slice(b",\"text\":");
            push_json_string(out, text);
        } else {
            out.extend_from_slice(b",\"base64\":");
            push_json_string(out, &STANDARD.encode(self.data));
        }
        out.push(b'}');
    }
}

fn push_field(out: &mut Vec<u8>, name: &str, text: Option<&str>) {
    let Some(text) = text else { return };
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
    push_json_string(out, cut(text, TEXT_BYTES));
}

/// The reason that a letter's data names.
pub fn reason_in(data: &[u8]) -> Box<str> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        reason: Cow<'a, str>,
    }
    serde_json::from_slice::<Named<'_>>(data).map(|named| named.reason.into()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn letter(data: &[u8], publish_bytes: usize) -> String {
        let original = Original { channel: "news", kind: Some("k\n"), data, ..Original::default() };
        let given_up = GivenUp {
            source: "test",
            reason: DeadLetterReason::Refused,
            error: &"é".repeat(1_000),
            attempts: 2,
            first_us: 0,
            last_us: 1,
            original,
        };
        String::from_utf8(given_up.json(publish_bytes)).unwrap()
    }

    #[test]
    fn json_stays_as_it_came_and_other_bytes_can_be_had_again() {
        let text = letter(br#"{"price": 1.10,  "q":1e400}"#, 1 << 20);
        assert!(text.contains(r#""data":{"price": 1.10,  "q":1e400}}"#), "{text}");
        let deep = "[".repeat(8_000) + &"]".repeat(8_000);
        assert!(letter(deep.as_bytes(), 1 << 20).contains(&format!(r#""data":{deep}}}"#)));
        let value: Value = serde_json::from_str(&letter(b"{\"cut", 1 << 20)).unwrap();
        assert_eq!(
            (&value["original"]["text"], &value["original"]["type"]),
            (&"{\"cut".into(), &"k\n".into())
        );
        assert_eq!(value["error"].as_str().unwrap().len(), TEXT_BYTES);
        let value: Value = serde_json::from_str(&letter(&[0xff, 0], 1 << 20)).unwrap();
        assert_eq!(value["original"]["base64"], "/wA=");
        assert_eq!(&*reason_in(letter(b"1", 1 << 20).as_bytes()), "refused");
    }

    #[test]
    fn what_is_too_long_is_only_measured() {
        let value: Value = serde_json::from_str(&letter(&[b'1'; DATA_BYTES + 1], 1 << 20)).unwrap();
        assert_eq!(value["original"]["cut_bytes"], DATA_BYTES + 1);
        assert!(value["original"].get("data").is_none());
        let value: Value = serde_json::from_str(&letter(&[b'1'; 9], 64)).unwrap();
        assert_eq!(value["original"]["cut_bytes"], 9, "it has to fit into a publish");
    }
}
