//! Messages and replies as JSON text frames. A message's frame is made once, header included, and shared by every
//! connection: server frames are not masked (RFC 6455 section 5.1).

use bytes::Bytes;
use tapeline_codec::websocket::Opcode;
use tapeline_codec::websocket::encoder::{close_frame, frame_header, header_len, ping_frame, text_frame};
use tapeline_core::channel::push_json_string;
use tapeline_core::clock::push_rfc3339;
use tapeline_core::command::Req;
use tapeline_core::message::push_number;
use tapeline_core::reply::{Confirmation, Topic};
use tapeline_core::{Channel, Message, Reply, Wire};
use tapeline_schema::CloseCode;

/// The native protocol's byte format.
pub static NATIVE: NativeWire = NativeWire;

/// See [`NATIVE`].
pub struct NativeWire;

impl Wire for NativeWire {
    fn slot(&self) -> usize {
        0
    }

    fn message(&self, message: &Message) -> Box<[u8]> {
        // Rarely is a message so near to a length with another header that its weight tells the wrong one.
        let room = header_len(message.weight());
        let mut out = Vec::with_capacity(room + message.weight());
        out.resize(room, 0);
        message.push_json(&mut out);
        let header = frame_header(Opcode::Text, out.len() - room);
        out.splice(..room, header.as_bytes().iter().copied());
        out.into_boxed_slice()
    }

    fn reply(&self, reply: &Reply) -> Bytes {
        let mut out = Vec::with_capacity(256);
        push_reply(&mut out, reply);
        text_frame(&out).into()
    }

    fn close(&self, code: CloseCode, reason: &str) -> Bytes {
        close_frame(Some(code.number()), reason).into()
    }

    fn ping(&self) -> Bytes {
        ping_frame(b"").into()
    }
}

/// A JSON object that grows field by field.
struct Object<'a>(&'a mut Vec<u8>);

impl<'a> Object<'a> {
    fn typed(out: &'a mut Vec<u8>, kind: &str) -> Self {
        out.extend_from_slice(b"{\"type\":");
        push_json_string(out, kind);
        Object(out)
    }

    fn key(&mut self, name: &str) -> &mut Vec<u8> {
        self.0.push(b',');
        push_json_string(self.0, name);
        self.0.push(b':');
        self.0
    }

    fn text(&mut self, name: &str, value: &str) {
        push_json_string(self.key(name), value);
    }

    fn number(&mut self, name: &str, value: u64) {
        push_number(self.key(name), value);
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.key(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn time(&mut self, name: &str, time_us: u64) {
        let out = self.key(name);
        out.push(b'"');
        push_rfc3339(out, time_us);
        out.push(b'"');
    }

    fn list<T>(&mut self, name: &str, items: impl IntoIterator<Item = T>, push: impl Fn(&mut Vec<u8>, T)) {
        let out = self.key(name);
        out.push(b'[');
        for (n, item) in items.into_iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            push(out, item);
        }
        out.push(b']');
    }

    /// The channel and its key fields under their own names, as in messages.
    fn channel(&mut self, channel: &Channel) {
        self.text("channel", channel.name());
        if !channel.is_roll_up() {
            for (key, value) in channel.spec().keys_of(channel.name()) {
                self.text(key, value);
            }
        }
    }

    fn end(mut self, req: &Req) {
        if let Some(req) = req {
            self.key("req").extend_from_slice(req.as_bytes());
        }
        self.0.push(b'}');
    }
}

/// What a reply is called, and its object, without what it echoes: for protocols that have a place of their own for that.
pub(crate) fn said(reply: &Reply) -> (&'static str, Vec<u8>) {
    let kind = match reply {
        Reply::Confirmed(_) => "subscription_confirmed",
        Reply::Unsubscribed { .. } => "unsubscription_confirmed",
        Reply::Gap { .. } => "gap",
        Reply::Conflated { .. } | Reply::Freshness { .. } | Reply::BookResync { .. } | Reply::Degraded(_) => {
            "notice"
        }
        Reply::Published { .. } => "published",
        Reply::Last { .. } => "last",
        Reply::History { .. } => "history",
        Reply::Subscriptions { .. } => "subscriptions",
        Reply::Time { pong: true, .. } => "pong",
        Reply::Time { pong: false, .. } => "heartbeat",
        Reply::TokenOk { .. } => "token_ok",
        Reply::TokenExpiring { .. } => "token_expiring",
        Reply::Reconnect { .. } => "reconnect",
        Reply::Error { .. } => "error",
    };
    let mut out = Vec::with_capacity(256);
    push_reply(&mut out, reply);
    // The echo is what an object ends with.
    let echo = reply.req().as_ref().map(|req| format!(",\"req\":{req}}}"));
    if let Some(echo) = echo.filter(|echo| out.ends_with(echo.as_bytes())) {
        out.truncate(out.len() - echo.len());
        out.push(b'}');
    }
    (kind, out)
}

fn push_reply(out: &mut Vec<u8>, reply: &Reply) {
    match reply {
        Reply::Confirmed(confirmation) => push_confirmation(out, confirmation),
        Reply::Unsubscribed { topic, req } => {
            let mut object = Object::typed(out, "unsubscription_confirmed");
            match topic {
                Some((is_pattern, name)) => object.text(topic_key(*is_pattern), name),
                None => object.flag("all", true),
            }
            object.end(req);
        }
        Reply::Gap { channel, from, to, reason } => {
            let mut object = Object::typed(out, "gap");
            object.channel(channel);
            object.number("from", *from);
            match to {
                Some(to) => object.number("to", *to),
                None => object.key("to").extend_from_slice(b"null"),
            }
            object.text("reason", reason.name());
            object.end(&None);
        }
        Reply::Conflated { .. } | Reply::Freshness { .. } | Reply::BookResync { .. } | Reply::Degraded(_) => {
            push_notice(out, reply)
        }
        Reply::Time { pong, time_us, req } => {
            let mut object = Object::typed(out, if *pong { "pong" } else { "heartbeat" });
            object.time("time", *time_us);
            object.end(req);
        }
        Reply::TokenOk { until_us, req } => {
            let mut object = Object::typed(out, "token_ok");
            if let Some(until_us) = until_us {
                object.time("expires_at", *until_us);
            }
            object.end(req);
        }
        Reply::TokenExpiring { in_s } => {
            let mut object = Object::typed(out, "token_expiring");
            object.number("in_s", *in_s);
            object.end(&None);
        }
        Reply::Reconnect { after_ms } => {
            let mut object = Object::typed(out, "reconnect");
            object.number("after_ms", *after_ms);
            object.end(&None);
        }
        Reply::Subscriptions { topics, req } => {
            let mut object = Object::typed(out, "subscriptions");
            for (key, patterns) in [("channels", false), ("patterns", true)] {
                let names =
                    topics.iter().filter(|(is_pattern, _)| *is_pattern == patterns).map(|(_, name)| name);
                object.list(key, names, |out, name| push_json_string(out, name));
            }
            object.end(req);
        }
        Reply::Error { refusal, about, req } => {
            let mut object = Object::typed(out, "error");
            object.text("code", refusal.code.name());
            object.text("message", &refusal.message);
            if let Some(millis) = refusal.retry_after_ms {
                object.number("retry_after_ms", millis.into());
            }
            if let Some(about) = about {
                object.text("channel", about);
            }
            object.end(req);
        }
        Reply::Published { .. } | Reply::Last { .. } | Reply::History { .. } => push_answer(out, reply),
    }
}

fn push_notice(out: &mut Vec<u8>, reply: &Reply) {
    let mut object = Object::typed(out, "notice");
    match reply {
        Reply::Conflated { channel, count } => {
            object.text("notice", "conflated");
            object.channel(channel);
            object.number("count", *count);
        }
        Reply::Freshness { channel, state, age_ms } => {
            let stale = state.is_stale();
            object.text("notice", if stale { "stale" } else { "restored" });
            object.channel(channel);
            if stale {
                object.text("state", state.name());
                object.number("age_ms", *age_ms);
            }
        }
        Reply::BookResync { channel } => {
            object.text("notice", "book_resync");
            object.channel(channel);
        }
        Reply::Degraded(degraded) => {
            object.text("notice", if *degraded { "degraded" } else { "restored" });
        }
        _ => {}
    }
    object.end(&None);
}

fn push_answer(out: &mut Vec<u8>, reply: &Reply) {
    match reply {
        Reply::Published { channel, receipt, subscribers, req } => {
            let mut object = Object::typed(out, "published");
            object.text("channel", channel.name());
            object.text("id", &receipt.id.to_string());
            if receipt.held {
                object.flag("held", true);
            } else {
                object.number("offset", receipt.offset);
                object.text("epoch", &receipt.epoch);
                object.flag("duplicate", receipt.duplicate);
            }
            object.number("subscribers", *subscribers as u64);
            object.end(req);
        }
        Reply::Last { channel, message, req } => {
            let mut object = Object::typed(out, "last");
            object.channel(channel);
            let value = object.key("message");
            match message {
                Some(message) => message.push_json(value),
                None => value.extend_from_slice(b"null"),
            }
            object.end(req);
        }
        Reply::History { channel, epoch, messages, next, req } => {
            let mut object = Object::typed(out, "history");
            object.channel(channel);
            object.text("epoch", epoch);
            object.list("messages", messages, |out, message| message.push_json(out));
            match next {
                Some(next) => object.number("next", *next),
                None => object.key("next").extend_from_slice(b"null"),
            }
            object.end(req);
        }
        _ => {}
    }
}

fn topic_key(is_pattern: bool) -> &'static str {
    if is_pattern { "pattern" } else { "channel" }
}

fn push_confirmation(out: &mut Vec<u8>, confirmation: &Confirmation) {
    let mut object = Object::typed(out, "subscription_confirmed");
    match &confirmation.topic {
        Topic::Channel(channel) => object.channel(channel),
        Topic::Pattern(pattern) => object.text("pattern", pattern.as_str()),
    }
    if let Some((offset, epoch)) = &confirmation.head {
        object.number("offset", *offset);
        object.text("epoch", epoch);
    }
    if let Some(recovered) = confirmation.recovered {
        object.flag("recovered", recovered);
    }
    if let Topic::Channel(channel) = &confirmation.topic {
        object.flag("declared", channel.declared());
    }
    if let Some(near) = &confirmation.hint {
        object.text("hint", &format!("did you mean {near}?"));
    }
    if let Some(covers) = &confirmation.covers {
        object.list("covers", covers, |out, name| push_json_string(out, name));
    }
    if confirmation.partial {
        object.text("snapshot", "partial");
    }
    object.time("time", confirmation.time_us);
    if let Some(rate) = confirmation.max_rate {
        object.number("max_rate", u64::from(rate));
    }
    object.end(&confirmation.req);
}
