//! The HTTP port: accepts connections, hands requests to the routes, and lets upgraded sockets go.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service;

use crate::app::App;
use crate::door::Door;

/// Connections that may wait to be accepted; the kernel's own limit may be lower.
const BACKLOG: i32 = 8_192;
/// A request's headers must be complete after this.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's headers, and of hyper's buffer.
const HEADER_BYTES: usize = 16 << 10;

/// Why an address could not be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// The operating system's reason.
    pub error: io::Error,
}

impl std::fmt::Display for ListenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self.address;
        if self.error.kind() == io::ErrorKind::AddrInUse {
            let other = SocketAddr::new(address.ip(), address.port().wrapping_add(1));
            return write!(f, "address in use: {address}; try --listen {other}");
        }
        write!(f, "cannot listen on {address}: {}", self.error)
    }
}

impl std::error::Error for ListenError {}

/// A bound address that is not yet served.
pub struct Listener {
    inner: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds; port 0 takes a free one. Must be called inside a tokio runtime.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bind = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let inner = TcpListener::from_std(socket.into())?;
            let address = inner.local_addr()?;
            Ok(Listener { inner, address })
        };
        bind().map_err(|error| ListenError { address, error })
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the door is closed and every request that had begun is answered.
    pub async fn serve(self, app: Arc<App>) {
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
                    open.spawn(serve_connection(stream, peer, routes.clone(), app.door().subscribe()));
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

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    routes: axum::Router,
    mut door: watch::Receiver<Door>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let asked = AtomicBool::new(false);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut routes = routes.clone();
        async move { Ok::<_, Infallible>(routes.call(request).await.unwrap_or_else(|never| match never {})) }
    });
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    loop {
        let outcome = tokio::select! {
            outcome = served.as_mut() => outcome,
            Ok(()) = door.changed() => {
                // Where nothing was asked yet, there is nothing to finish: browsers open connections to have them.
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
                served.as_mut().graceful_shutdown();
                continue;
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, %peer, "a connection ended");
        }
        return;
    }
}
