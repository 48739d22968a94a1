//! What a gateway hands to a shard: an upgraded socket and the protocol spoken on it.

use std::net::TcpStream;

use rustls::ServerConnection;
use tapeline_core::broker::Busy;
use tapeline_core::session::Arrival;

use crate::port::Port;

/// What a protocol did with bytes.
pub enum Taken {
    /// All of them.
    All,
    /// Only so many: the session has no room for answers. The rest is offered again.
    Some(usize),
    /// Only so many: they took long. The rest is offered again when others have had their turn.
    Turn(usize),
    /// Only so many: this publish found no room in an inbox. It is retried, then the rest is offered again.
    Busy(usize, Box<Busy>),
}

/// One connection's side of a protocol: bytes in, commands out. It owns no socket and no queue.
pub trait Protocol: Send {
    /// The session has begun; called once, before anything is read.
    fn begin(&mut self, _port: &mut Port<'_>) {}

    /// Handles bytes that were read; may change them in place.
    fn handle(&mut self, input: &mut [u8], port: &mut Port<'_>) -> Taken;
}

/// A socket for a session that has begun on a [`Far`](crate::Far) line.
pub struct Upgrade {
    /// Upgraded; bytes already read are in `read`.
    pub stream: TcpStream,
    /// Its TLS, after the handshake; what that has decrypted already comes after `read`.
    pub tls: Option<Box<ServerConnection>>,
    /// Read after the upgrade request.
    pub read: Vec<u8>,
    /// What it speaks from now on; its wire stays.
    pub protocol: Box<dyn Protocol>,
}

/// A connection on its way to a shard.
pub struct Handover {
    /// Upgraded; bytes already read are in `read`.
    pub stream: TcpStream,
    /// Its TLS, after the handshake; what that has decrypted already comes after `read`.
    pub tls: Option<Box<ServerConnection>>,
    /// Read after the upgrade request.
    pub read: Vec<u8>,
    /// Who comes.
    pub arrival: Arrival,
    /// What it speaks.
    pub protocol: Box<dyn Protocol>,
}
