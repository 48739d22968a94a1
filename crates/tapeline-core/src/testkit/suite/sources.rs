//! The sources of roll-ups and patterns.
#![expect(clippy::expect_used, reason = "a broken promise must stop the test")]

use tapeline_schema::Pattern;

use super::{Open, Subject};
use crate::broker::{Interest, Sources};

fn open_with_sources(open: Open<'_>) -> Subject {
    let subject = open();
    subject
        .publish(["trades:a", "trades:b", "trades:c", "trades:b", "few:a"].map(|name| subject.draft(name)));
    subject
}

/// The names with their newest offsets, sorted.
fn tops(sources: &Sources) -> Vec<(&str, u64)> {
    let mut tops: Vec<_> = sources.heads.iter().map(|(channel, head)| (channel.name(), head.top)).collect();
    tops.sort_unstable();
    tops
}

/// Each listed head is the channel's.
fn check_heads(subject: &Subject, sources: &Sources) {
    for (channel, listed) in &sources.heads {
        let head = subject.join(channel.name());
        assert_eq!((&listed.epoch, listed.top, listed.oldest), (&head.epoch, head.top, head.oldest));
    }
}

/// All sources with their heads and, as it counts for itself, the roll-up; at most `limit`, and whether it is more.
pub fn a_roll_up_lists_its_sources(open: Open<'_>) {
    let subject = open_with_sources(open);
    let interest = Interest::RollUp(subject.channel("trades"));
    for limit in [100, 4] {
        let all = subject.sources(&interest, limit);
        assert_eq!(tops(&all), [("trades", 4), ("trades:a", 1), ("trades:b", 2), ("trades:c", 1)]);
        assert!(!all.partial, "all of 4 with a limit of {limit} is called partial");
        check_heads(&subject, &all);
    }
    let some = subject.sources(&interest, 2);
    assert_eq!((some.heads.len(), some.partial), (2, true));
    let none = subject.sources(&Interest::RollUp(subject.channel("market_trades")), 10);
    assert_eq!((none.heads.len(), none.partial), (0, false));
}

/// All channels that match with their heads; at most `limit`, and whether it is more.
pub fn a_pattern_lists_its_sources(open: Open<'_>) {
    let subject = open_with_sources(open);
    let pattern = |text| Interest::Pattern(Pattern::parse(text).expect("a pattern of the suite is sound"));
    let interest = pattern("trades:*");
    for limit in [100, 3] {
        let all = subject.sources(&interest, limit);
        assert_eq!(tops(&all), [("trades:a", 1), ("trades:b", 2), ("trades:c", 1)]);
        assert!(!all.partial, "all of 3 with a limit of {limit} is called partial");
        check_heads(&subject, &all);
    }
    let some = subject.sources(&interest, 2);
    assert_eq!((some.heads.len(), some.partial), (2, true));
    let none = subject.sources(&pattern("nothing:*"), 10);
    assert_eq!((none.heads.len(), none.partial), (0, false));
}
