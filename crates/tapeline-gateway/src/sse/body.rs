//! The body of an event stream: what its session writes, with the ids that a listener needs, one piece at a time. What HTTP
//! has taken and not sent can be neither conflated nor overtaken, so the next piece waits until the one before has left.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::Frame;
use tapeline_runtime::Far;

use super::places::Places;

/// Bytes of a session that wait for the piece before them, unless one write is larger.
const WAITING_BYTES: usize = 16 << 10;

/// See the module.
pub(super) struct Events {
    far: Far,
    first: Option<Bytes>,
    places: Places,
    under_way: Arc<UnderWay>,
}

impl Events {
    /// Begins with these bytes.
    pub(super) fn new(far: Far, first: Bytes, places: Places) -> Self {
        far.hold_at_most(WAITING_BYTES);
        Events { far, first: Some(first), places, under_way: Arc::default() }
    }
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        ready!(this.under_way.poll_gone(cx));
        let bytes = match this.first.take() {
            Some(first) => Some(first),
            None => ready!(this.far.poll_read(cx)).map(|bytes| this.places.follow(bytes)),
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(this.under_way.send(bytes)))))
    }
}

/// Whether a piece is with HTTP, and who waits for it to leave.
#[derive(Default)]
struct UnderWay(Mutex<State>);

#[derive(Default)]
struct State {
    is_some: bool,
    waker: Option<Waker>,
}

impl UnderWay {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.is_some {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The bytes, of which it is known when nobody needs them any more.
    fn send(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        self.state().is_some = true;
        Bytes::from_owner(Piece { bytes, under_way: self.clone() })
    }
}

struct Piece {
    bytes: Bytes,
    under_way: Arc<UnderWay>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut state = self.under_way.state();
        state.is_some = false;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_piece_waits_until_the_one_before_has_left() {
        let under_way = Arc::new(UnderWay::default());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(under_way.poll_gone(&mut cx).is_ready());
        let mut piece = under_way.send(Bytes::from_static(b"event"));
        let rest = piece.split_off(2);
        drop(piece);
        assert!(under_way.poll_gone(&mut cx).is_pending());
        assert_eq!(rest, "ent");
        drop(rest);
        assert!(under_way.poll_gone(&mut cx).is_ready());
    }
}
