//! Who asks for channels whose rows have ended, while something is still being written for them.

use std::sync::Arc;

use tapeline_core::broker::{Broker, Interest, Sources};
use tapeline_core::testkit::suite::Subject;
use tapeline_schema::{Catalog, ChannelSpec, Delivery, Pattern, Priority};

use super::super::EmbeddedBroker;
use super::ending::{PATIENCE, answer, publish};
use super::fake::Fake;
use super::{Opens, with_broker};

/// Declares the family that has none: its channels end.
pub(super) fn declare(subject: &Subject) {
    let mut catalog = Catalog::clone(&subject.directory.catalog());
    let row = ChannelSpec::of("late:{k}", "late", Priority::High, Delivery::Every);
    catalog.add(row.keep(8, None).rolls_up_to(&["lates"])).unwrap();
    subject.directory.replace(catalog).unwrap();
}

fn list(broker: &EmbeddedBroker, interest: &Interest) -> std::sync::mpsc::Receiver<Sources> {
    let (to, listed) = answer();
    broker.sources(interest, 9, to);
    listed
}

fn all_late() -> Interest {
    Interest::Pattern(Pattern::parse("late:*").unwrap())
}

#[test]
fn who_lists_a_channel_that_ends_while_it_is_written_is_told_where_it_begins_anew() {
    let disk = Fake::default();
    let (subject, broker) = with_broker(&Opens::new(Arc::new(disk.clone())));
    let before = subject.say("late:a");
    let (has_come, gate) = disk.wait_at_next_write();
    let written = publish(&subject, &broker, "late:a");
    has_come.recv_timeout(PATIENCE).unwrap();
    declare(&subject);
    let listed = list(&broker, &all_late());
    assert!(listed.try_recv().is_err(), "a shard would ask again at once, and again");
    gate.send(()).unwrap();
    assert!(written.recv_timeout(PATIENCE).unwrap().iter().all(Result::is_ok));
    let sources = listed.recv_timeout(PATIENCE).expect("it is answered");
    let [(channel, head)] = &sources.heads[..] else { panic!("{sources:?}") };
    assert!(channel.declared() && !channel.has_ended());
    assert_eq!(head.top, 0);
    assert_ne!(head.epoch, before.epoch);
}

#[test]
fn who_lists_channels_after_the_close_is_answered_without_those_that_have_ended() {
    let disk = Fake::default();
    let (subject, broker) = with_broker(&Opens::new(Arc::new(disk.clone())));
    subject.say("late:a");
    let (has_come, gate) = disk.wait_at_next_write();
    let written = publish(&subject, &broker, "late:a");
    has_come.recv_timeout(PATIENCE).unwrap();
    declare(&subject);
    broker.shared.stop();
    let sources = list(&broker, &all_late()).recv_timeout(PATIENCE).expect("it is answered at once");
    assert!(sources.heads.is_empty(), "a shard would ask again at once, and again: {sources:?}");
    gate.send(()).unwrap();
    assert!(written.recv_timeout(PATIENCE).unwrap().iter().all(Result::is_ok));
}
