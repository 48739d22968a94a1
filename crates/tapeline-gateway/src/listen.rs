//! The HTTP port: accepts connections, hands requests to the routes, and lets upgraded sockets go.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::app::App;
use crate::connection;
use crate::door::Door;
use crate::peer::Side;
use crate::tls::Tls;

/// Connections that may wait to be accepted; the kernel's own limit may be lower.
const BACKLOG: i32 = 8_192;

/// Why an address could not be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What names another one.
    flag: &'static str,
    /// The operating system's reason.
    pub error: io::Error,
}

impl std::fmt::Display for ListenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (address, flag) = (self.address, self.flag);
        if self.error.kind() == io::ErrorKind::AddrInUse {
            let other = SocketAddr::new(address.ip(), address.port().wrapping_add(1));
            return write!(f, "address in use: {address}; try {flag} {other}");
        }
        write!(f, "cannot listen on {address}: {}", self.error)
    }
}

impl std::error::Error for ListenError {}

/// Binds an address that `flag` names; port 0 takes a free one, which is told.
pub(crate) fn bind(
    address: SocketAddr,
    flag: &'static str,
) -> Result<(TcpListener, SocketAddr), ListenError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let inner = TcpListener::from_std(socket.into())?;
        let address = inner.local_addr()?;
        Ok((inner, address))
    };
    bind().map_err(|error| ListenError { address, flag, error })
}

/// A bound address that is not yet served.
pub struct Listener {
    inner: TcpListener,
    address: SocketAddr,
    /// Who comes here speaks TLS.
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Binds for this side, for plain connections or for TLS; port 0 takes a free one. Must be called inside a tokio runtime.
    pub fn bind(address: SocketAddr, side: Side, tls: Option<Arc<Tls>>) -> Result<Self, ListenError> {
        let flag = match (side, &tls) {
            (Side::Admin, _) => "--admin-listen",
            (Side::Public, Some(_)) => "--tls-listen",
            (Side::Public, None) => "--listen",
        };
        let (inner, address) = bind(address, flag)?;
        Ok(Listener { inner, address, tls })
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is spoken there: `http`, or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until the door is closed and every request that had begun is answered.
    pub async fn serve(self, app: Arc<App>, side: Side) {
        let routes = app.routes();
        let mut door = app.door().subscribe();
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.inner.accept() => accepted,
                _ = door.wait_for(|door| *door == Door::Closed) => break,
                Some(_) = open.join_next() => continue,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let tls = self.tls.clone();
                    open.spawn(connection::run(app.clone(), stream, peer, side, tls, routes.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Out of file descriptors is the usual reason; trying again at once would spin.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        drop(self.inner);
        while open.join_next().await.is_some() {}
    }
}
