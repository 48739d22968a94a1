//! The loop behind [`Live`](super::Live): does what the session says and hands in frames, tokens and time. All waiting
//! is here; what is said and told is decided in the session.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep, sleep_until};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::socket::{Connection, connect, tls_for};
use super::{Line, Shared, Sink};
use crate::venue::{Event, Session, Step};

/// Frames that are taken before the clock, tokens and the stop are looked at again.
const BATCH: usize = 64;
/// The longest sleep; a session that wants more is asked in between.
const LONG: Duration = Duration::from_secs(3_600);

type Later<T> = Option<Pin<Box<dyn Future<Output = Result<T, String>> + Send>>>;
type Frame = Option<Result<Message, WsError>>;

/// What has come.
enum Came {
    Frame(Frame),
    Connection(Result<Connection, String>),
    Token(Result<String, String>),
    Time,
    Tick,
    Stop,
}

/// See the module.
pub(super) struct Driver {
    name: String,
    session: Box<dyn Session>,
    sink: Box<dyn Sink>,
    line: Line,
    shared: Arc<Shared>,
    events: Vec<Event>,
    connection: Option<Connection>,
    connecting: Later<Connection>,
    token: Later<String>,
    tls: Option<Arc<ClientConfig>>,
}

impl Driver {
    pub(super) fn new(
        name: &str,
        session: Box<dyn Session>,
        sink: Box<dyn Sink>,
        line: Line,
        shared: Arc<Shared>,
    ) -> Self {
        Driver {
            name: name.to_string(),
            session,
            sink,
            line,
            shared,
            events: Vec::new(),
            connection: None,
            connecting: None,
            token: None,
            tls: None,
        }
    }

    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = self.sink.tick().map(|every| {
            let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        loop {
            let wake = self.obey();
            self.show();
            match self.wait(wake, &mut ticks, &mut stop).await {
                Came::Frame(frame) => self.on_frames(frame),
                Came::Connection(result) => self.on_connection(result),
                Came::Token(token) => {
                    self.token = None;
                    self.session.on_token(token, self.line.clock.now());
                }
                Came::Time => {}
                Came::Tick => self.sink.on_tick(&*self.session),
                Came::Stop => break,
            }
        }
        self.shared.is_open.store(false, Ordering::Relaxed);
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    async fn wait(
        &mut self,
        wake: Instant,
        ticks: &mut Option<Interval>,
        stop: &mut watch::Receiver<bool>,
    ) -> Came {
        tokio::select! {
            biased;
            // Whoever dropped the other end wants no more either.
            _ = stop.wait_for(|is_said| *is_said) => Came::Stop,
            () = tick(ticks) => Came::Tick,
            token = later(&mut self.token) => Came::Token(token),
            connection = later(&mut self.connecting) => Came::Connection(connection),
            frame = frame(&mut self.connection) => Came::Frame(frame),
            () = sleep_until(wake) => Came::Time,
        }
    }

    /// Does what the session says until it waits; until when.
    fn obey(&mut self) -> Instant {
        loop {
            let now = self.line.clock.now();
            let step = self.session.next(now, &mut self.events);
            self.tell();
            match step {
                Step::Wait { until_us } => {
                    let wait = Duration::from_micros(until_us.saturating_sub(now.mono_us));
                    return Instant::now() + wait.min(LONG);
                }
                Step::Send(text) => {
                    if self.connection.as_ref().is_some_and(|connection| !connection.send(text)) {
                        self.on_lost("the venue takes no requests");
                    }
                }
                Step::Close { why } => self.on_lost(&why),
                Step::Connect { url, after } => self.connect(url, after),
                Step::FetchToken { after } => self.fetch_token(after),
            }
        }
    }

    fn connect(&mut self, url: String, after: Duration) {
        let (bytes, within) = (self.line.frame_bytes, self.line.connect_timeout);
        if self.tls.is_none() {
            match tls_for(&url, self.line.ca.as_deref()) {
                Ok(tls) => self.tls = tls,
                Err(error) => {
                    self.connecting = Some(Box::pin(async move {
                        sleep(after).await;
                        Err(error)
                    }));
                    return;
                }
            }
        }
        let tls = self.tls.clone();
        self.connecting = Some(Box::pin(async move {
            sleep(after).await;
            connect(url, tls, bytes, within).await
        }));
    }

    fn fetch_token(&mut self, after: Duration) {
        let source = self.line.tokens.clone();
        self.token = Some(Box::pin(async move {
            sleep(after).await;
            let Some(source) = source else { return Err("no source of tokens is set".to_string()) };
            let fetching = tokio::task::spawn_blocking(move || source.fetch());
            fetching.await.unwrap_or_else(|_| Err("the source of tokens panicked".to_string()))
        }));
    }

    fn on_connection(&mut self, result: Result<Connection, String>) {
        self.connecting = None;
        match result {
            Ok(connection) => {
                let generation = self.shared.generation.fetch_add(1, Ordering::Relaxed) + 1;
                self.shared.is_open.store(true, Ordering::Relaxed);
                tracing::info!(generation, "feed {} is connected", self.name);
                self.connection = Some(connection);
                self.session.on_open(self.line.clock.now());
            }
            Err(why) => self.on_lost(&why),
        }
    }

    /// What the connection brought goes with it: frames that were not taken yet, and a token on its way.
    fn on_lost(&mut self, why: &str) {
        tracing::warn!("feed {} is not connected: {why}", self.name);
        self.shared.is_open.store(false, Ordering::Relaxed);
        if let Some(connection) = self.connection.take() {
            connection.abandon();
        }
        self.token = None;
        self.session.on_closed(why, self.line.clock.now(), &mut self.events);
        self.tell();
    }

    /// Takes this frame and those that are there already.
    fn on_frames(&mut self, first: Frame) {
        let mut next = Some(first);
        for _ in 0..BATCH {
            let Some(frame) = next.take() else { return };
            self.on_frame(frame);
            // Each frame is over with before the next: a book is as its event says until then.
            self.obey();
            let Some(connection) = &mut self.connection else { return };
            next = connection.frames.next().now_or_never();
        }
        if let Some(frame) = next {
            self.on_frame(frame);
        }
    }

    fn on_frame(&mut self, frame: Frame) {
        let now = self.line.clock.now();
        self.shared.frames.fetch_add(1, Ordering::Relaxed);
        match frame {
            Some(Ok(Message::Text(text))) => {
                self.shared.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
                self.session.on_text(&text, now, &mut self.events);
                self.tell();
            }
            Some(Ok(Message::Close(close))) => {
                let why = close.map_or("without a code".into(), |close| format!("with {close}"));
                self.on_lost(&format!("the venue closed {why}"));
            }
            Some(Ok(_)) => self.session.on_alive(now),
            Some(Err(error)) => self.on_lost(&format!("the connection broke: {error}")),
            None => self.on_lost("the connection ended"),
        }
    }

    fn tell(&mut self) {
        if !self.events.is_empty() {
            self.sink.handle(&self.events, &*self.session);
            self.events.clear();
        }
    }

    /// Once a batch: what the session counted.
    fn show(&self) {
        let mut shown = self.shared.session.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone_from(self.session.counts());
    }
}

async fn later<T>(what: &mut Later<T>) -> Result<T, String> {
    match what {
        Some(what) => what.await,
        None => std::future::pending().await,
    }
}

async fn frame(connection: &mut Option<Connection>) -> Frame {
    match connection {
        Some(connection) => connection.frames.next().await,
        None => std::future::pending().await,
    }
}

async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}
