//! Metrics of feeds: what became of what they brought, and what they meet at their venues.

use tapeline_core::Hub;
use tapeline_core::stats::{Count, VenueStats};

use super::page::{Page, Told};

/// A name, what it means, and where it is counted.
type Row = (&'static str, &'static str, fn(&VenueStats) -> &Count);

const COUNTERS: [Row; 7] = [
    ("tapeline_source_messages", "Messages from venues, of any kind, by feed", |venue| &venue.messages),
    ("tapeline_source_strays", "Messages that are none of the venue's or could not be understood", |venue| {
        &venue.strays
    }),
    ("tapeline_source_repeated", "Data from venues that had come before", |venue| &venue.repeated),
    ("tapeline_book_checksum_failures", "Books whose checksum did not hold", |venue| {
        &venue.checksum_failures
    }),
    ("tapeline_book_resyncs", "Books that were fetched anew", |venue| &venue.resyncs),
    ("tapeline_source_gaps", "Holes in what venues number", |venue| &venue.gaps),
    (
        "tapeline_source_disconnects",
        "Times that a venue's connection was lost or could not be made",
        |venue| &venue.disconnects,
    ),
];

pub(super) fn push(hub: &Hub, page: &mut Page<'_>) -> Told {
    let feeds = hub.stats().feeds();
    let counts = feeds.iter().flat_map(|(name, feed)| {
        let results = [
            ("published", &feed.published),
            ("conflated", &feed.conflated),
            ("dropped", &feed.dropped),
            ("refused", &feed.refused),
        ];
        results.map(|(result, count)| ([&**name, result], count.read()))
    });
    page.counters(
        "tapeline_feed_messages",
        "What became of what feeds brought, by feed",
        ["feed", "result"],
        counts,
    )?;
    let spilled = feeds.iter().map(|(name, feed)| ([&**name], feed.spilled.read()));
    let about = "Critical messages of feeds that found no room and became dead letters";
    page.counters("tapeline_feed_spilled", about, ["feed"], spilled)?;
    let waiting = feeds.iter().map(|(name, feed)| ([&**name], feed.critical_waiting.read()));
    let about = "Critical messages of feeds that wait for the hub or its broker to take them";
    page.gauges("tapeline_feed_critical_waiting", about, ["feed"], waiting)?;
    let venues: Vec<(&str, &VenueStats)> =
        feeds.iter().filter_map(|(name, feed)| Some((&**name, feed.find_venue()?))).collect();
    let of = |count: fn(&VenueStats) -> &Count| {
        venues.iter().map(move |(name, venue)| ([*name], count(venue).read()))
    };
    for (name, about, count) in COUNTERS {
        page.counters(name, about, ["feed"], of(count))?;
    }
    let about = "Whether a feed is connected to its venue";
    page.gauges("tapeline_source_connected", about, ["feed"], of(|venue| &venue.connected))?;
    let heard = venues.iter().map(|(name, venue)| ([*name], venue.heard_us.read() / 1_000_000));
    let about = "When a venue's message came last, in seconds since 1970; 0 before the first";
    page.gauges("tapeline_source_last_message_timestamp_seconds", about, ["feed"], heard)?;
    let raised: Vec<(&str, &str)> = venues
        .iter()
        .flat_map(|(name, venue)| venue.raised().list().into_iter().map(move |rule| (*name, rule)))
        .collect();
    let raised = raised.iter().map(|(name, rule)| ([*name, *rule], 1));
    page.gauges("tapeline_feed_alerts", "Alerts of feeds that are on", ["feed", "rule"], raised)
}
