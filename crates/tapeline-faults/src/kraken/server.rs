//! The stand-in's sockets: two ports that speak WebSocket, one for REST, and the clock that moves the market. What is said
//! and what is broken is the venue's; this carries it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::Pace;
use super::rest;
use super::venue::{Out, Venue};

/// How often a connection looks whether a heartbeat or an answer is due.
const LOOK: Duration = Duration::from_millis(20);
/// How often the market moves where it moves by itself.
const MOVE: Duration = Duration::from_millis(5);
/// Steps at once; beyond them it is late.
const AT_ONCE: usize = 5_000;

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Public,
    Private,
    Rest,
}

/// The venue, of which there is one.
#[derive(Clone)]
pub(super) struct Shared(pub Arc<Mutex<Venue>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Venue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets in whoever comes to this port, until it is aborted.
    pub(super) async fn accept(self, listener: std::net::TcpListener, door: Door) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let refused = {
                let mut venue = self.lock();
                let refused = door != Door::Rest && venue.connections_refused > 0;
                venue.connections_refused -= u32::from(refused);
                refused
            };
            if refused {
                reset(&stream);
                continue;
            }
            let shared = self.clone();
            match door {
                Door::Rest => tokio::spawn(rest::serve(stream, move |path, key, sign, body| {
                    rest::answer(&mut shared.lock().account, path, key, sign, body)
                })),
                _ => tokio::spawn(shared.serve(stream, door)),
            };
        }
    }

    async fn serve(self, stream: TcpStream, door: Door) {
        // Who does not shake hands is no client.
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
        let (id, wake) = self.lock().open(door == Door::Private);
        self.talk(&mut socket, id, &wake).await;
        self.lock().lines.remove(&id);
    }

    async fn talk(&self, socket: &mut WebSocketStream<TcpStream>, id: u64, wake: &Notify) {
        let mut heard: VecDeque<(Instant, String)> = VecDeque::new();
        let mut look = tokio::time::interval(LOOK);
        loop {
            while heard.front().is_some_and(|(due, _)| *due <= Instant::now()) {
                if let Some((_, text)) = heard.pop_front() {
                    self.lock().on_text(id, &text);
                }
            }
            let Some(due) = self.lock().take(id) else { return };
            for out in due {
                if !carry(socket, out).await {
                    return;
                }
            }
            tokio::select! {
                () = wake.notified() => {}
                _ = look.tick() => self.lock().beat(id),
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let due = Instant::now() + self.lock().ack_after;
                        heard.push_back((due, text.as_str().to_string()));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
            }
        }
    }

    /// Moves the market as it is told.
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(MOVE);
        let mut last = Instant::now();
        let (mut owed, mut clock) = (0.0, Duration::ZERO);
        loop {
            ticks.tick().await;
            let elapsed = last.elapsed();
            last = Instant::now();
            let mut venue = self.lock();
            match venue.pace {
                Pace::Still => owed = 0.0,
                Pace::PerSecond(rate) => {
                    owed += elapsed.as_secs_f64() * rate;
                    for _ in 0..AT_ONCE {
                        if owed < 1.0 || !venue.step() {
                            break;
                        }
                        owed -= 1.0;
                    }
                }
                Pace::Times(factor) => {
                    clock += elapsed.mul_f64(factor);
                    for _ in 0..AT_ONCE {
                        if venue.due().is_none_or(|due| due > clock) || !venue.step() {
                            break;
                        }
                    }
                }
            }
        }
    }
}

/// Does what is due; `false` if that was the last.
async fn carry(socket: &mut WebSocketStream<TcpStream>, out: Out) -> bool {
    match out {
        Out::Text(text) => socket.send(Message::text(text)).await.is_ok(),
        Out::Close(code) => {
            let frame = CloseFrame { code: code.into(), reason: "the stand-in closes".into() };
            // Whether the other end answers is its own affair.
            let _ = socket.close(Some(frame)).await;
            false
        }
        Out::Cut => {
            reset(socket.get_ref());
            false
        }
    }
}

/// Has a connection end with a reset.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
