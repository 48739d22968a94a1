//! Engine.IO as a shard hears it: from a WebSocket, or over memory from the bodies of long polling. Packets that keep the
//! connection are answered here, messages go to the conversation. It knows no HTTP.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapeline_codec::engineio::{Packet, Piece, SEPARATOR};
use tapeline_codec::websocket::encoder::{close_frame, pong_frame};
use tapeline_codec::websocket::{Decoder, Event, Limits};
use tapeline_runtime::{Port, Protocol, Taken};

use super::table::Seat;
use super::talk::{Speech, Step};
use crate::addresses::Here;
use crate::native::reason;

/// RFC 6455 section 7.4.1: a protocol error.
const PROTOCOL_ERROR: u16 = 1002;

/// A conversation, which outlives its transport.
pub(super) type Shared = Arc<Mutex<Box<dyn Speech>>>;

fn lock(talk: &Shared) -> MutexGuard<'_, Box<dyn Speech>> {
    talk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a session holds for as long as it lives: its place among those that began with polling, and one among its
/// address's connections.
pub(super) struct Holds {
    _seat: Option<Arc<Seat>>,
    _here: Option<Arc<Here>>,
}

impl Holds {
    pub(super) fn new(seat: Option<Arc<Seat>>, here: Option<Arc<Here>>) -> Self {
        Holds { _seat: seat, _here: here }
    }
}

fn close(port: &mut Port<'_>, code: Option<u16>, reason: &str) {
    port.close_with(&close_frame(code, reason));
}

/// Does what a packet asks for. What came of it, unless the connection is closed.
fn hear(piece: Piece<'_>, talk: &mut dyn Speech, port: &mut Port<'_>) -> Option<Taken> {
    let step = match piece {
        Piece::Binary(bytes) => talk.binary(&bytes, port),
        Piece::Text(Packet::Message(text)) => talk.text(text, port),
        Piece::Text(Packet::Pong(_)) => talk.pulse(port),
        Piece::Text(Packet::Close) => {
            close(port, None, "");
            Step::Next
        }
        Piece::Text(Packet::Ping(_)) => Step::Broken("a ping from a client".to_string()),
        Piece::Text(Packet::Open(_) | Packet::Upgrade | Packet::Noop) => Step::Next,
    };
    match step {
        Step::Next => None,
        Step::Busy(busy) => Some(Taken::Busy(0, busy)),
        Step::Broken(reason) => {
            close(port, Some(PROTOCOL_ERROR), &reason);
            None
        }
    }
}

/// A session on a WebSocket.
pub(super) struct OverSocket {
    decoder: Decoder,
    talk: Shared,
    _holds: Holds,
}

impl OverSocket {
    pub(super) fn new(limits: Limits, talk: Shared, holds: Holds) -> Self {
        OverSocket { decoder: Decoder::new(limits), talk, _holds: holds }
    }

    /// `ended`: whether a message came to its end, with all that belongs to it.
    fn read(&mut self, input: &mut [u8], port: &mut Port<'_>, ended: &mut bool) -> Taken {
        let mut talk = lock(&self.talk);
        let mut events = self.decoder.feed(input);
        loop {
            if port.is_closing() {
                return Taken::All;
            }
            if talk.waits(port) || !port.has_room() {
                return Taken::Some(events.consumed());
            }
            let piece = match events.next() {
                Ok(Some(Event::Text(text))) => Packet::parse(text).map(Piece::Text),
                Ok(Some(Event::Binary(bytes))) => Ok(Piece::Binary(bytes.to_vec())),
                Ok(Some(Event::Ping(body))) => {
                    port.send(&pong_frame(body));
                    continue;
                }
                Ok(Some(Event::Pong(_))) => continue,
                Ok(Some(Event::Close(said))) => {
                    close(port, said.code, said.reason);
                    return Taken::All;
                }
                Ok(None) => return Taken::All,
                Err(error) => {
                    close(port, Some(error.close_code()), &reason(&error));
                    return Taken::All;
                }
            };
            match piece {
                Ok(piece) => {
                    if let Some(Taken::Busy(_, busy)) = hear(piece, &mut **talk, port) {
                        return Taken::Busy(events.consumed(), busy);
                    }
                }
                Err(broken) => close(port, Some(PROTOCOL_ERROR), &broken.to_string()),
            }
            *ended |= !talk.is_unfinished();
        }
    }
}

impl Protocol for OverSocket {
    fn handle(&mut self, input: &mut [u8], port: &mut Port<'_>) -> Taken {
        let mut ended = false;
        let taken = self.read(input, port, &mut ended);
        // What the hub itself holds up is not the client's to end.
        let is_held_up = !matches!(taken, Taken::All);
        let is_between = self.decoder.is_between_messages() && !lock(&self.talk).is_unfinished();
        if ended || is_held_up || is_between {
            port.unfinished(false);
        }
        if !is_held_up && !is_between {
            port.unfinished(true);
        }
        taken
    }
}

/// A session that polls: what it hears are the packets of bodies, each with a separator behind it.
pub(super) struct OverPolling {
    /// The beginning of a packet whose end has not come.
    held: Vec<u8>,
    talk: Shared,
    _holds: Holds,
}

impl OverPolling {
    pub(super) fn new(talk: Shared, holds: Holds) -> Self {
        OverPolling { held: Vec::new(), talk, _holds: holds }
    }
}

impl Protocol for OverPolling {
    fn handle(&mut self, input: &mut [u8], port: &mut Port<'_>) -> Taken {
        let mut ended = false;
        let taken = self.read(input, port, &mut ended);
        let is_held_up = !matches!(taken, Taken::All);
        let is_unfinished = lock(&self.talk).is_unfinished();
        if ended || is_held_up || !is_unfinished {
            port.unfinished(false);
        }
        if !is_held_up && is_unfinished {
            port.unfinished(true);
        }
        taken
    }
}

impl OverPolling {
    /// `ended`: as for a socket.
    fn read(&mut self, input: &mut [u8], port: &mut Port<'_>, ended: &mut bool) -> Taken {
        let mut talk = lock(&self.talk);
        let mut consumed = 0;
        loop {
            if port.is_closing() {
                return Taken::All;
            }
            if talk.waits(port) || !port.has_room() {
                return Taken::Some(consumed);
            }
            let rest = input.get(consumed..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == SEPARATOR) else {
                self.held.extend_from_slice(rest);
                return Taken::All;
            };
            self.held.extend_from_slice(rest.get(..end).unwrap_or_default());
            consumed += end + 1;
            let packet = std::mem::take(&mut self.held);
            match std::str::from_utf8(&packet).ok().map(Piece::parse) {
                Some(Ok(piece)) => {
                    if let Some(Taken::Busy(_, busy)) = hear(piece, &mut **talk, port) {
                        return Taken::Busy(consumed, busy);
                    }
                }
                _ => close(port, Some(PROTOCOL_ERROR), "a body is not made of packets"),
            }
            *ended |= !talk.is_unfinished();
        }
    }
}
