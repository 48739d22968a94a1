//! Counting and delivering: dense offsets, one order for everybody.
#![expect(clippy::expect_used, reason = "a broken promise must stop the test")]

use std::sync::Arc;

use super::{Open, Subject};
use crate::message::{Message, Receipt};

const THREADS: usize = 4;
const ROUNDS: usize = 200;
/// Two sources of a roll-up that counts for itself, and its own name.
const NAMES: [&str; 3] = ["trades:a", "trades:b", "trades"];

/// A channel counts 1, 2, 3 … under one epoch, apart from other channels.
pub fn offsets_are_dense(open: Open<'_>) {
    let subject = open();
    let mut receipts = vec![subject.say("few:a")];
    subject.say("few:b");
    receipts.extend(subject.publish((0..5).map(|_| subject.draft("few:a"))));
    receipts.push(subject.say("few:a"));
    let offsets: Vec<_> = receipts.iter().map(|receipt| receipt.offset).collect();
    assert_eq!(offsets, [1, 2, 3, 4, 5, 6, 7]);
    let first = receipts.first().expect("there are seven");
    assert!(!first.epoch.is_empty(), "the epoch is empty");
    for receipt in &receipts {
        assert_eq!((&receipt.epoch, receipt.duplicate), (&first.epoch, false));
    }
    let delivered = subject.sink.delivered(8);
    for receipt in &receipts {
        let sent = delivered.iter().find(|message| message.id == receipt.id).expect("it is delivered");
        assert_eq!((sent.offset, &sent.epoch), (receipt.offset, &receipt.epoch));
    }
}

/// Threads publish to the same channels; the sink sees every channel's and the roll-up's offsets in order, without
/// holes, and what is kept is the same.
pub fn concurrent_publishes_are_delivered_in_order(open: Open<'_>) {
    let subject = open();
    subject.sink.hesitate();
    let receipts = std::thread::scope(|scope| {
        let subject = &subject;
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || publish_rounds(subject, thread))).collect();
        let done = threads.into_iter().flat_map(|thread| thread.join().expect("a publisher finishes"));
        done.collect::<Vec<_>>()
    });
    let delivered = subject.sink.delivered(receipts.len());
    for receipt in &receipts {
        let place = delivered.iter().find(|message| message.id == receipt.id).map(|message| message.offset);
        assert_eq!(place, Some(receipt.offset), "a receipt and its message {}", receipt.id);
    }
    for name in NAMES {
        check_line(&subject, name, &delivered);
    }
    subject.sink.check_permits();
}

fn publish_rounds(subject: &Subject, thread: usize) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for round in 0..ROUNDS {
        let together = 1 + (round + thread) % 3;
        let names = NAMES.iter().cycle().skip(round + thread).take(together);
        receipts.extend(subject.publish(names.map(|name| subject.draft(name))));
    }
    receipts
}

/// The offsets of one channel among what was delivered, and what is kept of it.
fn check_line(subject: &Subject, name: &str, delivered: &[Arc<Message>]) {
    let channel = subject.channel(name);
    let line: Vec<_> = delivered.iter().filter(|message| message.offset_in(&channel).is_some()).collect();
    assert!(line.len() >= THREADS * ROUNDS / 3, "{name} has too few messages");
    if channel.is_roll_up() {
        assert_eq!(line.len(), delivered.len(), "the roll-up counts every message");
    }
    let epoch = subject.join(name).epoch;
    for (message, due) in line.iter().zip(1..) {
        assert_eq!(message.offset_in(&channel), Some(due), "the offset in {name}");
        let mark = message.roll_ups.iter().find(|mark| mark.channel == channel);
        assert_eq!(mark.map_or(&message.epoch, |mark| &mark.epoch), &epoch, "the epoch in {name}");
    }
    let kept = subject.read(name, 0, usize::MAX).messages;
    assert!(kept.iter().map(|m| m.id).eq(line.iter().map(|m| m.id)), "{name} keeps another order");
}
