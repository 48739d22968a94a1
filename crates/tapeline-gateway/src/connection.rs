//! One TCP connection on the HTTP port, from its acceptance to its end or its upgrade. Whoever is too slow, or one too
//! many, is told which setting says so; no limit of this file costs more than the socket it protects.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tapeline_core::Refusal;
use tapeline_schema::ErrorCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower_service::Service;

use crate::app::App;
use crate::door::Door;
use crate::error::push_error;

/// hyper answers a head that fills its buffer without a word, so the buffer is larger than what is allowed.
const HEADER_BUFFER: usize = 2;
/// hyper takes no smaller buffer.
const LEAST_BUFFER: usize = 8 << 10;
/// How long one that is too many is listened to before it is told so.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// How long a request that may be on its way is waited for when nothing listens any more.
const LAST_CALL: Duration = Duration::from_millis(100);
/// So many are told at once; others are closed without a word.
const REFUSALS: usize = 256;

/// A number of sockets, counted down when one is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open(Arc<AtomicUsize>);

impl Open {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self) -> Entered {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self.clone())
    }
}

struct Entered(Open);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An accepted connection. It may be left with last words, which go out when hyper lets go of it.
pub(crate) struct Accepted {
    stream: Option<TcpStream>,
    last_words: Arc<AtomicBool>,
    timeout: Duration,
}

impl Accepted {
    /// The socket, for a protocol that has been agreed on.
    pub(crate) fn into_stream(mut self) -> Option<TcpStream> {
        self.stream.take()
    }

    fn stream(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        let stream = self.get_mut().stream.as_mut();
        stream.map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if self.last_words.load(Ordering::Relaxed)
            && let Some(stream) = &self.stream
        {
            let seconds = self.timeout.as_secs();
            let message = format!("the head took longer than {seconds} s (limits.handshake_timeout_s)");
            // Nothing was written to this socket before, so it takes this much; if not, the client is told nothing.
            let _ = stream.try_write(&answer(&Refusal::new(ErrorCode::Timeout, message)));
        }
    }
}

impl AsyncRead for Accepted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

/// A whole answer, after which the connection ends.
fn answer(refusal: &Refusal) -> Vec<u8> {
    let mut body = Vec::new();
    push_error(&mut body, refusal);
    let status = refusal.code.status();
    let head = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        refusal.code,
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// Serves a connection to its end, or says that there are too many.
pub(crate) async fn run(app: Arc<App>, stream: TcpStream, peer: SocketAddr, routes: axum::Router) {
    let limit = app.hub.settings().connections;
    if app.open.count() + app.shards.sessions() >= limit {
        if app.refusing.count() < REFUSALS {
            let _refusing = app.refusing.enter();
            refuse(stream, limit).await;
        }
        return;
    }
    let _open = app.open.enter();
    serve(&app, stream, peer, routes).await;
}

async fn refuse(mut stream: TcpStream, limit: usize) {
    let message = format!("{} connections, the limit is {limit} (limits.connections)", limit + 1);
    let refusal = answer(&Refusal::new(ErrorCode::Overloaded, message));
    let mut asked = [0; 4 << 10];
    let told = async {
        // A socket that is closed with unread bytes in it would be reset, and the answer with it.
        if stream.read(&mut asked).await? > 0 {
            stream.write_all(&refusal).await?;
        }
        stream.shutdown().await?;
        while stream.read(&mut asked).await? > 0 {}
        io::Result::Ok(())
    };
    // Told or not, it is one too many.
    let _ = tokio::time::timeout(REFUSAL_TIME, told).await;
}

/// A moment after nothing listens any more. Browsers open connections to have them; one on which nothing was asked by
/// then has nothing to finish.
async fn last_call(door: &watch::Sender<Door>) {
    // Whoever could open the door again is gone with the hub.
    let _ = door.subscribe().wait_for(|door| *door == Door::Closed).await;
    tokio::time::sleep(LAST_CALL).await;
}

async fn serve(app: &App, stream: TcpStream, peer: SocketAddr, routes: axum::Router) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let settings = app.hub.settings();
    let last_words = Arc::new(AtomicBool::new(false));
    let accepted = Accepted {
        stream: Some(stream),
        last_words: last_words.clone(),
        timeout: settings.handshake_timeout,
    };
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
            .header_read_timeout(settings.handshake_timeout)
            .max_buf_size((settings.header_bytes * HEADER_BUFFER).max(LEAST_BUFFER))
            .serve_connection(TokioIo::new(accepted), service)
            .with_upgrades()
    );
    let mut door = app.door().subscribe();
    loop {
        let outcome = tokio::select! {
            outcome = served.as_mut() => outcome,
            Ok(()) = door.changed() => {
                if asked.load(Ordering::Relaxed) {
                    served.as_mut().graceful_shutdown();
                }
                continue;
            }
            () = last_call(app.door()), if !asked.load(Ordering::Relaxed) => {
                if asked.load(Ordering::Relaxed) {
                    served.as_mut().graceful_shutdown();
                    continue;
                }
                return;
            }
        };
        if let Err(error) = outcome {
            last_words.store(error.is_timeout() && !asked.load(Ordering::Relaxed), Ordering::Relaxed);
            tracing::debug!(%error, %peer, "a connection ended");
        }
        return;
    }
}
