//! Messages and replies as Socket.IO events in WebSocket text frames. A message's frame is made once and shared by all
//! Socket.IO clients; over long polling its header is taken off again (`body`). What a reply answers is read from the
//! mark that `commands` has put into its `req`. It knows no session.

use std::collections::BTreeMap;

use bytes::Bytes;
use tapeline_codec::socketio::{MAIN, is_reserved};
use tapeline_codec::websocket::Opcode;
use tapeline_codec::websocket::encoder::{close_frame, frame_header, header_len, text_frame};
use tapeline_core::channel::push_json_string;
use tapeline_core::clock::push_rfc3339;
use tapeline_core::message::{push_base64, push_number, slot};
use tapeline_core::{Message, Reply, Wire};
use tapeline_schema::CloseCode;

use super::mark::Mark;
use crate::native;

/// What an event is called whose type clients take for a breach of the protocol.
const INSTEAD: &str = "message";

/// Which event a channel's messages are, where it is not the one of their type: by channel, or by family.
pub(crate) type Events = BTreeMap<String, String>;

/// The byte format: one value for each of what a client may have asked for.
pub struct SocketIoWire {
    headers: bool,
    /// Only what the client has asked for is answered; it has not subscribed anything itself.
    quiet: bool,
    events: Option<&'static Events>,
}

/// The byte formats of one hub.
pub(crate) struct Wires([SocketIoWire; 4]);

/// Those of a hub whose settings rename no event.
pub(crate) static USUAL: Wires = Wires::new(None);

impl Wires {
    const fn new(events: Option<&'static Events>) -> Self {
        Wires([
            SocketIoWire { headers: false, quiet: true, events },
            SocketIoWire { headers: false, quiet: false, events },
            SocketIoWire { headers: true, quiet: true, events },
            SocketIoWire { headers: true, quiet: false, events },
        ])
    }

    /// Those of a hub with these events; they live as long as the process, as wires do.
    pub(crate) fn of(events: &Events) -> &'static Self {
        if events.is_empty() {
            return &USUAL;
        }
        Box::leak(Box::new(Wires::new(Some(Box::leak(Box::new(events.clone()))))))
    }

    /// The one for such a client.
    pub(crate) fn pick(&'static self, headers: bool, quiet: bool) -> &'static SocketIoWire {
        let [bare_quiet, bare, with_quiet, with] = &self.0;
        match (headers, quiet) {
            (false, true) => bare_quiet,
            (false, false) => bare,
            (true, true) => with_quiet,
            (true, false) => with,
        }
    }
}

/// The format of a client that has subscribed something and takes the bare data.
pub fn plain() -> &'static SocketIoWire {
    USUAL.pick(false, false)
}

impl SocketIoWire {
    fn event<'a>(&'a self, message: &'a Message) -> &'a str {
        let renamed = self.events.and_then(|events| {
            let name = message.channel.name();
            let family = name.split(':').next().unwrap_or(name);
            events.get(name).or_else(|| events.get(family))
        });
        match renamed {
            Some(event) => event,
            None if is_reserved(message.kind()) => INSTEAD,
            None => message.kind(),
        }
    }
}

impl Wire for SocketIoWire {
    fn slot(&self) -> usize {
        if self.headers { slot::SOCKET_IO_HEADERS } else { slot::SOCKET_IO }
    }

    fn message(&self, message: &Message) -> Box<[u8]> {
        // Rarely is a message so near to a length with another header that its weight tells the wrong one.
        let room = header_len(message.weight());
        let mut out = Vec::with_capacity(room + message.weight());
        out.resize(room, 0);
        out.extend_from_slice(b"42[");
        push_json_string(&mut out, self.event(message));
        out.push(b',');
        push_data(&mut out, message);
        if self.headers {
            out.push(b',');
            push_header(&mut out, message);
        }
        out.push(b']');
        let header = frame_header(Opcode::Text, out.len() - room);
        out.splice(..room, header.as_bytes().iter().copied());
        out.into_boxed_slice()
    }

    fn reply(&self, reply: &Reply) -> Bytes {
        let mark = Mark::read(reply.req().as_deref());
        let (name, object) = match mark {
            Mark::Quiet if !matches!(reply, Reply::Error { .. }) => return Bytes::new(),
            _ => native::said(reply),
        };
        let mut out = Vec::with_capacity(object.len() + 40);
        match (mark, reply) {
            (Mark::Connect(sid), Reply::TokenOk { .. }) => push_joined(&mut out, MAIN, sid),
            (Mark::Connect(_), Reply::Error { refusal, .. }) => {
                push_not_joined(&mut out, MAIN, &refusal.message, Some(refusal.code.name()));
            }
            (Mark::Ack(number), _) => {
                out.extend_from_slice(b"43");
                out.extend_from_slice(number.as_bytes());
                out.push(b'[');
                out.extend_from_slice(&object);
                out.push(b']');
            }
            (Mark::Elsewhere(namespace), Reply::Error { refusal, .. }) => {
                push_not_joined(&mut out, namespace, &refusal.message, Some(refusal.code.name()));
            }
            (Mark::None, _) if self.quiet && is_notice(reply) => return Bytes::new(),
            // What was done for the client without its asking is told where it could not be done.
            (Mark::None | Mark::Quiet, _) => {
                out.extend_from_slice(b"42[");
                push_json_string(&mut out, name);
                out.push(b',');
                out.extend_from_slice(&object);
                out.push(b']');
            }
            _ => return Bytes::new(),
        }
        text_frame(&out).into()
    }

    fn close(&self, code: CloseCode, reason: &str) -> Bytes {
        close_frame(Some(code.number()), reason).into()
    }

    fn ping(&self) -> Bytes {
        text_frame(b"2").into()
    }
}

/// What the hub says on its own account to whoever hears channels that it has asked for.
fn is_notice(reply: &Reply) -> bool {
    matches!(
        reply,
        Reply::Gap { .. }
            | Reply::Conflated { .. }
            | Reply::Freshness { .. }
            | Reply::BookResync { .. }
            | Reply::Degraded(_)
            | Reply::Time { pong: false, .. }
            | Reply::Reconnect { .. }
    )
}

fn push_data(out: &mut Vec<u8>, message: &Message) {
    if message.is_json() {
        out.extend_from_slice(&message.data);
    } else {
        out.extend_from_slice(b"{\"data_b64\":\"");
        push_base64(out, &message.data);
        out.extend_from_slice(b"\"}");
    }
}

fn push_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b',');
    push_json_string(out, name);
    out.push(b':');
    push_json_string(out, value);
}

/// What the native protocol says beside the data, by which a client can resume.
fn push_header(out: &mut Vec<u8>, message: &Message) {
    out.extend_from_slice(b"{\"channel\":");
    push_json_string(out, message.channel.name());
    push_field(out, "type", message.kind());
    out.extend_from_slice(b",\"offset\":");
    push_number(out, message.offset);
    push_field(out, "epoch", &message.epoch);
    out.extend_from_slice(b",\"timestamp\":\"");
    push_rfc3339(out, message.timestamp_us);
    out.push(b'"');
    push_field(out, "id", &message.id.to_string());
    if let Some(correlation_id) = &message.correlation_id {
        push_field(out, "correlation_id", correlation_id);
    }
    if !message.roll_ups.is_empty() {
        out.extend_from_slice(b",\"rollup\":{");
        for (n, mark) in message.roll_ups.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            push_json_string(out, mark.channel.name());
            out.extend_from_slice(b":{\"offset\":");
            push_number(out, mark.offset);
            push_field(out, "epoch", &mark.epoch);
            out.push(b'}');
        }
        out.push(b'}');
    }
    out.push(b'}');
}

fn push_namespace(out: &mut Vec<u8>, namespace: &str) {
    if namespace != MAIN {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
}

/// Says that a namespace is joined; the client is called so there.
pub(super) fn push_joined(out: &mut Vec<u8>, namespace: &str, sid: &str) {
    out.extend_from_slice(b"40");
    push_namespace(out, namespace);
    out.extend_from_slice(b"{\"sid\":");
    push_json_string(out, sid);
    out.push(b'}');
}

/// Says that a namespace is not joined, and why.
pub(super) fn push_not_joined(out: &mut Vec<u8>, namespace: &str, message: &str, code: Option<&str>) {
    out.extend_from_slice(b"44");
    push_namespace(out, namespace);
    out.extend_from_slice(b"{\"message\":");
    push_json_string(out, message);
    if let Some(code) = code {
        out.extend_from_slice(b",\"data\":{\"code\":");
        push_json_string(out, code);
        out.push(b'}');
    }
    out.push(b'}');
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
