//! The native protocol: JSON in WebSocket text frames, one dialect for every client. `parse` turns frames into
//! commands, `wire` turns messages and replies into frames; this file is what a connection runs.

mod deflate;
mod parse;
mod wire;

use std::net::TcpStream;
use std::sync::Arc;

use tapeline_codec::websocket::encoder::{close_frame, pong_frame};
use tapeline_codec::websocket::{Decoder, Event, Limits, ProtocolError};
use tapeline_core::rights::Grant;
use tapeline_core::session::Arrival;
use tapeline_core::shard::Handled;
use tapeline_core::{Command, Hub, Refusal, Settings};
use tapeline_runtime::{Handover, Port, Protocol, Shards, Taken};
use tapeline_schema::ErrorCode;

use crate::addresses::Here;

pub use deflate::NATIVE_DEFLATE;
pub use wire::NATIVE;

pub(crate) use parse::{Said, Text, command_of, parse_time, raw, read_places};
pub(crate) use wire::said;

/// Room for the rest of a publish beside its data.
pub(crate) const ENVELOPE_BYTES: usize = 4 << 10;
/// RFC 6455 section 7.4.1: a type of data that cannot be accepted.
const CLOSE_UNSUPPORTED_DATA: u16 = 1003;

/// One connection's side of the native protocol.
pub(crate) struct Native {
    decoder: Decoder,
    frame_bytes: u32,
    /// It counts among its address's connections for as long as this is here.
    _here: Option<Arc<Here>>,
}

impl Native {
    /// `deflate`: whether the client may compress what it sends.
    pub(crate) fn new(settings: &Settings, deflate: bool) -> Self {
        let message_bytes = settings.publish_bytes + ENVELOPE_BYTES;
        let limits = Limits { message_bytes, fragments: settings.frame_fragments };
        Native {
            decoder: Decoder::new(limits).with_deflate(deflate),
            frame_bytes: u32::try_from(settings.frame_bytes).unwrap_or(u32::MAX),
            _here: None,
        }
    }

    /// The same, counted among the connections of an address.
    pub(crate) fn counted(self, here: Option<Arc<Here>>) -> Self {
        Native { _here: here, ..self }
    }
}

/// One text frame as a command.
pub(crate) fn read(text: &str) -> Result<Command, Refusal> {
    parse::parse(text).map_err(|error| error.refusal)
}

/// Gives a socket that needs no handshake to a shard: a client in the hub's own process.
pub fn open(hub: &Hub, shards: &Shards, stream: TcpStream) {
    let arrival = Arrival {
        principal: "this process".into(),
        address: "127.0.0.1".into(),
        seat: None,
        client: None,
        grant: Grant::Anyone,
        wire: &NATIVE,
        notices: true,
        heartbeat: true,
        beat: None,
    };
    // Compression between two threads of one process would cost more than it saves.
    let protocol = Box::new(Native::new(&hub.settings(), false));
    shards.open(Handover { stream, tls: None, read: Vec::new(), arrival, protocol });
}

impl Protocol for Native {
    fn handle(&mut self, input: &mut [u8], port: &mut Port<'_>) -> Taken {
        let mut ended = false;
        let taken = self.read(input, port, &mut ended);
        // What the hub itself holds up is not the client's to end.
        let is_held_up = !matches!(taken, Taken::All);
        if ended || is_held_up || self.decoder.is_between_messages() {
            port.unfinished(false);
        }
        if !is_held_up && !self.decoder.is_between_messages() {
            port.unfinished(true);
        }
        taken
    }
}

impl Native {
    /// `ended`: whether a message came to its end.
    fn read(&mut self, input: &mut [u8], port: &mut Port<'_>, ended: &mut bool) -> Taken {
        let frame_bytes = self.frame_bytes as usize;
        let mut events = self.decoder.feed(input);
        loop {
            if port.is_closing() {
                return Taken::All;
            }
            if !port.has_room() {
                return Taken::Some(events.consumed());
            }
            let busy = match events.next() {
                Ok(Some(Event::Text(text))) => {
                    *ended = true;
                    handle_text(text, frame_bytes, port)
                }
                Ok(Some(Event::Ping(body))) => {
                    port.send(&pong_frame(body));
                    None
                }
                Ok(Some(Event::Pong(_))) => None,
                Ok(Some(Event::Binary(_))) => {
                    port.close_with(&close_frame(Some(CLOSE_UNSUPPORTED_DATA), "send JSON in text frames"));
                    return Taken::All;
                }
                Ok(Some(Event::Close(close))) => {
                    port.close_with(&close_frame(close.code, close.reason));
                    return Taken::All;
                }
                Ok(None) => return Taken::All,
                Err(error) => {
                    port.close_with(&close_frame(Some(error.close_code()), &reason(&error)));
                    return Taken::All;
                }
            };
            if let Some(busy) = busy {
                return Taken::Busy(events.consumed(), busy);
            }
        }
    }
}

/// What broke the protocol, or which setting was in the way.
pub(crate) fn reason(error: &ProtocolError) -> String {
    match error {
        ProtocolError::MessageTooBig { .. } => format!("{error} (limits.publish_bytes)"),
        ProtocolError::TooManyFragments { .. } => format!("{error} (limits.frame_fragments)"),
        _ => error.to_string(),
    }
}

fn handle_text(
    text: &str,
    frame_bytes: usize,
    port: &mut Port<'_>,
) -> Option<Box<tapeline_core::broker::Busy>> {
    let parsed = parse::parse(text);
    let is_publish = matches!(&parsed, Ok(Command::Publish { .. }));
    if !is_publish && text.len() > frame_bytes {
        let message =
            format!("frame is {} bytes, the limit is {frame_bytes} (limits.frame_bytes)", text.len());
        port.refuse(Refusal::new(ErrorCode::TooLarge, message), None, &None);
        return None;
    }
    match parsed {
        Ok(command) => match port.handle(command) {
            Handled::Done => None,
            Handled::Busy(busy) => Some(busy),
        },
        Err(error) => {
            port.refuse(error.refusal, None, &error.req);
            None
        }
    }
}
