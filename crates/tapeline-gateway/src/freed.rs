//! A socket that HTTP has let go of, with what its client said since. It counts as a connection until its shard counts it
//! as a session, so that nobody slips in between.

use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tapeline_core::session::Arrival;
use tapeline_runtime::{Far, Handover, Protocol, Shards, Upgrade};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::accepted::Accepted;
use crate::connection::Entered;
use crate::line::Line;

/// Unsent bytes that the kernel may hold of a socket before it counts as full: what waits stays where it can still
/// be conflated and overtaken.
const NOTSENT_LOWAT: u32 = 16 << 10;
/// A peer that acknowledges nothing for this long is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client that was told to go is waited for.
const PARTING: Duration = Duration::from_secs(2);

/// See the module.
pub(crate) struct Freed {
    pub line: Line,
    /// What has been read and is the session's to decode.
    pub read: Vec<u8>,
    open: Entered,
}

impl Freed {
    /// The socket of a connection that is being upgraded.
    pub(crate) async fn after(upgrade: OnUpgrade) -> Option<Self> {
        let upgraded = upgrade.await;
        let upgraded =
            upgraded.inspect_err(|error| tracing::debug!(%error, "an upgrade was not completed")).ok()?;
        let freed = Freed::from(upgraded);
        if freed.is_none() {
            tracing::error!("an upgraded connection was not a TCP socket");
        }
        freed
    }

    fn from(upgraded: Upgraded) -> Option<Self> {
        let parts = upgraded.downcast::<TokioIo<Accepted>>().ok()?;
        let (line, open) = parts.io.into_inner().into_parts()?;
        Some(Freed { line, read: parts.read_buf.to_vec(), open })
    }

    /// Begins a session on the socket.
    pub(crate) fn open(self, shards: &Shards, arrival: Arrival, protocol: Box<dyn Protocol>) {
        let (stream, tls) = self.line.into_parts();
        match stream.into_std() {
            Ok(stream) => shards.open(Handover { stream, tls, read: self.read, arrival, protocol }),
            Err(error) => tracing::warn!(%error, "a socket could not be handed to its shard"),
        }
        drop(self.open);
    }

    /// Moves a session to the socket.
    pub(crate) fn take_over(self, shards: &Shards, far: Arc<Far>, protocol: Box<dyn Protocol>) {
        let (stream, tls) = self.line.into_parts();
        match stream.into_std() {
            Ok(stream) => shards.upgrade(far, Upgrade { stream, tls, read: self.read, protocol }),
            Err(error) => tracing::warn!(%error, "a socket could not be handed to its shard"),
        }
    }

    /// Last words. The client answers them; its socket is dropped after that, or after a moment.
    pub(crate) async fn part(mut self, words: &[u8]) {
        if self.line.write_all(words).await.is_ok() {
            let mut answer = [0; 256];
            let _ = tokio::time::timeout(PARTING, self.line.read(&mut answer)).await;
        }
    }
}

/// Sets an accepted socket up for sessions and event streams: little waits in the kernel, and who is gone without a word is
/// noticed. A large answer is woken more often for that, and not slower for its client.
pub(crate) fn set_up(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(USER_TIMEOUT).with_interval(USER_TIMEOUT / 6);
    let set = stream
        .set_nodelay(true)
        .and(socket.set_tcp_notsent_lowat(NOTSENT_LOWAT))
        .and(socket.set_tcp_user_timeout(Some(USER_TIMEOUT)))
        .and(socket.set_tcp_keepalive(&keepalive));
    if let Err(error) = set {
        tracing::debug!(%error, "a socket option could not be set");
    }
}
