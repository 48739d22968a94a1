//! Engine.IO 4: packets in WebSocket messages and in the bodies of long polling, and the handshake that names a session.
//! Knows neither sessions nor transports, and nothing of what a message says. Source: the protocol's own page,
//! <https://github.com/socketio/engine.io-protocol>.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What stands between two packets of a body.
pub const SEPARATOR: u8 = 0x1e;
/// What a binary packet begins with in a body.
const BINARY: char = 'b';

/// One packet as text; what is binary has no type character and is always a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The server's alone: it names the session.
    Open(&'a str),
    /// Whoever says it wants the connection closed.
    Close,
    /// In version 4 the server's alone; `probe` from a client asks whether a WebSocket works.
    Ping(&'a str),
    /// Answers a ping.
    Pong(&'a str),
    /// What both ends have to say.
    Message(&'a str),
    /// From now on only the WebSocket counts.
    Upgrade,
    /// Nothing; it ends a poll.
    Noop,
}

/// One packet of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// With a type character.
    Text(Packet<'a>),
    /// A binary message.
    Binary(Vec<u8>),
}

/// How a client broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Not even a type.
    #[error("a packet is empty")]
    Empty,
    /// The first character is none of 0 to 6.
    #[error("a packet's type is none of 0 to 6")]
    Type,
    /// After `b` stands what is no base64.
    #[error("a binary packet is not base64")]
    Base64,
}

/// What a handshake or a request of a session can fail with, under the numbers that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// `transport` is missing or neither polling nor websocket.
    Transport,
    /// No session has this `sid`.
    Session,
    /// A session is begun with GET.
    Method,
    /// Anything else.
    Request,
    /// Whoever asks is not let in.
    Forbidden,
    /// `EIO` is missing or not 4.
    Version,
}

impl Refused {
    /// As on the wire.
    pub fn code(self) -> u8 {
        match self {
            Refused::Transport => 0,
            Refused::Session => 1,
            Refused::Method => 2,
            Refused::Request => 3,
            Refused::Forbidden => 4,
            Refused::Version => 5,
        }
    }

    /// The HTTP status that it comes with.
    pub fn status(self) -> u16 {
        if self == Refused::Forbidden { 403 } else { 400 }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Transport => "Transport unknown",
            Refused::Session => "Session ID unknown",
            Refused::Method => "Bad handshake method",
            Refused::Request => "Bad request",
            Refused::Forbidden => "Forbidden",
            Refused::Version => "Unsupported protocol version",
        })
    }
}

impl<'a> Packet<'a> {
    /// Reads one packet.
    ///
    /// # Errors
    /// It has no type, or one that does not exist. What stands behind a close, an upgrade or a noop is ignored.
    pub fn parse(text: &'a str) -> Result<Self, Broken> {
        let mut rest = text.chars();
        let kind = rest.next().ok_or(Broken::Empty)?;
        let rest = rest.as_str();
        Ok(match kind {
            '0' => Packet::Open(rest),
            '1' => Packet::Close,
            '2' => Packet::Ping(rest),
            '3' => Packet::Pong(rest),
            '4' => Packet::Message(rest),
            '5' => Packet::Upgrade,
            '6' => Packet::Noop,
            _ => return Err(Broken::Type),
        })
    }
}

impl<'a> Piece<'a> {
    /// Reads one packet of a body.
    ///
    /// # Errors
    /// It is no packet.
    pub fn parse(text: &'a str) -> Result<Self, Broken> {
        match text.strip_prefix(BINARY) {
            Some(base64) => STANDARD.decode(base64).map(Piece::Binary).map_err(|_| Broken::Base64),
            None => Packet::parse(text).map(Piece::Text),
        }
    }
}

/// The packets of a body, not yet read.
pub fn pieces(body: &str) -> impl Iterator<Item = &str> {
    body.split(char::from(SEPARATOR))
}

/// Appends a packet to a body that may hold others.
pub fn push_text(body: &mut Vec<u8>, packet: &[u8]) {
    separate(body);
    body.extend_from_slice(packet);
}

/// Appends a binary message to a body that may hold others.
pub fn push_binary(body: &mut Vec<u8>, bytes: &[u8]) {
    separate(body);
    body.extend_from_slice(b"b");
    body.extend_from_slice(STANDARD.encode(bytes).as_bytes());
}

fn separate(body: &mut Vec<u8>) {
    if !body.is_empty() {
        body.push(SEPARATOR);
    }
}

/// What a session is begun with; times in milliseconds, `max_payload` in bytes of one request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake<'a> {
    /// The session's name, of characters that need no escape in JSON. Over polling whoever knows it is the client.
    pub sid: &'a str,
    /// Whether the client may go on by WebSocket.
    pub may_upgrade: bool,
    /// How often the server sends a ping.
    pub ping_interval_ms: u64,
    /// How soon it must be answered.
    pub ping_timeout_ms: u64,
    /// How much a client may send in one body.
    pub max_payload: usize,
}

impl fmt::Display for Handshake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Handshake { sid, may_upgrade, ping_interval_ms, ping_timeout_ms, max_payload } = self;
        let upgrades = if *may_upgrade { "[\"websocket\"]" } else { "[]" };
        write!(
            f,
            "0{{\"sid\":\"{sid}\",\"upgrades\":{upgrades},\"pingInterval\":{ping_interval_ms},\
             \"pingTimeout\":{ping_timeout_ms},\"maxPayload\":{max_payload}}}"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_are_told_apart_by_their_first_character() {
        for (text, packet) in [
            ("0{}", Packet::Open("{}")),
            ("1", Packet::Close),
            ("2probe", Packet::Ping("probe")),
            ("3", Packet::Pong("")),
            ("4héllo", Packet::Message("héllo")),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
        ] {
            assert_eq!(Packet::parse(text), Ok(packet));
        }
        assert_eq!(Packet::parse(""), Err(Broken::Empty));
        for text in ["7", "abc", "é", "\u{1e}", "-1"] {
            assert_eq!(Packet::parse(text), Err(Broken::Type), "{text}");
        }
    }

    #[test]
    fn the_bodies_of_the_protocols_page_are_read_and_written() {
        let read = |body| pieces(body).map(Piece::parse).collect::<Result<Vec<_>, _>>();
        let (hello, binary) = (Piece::Text(Packet::Message("hello")), Piece::Binary(vec![1, 2, 3, 4]));
        assert_eq!(read("4hello\u{1e}bAQIDBA=="), Ok(vec![hello.clone(), binary]));
        let ping = Piece::Text(Packet::Ping(""));
        assert_eq!(read("4hello\u{1e}2"), Ok(vec![hello, ping]));
        assert_eq!(read("bAQIDBA"), Err(Broken::Base64));
        assert_eq!(read("4a\u{1e}"), Err(Broken::Empty));
        let mut body = Vec::new();
        push_text(&mut body, b"4hello");
        push_binary(&mut body, &[1, 2, 3, 4]);
        assert_eq!(body, b"4hello\x1ebAQIDBA==");
    }

    #[test]
    fn the_handshake_is_what_clients_read() {
        let handshake = Handshake {
            sid: "lv_VI97HAXpY6yYWAAAC",
            may_upgrade: true,
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            max_payload: 1_000_000,
        };
        let text = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(handshake.to_string(), text);
        assert!(Handshake { may_upgrade: false, ..handshake }.to_string().contains("\"upgrades\":[],"));
    }

    #[test]
    fn refusals_have_the_numbers_that_clients_know() {
        let told =
            [Refused::Transport, Refused::Session, Refused::Method, Refused::Request, Refused::Forbidden];
        let told: Vec<_> = told.into_iter().map(|refused| (refused.code(), refused.status())).collect();
        assert_eq!(told, [(0, 400), (1, 400), (2, 400), (3, 400), (4, 403)]);
        assert_eq!(Refused::Version.code(), 5);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(packets in proptest::collection::vec(
            prop_oneof!["4[^\u{1e}]{0,20}".prop_map(Ok), proptest::collection::vec(any::<u8>(), 0..40).prop_map(Err)],
            1..6,
        )) {
            let mut body = Vec::new();
            for packet in &packets {
                match packet {
                    Ok(text) => push_text(&mut body, text.as_bytes()),
                    Err(bytes) => push_binary(&mut body, bytes),
                }
            }
            let body = String::from_utf8(body).unwrap();
            let read: Vec<_> = pieces(&body).map(|piece| Piece::parse(piece).unwrap()).collect();
            prop_assert_eq!(read.len(), packets.len());
            for (read, packet) in read.iter().zip(&packets) {
                match packet {
                    Ok(text) => prop_assert_eq!(read, &Piece::Text(Packet::Message(&text[1..]))),
                    Err(bytes) => prop_assert_eq!(read, &Piece::Binary(bytes.clone())),
                }
            }
        }
    }
}
