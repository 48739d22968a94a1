//! What holds when the catalogue changes under channels in use.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tapeline_schema::{Catalog, ChannelSpec, Delivery, Priority};

use super::Open;
use super::subject::Subject;
use crate::broker::Interest;
use crate::message::Draft;
use crate::table::take_apart;

fn declare(subject: &Subject, count: usize, rolls_up_to: &[&str]) {
    let mut catalog = Catalog::clone(&subject.directory.catalog());
    let row = ChannelSpec::of("late:{k}", "late", Priority::High, Delivery::Every);
    let added = catalog.add(row.keep(count, None).rolls_up_to(rolls_up_to));
    let replaced = added.map(|()| subject.directory.replace(catalog));
    assert!(matches!(replaced, Ok(Ok(_))), "a row of the suite is sound");
}

/// A channel whose family is declared while it is in use begins at 1 under a new epoch, for who holds the old channel
/// as for who looks it up; who has joined stays joined.
pub fn a_channel_that_ends_counts_anew_and_stays_joined(open: Open<'_>) {
    let subject = open();
    let old = subject.channel("late:a");
    let first = subject.say("late:a");
    let drafted = subject.draft("late:a");
    subject.join("late:a");
    declare(&subject, 8, &["lates"]);
    let again = subject.publish_one(drafted);
    assert_ne!(again.epoch, first.epoch);
    assert_eq!(again.offset, 1);
    assert_eq!(subject.say("late:a").offset, 2, "both count together");
    assert_eq!(subject.offsets("late:a", 0, 10), [1, 2]);
    let rolled = subject.channel("lates");
    let sources = subject.sources(&Interest::RollUp(rolled), 10);
    assert!(sources.heads.iter().any(|(channel, head)| channel.declared() && head.top == 2), "{sources:?}");
    assert_eq!(subject.offsets("lates", 0, 10), [1, 2], "the new row's roll-up counts them");
    subject.broker.leave(&old);
    subject.sink.check_permits();
}

/// A channel whose row keeps less from now on goes on counting and is trimmed.
pub fn a_channel_that_goes_on_keeps_as_its_row_says_now(open: Open<'_>) {
    let subject = open();
    declare(&subject, 8, &[]);
    let first = subject.publish((0..6).map(|_| subject.draft("late:a")));
    let mut catalog = Catalog::built_in();
    let row = ChannelSpec::of("late:{k}", "late", Priority::High, Delivery::Every).keep(2, None);
    assert!(catalog.add(row).is_ok() && subject.directory.replace(catalog).is_ok());
    let again = subject.say("late:a");
    assert!(first.iter().all(|receipt| receipt.epoch == again.epoch), "it goes on");
    assert_eq!(subject.offsets("late:a", 0, 10), [6, 7]);
    subject.sink.check_permits();
}

/// Whatever a message's channel is by its own row, the message was made for it: one of a table has rows and no other has,
/// although the family comes and goes while others publish. An epoch belongs to one row.
pub fn a_message_fits_its_channels_row_while_that_changes(open: Open<'_>) {
    let subject = open();
    let plain = Catalog::clone(&subject.directory.catalog());
    let mut tabular = plain.clone();
    let row = ChannelSpec::of("late:{k}", "late", Priority::High, Delivery::Table).keyed_by(&["id"]);
    assert!(tabular.add(row).is_ok(), "a row of the suite is sound");
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for catalog in [&tabular, &plain] {
                    assert!(subject.directory.replace(catalog.clone()).is_ok(), "families may come and go");
                }
            }
        });
        for _ in 0..400 {
            let drafts = (0..64).map(|_| row_for(&subject, "late:a"));
            // A draft that waited for another row may be refused; then it is not delivered.
            subject.results(drafts);
        }
        done.store(true, Ordering::Relaxed);
    });
    let messages = subject.sink.take();
    assert!(!messages.is_empty(), "most are taken");
    let mut epochs = HashMap::new();
    for message in messages {
        let tabular = message.channel.is_table();
        assert_eq!(tabular, message.rows.is_some(), "{message:?}");
        let first = *epochs.entry(message.epoch.clone()).or_insert(tabular);
        assert_eq!(first, tabular, "{message:?} counts under the epoch of another row");
    }
    subject.sink.check_permits();
}

fn row_for(subject: &Subject, channel: &str) -> Draft {
    let draft = subject.draft(channel);
    let data = Bytes::from_static(br#"{"id":1}"#);
    if !draft.channel.is_table() {
        return Draft { data, ..draft };
    }
    match take_apart(draft.channel.spec(), &data) {
        Ok((data, rows)) => Draft { data, rows: Some(Box::new(rows)), ..draft },
        Err(_) => draft,
    }
}
