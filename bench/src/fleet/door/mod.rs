//! The doors by which a load client can come in: what it says first, how it takes apart what it hears, and how a message
//! is handed to the workload. One client speaks through one of them from its first byte on.

mod http;
mod native;
mod polling;
mod redis;
mod socketio;
mod sse;

use anyhow::{Result, bail};

use super::{Hear, Plan};
use crate::server::Target;
use crate::wire;

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Door {
    /// The product's own WebSocket protocol.
    Native,
    /// Socket.IO over WebSocket from the first byte.
    #[value(name = "socketio")]
    SocketIo,
    /// Socket.IO by HTTP long polling, without an upgrade.
    Polling,
    /// Server-Sent Events, one connection for each client.
    Sse,
    /// Redis' protocol, version 2.
    Redis,
}

impl Door {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::SocketIo => "socketio",
            Self::Polling => "polling",
            Self::Sse => "sse",
            Self::Redis => "redis",
        }
    }

    /// What a workload is called in a report when its clients come in here.
    pub(crate) fn report(self, workload: &str) -> String {
        if self == Self::Native { workload.to_owned() } else { format!("{workload} by {}", self.name()) }
    }

    /// The door that the publisher takes: its own where one connection can publish without waiting, else the nearest.
    pub(crate) fn of_publisher(self) -> Self {
        match self {
            Self::Native | Self::Sse => Self::Native,
            Self::SocketIo | Self::Polling => Self::SocketIo,
            Self::Redis => Self::Redis,
        }
    }

    /// Who can be measured by this door.
    pub(crate) fn targets(self) -> &'static [Target] {
        match self {
            Self::Native => &[Target::Product, Target::FloorA, Target::FloorB, Target::Node],
            Self::SocketIo | Self::Polling => &[Target::Product, Target::NodeSocketIo],
            Self::Sse => &[Target::Product],
            Self::Redis => &[Target::Product, Target::RedisServer],
        }
    }

    /// What a client says, in the door's own bytes, to hear `channels`.
    pub(super) fn subscribe(self, channels: &[String]) -> Vec<u8> {
        match self {
            Self::Native => native::subscribe(channels),
            Self::SocketIo => {
                let mut frames = Vec::new();
                for packet in socketio::subscribe(channels) {
                    wire::put_masked(&mut frames, wire::TEXT, packet.as_bytes());
                }
                frames
            }
            Self::Polling => socketio::subscribe(channels).collect::<Vec<_>>().join("\x1e").into_bytes(),
            Self::Sse => sse::query(channels).into_bytes(),
            Self::Redis => redis::subscribe(channels),
        }
    }
}

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The opening request is not answered.
    Opening,
    /// It is, and there is more to say before subscribing.
    Greeting,
    /// So many confirmations are missing.
    Confirming(usize),
    Ready,
}

/// What one client is asked to do with what has come.
pub(super) struct Turn<'a, H> {
    pub(super) stage: &'a mut Stage,
    pub(super) plan: &'a Plan,
    /// What the client says in return.
    pub(super) say: Vec<u8>,
    pub(super) client: usize,
    pub(super) now_ns: u64,
    pub(super) hear: &'a mut H,
}

impl<H: Hear> Turn<'_, H> {
    /// Subscribes; a client that hears nothing is ready at once.
    fn subscribe(&mut self) {
        self.say.extend_from_slice(&self.plan.subscribe);
        self.await_confirmations();
    }

    fn await_confirmations(&mut self) {
        let confirms = self.plan.confirms;
        *self.stage = if confirms == 0 { Stage::Ready } else { Stage::Confirming(confirms) };
    }

    /// Counts a confirmation; false when none is awaited.
    fn confirm(&mut self) -> bool {
        let Stage::Confirming(left) = *self.stage else { return false };
        *self.stage = if left == 1 { Stage::Ready } else { Stage::Confirming(left - 1) };
        true
    }

    fn text(&mut self, payload: &[u8]) {
        self.hear.on_text(self.client, payload, self.now_ns);
    }

    /// Takes a control frame of a WebSocket.
    fn control(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        match opcode {
            wire::PING => wire::put_masked(&mut self.say, wire::PONG, payload),
            wire::CLOSE => {
                let code = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                let reason = payload.get(2..).map(crate::text::excerpt).unwrap_or_default();
                bail!("the server closed with {code:?} {reason}");
            }
            _ => {}
        }
        Ok(())
    }
}

/// What a client keeps of its door between two reads.
pub(super) enum Speech {
    Native,
    SocketIo,
    Polling(Box<polling::Polling>),
    Sse(Box<sse::Sse>),
    Redis,
}

impl Speech {
    pub(super) fn new(door: Door) -> Self {
        match door {
            Door::Native => Self::Native,
            Door::SocketIo => Self::SocketIo,
            Door::Polling => Self::Polling(Box::default()),
            Door::Sse => Self::Sse(Box::default()),
            Door::Redis => Self::Redis,
        }
    }

    /// What a client says when it is connected.
    pub(super) fn opening(&mut self, host: &str, plan: &Plan) -> Vec<u8> {
        match self {
            Self::Native => wire::upgrade_request(wire::NATIVE_PATH, host, plan.deflate),
            Self::SocketIo => wire::upgrade_request(socketio::PATH, host, plan.deflate),
            Self::Polling(polling) => polling.handshake(host),
            Self::Sse(_) => sse::request(host, &plan.subscribe),
            Self::Redis => redis::PING.to_vec(),
        }
    }

    /// Takes apart what has come; answers how many bytes are done with.
    #[inline]
    pub(super) fn hear<H: Hear>(&mut self, bytes: &[u8], turn: &mut Turn<'_, H>) -> Result<usize> {
        match self {
            Self::Native => native::hear(bytes, turn),
            Self::SocketIo => socketio::hear(bytes, turn),
            Self::Polling(polling) => polling.hear(bytes, turn),
            Self::Sse(sse) => sse.hear(bytes, turn),
            Self::Redis => redis::hear(bytes, turn),
        }
    }
}

#[cfg(test)]
mod tests;
