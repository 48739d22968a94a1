//! Whose a channel is: who says so first, in the step in which the message is counted.
#![expect(clippy::expect_used, reason = "a broken promise must stop the test")]

use std::sync::Barrier;
use std::time::Duration;

use tapeline_schema::{Catalog, ChannelSpec, Delivery, ErrorCode, Priority, Readers};

use super::Open;
use crate::error::Refusal;
use crate::message::{Draft, Receipt};

fn is_conflict(result: Option<Result<Receipt, Refusal>>) -> bool {
    matches!(result, Some(Err(refusal)) if refusal.code == ErrorCode::OwnerConflict)
}

/// The first owner of a channel stays. What names another is refused and leaves nothing behind, its key neither; what
/// names none is taken.
pub fn the_first_owner_stays(open: Open<'_>) {
    let subject = open();
    let channel = subject.channel("executions:a");
    assert_eq!(subject.say("executions:a").offset, 1, "a channel may begin without an owner");
    assert_eq!(channel.owner(), None);
    assert_eq!(subject.publish_one(subject.owned("executions:a", "ann")).offset, 2);
    assert_eq!(channel.owner(), Some("ann"), "the receipt came before the owner");
    let other = Draft { owner: Some("bob".into()), ..subject.keyed("executions:a", "feed", "k") };
    assert!(is_conflict(subject.results([other]).pop()), "another owner is taken");
    let again = subject
        .publish_one(Draft { owner: Some("ann".into()), ..subject.keyed("executions:a", "feed", "k") });
    assert_eq!((again.offset, again.duplicate), (3, false), "what was refused is remembered");
    assert_eq!(subject.say("executions:a").offset, 4);
    assert_eq!(subject.offsets("executions:a", 0, 10), [1, 2, 3, 4]);
    assert_eq!(subject.join("executions").top, 4, "what was refused counts in the roll-up");
    assert_eq!(subject.sink.delivered(4).len(), 4);
    assert_eq!(channel.owner(), Some("ann"));
    assert_eq!(
        subject.publish_one(subject.owned("executions:b", "bob")).offset,
        1,
        "each channel has its own"
    );
    subject.sink.check_permits();
}

/// The same within a batch: what comes after the conflict is taken.
pub fn an_owner_is_first_within_a_batch(open: Open<'_>) {
    let subject = open();
    let owned = |owner| subject.owned("order_status:7", owner);
    let results =
        subject.results([owned("ann"), owned("bob"), owned("ann"), subject.draft("order_status:7")]);
    let offsets: Vec<_> =
        results.iter().map(|result| result.as_ref().ok().map(|first| first.offset)).collect();
    assert_eq!(offsets, [Some(1), None, Some(2), Some(3)]);
    assert_eq!(subject.channel("order_status:7").owner(), Some("ann"));
    assert_eq!(subject.offsets("order_status:7", 0, 10), [1, 2, 3]);
    subject.sink.check_permits();
}

/// A repeat answers the first offset, whatever it says of the owner.
pub fn a_repeat_of_an_owned_publish_is_one(open: Open<'_>) {
    let subject = open();
    let keyed =
        |owner: &str| Draft { owner: Some(owner.into()), ..subject.keyed("executions:a", "feed", "k") };
    let first = subject.publish_one(keyed("ann"));
    for owner in ["ann", "bob"] {
        let repeat = subject.publish_one(keyed(owner));
        assert_eq!((repeat.offset, repeat.id, repeat.duplicate), (first.offset, first.id, true));
    }
    assert_eq!(subject.channel("executions:a").owner(), Some("ann"));
    assert_eq!(subject.say("executions:a").offset, 2);
}

/// Of many who claim a channel at once exactly one is its owner, and all that is taken is the owner's.
pub fn one_of_many_claims_wins(open: Open<'_>) {
    const OWNERS: [&str; 4] = ["ann", "bob", "cid", "dee"];
    let subject = open();
    for round in 0..20 {
        let name = format!("executions:{round}");
        let start = Barrier::new(OWNERS.len());
        let taken: Vec<(&str, usize)> = std::thread::scope(|threads| {
            let claim = |owner: &'static str| {
                let (subject, start, name) = (&subject, &start, &name);
                move || {
                    start.wait();
                    let results = (0..3).flat_map(|_| subject.results([subject.owned(name, owner)]));
                    (owner, results.filter(Result::is_ok).count())
                }
            };
            let running: Vec<_> = OWNERS.into_iter().map(|owner| threads.spawn(claim(owner))).collect();
            running.into_iter().map(|thread| thread.join().expect("a publisher does not panic")).collect()
        });
        let owner = subject.channel(&name).owner().map(str::to_owned).expect("somebody was first");
        for (claimed_by, count) in taken {
            assert_eq!(
                count,
                if claimed_by == owner { 3 } else { 0 },
                "{claimed_by} where {owner} was first"
            );
        }
        assert_eq!(subject.offsets(&name, 0, 20), [1, 2, 3]);
    }
    subject.sink.check_permits();
}

/// Whose a channel is lasts while it goes on, whatever of its row changes; when it begins anew because its family has
/// come or gone, it belongs to nobody again.
pub fn an_owner_lasts_as_long_as_its_channel(open: Open<'_>) {
    let subject = open();
    let declare = |row: Option<ChannelSpec>| {
        let mut catalog = Catalog::built_in();
        let added = row.map_or(Ok(()), |row| catalog.add(row));
        assert!(added.is_ok() && subject.directory.replace(catalog).is_ok(), "a row of the suite is sound");
    };
    let row = || ChannelSpec::of("late:{k}", "late", Priority::High, Delivery::Every).read(Readers::Owner);
    declare(Some(row()));
    subject.publish_one(subject.owned("late:a", "ann"));
    declare(Some(row().keep(7, None)));
    assert_eq!(subject.channel("late:a").owner(), Some("ann"), "the channel that goes on has no owner");
    assert!(is_conflict(subject.results([subject.owned("late:a", "bob")]).pop()), "a row's change frees it");
    declare(None);
    subject.say("late:a");
    assert_eq!(subject.channel("late:a").owner(), None);
    declare(Some(row()));
    assert_eq!(subject.publish_one(subject.owned("late:a", "bob")).offset, 1);
    assert_eq!(subject.channel("late:a").owner(), Some("bob"));
    subject.sink.check_permits();
}

/// A channel that is forgotten as idle leaves its owner to what a roll-up keeps of it: nobody else becomes the owner of
/// that.
pub fn an_owner_lasts_while_a_roll_up_keeps(open: Open<'_>) {
    let subject = open();
    subject.join("all_fills");
    subject.publish_one(subject.owned("fills:a", "ann"));
    subject.clock.advance(Duration::from_secs(3_600));
    subject.pass_by();
    subject.directory.sweep();
    let kept = subject.read("all_fills", 0, 10).messages;
    let owners: Vec<_> = kept.iter().map(|message| message.channel.owner()).collect();
    assert_eq!(owners, [Some("ann")]);
    assert!(
        is_conflict(subject.results([subject.owned("fills:a", "bob")]).pop()),
        "bob could read ann's fill"
    );
}
