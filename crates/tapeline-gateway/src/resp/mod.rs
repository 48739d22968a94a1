//! The Redis door: RESP 2 and 3 for clients that know nothing but Redis. `table` says which commands there are, `wire` how
//! messages and replies look; this file is what a connection runs. It keeps nothing: channels and store are the hub's.

mod about;
mod channels;
mod connection;
mod listen;
mod mark;
mod name;
mod store;
mod table;
mod talk;
mod transaction;
mod wire;
mod words;

use std::sync::Arc;

use tapeline_codec::resp::{Decoder, Limits};
use tapeline_core::Settings;
use tapeline_core::broker::Busy;
use tapeline_runtime::{Port, Protocol, Taken};

use crate::addresses::Here;

use talk::Talk;
use words::Words;

pub use listen::RespListener;
pub(crate) use store::Common;
pub use wire::{RESP2, RESP3};

/// Arguments of one command.
const ARGUMENTS: usize = 64 << 10;
/// Room for the rest of a command beside its longest argument.
const ENVELOPE_BYTES: usize = 1 << 20;

/// What became of a command.
enum Outcome {
    Done,
    /// It must wait for what is under way, and is offered again.
    Wait,
    /// A part of it is done, and it is offered again for the rest when others have had their turn.
    Turn,
    /// A publish that found no room.
    Busy(Box<Busy>),
}

/// One connection's side of the Redis protocol.
struct Resp {
    decoder: Decoder,
    talk: Talk,
    /// It counts among its address's connections for as long as this is here.
    _here: Option<Arc<Here>>,
}

impl Resp {
    fn new(settings: &Settings, common: Arc<Common>, here: Option<Arc<Here>>) -> Self {
        let argument_bytes = settings.publish_bytes;
        let command_bytes = argument_bytes.saturating_add(ENVELOPE_BYTES);
        let limits = Limits { arguments: ARGUMENTS, argument_bytes, command_bytes };
        Resp { decoder: Decoder::new(limits), talk: Talk::new(command_bytes, common), _here: here }
    }

    /// `whole`: whether a command came to its end.
    fn read(&mut self, input: &[u8], port: &mut Port<'_>, whole: &mut bool) -> Taken {
        if let Some(taken) = self.talk.go_on(port) {
            return taken.after(0);
        }
        self.decoder.set_stranger(!port.is_known());
        let mut commands = self.decoder.feed(input);
        loop {
            if port.is_closing() {
                return Taken::All;
            }
            if !port.has_room() || self.talk.is_identifying(port) {
                return Taken::Some(commands.consumed());
            }
            if self.talk.gauge.has_had_its_turn() {
                return Taken::Turn(commands.consumed());
            }
            let outcome = match commands.next() {
                Ok(None) => return Taken::All,
                Ok(Some(command)) => {
                    *whole = true;
                    let words = Words::Read(command);
                    let outcome = self.talk.take(words, port);
                    if matches!(outcome, Outcome::Wait | Outcome::Turn) {
                        self.talk.keep(words);
                    }
                    outcome
                }
                Err(error) => {
                    // Before the goodbye come the answers that are owed; then the same error is found again.
                    if port.unanswered() > 0 {
                        return Taken::Some(commands.consumed());
                    }
                    port.close_with(format!("-ERR {error}\r\n").as_bytes());
                    return Taken::All;
                }
            };
            let held_up = match outcome {
                Outcome::Done => self.talk.go_on(port),
                Outcome::Wait => Some(HeldUp::Room),
                Outcome::Turn => Some(HeldUp::Turn),
                Outcome::Busy(busy) => Some(HeldUp::Busy(busy)),
            };
            if let Some(held_up) = held_up {
                return held_up.after(commands.consumed());
            }
        }
    }
}

/// Why nothing more is read for now.
enum HeldUp {
    /// There is no room for answers, or something is under way.
    Room,
    /// Others have their turn first.
    Turn,
    /// A publish found no room.
    Busy(Box<Busy>),
}

impl HeldUp {
    fn after(self, consumed: usize) -> Taken {
        match self {
            HeldUp::Room => Taken::Some(consumed),
            HeldUp::Turn => Taken::Turn(consumed),
            HeldUp::Busy(busy) => Taken::Busy(consumed, busy),
        }
    }
}

impl Protocol for Resp {
    fn handle(&mut self, input: &mut [u8], port: &mut Port<'_>) -> Taken {
        let mut whole = false;
        self.talk.gauge.begin_turn();
        let taken = self.read(input, port, &mut whole);
        // What the hub itself holds up is not the client's to end.
        let is_held_up = !matches!(taken, Taken::All);
        let is_between = self.decoder.is_between_commands();
        if whole || is_held_up || is_between {
            port.unfinished(false);
        }
        if !is_held_up && !is_between {
            port.unfinished(true);
        }
        taken
    }
}
