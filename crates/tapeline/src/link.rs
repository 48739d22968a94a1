//! The task behind a bus: keeps a connection, feeds the session with frames, commands and time, and sends what it
//! says. All waiting is here; what is said is decided in the session.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use tapeline_schema::{CloseCode, Retry};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::error::Error;
use crate::session::{Answer, Counts, Flow, NewSub, Session};
use crate::settings::Settings;
use crate::socket::{Socket, Target};
use crate::token::Tokens;
use tapeline_core::backoff::Backoff;
use tapeline_runtime::random_fraction;

/// A connection that held this long was a good one: the next loss starts with a small wait.
const GOOD: Duration = Duration::from_secs(5);
/// Frames on their way to the socket; the others wait in the session.
const SENDING: usize = 64;
/// For the last frames and the close.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a program asks of its bus.
pub(crate) enum Command {
    Subscribe(Box<NewSub>),
    Unsubscribe(u64, Option<oneshot::Sender<()>>),
    /// A JSON object without its mark.
    Request(String, Answer),
    Close(oneshot::Sender<()>),
}

/// How the connection to the hub is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// On the way, for the first time or again.
    Connecting,
    /// The hub answers.
    Connected,
    /// For good.
    Closed(Error),
}

/// Another token, some time.
pub(crate) type Renewing = Pin<Box<dyn Future<Output = Arc<str>> + Send>>;

/// Why a connection is over.
enum Ended {
    /// Come again.
    Lost(String),
    /// Do not come again.
    ForGood(Error),
}

fn lost<T>(reason: impl ToString) -> Result<T, Ended> {
    Err(Ended::Lost(reason.to_string()))
}

/// See the module.
pub(crate) struct Link {
    pub(crate) target: Arc<Target>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) session: Session,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Rung when a subscriber's queue has room again.
    pub(crate) room: Arc<Notify>,
    pub(crate) state: watch::Sender<ConnectionState>,
    pub(crate) backoff: Backoff,
    /// The token of a connection is on its way to be renewed.
    pub(crate) renewing: Option<Renewing>,
    /// Who waits for the end.
    pub(crate) closing: Option<oneshot::Sender<()>>,
}

impl Link {
    /// Runs until the bus is closed; while the hub has never answered, the first failure is final.
    pub(crate) async fn run(mut self) {
        let mut is_first = true;
        let error = loop {
            let ended = match self.connect().await {
                Ok(socket) => self.talk(socket).await,
                Err(ended) => ended,
            };
            self.session.on_lost();
            self.renewing = None;
            is_first &= *self.state.borrow() == ConnectionState::Connecting;
            let reason = match ended {
                Ended::ForGood(error) => break error,
                Ended::Lost(reason) if is_first => {
                    break self.session.take_complaint().unwrap_or(self.target.no_answer(&reason));
                }
                Ended::Lost(reason) => reason,
            };
            self.state.send_replace(ConnectionState::Connecting);
            self.counts.reconnects.fetch_add(1, Ordering::Relaxed);
            let wait = self.backoff.next(random_fraction());
            tracing::warn!(%reason, ?wait, "the hub at {} is lost", self.target.url());
            if let Err(Ended::ForGood(error)) = self.stay_away(wait).await {
                break error;
            }
        };
        if error != Error::BusClosed {
            tracing::error!(%error, "the bus is closed");
        }
        self.session.end(&error);
        self.state.send_replace(ConnectionState::Closed(error));
        if let Some(closing) = self.closing.take() {
            // Who asked may have stopped waiting.
            let _ = closing.send(());
        }
    }

    async fn connect(&mut self) -> Result<Socket, Ended> {
        let (target, tokens) = (self.target.clone(), self.tokens.clone());
        let within = self.settings.connect_timeout;
        let attempt = async {
            let token = tokens.fetch().await?;
            target.connect(within, token.as_deref()).await
        };
        let mut attempt = std::pin::pin!(attempt);
        loop {
            tokio::select! {
                socket = &mut attempt => return socket.or_else(|error| self.on_unconnected(error)),
                command = self.commands.recv() => self.on_command(command)?,
            }
        }
    }

    fn on_unconnected<T>(&mut self, error: Error) -> Result<T, Ended> {
        if let Error::Unauthorized { .. } = error {
            if !self.tokens.can_change() {
                return Err(Ended::ForGood(error));
            }
            // The source may give a good one by and by; a hub does not like to be asked with bad ones.
            self.backoff.slow_down();
        }
        let reason = error.to_string();
        self.session.complain(error);
        lost(reason)
    }

    async fn stay_away(&mut self, wait: Duration) -> Result<(), Ended> {
        let end = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(end) => return Ok(()),
                command = self.commands.recv() => self.on_command(command)?,
            }
        }
    }

    fn on_command(&mut self, command: Option<Command>) -> Result<(), Ended> {
        match command {
            Some(Command::Subscribe(new)) => self.session.subscribe(*new),
            Some(Command::Unsubscribe(id, done)) => {
                self.session.unsubscribe(id);
                if let Some(done) = done {
                    // Who asked may have stopped waiting.
                    let _ = done.send(());
                }
            }
            Some(Command::Request(object, answer)) => self.session.request(&object, answer),
            Some(Command::Close(done)) => {
                self.closing = Some(done);
                return Err(Ended::ForGood(Error::BusClosed));
            }
            None => return Err(Ended::ForGood(Error::BusClosed)),
        }
        Ok(())
    }

    /// Talks until the connection is over.
    async fn talk(&mut self, socket: Socket) -> Ended {
        let since = Instant::now();
        let (sink, mut frames) = socket.split();
        let (sending, queue) = mpsc::channel(SENDING);
        let writer = tokio::spawn(write(sink, queue));
        self.session.on_connected();
        let mut quiet = Quiet::new(self.settings.silence);
        let ended = loop {
            let again = self.session.deadline();
            let step = tokio::select! {
                frame = frames.next() => {
                    quiet.on_frame();
                    self.on_frame(frame)
                }
                permit = sending.reserve(), if self.session.has_outgoing() => match permit {
                    Ok(permit) => {
                        if let Some(text) = self.session.take_outgoing() {
                            permit.send(text);
                        }
                        Ok(())
                    }
                    Err(_) => lost("the connection takes nothing more"),
                },
                command = self.commands.recv() => self.on_command(command),
                token = renewed(&mut self.renewing) => {
                    self.renewing = None;
                    self.session.give_token(&token);
                    Ok(())
                }
                () = self.room.notified() => {
                    self.session.on_room();
                    Ok(())
                }
                () = sleep_until(quiet.deadline()) => quiet.on_deadline().map(|()| self.session.ping()),
                () = at(again), if again.is_some() => {
                    self.session.on_time(std::time::Instant::now());
                    Ok(())
                }
            };
            if let Err(ended) = step {
                break ended;
            }
        };
        if since.elapsed() > GOOD {
            self.backoff.reset();
        }
        match &ended {
            Ended::Lost(_) => writer.abort(),
            Ended::ForGood(_) => {
                drop(sending);
                // Whoever closes does not wait long for a hub that takes nothing.
                let _ = tokio::time::timeout(GOODBYE, writer).await;
            }
        }
        ended
    }

    fn on_frame(&mut self, frame: Option<Result<Message, WsError>>) -> Result<(), Ended> {
        match frame {
            Some(Ok(Message::Text(text))) => {
                if *self.state.borrow() != ConnectionState::Connected && Session::is_greeting(&text) {
                    self.state.send_replace(ConnectionState::Connected);
                }
                match self.session.handle(&text, std::time::Instant::now()) {
                    Flow::GoesOn => Ok(()),
                    Flow::WantsToken(after) => {
                        self.on_token_wanted(after);
                        Ok(())
                    }
                    Flow::ComeBack(after) => {
                        self.backoff.at_least(after);
                        lost("the hub asks to connect again")
                    }
                }
            }
            Some(Ok(Message::Close(close))) => self.on_close(close),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => lost(error),
            None => lost("the connection ended"),
        }
    }

    fn on_token_wanted(&mut self, after: Duration) {
        if self.tokens.can_change() {
            self.renewing = Some(Box::pin(self.tokens.clone().renew(after)));
        } else {
            tracing::warn!("the token is about to end, and a text cannot be renewed; see TokenSource");
        }
    }

    fn on_close(&mut self, close: Option<CloseFrame>) -> Result<(), Ended> {
        let Some(CloseFrame { code, reason }) = close else { return lost("the hub closed without a code") };
        let number = u16::from(code);
        let error = Error::Closed { code: number, reason: reason.as_str().to_string() };
        // Only this request would bring the same end again.
        if number == CloseCode::TooBig.number() && self.session.on_too_large(&error) {
            return lost(error);
        }
        if number == CloseCode::TokenExpired.number() && !self.tokens.can_change() {
            return Err(Ended::ForGood(Error::Unauthorized { reason: reason.as_str().to_string() }));
        }
        match CloseCode::from_number(number).map(CloseCode::retry) {
            Some(Retry::Never) => Err(Ended::ForGood(error)),
            Some(Retry::Reconnect) => lost(error),
            Some(Retry::Later) | None => {
                self.backoff.slow_down();
                lost(error)
            }
        }
    }
}

/// Silence on one connection: after half of the bound the hub is asked for a sign of life, after all of it lost.
struct Quiet {
    bound: Duration,
    since: Instant,
    asked: bool,
}

impl Quiet {
    fn new(bound: Duration) -> Self {
        Quiet { bound, since: Instant::now(), asked: false }
    }

    fn on_frame(&mut self) {
        *self = Quiet::new(self.bound);
    }

    fn deadline(&self) -> Instant {
        self.since + if self.asked { self.bound } else { self.bound / 2 }
    }

    fn on_deadline(&mut self) -> Result<(), Ended> {
        if self.asked {
            return lost(format!("the hub has been silent for {:?}", self.bound));
        }
        self.asked = true;
        Ok(())
    }
}

async fn renewed(renewing: &mut Option<Renewing>) -> Arc<str> {
    match renewing {
        Some(renewing) => renewing.await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<std::time::Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Sends frames until there are no more, then says goodbye. A frame that cannot be sent is sent again on the next
/// connection, or was only of use on this one.
async fn write(mut sink: SplitSink<Socket, Message>, mut queue: mpsc::Receiver<String>) {
    while let Some(text) = queue.recv().await {
        let mut next = Some(text);
        while let Some(text) = next.take() {
            if sink.feed(Message::Text(text.into())).await.is_err() {
                return;
            }
            next = queue.try_recv().ok();
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
    // The hub learns of the end either way.
    let _ = sink.close().await;
}
