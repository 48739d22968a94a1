//! An accepted socket as hyper sees it: bytes in and out, with a bound on how long bytes may wait for a peer that takes
//! none, and last words for one that was never answered. It knows no request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tapeline_core::Refusal;
use tapeline_schema::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::app::App;
use crate::connection::Entered;
use crate::error::whole_answer;
use crate::line::Line;

/// An accepted connection. It may be left with last words, which go out when hyper lets go of it.
pub(crate) struct Accepted {
    line: Option<Line>,
    open: Option<Entered>,
    app: Arc<App>,
    last_words: Arc<AtomicBool>,
    head_timeout: Duration,
    /// Runs while bytes wait and the peer takes none of them.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Accepted {
    /// A socket whose first head must come in time, else it is told so once `last_words` is set.
    pub(crate) fn new(
        line: Line,
        open: Entered,
        app: Arc<App>,
        last_words: Arc<AtomicBool>,
        head_timeout: Duration,
    ) -> Self {
        Accepted { line: Some(line), open: Some(open), app, last_words, head_timeout, stuck: None }
    }

    /// What is beneath, for a protocol that has been agreed on, still counted.
    pub(crate) fn into_parts(mut self) -> Option<(Line, Entered)> {
        Some((self.line.take()?, self.open.take()?))
    }

    fn line(&mut self) -> io::Result<Pin<&mut Line>> {
        self.line.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// What became of a write, or of leaving with what was written, or an error where none could be done for too long.
    /// An answer that nobody reads would stay in memory for ever, behind TLS in its own buffer.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let app = &self.app;
        let stuck = self.stuck.get_or_insert_with(|| {
            let patience = app.hub.settings().slow_close;
            Box::pin(tokio::time::sleep(patience))
        });
        if stuck.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.stuck = None;
        self.app.closed_slow.add(1);
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "no byte accepted while bytes wait (limits.slow_close_s)",
        )))
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if self.last_words.load(Ordering::Relaxed)
            && let Some(line) = &mut self.line
        {
            let seconds = self.head_timeout.as_secs_f64();
            let message = format!("the head took longer than {seconds} s (limits.handshake_timeout_s)");
            // Nothing was written to this socket before, so it takes this much; if not, the client is told nothing.
            let _ = line.say(&whole_answer(&Refusal::new(ErrorCode::Timeout, message)));
        }
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.line()?.poll_write(cx, buf);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.line()?.poll_write_vectored(cx, bufs);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.line.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.line()?.poll_flush(cx);
        self.in_time(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = self.line()?.poll_shutdown(cx);
        self.in_time(cx, shut)
    }
}
