//! One TCP connection on the HTTP port, from its acceptance to its end or its upgrade. Whoever is too slow, or one too
//! many, is told which setting says so; no limit of this file costs more than the socket it protects.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
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
use crate::peer::{Peer, Side};

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

/// Serves a connection to its end, or says why it is not let in.
pub(crate) async fn run(
    app: Arc<App>,
    stream: TcpStream,
    peer: SocketAddr,
    side: Side,
    routes: axum::Router,
) {
    let here = match has_room(&app).and_then(|()| app.arrive_at_port(peer.ip())) {
        Ok(here) => here,
        Err(refusal) => {
            if app.refusing.count() < REFUSALS {
                let _refusing = app.refusing.enter();
                app.report_refused(&peer.ip().to_string(), &refusal);
                refuse(stream, &refusal).await;
            }
            return;
        }
    };
    let _open = app.open.enter();
    let peer = Arc::new(Peer::new(peer, &stream, side, here));
    serve(app, stream, peer, routes).await;
}

fn has_room(app: &App) -> Result<(), Refusal> {
    let limit = app.hub.settings().connections;
    if app.open.count() + app.shards.sessions() < limit {
        return Ok(());
    }
    let message = format!("{} connections, the limit is {limit} (limits.connections)", limit + 1);
    Err(Refusal::new(ErrorCode::Overloaded, message))
}

async fn refuse(mut stream: TcpStream, refusal: &Refusal) {
    let refusal = whole_answer(refusal);
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

async fn serve(app: Arc<App>, stream: TcpStream, peer: Arc<Peer>, routes: axum::Router) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    // Copied: settings that are kept borrowed for as long as a connection lives could not be let go by a reload.
    let (head_timeout, header_bytes) = {
        let settings = app.hub.settings();
        (settings.handshake_timeout, settings.header_bytes)
    };
    let last_words = Arc::new(AtomicBool::new(false));
    let accepted = Accepted::new(stream, app.clone(), last_words.clone(), head_timeout);
    let asked = AtomicBool::new(false);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(peer.clone());
        let mut routes = routes.clone();
        async move { Ok::<_, Infallible>(routes.call(request).await.unwrap_or_else(|never| match never {})) }
    });
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            // Who says that nothing more comes still waits for the answer.
            .half_close(true)
            .header_read_timeout(head_timeout)
            .max_headers(HEADERS)
            .max_buf_size(header_bytes.saturating_mul(HEADER_BUFFER).max(LEAST_BUFFER))
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
            tracing::debug!(%error, peer = %peer.address, "a connection ended");
        }
        return;
    }
}
