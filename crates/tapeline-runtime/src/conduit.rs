//! A line in memory between a session and a protocol whose bytes travel in HTTP bodies: Server-Sent Events, polling. The
//! shard reads and writes its end like a socket that is full when enough waits unread, so outbox, conflation, catch-up and
//! the time-out of stuck clients are the same. Whoever holds the far end reads whole frames only, and ends the session by
//! letting go.

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use tapeline_core::Written;

use crate::inbox::{Control, Inbox};
use crate::pipe::Heard;

/// So many bytes wait unread before the session counts as stuck, unless its reader wants fewer. One write is taken whole,
/// however large.
const UNREAD_BYTES: usize = 64 << 10;

/// The session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the session has ended")
    }
}

impl std::error::Error for Gone {}

struct Inner {
    /// From the session, unread, and how many bytes of it may be.
    out: BytesMut,
    room: usize,
    /// The session was told that there is no room.
    blocked: bool,
    /// To the session, and how much of it has been taken.
    input: Vec<u8>,
    taken: usize,
    /// Nothing more comes from the session.
    ended: bool,
    /// Nobody holds the far end any more.
    abandoned: bool,
    /// Where the session is, from when its shard has it.
    token: Option<usize>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Default for Inner {
    fn default() -> Self {
        Inner {
            out: BytesMut::new(),
            room: UNREAD_BYTES,
            blocked: false,
            input: Vec::new(),
            taken: 0,
            ended: false,
            abandoned: false,
            token: None,
            reader: None,
            writer: None,
        }
    }
}

struct Shared {
    inner: Mutex<Inner>,
    inbox: Arc<Inbox>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the shard that something has happened at the far end.
    fn stir(&self, token: Option<usize>) {
        if let Some(token) = token {
            self.inbox.control(Control::Stirred(token));
        }
    }
}

/// The session's end.
pub(crate) struct Near(Arc<Shared>);

/// The other end.
pub struct Far(Arc<Shared>);

impl std::fmt::Debug for Far {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Far").finish_non_exhaustive()
    }
}

/// Both ends of a line to a session of this inbox's shard.
pub(crate) fn conduit(inbox: Arc<Inbox>) -> (Near, Far) {
    let shared = Arc::new(Shared { inner: Mutex::default(), inbox });
    (Near(shared.clone()), Far(shared))
}

impl Near {
    /// The session is known to its shard by this from now on.
    pub(crate) fn register(&self, token: usize) {
        self.0.lock().token = Some(token);
    }

    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> Written {
        let mut inner = self.0.lock();
        if inner.abandoned || inner.ended {
            return Written::Closed;
        }
        if inner.out.len() >= inner.room {
            inner.blocked = true;
            return Written::Blocked;
        }
        let total = slices.iter().map(|slice| slice.len()).sum();
        slices.iter().for_each(|slice| inner.out.extend_from_slice(slice));
        let reader = inner.reader.take();
        drop(inner);
        reader.into_iter().for_each(Waker::wake);
        Written::Bytes(total)
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Heard {
        let mut inner = self.0.lock();
        if inner.abandoned || inner.ended {
            return Heard::End;
        }
        let rest = inner.input.get(inner.taken..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        let more = n < rest.len();
        buffer.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        inner.taken += n;
        if more {
            return Heard::Some(n);
        }
        inner.input = Vec::new();
        inner.taken = 0;
        let writer = inner.writer.take();
        drop(inner);
        writer.into_iter().for_each(Waker::wake);
        Heard::All(n)
    }

    /// Whether this is the other end.
    pub(crate) fn leads_to(&self, far: &Far) -> bool {
        Arc::ptr_eq(&self.0, &far.0)
    }

    /// Whether there is something to read, or to learn by reading.
    pub(crate) fn is_readable(&self) -> bool {
        let inner = self.0.lock();
        inner.abandoned || !inner.input.is_empty()
    }

    /// Nothing more is written; what waits can still be read.
    pub(crate) fn end(&self) {
        let mut inner = self.0.lock();
        inner.ended = true;
        let wakers = [inner.reader.take(), inner.writer.take()];
        drop(inner);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Whether the next write is taken.
    pub(crate) fn has_room(&self) -> bool {
        let inner = self.0.lock();
        inner.out.len() < inner.room || inner.abandoned
    }

    /// What has come and was not read; it counts as taken.
    pub(crate) fn take_input(&self) -> Vec<u8> {
        let mut inner = self.0.lock();
        let taken = std::mem::take(&mut inner.taken);
        let mut input = std::mem::take(&mut inner.input);
        input.drain(..taken.min(input.len()));
        let writer = inner.writer.take();
        drop(inner);
        writer.into_iter().for_each(Waker::wake);
        input
    }

    /// What nobody has read; the far end hears nothing more.
    pub(crate) fn into_unread(self) -> Bytes {
        let unread = self.0.lock().out.split().freeze();
        self.end();
        unread
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        self.end();
    }
}

impl Far {
    /// From now on only so many bytes wait unread: what waits in the session can still be conflated and overtaken.
    pub fn hold_at_most(&self, bytes: usize) {
        self.0.lock().room = bytes;
    }

    /// Everything that the session has written since the last call, whole frames; `None` once it has ended.
    pub fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut inner = self.0.lock();
        if inner.out.is_empty() {
            if inner.ended {
                return Poll::Ready(None);
            }
            inner.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Some(self.take(inner)))
    }

    fn take(&self, mut inner: MutexGuard<'_, Inner>) -> Bytes {
        let bytes = inner.out.split().freeze();
        let token = inner.token.filter(|_| std::mem::take(&mut inner.blocked));
        drop(inner);
        self.0.stir(token);
        bytes
    }

    /// As [`Far::poll_read`], awaited. Giving up the wait loses nothing.
    pub async fn read(&self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    /// What can be read at once; nothing where nothing waits.
    pub fn try_read(&self) -> Bytes {
        let inner = self.0.lock();
        if inner.out.is_empty() { Bytes::new() } else { self.take(inner) }
    }

    /// Whether the session has ended, though something may still wait to be read.
    pub fn is_ended(&self) -> bool {
        self.0.lock().ended
    }

    /// Hands bytes to the session's protocol; done when it has taken them all.
    ///
    /// # Errors
    /// The session has ended.
    pub async fn write(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        let mut bytes = Some(bytes);
        poll_fn(|cx| {
            let mut inner = self.0.lock();
            let is_taken = inner.input.is_empty();
            if is_taken && bytes.as_ref().is_none_or(Vec::is_empty) {
                // They were taken, whatever has become of the session since.
                return Poll::Ready(Ok(()));
            }
            if inner.ended {
                return Poll::Ready(Err(Gone));
            }
            let Some(next) = bytes.take_if(|_| is_taken) else {
                inner.writer = Some(cx.waker().clone());
                return Poll::Pending;
            };
            inner.input = next;
            inner.taken = 0;
            inner.writer = Some(cx.waker().clone());
            let token = inner.token;
            drop(inner);
            self.0.stir(token);
            Poll::Pending
        })
        .await
    }

    /// Where its session is.
    pub(crate) fn place(&self) -> (Arc<Inbox>, Option<usize>) {
        (self.0.inbox.clone(), self.0.lock().token)
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.abandoned = true;
        let token = inner.token;
        drop(inner);
        self.0.stir(token);
    }
}

#[cfg(test)]
#[path = "conduit_tests.rs"]
mod tests;
