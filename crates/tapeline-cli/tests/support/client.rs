//! A client of the native protocol that waits for frames, never for time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tungstenite::protocol::Role;
use tungstenite::{Error, Message, WebSocket};

use rustls::ClientConfig;

use super::tls::{Line, secure};
use super::{Hub, PATIENCE, Raw};

/// One frame of the hub.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// As it came.
    pub(crate) text: String,
    /// Parsed.
    pub(crate) json: Value,
}

impl Frame {
    /// Its type.
    pub(crate) fn kind(&self) -> &str {
        self.json["type"].as_str().unwrap_or_default()
    }

    /// Its channel.
    pub(crate) fn channel(&self) -> &str {
        self.json["channel"].as_str().unwrap_or_default()
    }

    /// Its offset.
    pub(crate) fn offset(&self) -> u64 {
        self.json["offset"].as_u64().unwrap_or_else(|| panic!("there is no offset in {}", self.text))
    }

    /// Whether it is somebody's message, not the hub's own word.
    pub(crate) fn is_message(&self) -> bool {
        self.json.get("data").is_some()
    }

    /// The place to resume from.
    pub(crate) fn place(&self) -> Value {
        json!({"offset": self.json["offset"], "epoch": self.json["epoch"]})
    }

    /// The bytes of `data`.
    pub(crate) fn data_text(&self) -> &str {
        #[derive(serde::Deserialize)]
        struct Data<'a> {
            #[serde(borrow)]
            data: &'a RawValue,
        }
        serde_json::from_str::<Data<'_>>(&self.text).expect("a message has data").data.get()
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// 1006 where no close frame came.
    pub(crate) code: u16,
    /// May be empty.
    pub(crate) reason: String,
}

/// One connection.
pub(crate) struct Client {
    socket: WebSocket<Line>,
}

impl Client {
    /// Connects to `/ws`.
    pub(crate) fn connect(hub: &Hub) -> Client {
        Client::connect_to(hub, "/ws")
    }

    /// Connects to this path.
    pub(crate) fn connect_to(hub: &Hub, path: &str) -> Client {
        Client::over(Raw::open(hub, path))
    }

    /// Connects to this path with these header lines, each ending in `\r\n`; the hub must accept.
    pub(crate) fn connect_with(hub: &Hub, path: &str, more: &str) -> Client {
        let mut raw = Raw::send_to(hub, super::raw::handshake(hub, path, more));
        let head = raw.head();
        assert_eq!(head.status, 101, "{path} is upgraded");
        Client::over(raw)
    }

    /// Connects to `/ws` at this address, if somebody answers there.
    pub(crate) fn try_connect(address: &str) -> Option<Client> {
        Raw::try_open(address, "/ws").map(Client::over)
    }

    /// Connects to `/ws` behind TLS.
    pub(crate) fn connect_tls(hub: &Hub, config: &Arc<ClientConfig>) -> Client {
        let request =
            format!("wss://localhost:{}/ws", hub.tls_address().rsplit(':').next().unwrap_or_default());
        let (socket, _) =
            tungstenite::client(request, Line::Tls(secure(hub, config))).expect("it is upgraded");
        Client { socket }
    }

    /// Reads and writes as they are.
    pub(crate) fn socket(&mut self) -> &mut WebSocket<Line> {
        &mut self.socket
    }

    fn over(raw: Raw) -> Client {
        let (stream, read) = raw.into_parts();
        Client { socket: WebSocket::from_partially_read(Line::Plain(stream), read, Role::Client, None) }
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, request: &Value) {
        self.send_text(&request.to_string());
    }

    /// Sends to a hub that may be gone; whether it could.
    pub(crate) fn offer(&mut self, request: &Value) -> bool {
        self.socket.send(Message::text(request.to_string())).is_ok()
    }

    /// Sends text that may be no request.
    pub(crate) fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the hub reads");
    }

    /// The next frame, or how the connection ended. Fails if nothing comes.
    pub(crate) fn read(&mut self) -> Result<Frame, Closed> {
        self.read_within(PATIENCE).unwrap_or_else(|| panic!("nothing came within {PATIENCE:?}"))
    }

    /// As [`Client::read`], or `None` if nothing comes for so long.
    pub(crate) fn read_within(&mut self, time: Duration) -> Option<Result<Frame, Closed>> {
        let parsed = |text: String| {
            let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
            Frame { text, json }
        };
        Some(self.text_within(time)?.map(parsed))
    }

    /// The next frame as it came, which a parser of numbers or of surrogates may not take.
    pub(crate) fn text(&mut self) -> String {
        let text = self.text_within(PATIENCE).unwrap_or_else(|| panic!("nothing came within {PATIENCE:?}"));
        text.unwrap_or_else(|closed| panic!("the connection was closed: {closed:?}"))
    }

    fn text_within(&mut self, time: Duration) -> Option<Result<String, Closed>> {
        self.socket.get_ref().socket().set_read_timeout(Some(time)).expect("a time-out can be set");
        loop {
            let gone = |reason: String| Some(Err(Closed { code: 1006, reason }));
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(Ok(text.as_str().to_string())),
                Ok(Message::Close(Some(close))) => {
                    return Some(Err(Closed {
                        code: close.code.into(),
                        reason: close.reason.as_str().to_string(),
                    }));
                }
                Ok(Message::Close(None)) => return gone("closed without a code".to_string()),
                Ok(_) => {}
                Err(Error::Io(error)) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {
                    return None;
                }
                Err(error) => return gone(error.to_string()),
            }
        }
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> Frame {
        self.read().unwrap_or_else(|closed| panic!("the connection was closed: {closed:?}"))
    }

    /// The next frame, which must be of this type.
    pub(crate) fn next_of(&mut self, kind: &str) -> Frame {
        let frame = self.next();
        assert_eq!(frame.kind(), kind, "{}", frame.text);
        frame
    }

    /// The next frame, which must be a message with this offset.
    pub(crate) fn message(&mut self, offset: u64) -> Frame {
        let frame = self.next();
        assert!(frame.is_message(), "a message was due: {}", frame.text);
        assert_eq!(frame.offset(), offset, "{}", frame.text);
        frame
    }

    /// How the connection ends; frames before that are passed over.
    pub(crate) fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.read() {
                return closed;
            }
        }
    }

    /// Sends a request and answers the next frame.
    pub(crate) fn ask(&mut self, request: &Value) -> Frame {
        self.send(request);
        self.next()
    }

    /// Subscribes to a channel, which must be confirmed.
    pub(crate) fn subscribe(&mut self, channel: &str) -> Frame {
        self.subscribe_with(channel, json!({}))
    }

    /// Subscribes with further fields.
    pub(crate) fn subscribe_with(&mut self, channel: &str, more: Value) -> Frame {
        self.send(&with(json!({"action": "subscribe", "channel": channel}), more));
        self.next_of("subscription_confirmed")
    }

    /// Everything that was on its way: frames until a third ping is answered. Answers overtake what waits, and a
    /// message or page that is noticed after the first ping leaves before the last answer.
    pub(crate) fn settle(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        for n in 0..3 {
            let req = json!({ "settle": n });
            self.send(&json!({"action": "ping", "req": req}));
            loop {
                let frame = self.next();
                if frame.kind() == "pong" && frame.json["req"] == req {
                    break;
                }
                frames.push(frame);
            }
        }
        frames
    }

    /// Asserts that nothing more was on its way.
    pub(crate) fn expect_silence(&mut self) {
        let frames = self.settle();
        assert!(frames.is_empty(), "nothing was due: {frames:?}");
    }

    /// Asserts that it is not closed, and hears nothing, for longer than the hub takes to look for who was revoked: a second.
    pub(crate) fn expect_to_stay(&mut self) {
        let heard = self.read_within(Duration::from_millis(1_500));
        assert!(heard.is_none(), "nothing was due: {heard:?}");
    }

    /// Reads messages of one channel until this offset; answers their offsets. Gaps and notices fail.
    pub(crate) fn offsets_until(&mut self, last: u64) -> Vec<u64> {
        let mut offsets = Vec::new();
        while offsets.last().is_none_or(|offset| *offset < last) {
            let frame = self.next();
            assert!(frame.is_message(), "a message was due: {}", frame.text);
            offsets.push(frame.offset());
        }
        offsets
    }

    /// Says goodbye and waits for the answer.
    pub(crate) fn close(mut self) {
        self.socket.close(None).expect("the hub reads");
        let end = Instant::now() + PATIENCE;
        while self.read().is_ok() {
            assert!(Instant::now() < end, "the hub does not answer a close");
        }
    }
}

/// One object with the fields of both.
pub(crate) fn with(mut object: Value, more: Value) -> Value {
    if let (Some(to), Value::Object(from)) = (object.as_object_mut(), more) {
        to.extend(from);
    }
    object
}
