//! The requests of one HTTP/2 connection: how many are under way, and which answer waits for a client that takes none of
//! it. On HTTP/1.1 the socket tells that; here windows can be shut while the socket goes on. It answers nothing.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, header};
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use slab::Slab;

/// Requests under way on one connection.
const STREAMS: u32 = 100;
/// Bytes of request bodies that are on their way to those who read them, of one and of all.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// What of an answer is handed out at once, so that the rest stays where its waiting is seen.
const PIECE: usize = 16 << 10;
/// Requests that a client has taken back and that nobody has looked at yet; with one more the connection ends.
const TAKEN_BACK: usize = 20;
/// Requests that were refused for what they are.
const MALFORMED: usize = 64;
/// How often answers are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How HTTP/2 is spoken.
pub(crate) fn builder(head_timeout: Duration, header_list: usize) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(header_list).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(PIECE)
        .max_pending_accept_reset_streams(TAKEN_BACK)
        .max_local_error_reset_streams(MALFORMED)
        // Who has begun a head and does not end it cannot answer a ping either.
        .keep_alive_interval(head_timeout)
        .keep_alive_timeout(head_timeout);
    builder
}

/// Gives the request a `Host`, which here is part of its address (RFC 9113, section 8.3.1); another one does not count.
pub(crate) fn name_host(request: &mut Request<Incoming>) {
    let authority = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(Ok(authority)) = authority {
        request.headers_mut().insert(header::HOST, authority);
    }
}

/// Why a connection should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Nothing was asked for too long.
    Quiet,
    /// An answer waits for a client that takes none of it.
    Stuck,
}

/// See the module.
pub(crate) struct Streams(Mutex<State>);

struct State {
    /// Of each request under way, since when its client could take something and did not.
    answers: Slab<Option<Instant>>,
    /// When the last one ended.
    quiet_since: Instant,
}

/// A request that is under way.
pub(crate) struct Stream {
    all: Arc<Streams>,
    key: usize,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Streams(Mutex::new(State { answers: Slab::new(), quiet_since: Instant::now() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come.
    pub(crate) fn enter(self: &Arc<Self>) -> Stream {
        Stream { key: self.state().answers.insert(None), all: self.clone() }
    }

    /// Waits for one of them, or for none at all, to have taken too long.
    pub(crate) async fn overdue(&self, quiet: Duration, stuck: Duration) -> Overdue {
        loop {
            tokio::time::sleep(LOOK.min(quiet).min(stuck)).await;
            let state = self.state();
            if state.answers.is_empty() && state.quiet_since.elapsed() >= quiet {
                return Overdue::Quiet;
            }
            let mut waiting = state.answers.iter().filter_map(|(_, since)| *since);
            if waiting.any(|since| since.elapsed() >= stuck) {
                return Overdue::Stuck;
            }
        }
    }
}

impl Stream {
    /// Whose turn it is: the client's since this moment, or the hub's.
    fn waits(&self, since: Option<Instant>) {
        if let Some(known) = self.all.state().answers.get_mut(self.key) {
            *known = since;
        }
    }

    /// Follows an answer to its end.
    pub(crate) fn follow(self, body: Body) -> Body {
        self.waits(Some(Instant::now()));
        Body::new(Followed { stream: Arc::new(self), body, rest: Bytes::new(), handed_out: false })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.all.state();
        state.answers.try_remove(self.key);
        state.quiet_since = Instant::now();
    }
}

/// An answer in pieces; the next one is asked for when the client has room for it.
struct Followed {
    stream: Arc<Stream>,
    body: Body,
    rest: Bytes,
    /// Whether any of it is with the client, or waits for it.
    handed_out: bool,
}

/// A last piece. Its waiting is seen for as long as it is not on its way, since nobody asks for more after it.
struct Last {
    bytes: Bytes,
    _stream: Arc<Stream>,
}

impl AsRef<[u8]> for Last {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => {
                    self.stream.waits(None);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Ready(end) => return Poll::Ready(end),
            }
        }
        self.stream.waits(Some(Instant::now()));
        if self.rest.len() > PIECE {
            self.handed_out = true;
            let piece = self.rest.split_to(PIECE);
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let last = std::mem::take(&mut self.rest);
        // A piece of the whole would keep all of it alive for as long as it waits.
        let bytes = if self.handed_out { Bytes::copy_from_slice(&last) } else { last };
        self.handed_out = true;
        let last = Last { bytes, _stream: self.stream.clone() };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(last)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, hint) = (self.rest.len() as u64, self.body.size_hint());
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}
