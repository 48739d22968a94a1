//! The head of a packet: `<type>[<attachments>-][<namespace>,][<ack id>][<json>]`. Lends from the text; the payload stays
//! text, which `payload` reads.

use serde_json::value::RawValue;

use super::{ATTACHMENTS, Broken, MAIN, NAMESPACE};

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Joins a namespace; from the server: it is joined.
    Connect,
    /// Leaves a namespace.
    Disconnect,
    /// Something has happened.
    Event,
    /// Answers an event that asked for it.
    Ack,
    /// From the server: the namespace was not joined.
    ConnectError,
    /// An event with attachments.
    BinaryEvent,
    /// An answer with attachments.
    BinaryAck,
}

impl Kind {
    fn digit(self) -> u8 {
        match self {
            Kind::Connect => b'0',
            Kind::Disconnect => b'1',
            Kind::Event => b'2',
            Kind::Ack => b'3',
            Kind::ConnectError => b'4',
            Kind::BinaryEvent => b'5',
            Kind::BinaryAck => b'6',
        }
    }

    /// Whether attachments follow.
    pub fn is_binary(self) -> bool {
        matches!(self, Kind::BinaryEvent | Kind::BinaryAck)
    }
}

/// One packet, lent from its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub kind: Kind,
    /// How many binary messages follow it.
    pub attachments: u32,
    /// Where it belongs.
    pub namespace: &'a str,
    /// Under which number it is answered, or answers.
    pub ack: Option<u64>,
    /// JSON, checked to be some and to be an array or an object as the type asks for.
    pub payload: Option<&'a str>,
}

/// The digits that a text begins with, and what follows them.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

impl<'a> Packet<'a> {
    /// Reads what an Engine.IO message says.
    ///
    /// # Errors
    /// It is no packet that a client may send, apart from its name's being reserved: that is [`super::event`]'s to say.
    pub fn parse(text: &'a str) -> Result<Self, Broken> {
        let packet = Packet::head(text)?;
        packet.check()?;
        Ok(packet)
    }

    /// Reads the head alone: the payload is whatever follows it, until [`Packet::check`] has said that it is one.
    ///
    /// # Errors
    /// No packet that a client may send begins so.
    pub fn head(text: &'a str) -> Result<Self, Broken> {
        let mut rest = text.chars();
        let kind = match rest.next() {
            Some('0') => Kind::Connect,
            Some('1') => Kind::Disconnect,
            Some('2') => Kind::Event,
            Some('3') => Kind::Ack,
            Some('4') => Kind::ConnectError,
            Some('5') => Kind::BinaryEvent,
            Some('6') => Kind::BinaryAck,
            _ => return Err(Broken::Type),
        };
        let mut rest = rest.as_str();
        let mut attachments = 0;
        if kind.is_binary() {
            let (count, behind) = digits(rest);
            rest = behind.strip_prefix('-').ok_or(Broken::Attachments)?;
            if count.is_empty() {
                return Err(Broken::Attachments);
            }
            attachments = count.parse().unwrap_or(u32::MAX);
            if attachments > ATTACHMENTS {
                return Err(Broken::TooManyAttachments);
            }
        }
        let mut namespace = MAIN;
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
            if namespace.len() > NAMESPACE {
                return Err(Broken::Namespace);
            }
        }
        let (number, payload) = digits(rest);
        let ack = match number {
            "" => None,
            number => Some(number.parse().map_err(|_| Broken::Ack)?),
        };
        Ok(Packet { kind, attachments, namespace, ack, payload: Some(payload).filter(|p| !p.is_empty()) })
    }

    /// Whether the payload is one that the type may carry.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self) -> Result<(), Broken> {
        let fits = match (self.kind, self.payload) {
            (Kind::Connect | Kind::Disconnect, None) => true,
            (Kind::Connect, Some(payload)) => payload.starts_with('{') && is_json(payload),
            (Kind::ConnectError | Kind::Disconnect, _) => false,
            (_, Some(payload)) => payload.starts_with('[') && is_json(payload),
            (_, None) => false,
        };
        // An answer to nothing is none.
        let is_numbered = !matches!(self.kind, Kind::Ack | Kind::BinaryAck) || self.ack.is_some();
        if fits && is_numbered { Ok(()) } else { Err(Broken::Payload) }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Appends a packet's head with the Engine.IO message's `4` before it; its JSON, if it has any, comes behind it. The
/// namespace of everybody is not named.
pub fn push_head(out: &mut Vec<u8>, kind: Kind, attachments: usize, namespace: &str, ack: Option<u64>) {
    out.extend_from_slice(&[b'4', kind.digit()]);
    if kind.is_binary() {
        out.extend_from_slice(attachments.to_string().as_bytes());
        out.push(b'-');
    }
    if namespace != MAIN {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    if let Some(ack) = ack {
        out.extend_from_slice(ack.to_string().as_bytes());
    }
}
