//! The conversation with the hub: publishes go out when they are due and the window has room, answers come in at
//! any time. Both sides run at once, so that a hub that waits to be read never waits for us in turn.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tapeline_core::command::Publication;
use tapeline_core::feed::Feed;
use tapeline_feeds::replay::Replay;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::super::socket::Socket;
use super::progress::Progress;

/// How often the progress is shown.
const TICK: Duration = Duration::from_millis(100);

/// Why it is over.
pub(super) enum Ended {
    /// Everything is answered.
    Done,
    /// By the user.
    Interrupted,
    /// By the hub or the network.
    Lost(String),
}

/// What became of the publishes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub sent: u64,
    pub published: u64,
    /// By code.
    pub refusals: BTreeMap<String, Refused>,
}

#[derive(Debug, Default)]
pub(super) struct Refused {
    pub count: u64,
    /// The first one's message.
    pub first: String,
}

impl Tally {
    pub(super) fn refused(&self) -> u64 {
        self.refusals.values().map(|refused| refused.count).sum()
    }

    pub(super) fn answered(&self) -> u64 {
        self.published + self.refused()
    }
}

/// See the module.
pub(super) struct Drive {
    pub feed: Replay,
    pub tally: RefCell<Tally>,
    pub started: Instant,
    window: Semaphore,
    window_size: u32,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "type")]
    kind: String,
    req: Option<u64>,
    code: Option<String>,
    message: Option<String>,
}

impl Drive {
    pub(super) fn new(feed: Replay, window_size: u32) -> Self {
        let window = Semaphore::new(window_size as usize);
        Drive { feed, tally: RefCell::default(), started: Instant::now(), window, window_size }
    }

    /// Plays to the end of the feed and waits for the last answer.
    pub(super) async fn run(&mut self, socket: Socket, progress: Progress) -> Ended {
        let (sink, stream) = socket.split();
        self.started = Instant::now();
        let Drive { feed, tally, started, window, window_size } = self;
        let sending = async {
            let mut sink = sink;
            if let Err(error) = send_all(feed, &mut sink, tally, window, *started).await {
                return Ended::Lost(format!("the connection was lost ({error})"));
            }
            // All permits are back when every publish is answered.
            let _ = window.acquire_many(*window_size).await;
            // The hub learns of the end either way.
            let _ = sink.close().await;
            Ended::Done
        };
        let ended = tokio::select! {
            ended = sending => ended,
            why = receive(stream, tally, window) => Ended::Lost(why),
            never = show(&progress, tally) => match never {},
            _ = tokio::signal::ctrl_c() => Ended::Interrupted,
        };
        progress.end();
        ended
    }
}

async fn show(progress: &Progress, tally: &RefCell<Tally>) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(TICK).await;
        progress.show(tally.borrow().answered());
    }
}

async fn send_all(
    feed: &mut Replay,
    sink: &mut SplitSink<Socket, Message>,
    tally: &RefCell<Tally>,
    window: &Semaphore,
    started: Instant,
) -> Result<(), Error> {
    let mut due = Vec::new();
    loop {
        let next = feed.next(started.elapsed(), &mut due);
        for publication in due.drain(..) {
            let permit = match window.try_acquire() {
                Ok(permit) => Ok(permit),
                Err(_) => {
                    // Nothing that waits here may be what the answers wait for.
                    sink.flush().await?;
                    window.acquire().await
                }
            };
            permit.map_err(|_| Error::ConnectionClosed)?.forget();
            let req = tally.borrow().sent;
            sink.feed(Message::Text(request(&publication, req)?)).await?;
            tally.borrow_mut().sent += 1;
        }
        sink.flush().await?;
        match next {
            Some(at) => tokio::time::sleep_until((started + at).into()).await,
            None => return Ok(()),
        }
    }
}

fn request(publication: &Publication, req: u64) -> Result<Utf8Bytes, Error> {
    let Publication { channel, data, .. } = publication;
    let channel = serde_json::Value::from(&**channel).to_string();
    let mut text = Vec::with_capacity(data.len() + channel.len() + 64);
    for part in [b"{\"action\":\"publish\",\"channel\":", channel.as_bytes(), b",\"data\":", data] {
        text.extend_from_slice(part);
    }
    text.extend_from_slice(format!(",\"req\":{req}}}").as_bytes());
    Utf8Bytes::try_from(text).map_err(|error| Error::Utf8(error.to_string()))
}

/// Counts answers until the connection ends; answers why it did.
async fn receive(mut stream: SplitStream<Socket>, tally: &RefCell<Tally>, window: &Semaphore) -> String {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => note_answer(&text, tally, window),
            Some(Ok(Message::Close(Some(close)))) => {
                return format!("the hub closed the connection: {} {}", close.code, close.reason);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return format!("the connection was lost ({error})"),
            None => return "the connection was lost".to_string(),
        }
    }
}

/// Frames without a `req` answer nothing of ours.
fn note_answer(text: &str, tally: &RefCell<Tally>, window: &Semaphore) {
    let Ok(Answer { kind, req: Some(_), code, message }) = serde_json::from_str(text) else { return };
    let mut tally = tally.borrow_mut();
    match kind.as_str() {
        "published" => tally.published += 1,
        "error" => {
            let refused = tally.refusals.entry(code.unwrap_or_default()).or_default();
            if refused.count == 0 {
                refused.first = message.unwrap_or_default();
            }
            refused.count += 1;
        }
        _ => return,
    }
    window.add_permits(1);
}
