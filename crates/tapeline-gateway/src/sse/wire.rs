//! Messages and replies as events of an event stream (HTML Living Standard, section 9.2): `id`, `event`, `data`, an empty
//! line. The data is the object that a native client would get.

use bytes::Bytes;
use tapeline_core::message::{push_number, slot};
use tapeline_core::{Message, Reply, Wire};
use tapeline_schema::CloseCode;

use super::again::retry_ms;
use crate::native::said;

/// The byte format of event streams.
pub(super) static SSE: SseWire = SseWire;

/// See [`SSE`].
pub(super) struct SseWire;

/// An error's event is not called `error`, which is how an `EventSource` says that the connection is lost.
const REFUSAL: &str = "refusal";

impl Wire for SseWire {
    fn slot(&self) -> usize {
        slot::SSE
    }

    fn message(&self, message: &Message) -> Box<[u8]> {
        let mut json = Vec::with_capacity(message.weight());
        message.push_json(&mut json);
        let mut out = Vec::with_capacity(json.len() + 64);
        push_id(&mut out, &message.epoch, message.offset);
        push_event(&mut out, message.kind(), &json);
        out.into_boxed_slice()
    }

    fn reply(&self, reply: &Reply) -> Bytes {
        let (kind, json) = said(reply);
        let kind = if matches!(reply, Reply::Error { .. }) { REFUSAL } else { kind };
        let mut out = Vec::with_capacity(json.len() + 64);
        if let Reply::Reconnect { after_ms } = reply {
            out.extend_from_slice(b"retry: ");
            push_number(&mut out, retry_ms(*after_ms));
            out.push(b'\n');
        }
        if let Reply::Confirmed(confirmation) = reply
            && let (Some((_, epoch)), Some(stands)) = (&confirmation.head, confirmation.stands)
            && confirmation.recovered.is_none()
        {
            // Who is cut off before the first message still knows where it stood. Who resumes has not come so far yet.
            push_id(&mut out, epoch, stands);
        }
        push_event(&mut out, kind, &json);
        out.into()
    }

    fn close(&self, code: CloseCode, reason: &str) -> Bytes {
        let json = serde_json::json!({ "type": "closed", "code": code.number(), "reason": reason });
        let mut out = Vec::new();
        push_event(&mut out, "closed", json.to_string().as_bytes());
        out.into()
    }

    fn ping(&self) -> Bytes {
        Bytes::new()
    }

    fn may_be_silent(&self) -> bool {
        true
    }
}

fn push_id(out: &mut Vec<u8>, epoch: &str, offset: u64) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(epoch.as_bytes());
    out.push(b':');
    push_number(out, offset);
    out.push(b'\n');
}

/// Appends the lines of an event. A line ends at a line feed, a carriage return or both, wherever the name or the data has
/// them: a publisher's data may.
fn push_event(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend(name.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    out.push(b'\n');
    for line in lines(data) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
            return rest.take();
        };
        let (line, ended) = text.split_at(end);
        let ending = if ended.starts_with(b"\r\n") { 2 } else { 1 };
        rest = ended.get(ending..);
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> String {
        let mut out = Vec::new();
        push_event(&mut out, name, data.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn data_of_many_lines_stays_one_event() {
        assert_eq!(event("price", "{}"), "event: price\ndata: {}\n\n");
        assert_eq!(event("p", "{\n\"a\":\r\n1\r}"), "event: p\ndata: {\ndata: \"a\":\ndata: 1\ndata: }\n\n");
        assert_eq!(event("p", "{\n\n}"), "event: p\ndata: {\ndata: \ndata: }\n\n");
    }

    #[test]
    fn a_type_cannot_begin_a_line_of_its_own() {
        assert_eq!(event("a\ndata: forged\r\n", "1"), "event: a data: forged  \ndata: 1\n\n");
    }
}
