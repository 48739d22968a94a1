//! Tests of the outbox: what leaves, in which order, against sockets that take what they like.

use bytes::Bytes;
use tapeline_schema::{Catalog, CloseCode};

use super::*;
use crate::directory::Directory;
use crate::message::Draft;
use crate::reply::Reply;

/// A message is its data.
struct Plain;

static PLAIN: Plain = Plain;

impl Wire for Plain {
    fn slot(&self) -> usize {
        0
    }

    fn message(&self, message: &Message) -> Box<[u8]> {
        Box::from(&*message.data)
    }

    fn reply(&self, _reply: &Reply) -> Bytes {
        Bytes::new()
    }

    fn ping(&self) -> Bytes {
        Bytes::new()
    }

    fn close(&self, _code: CloseCode, _reason: &str) -> Bytes {
        Bytes::new()
    }
}

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

fn message(data: impl Into<Bytes>) -> Arc<Message> {
    let channel = Directory::new(Catalog::built_in()).channel("anything").unwrap();
    let draft = Draft {
        channel,
        kind: None,
        data: data.into(),
        rows: None,
        correlation_id: None,
        idempotency: None,
        owner: None,
        from_plain_name: false,
        id: Default::default(),
        timestamp_us: 0,
    };
    Arc::new(Message::new(draft, 1, "epoch".into(), Default::default()))
}

fn text(data: &'static str) -> Arc<Message> {
    message(data)
}

fn reply(bytes: &str) -> Box<[u8]> {
    bytes.as_bytes().into()
}

fn outbox() -> Outbox {
    Outbox::new(&PLAIN)
}

/// What a write did, and how many messages it counted.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    messages: u64,
    bytes: usize,
    end: FlushEnd,
}

fn write(outbox: &mut Outbox, scratch: &mut Scratch, send: impl FnMut(&[IoSlice<'_>]) -> Written) -> Told {
    let counts = ByFamily::<FamilyStats>::default();
    let Flushed { bytes, end, .. } = outbox.write(scratch, &counts, send);
    Told { messages: counts.iter().map(|family| family.delivered.read()).sum(), bytes, end }
}

/// Writes to a socket that takes `budget` bytes and then no more; appends them to `out`.
fn write_some(outbox: &mut Outbox, scratch: &mut Scratch, mut budget: usize, out: &mut Vec<u8>) -> Told {
    write(outbox, scratch, |slices| {
        let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let taken = offered.len().min(budget);
        budget -= taken;
        out.extend_from_slice(&offered[..taken]);
        if taken == 0 { Written::Blocked } else { Written::Bytes(taken) }
    })
}

/// Everything that is left, as text.
fn rest(outbox: &mut Outbox) -> String {
    let mut out = Vec::new();
    let flushed = write_some(outbox, &mut Scratch::default(), usize::MAX, &mut out);
    assert_eq!((flushed.end, flushed.bytes), (FlushEnd::Drained, out.len()));
    assert!(outbox.is_empty());
    assert_eq!((outbox.bytes(), outbox.count()), (0, 0), "bytes and messages of an empty outbox");
    String::from_utf8(out).unwrap()
}

fn write_text(outbox: &mut Outbox, budget: usize) -> (String, Told) {
    let mut out = Vec::new();
    let flushed = write_some(outbox, &mut Scratch::default(), budget, &mut out);
    (String::from_utf8(out).unwrap(), flushed)
}

#[test]
fn urgent_lanes_leave_first_and_order_within_a_lane_holds() {
    let mut outbox = outbox();
    outbox.push(3, text("[low]"));
    outbox.push(1, text("[a]"));
    outbox.push_reply(1, reply("[b]"));
    outbox.push(0, text("[urgent]"));
    outbox.push(1, text("[c]"));
    assert!(outbox.has_urgent());
    assert_eq!(rest(&mut outbox), "[urgent][a][b][c][low]");
}

#[test]
fn a_partial_write_goes_on_where_it_stopped_and_nothing_overtakes_the_begun_frame() {
    for count in [1, 3] {
        let mut outbox = outbox();
        for frame in ["[begun]", "[b]", "[c]"].into_iter().take(count) {
            outbox.push(2, text(frame));
        }
        let (out, flushed) = write_text(&mut outbox, 3);
        assert_eq!((out.as_str(), &flushed.end, flushed.messages), ("[be", &FlushEnd::Blocked, 0));
        assert_eq!(outbox.count(), count, "a begun frame counts until it has left");
        outbox.push(0, text("[urgent]"));
        let (out, _) = write_text(&mut outbox, 2);
        assert_eq!(out, "gu", "after some more");
        let after = if count == 1 { "" } else { "[b][c]" };
        assert_eq!(rest(&mut outbox), format!("n][urgent]{after}"));
    }
}

#[test]
fn a_write_that_ends_between_two_frames_begins_none() {
    let mut outbox = outbox();
    for frame in ["[a]", "[b]", "[c]"] {
        outbox.push(1, text(frame));
    }
    let (out, flushed) = write_text(&mut outbox, 6);
    assert_eq!((out.as_str(), flushed.messages, flushed.bytes), ("[a][b]", 2, 6));
    outbox.push(0, text("[urgent]"));
    assert_eq!(rest(&mut outbox), "[urgent][c]");
}

#[test]
fn messages_that_left_are_counted_and_replies_are_not() {
    let mut outbox = outbox();
    outbox.push(1, text("[a]"));
    outbox.push_reply(1, reply("[reply]"));
    outbox.push(1, text("[b]"));
    let (_, flushed) = write_text(&mut outbox, usize::MAX);
    assert_eq!(flushed, Told { messages: 2, bytes: 13, end: FlushEnd::Drained });
}

#[test]
fn a_waiting_latest_message_is_replaced_in_its_place_and_counted_once() {
    let mut outbox = outbox();
    let mut place = NOT_WAITING;
    assert!(!outbox.push_latest(1, 7, &mut place, text("[old]")));
    outbox.push(1, text("[after]"));
    let newer = message("[newer and longer]");
    let expected = outbox.bytes() - text("[old]").weight() + newer.weight();
    assert!(outbox.waits(place, 7));
    assert!(outbox.push_latest(1, 7, &mut place, newer));
    assert_eq!((outbox.count(), outbox.bytes()), (2, expected));
    assert_eq!(rest(&mut outbox), "[newer and longer][after]");
    assert!(!outbox.waits(place, 7), "what has left does not wait");
    assert!(!outbox.push_latest(1, 7, &mut place, text("[next]")), "what has left is not replaced");
    assert_eq!(rest(&mut outbox), "[next]");
}

#[test]
fn a_place_that_another_source_has_now_is_not_replaced() {
    let mut outbox = outbox();
    let (mut first, mut second) = (NOT_WAITING, NOT_WAITING);
    outbox.push_latest(1, 7, &mut first, text("[a]"));
    assert_eq!(rest(&mut outbox), "[a]");
    outbox.push_latest(1, 8, &mut second, text("[b]"));
    assert_eq!(first, second, "the place is used again");
    assert!(!outbox.waits(first, 7));
    assert!(!outbox.push_latest(1, 7, &mut first, text("[c]")));
    assert_eq!(rest(&mut outbox), "[b][c]");
}

#[test]
fn a_latest_message_that_a_full_socket_gave_back_leaves_before_its_successor() {
    let mut outbox = outbox();
    let mut place = NOT_WAITING;
    outbox.push_latest(1, 7, &mut place, text("[old]"));
    assert_eq!(write_text(&mut outbox, 0).1.end, FlushEnd::Blocked);
    outbox.push_latest(1, 7, &mut place, text("[new]"));
    outbox.push_latest(1, 7, &mut place, text("[newest]"));
    assert_eq!(outbox.count(), 2);
    assert_eq!(rest(&mut outbox), "[old][newest]");
}

#[test]
fn the_farewell_leaves_last_whatever_comes_after_it() {
    let mut outbox = outbox();
    outbox.push(3, text("[low]"));
    outbox.end_with(reply("[bye]"));
    outbox.push(3, text("[later]"));
    assert_eq!(write_text(&mut outbox, 2).0, "[l");
    outbox.push_reply(0, reply("[urgent]"));
    assert!(!outbox.is_empty());
    assert_eq!(rest(&mut outbox), "ow][urgent][later][bye]");

    outbox.end_with(reply("[bye]"));
    assert!(!outbox.is_empty(), "a farewell alone is to be sent");
    assert_eq!(write_text(&mut outbox, 2).0, "[b");
    assert_eq!(rest(&mut outbox), "ye]");
}

#[test]
fn one_frame_always_fits_into_an_empty_outbox() {
    let mut outbox = outbox();
    assert!(outbox.fits(1_000_000, 10, 0));
    outbox.push(1, text("[a]"));
    let used = outbox.bytes();
    assert!(outbox.fits(10, used + 10, 2));
    assert!(!outbox.fits(11, used + 10, 2), "too many bytes");
    assert!(!outbox.fits(10, used + 10, 1), "too many messages");
    rest(&mut outbox);
    assert!(outbox.fits(1_000_000, 10, 0), "empty again");
}

#[test]
fn clearing_hands_out_what_is_unsent_in_its_order_and_keeps_the_begun_frame() {
    let mut outbox = outbox();
    let mut place = NOT_WAITING;
    outbox.push(1, text("[begun]"));
    outbox.push(1, text("[a]"));
    assert_eq!(write_text(&mut outbox, 2).0, "[b");
    outbox.push_latest(2, 7, &mut place, text("[latest]"));
    outbox.push_reply(2, reply("[reply]"));
    let cleared = outbox.clear().into_iter().map(|(lane, unsent)| match unsent {
        Unsent::Message(message) => (lane, String::from_utf8_lossy(&message.data).into_owned()),
        Unsent::Named(_) => unreachable!("none was named"),
        Unsent::Reply(bytes) => (lane, String::from_utf8_lossy(&bytes).into_owned()),
    });
    let cleared: Vec<_> = cleared.collect();
    assert_eq!(cleared, [(1, "[a]".into()), (2, "[latest]".into()), (2, "[reply]".into())]);
    assert!(!outbox.waits(place, 7));
    assert_eq!(outbox.count(), 1);
    assert_eq!(outbox.bytes(), text("[begun]").weight());
    assert_eq!(rest(&mut outbox), "egun]");
}

#[test]
fn a_closed_socket_is_reported() {
    for count in 1..3 {
        let mut outbox = outbox();
        for _ in 0..count {
            outbox.push(1, text("[a]"));
        }
        let flushed = write(&mut outbox, &mut Scratch::default(), |_| Written::Closed);
        assert_eq!(flushed, Told { messages: 0, bytes: 0, end: FlushEnd::Closed });
    }
}

/// Messages of mixed lengths, some longer than what one write joins.
fn some_messages(numbers: &mut Numbers) -> Vec<Arc<Message>> {
    let count = 1 + numbers.below(150);
    let one = |n: usize| {
        let len = match numbers.below(60) {
            0 => 40_000 + numbers.below(60_000),
            _ => 1 + numbers.below(40),
        };
        message(vec![b'a' + u8::try_from(n % 26).unwrap(); len])
    };
    (0..count).map(one).collect()
}

/// Writes random pieces until nothing is left.
fn write_in_pieces(outbox: &mut Outbox, scratch: &mut Scratch, numbers: &mut Numbers) -> (Vec<u8>, u64) {
    let mut out = Vec::new();
    let mut messages = 0;
    while !outbox.is_empty() {
        let budget = if numbers.below(3) == 0 { usize::MAX } else { numbers.below(3_000) };
        messages += write_some(outbox, scratch, budget, &mut out).messages;
    }
    assert_eq!((outbox.bytes(), outbox.count()), (0, 0), "bytes and messages of an empty outbox");
    (out, messages)
}

#[test]
fn a_joined_run_gives_the_same_bytes_as_single_writes() {
    let mut numbers = Numbers(1);
    let mut joined = Scratch::default();
    let mut previous: Vec<Arc<Message>> = Vec::new();
    for round in 0..300 {
        // Two rounds with the same messages, then one with others or with a part of the same.
        let messages = match round % 3 {
            1 => previous.clone(),
            0 if numbers.below(2) == 0 => previous.iter().take(1 + numbers.below(8)).cloned().collect(),
            _ => some_messages(&mut numbers),
        };
        let mut outbox = outbox();
        let mut single = Vec::new();
        for message in &messages {
            outbox.push(1, message.clone());
            single.extend_from_slice(&message.data);
        }
        let whole = numbers.below(2) == 0;
        let (out, sent) = if whole {
            let mut out = Vec::new();
            let flushed = write_some(&mut outbox, &mut joined, usize::MAX, &mut out);
            (out, flushed.messages)
        } else {
            write_in_pieces(&mut outbox, &mut joined, &mut numbers)
        };
        assert!(out == single, "round {round}: other bytes than single writes");
        assert_eq!(sent, messages.len() as u64, "round {round}: messages counted");
        previous = messages;
    }
}

#[test]
fn the_second_outbox_with_the_same_messages_is_written_as_one_piece() {
    let messages = [text("[a]"), text("[b]"), text("[c]")];
    let mut scratch = Scratch::default();
    for (pieces, replies) in [(3, false), (1, false), (1, false), (4, true), (1, false)] {
        let mut outbox = outbox();
        for message in &messages {
            outbox.push(1, message.clone());
        }
        if replies {
            outbox.push_reply(1, reply("[reply]"));
        }
        let mut out = Vec::new();
        let mut offered = 0;
        write(&mut outbox, &mut scratch, |slices| {
            offered = slices.len();
            slices.iter().for_each(|slice| out.extend_from_slice(slice));
            Written::Bytes(slices.iter().map(|slice| slice.len()).sum())
        });
        assert_eq!(offered, pieces);
        assert_eq!(out, if replies { b"[a][b][c][reply]".to_vec() } else { b"[a][b][c]".to_vec() });
    }
}
