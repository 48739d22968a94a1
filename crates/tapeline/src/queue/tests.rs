//! What a queue promises: order, bounds, and a ring when there is room again.

use futures_util::FutureExt;
use futures_util::future::poll_fn;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::*;

fn message(channel: &str, offset: u64) -> PubSubMessage {
    let text = format!(
        r#"{{"type":"t","channel":"{channel}","data":{offset},"timestamp":"x","id":"i","offset":{offset},"epoch":"e"}}"#
    );
    PubSubMessage::read(&Utf8Bytes::from(text)).unwrap()
}

fn queue(most: usize) -> (Queue, Arc<Notify>) {
    let room = Arc::new(Notify::new());
    (Queue::new(room.clone(), most, 1 << 20), room)
}

/// What waits, as `channel offset`.
fn drain(queue: &Queue) -> Vec<String> {
    std::iter::from_fn(|| poll_fn(|context| queue.poll_next(context)).now_or_never().flatten())
        .map(|event| event.message().map_or("other".into(), |m| format!("{} {}", m.channel(), m.offset())))
        .collect()
}

#[test]
fn messages_that_all_count_leave_in_order_and_beyond_the_bound_are_refused() {
    let (queue, _) = queue(3);
    let taken: Vec<_> = (1..=5).map(|offset| queue.push(message("a", offset), Keep::All)).collect();
    assert_eq!(taken, [true, true, true, false, false]);
    assert_eq!(drain(&queue), ["a 1", "a 2", "a 3"]);
}

#[test]
fn a_newer_price_takes_the_waiting_ones_place_and_is_counted() {
    let (queue, _) = queue(2);
    for (channel, offset) in [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2)] {
        assert!(queue.push(message(channel, offset), Keep::Newest));
    }
    assert_eq!(queue.conflated(), 3);
    assert_eq!(drain(&queue), ["a 3", "b 2"]);
    assert!(queue.push(message("a", 4), Keep::Newest));
    assert_eq!(drain(&queue), ["a 4"]);
}

#[test]
fn bytes_are_bounded_too() {
    let queue = Queue::new(Arc::default(), 100, 1);
    assert!(queue.push(message("a", 1), Keep::All));
    assert!(!queue.push(message("a", 2), Keep::All));
    assert_eq!(drain(&queue).len(), 1);
    assert!(queue.push(message("a", 3), Keep::All));
}

#[test]
fn who_was_refused_is_told_once_when_half_the_queue_is_free() {
    let (queue, room) = queue(4);
    for offset in 1..=5 {
        queue.push(message("a", offset), Keep::All);
    }
    let take = || poll_fn(|context| queue.poll_next(context)).now_or_never().flatten();
    take();
    assert!(room.notified().now_or_never().is_none());
    take();
    assert!(room.notified().now_or_never().is_some());
    take();
    assert!(room.notified().now_or_never().is_none());
}

#[test]
fn after_the_end_what_waits_can_still_be_taken_and_nothing_comes_in() {
    let (queue, _) = queue(4);
    queue.push(message("a", 1), Keep::All);
    queue.end();
    queue.push(message("a", 2), Keep::All);
    assert_eq!(drain(&queue), ["a 1"]);
    assert!(matches!(poll_fn(|context| queue.poll_next(context)).now_or_never(), Some(None)));
}

#[test]
fn who_wants_nothing_more_gets_nothing_more() {
    let (queue, _) = queue(4);
    queue.push(message("a", 1), Keep::All);
    queue.end_and_forget();
    assert!(matches!(poll_fn(|context| queue.poll_next(context)).now_or_never(), Some(None)));
}
