//! Sessions whose bytes travel through memory: what happens at the far end, and the move to a socket.

use std::io::IoSlice;
use std::sync::Arc;

use mio::net::TcpStream;
use tapeline_core::Now;

use super::ShardThread;
use crate::conduit::Far;
use crate::connection::{Protocol, Upgrade};
use crate::pipe::Pipe;
use crate::port::Port;

/// A protocol that takes over, and what has come for it.
pub(super) struct Next {
    protocol: Box<dyn Protocol>,
    read: Vec<u8>,
}

/// A session that has ended before its socket came: what it still had to say goes out there, as much as the socket takes.
fn last_words((far, Upgrade { stream, tls, .. }): (Arc<Far>, Upgrade)) {
    let mut pipe = Pipe::new(TcpStream::from_std(stream), tls);
    let _ = pipe.write(&[IoSlice::new(&far.try_read())]);
    let _ = pipe.close_write();
}

impl ShardThread {
    /// Something was written to a conduit, or read from it, or its far end is gone.
    pub(super) fn on_stirred(&mut self, token: usize) {
        let Ok(slot) = u32::try_from(token) else { return };
        let Some(connection) = self.sockets.at(slot) else { return };
        let Pipe::Conduit(near) = &connection.pipe else { return };
        let has_room = near.has_room();
        if !std::mem::replace(&mut connection.readable, true) {
            self.readable.push_back(slot);
        }
        if has_room {
            self.shard.on_writable(slot);
        }
    }

    pub(super) fn upgrade(&mut self, upgrade: (Arc<Far>, Upgrade), now: Now) {
        let slot = upgrade.0.place().1.and_then(|token| u32::try_from(token).ok()).unwrap_or(u32::MAX);
        let Some(connection) = self.sockets.at(slot).filter(|connection| {
            let leads_here = matches!(&connection.pipe, Pipe::Conduit(near) if near.leads_to(&upgrade.0));
            leads_here && !connection.lingering
        }) else {
            return last_words(upgrade);
        };
        let (_far, Upgrade { stream, tls, read, protocol }) = upgrade;
        let mut pipe = Pipe::new(TcpStream::from_std(stream), tls);
        if let Err(error) = pipe.register(self.poll.registry(), slot as usize) {
            tracing::warn!(%error, "a connection could not be watched");
            return self.drop_connection(slot);
        }
        connection.readable = pipe.is_ahead();
        if connection.readable {
            self.readable.push_back(slot);
        }
        connection.next = Some(Box::new(Next { protocol, read }));
        let mut input = Vec::new();
        if let Pipe::Conduit(near) = std::mem::replace(&mut connection.pipe, pipe) {
            input = near.take_input();
            self.shard.go_on(slot, &near.into_unread());
        }
        // What came over the conduit is handled first, maybe only when there is room for its answers on the socket.
        match &mut connection.stalled {
            Some(stalled) => stalled.rest.append(&mut input),
            None => {
                self.hand_in(slot, &mut input, now);
                self.go_over(slot, now);
            }
        }
    }

    /// A session that has moved to a socket speaks the protocol of it, once nothing of the one before is left.
    pub(super) fn go_over(&mut self, slot: u32, now: Now) {
        let Some(connection) = self.sockets.at(slot).filter(|connection| connection.stalled.is_none()) else {
            return;
        };
        let Some(next) = connection.next.take() else { return };
        let Next { protocol, mut read } = *next;
        connection.protocol = protocol;
        connection.protocol.begin(&mut Port::new(&mut self.shard, slot, now));
        if !read.is_empty() {
            self.hand_in(slot, &mut read, now);
        }
    }
}
