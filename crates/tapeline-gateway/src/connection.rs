//! One TCP connection on the HTTP port, from its acceptance to its end or its upgrade. Whoever is too slow, or one too
//! many, is told which setting says so; no limit of this file costs more than the socket it protects.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tapeline_core::Refusal;
use tapeline_schema::ErrorCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower_service::Service;

use crate::accepted::Accepted;
use crate::app::App;
use crate::door::Door;
use crate::error::whole_answer;
use crate::freed::set_up;
use crate::http2::{Overdue, Streams, name_host};
use crate::line::Line;
use crate::peer::{Peer, Side};
use crate::sse;
use crate::tls::Tls;

/// hyper answers a head that fills its buffer without a word, so the buffer is larger than what is allowed.
const HEADER_BUFFER: usize = 2;
/// hyper answers more headers without a word too. So many are more than anybody sends, and fit into the usual
/// `limits.header_bytes` only where they say next to nothing.
const HEADERS: usize = 1_000;
/// hyper takes no smaller buffer.
const LEAST_BUFFER: usize = 8 << 10;
/// How long one that is too many is listened to before it is told so.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// How long a request that may be on its way is waited for when nothing listens any more.
const LAST_CALL: Duration = Duration::from_millis(100);
/// Sockets of the admin interface beyond all others: who would end a crowd must get through it.
const ADMIN_RESERVE: usize = 16;
/// So many are told at once; others are closed without a word.
pub(crate) const REFUSALS: usize = 256;

/// A number of sockets, counted down when one is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open(Arc<AtomicUsize>);

impl Open {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn enter(&self) -> Entered {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self.clone())
    }
}

pub(crate) struct Entered(Open);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves a connection to its end, or says why it is not let in.
pub(crate) async fn run(
    app: Arc<App>,
    stream: TcpStream,
    peer: SocketAddr,
    side: Side,
    tls: Option<Arc<Tls>>,
    routes: axum::Router,
) {
    let arrived = match side {
        Side::Public => has_room(&app, 0).and_then(|()| app.arrive_at_port(peer.ip())),
        Side::Admin => has_room(&app, ADMIN_RESERVE).and_then(|()| app.arrive_at_admin(peer.ip())),
    };
    let here = match arrived {
        Ok(here) => here,
        Err(refusal) => {
            if app.refusing.count() < REFUSALS {
                let _refusing = app.refusing.enter();
                app.report_refused(&peer.ip().to_string(), &refusal);
                // Behind TLS nothing can be said before a handshake, which would cost more than is refused.
                if tls.is_none() {
                    refuse(&app, stream, &refusal).await;
                }
            }
            return;
        }
    };
    let open = app.open.enter();
    let peer = Arc::new(Peer::new(peer, &stream, side, here));
    set_up(&stream);
    let line = match tls {
        None => Line::Plain(stream),
        Some(tls) => {
            let within = app.hub.settings().handshake_timeout;
            let shaken = tokio::select! {
                shaken = tls.shake_hands(stream, within) => shaken,
                () = last_call(app.door()) => return,
            };
            let Some(stream) = shaken else { return };
            Line::Tls(Box::new(stream))
        }
    };
    Serving::new(app, peer, routes).serve(line, open).await;
}

/// Whether one more connection, or session, fits beside all others; `reserve` is room that others may not use.
pub(crate) fn has_room(app: &App, reserve: usize) -> Result<(), Refusal> {
    let limit = app.hub.settings().connections;
    if app.open.count() + app.shards.sessions() < limit.saturating_add(reserve) {
        return Ok(());
    }
    let message = format!("{} connections, the limit is {limit} (limits.connections)", limit + 1);
    Err(Refusal::new(ErrorCode::Overloaded, message))
}

async fn refuse(app: &App, mut stream: TcpStream, refusal: &Refusal) {
    let limit = app.hub.settings().header_bytes;
    let mut asked = Vec::new();
    // A listener that comes back brings its places, which may take several reads.
    let _ = tokio::time::timeout(REFUSAL_TIME, read_head(&mut stream, limit, &mut asked)).await;
    if asked.is_empty() {
        return;
    }
    let on_loopback = stream.local_addr().is_ok_and(|own| own.ip().to_canonical().is_loopback());
    let told = sse::whole_answer(app, on_loopback, &asked, refusal);
    part(stream, &told.unwrap_or_else(|| whole_answer(refusal))).await;
}

/// Reads to the end of a request's head, or so many bytes.
async fn read_head(stream: &mut TcpStream, limit: usize, asked: &mut Vec<u8>) {
    let mut piece = [0; 4 << 10];
    while asked.len() < limit && !asked.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(read @ 1..) => asked.extend(piece.iter().take(read)),
            _ => return,
        }
    }
}

/// Says last words to one that is not let in, so that they can be read.
pub(crate) async fn part(mut stream: TcpStream, words: &[u8]) {
    let mut asked = [0; 4 << 10];
    let told = async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        // A socket that is closed with unread bytes in it would be reset, and what was said with it.
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

/// One connection while requests are answered on it.
struct Serving {
    app: Arc<App>,
    peer: Arc<Peer>,
    routes: axum::Router,
    head_timeout: Duration,
    header_bytes: usize,
    /// Whether anything was.
    asked: Arc<AtomicBool>,
    last_words: Arc<AtomicBool>,
}

/// A connection of either version of HTTP.
trait Conversation: Future<Output = hyper::Result<()>> {
    /// Ends when what is under way is answered.
    fn end(self: Pin<&mut Self>);
}

impl<I, S> Conversation for http1::UpgradeableConnection<I, S>
where
    http1::UpgradeableConnection<I, S>: Future<Output = hyper::Result<()>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send,
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, E> Conversation for http2::Connection<I, S, E>
where
    http2::Connection<I, S, E>: Future<Output = hyper::Result<()>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, Body>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Serving {
    fn new(app: Arc<App>, peer: Arc<Peer>, routes: axum::Router) -> Self {
        // Copied: settings that are kept borrowed for as long as a connection lives could not be let go by a reload.
        let (head_timeout, header_bytes) = {
            let settings = app.hub.settings();
            (settings.handshake_timeout, settings.header_bytes)
        };
        let header_bytes = header_bytes.saturating_mul(HEADER_BUFFER).max(LEAST_BUFFER);
        let (asked, last_words) = Default::default();
        Serving { app, peer, routes, head_timeout, header_bytes, asked, last_words }
    }

    async fn serve(self, line: Line, open: Entered) {
        let is_http2 = line.is_http2();
        let accepted =
            Accepted::new(line, open, self.app.clone(), self.last_words.clone(), self.head_timeout);
        let io = TokioIo::new(accepted);
        if is_http2 {
            return self.serve_http2(io).await;
        }
        let service = service_fn(|request| self.answer(request));
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // Who says that nothing more comes still waits for the answer.
            .half_close(true)
            .header_read_timeout(self.head_timeout)
            .max_headers(HEADERS)
            .max_buf_size(self.header_bytes);
        let served = pin!(http1.serve_connection(io, service).with_upgrades());
        self.attend(served, None).await;
    }

    async fn serve_http2(self, io: TokioIo<Accepted>) {
        let streams = Arc::new(Streams::new());
        let service = service_fn(|mut request| {
            let stream = streams.enter();
            name_host(&mut request);
            let answer = self.answer(request);
            async move { Ok::<_, Infallible>(answer.await?.map(|body| stream.follow(body))) }
        });
        let served =
            pin!(crate::http2::builder(self.head_timeout, self.header_bytes).serve_connection(io, service));
        self.attend(served, Some(&streams)).await;
    }

    fn answer(
        &self,
        mut request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
        self.asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(self.peer.clone());
        let mut routes = self.routes.clone();
        async move { routes.call(request).await }
    }

    /// Follows a connection to its end, and ends it where the hub does or its client is too slow.
    async fn attend(&self, mut served: Pin<&mut impl Conversation>, streams: Option<&Streams>) {
        let app = &self.app;
        let has_asked = || self.asked.load(Ordering::Relaxed);
        let mut door = app.door().subscribe();
        let mut quiet = self.head_timeout;
        loop {
            let outcome = tokio::select! {
                outcome = served.as_mut() => outcome,
                Ok(()) = door.changed() => {
                    if has_asked() {
                        served.as_mut().end();
                    }
                    continue;
                }
                () = last_call(app.door()), if !has_asked() => {
                    if has_asked() {
                        served.as_mut().end();
                        continue;
                    }
                    return;
                }
                overdue = overdue(streams, quiet, app.hub.settings().slow_close) => match overdue {
                    Overdue::Quiet if quiet == self.head_timeout => {
                        served.as_mut().end();
                        quiet = quiet.saturating_mul(2);
                        continue;
                    }
                    // Even the end was not taken.
                    Overdue::Quiet => return,
                    Overdue::Stuck => {
                        app.closed_slow.add(1);
                        return;
                    }
                }
            };
            if let Err(error) = outcome {
                self.last_words.store(error.is_timeout() && !has_asked(), Ordering::Relaxed);
                tracing::debug!(%error, peer = %self.peer.address, "a connection ended");
            }
            return;
        }
    }
}

async fn overdue(streams: Option<&Streams>, quiet: Duration, stuck: Duration) -> Overdue {
    match streams {
        Some(streams) => streams.overdue(quiet, stuck).await,
        None => std::future::pending().await,
    }
}
