//! Tests of a conduit's two ends, without a shard.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use mio::{Poll as Sockets, Token};

use super::*;

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Both ends, what keeps the inbox's waker alive, and who counts wake-ups.
fn ends() -> (Near, Far, Sockets, Arc<Woken>) {
    let sockets = Sockets::new().unwrap();
    let waker = mio::Waker::new(sockets.registry(), Token(0)).unwrap();
    let (near, far) = conduit(Arc::new(Inbox::new(waker)));
    (near, far, sockets, Arc::default())
}

fn stirred(near: &Near) -> usize {
    near.0.inbox.take_controls().len()
}

#[test]
fn what_the_session_writes_is_read_at_once_and_whole() {
    let (mut near, far, _sockets, woken) = ends();
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(far.poll_read(&mut cx).is_pending());
    assert_eq!(near.write(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]), Written::Bytes(3));
    assert_eq!(near.write(&[IoSlice::new(b"d")]), Written::Bytes(1));
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(far.poll_read(&mut cx), Poll::Ready(Some(Bytes::from("abcd"))));
    near.write(&[IoSlice::new(b"last")]);
    near.end();
    assert_eq!(near.write(&[IoSlice::new(b"late")]), Written::Closed);
    assert_eq!(far.try_read(), Bytes::from("last"));
    assert_eq!(far.poll_read(&mut cx), Poll::Ready(None));
}

#[test]
fn a_session_waits_while_enough_is_unread_and_is_told_when_it_was_read() {
    let (mut near, far, _sockets, _) = ends();
    near.register(7);
    let large = vec![0; UNREAD_BYTES + 1];
    assert_eq!(near.write(&[IoSlice::new(&large)]), Written::Bytes(large.len()), "one write is taken whole");
    assert_eq!(near.write(&[IoSlice::new(b"x")]), Written::Blocked);
    assert_eq!(stirred(&near), 0);
    assert_eq!(far.try_read().len(), large.len());
    assert_eq!(stirred(&near), 1);
    assert_eq!(near.write(&[IoSlice::new(b"x")]), Written::Bytes(1));
    far.try_read();
    assert_eq!(stirred(&near), 0, "nobody waited");
}

#[test]
fn a_reader_may_want_less_to_wait_for_it() {
    let (mut near, far, _sockets, _) = ends();
    far.hold_at_most(3);
    assert_eq!(near.write(&[IoSlice::new(b"ab")]), Written::Bytes(2));
    assert!(near.has_room());
    assert_eq!(near.write(&[IoSlice::new(b"cd")]), Written::Bytes(2));
    assert!(!near.has_room());
    assert_eq!(near.write(&[IoSlice::new(b"e")]), Written::Blocked);
}

#[test]
fn who_writes_waits_until_the_session_has_taken_all_of_it() {
    let (mut near, far, _sockets, woken) = ends();
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    let mut writing = pin!(far.write(b"hello".to_vec()));
    assert!(writing.as_mut().poll(&mut cx).is_pending());
    assert!(near.is_readable(), "what came before the shard knew the session is not lost");
    let mut buffer = [0; 3];
    assert_eq!(near.read(&mut buffer), Heard::Some(3));
    assert!(writing.as_mut().poll(&mut cx).is_pending());
    assert_eq!(near.read(&mut buffer), Heard::All(2));
    assert_eq!(&buffer, b"lol");
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(writing.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
    assert_eq!(near.read(&mut buffer), Heard::All(0));
}

#[test]
fn either_end_learns_that_the_other_is_gone() {
    let (mut near, far, _sockets, _) = ends();
    near.register(7);
    drop(far);
    assert_eq!((stirred(&near), near.is_readable()), (1, true));
    assert_eq!(near.read(&mut [0; 8]), Heard::End);
    assert_eq!(near.write(&[IoSlice::new(b"x")]), Written::Closed);

    let (near, far, _sockets, woken) = ends();
    let waker = Waker::from(woken);
    let mut cx = Context::from_waker(&waker);
    let mut near = Some(near);
    assert_eq!(near.as_mut().unwrap().write(&[IoSlice::new(b"unread")]), Written::Bytes(6));
    assert_eq!(near.take().unwrap().into_unread(), Bytes::from("unread"));
    assert_eq!(far.poll_read(&mut cx), Poll::Ready(None));
    assert_eq!(pin!(far.write(b"x".to_vec())).poll(&mut cx), Poll::Ready(Err(Gone)));
}
